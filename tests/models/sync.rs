//! The synchronisation types of these files, made of loom's, and sizes small enough to be grown in a model.

use std::{cell::Cell, sync::PoisonError};

pub(crate) use loom::sync::{
    MutexGuard,
    atomic::{
        Ordering::{self, Acquire, Relaxed, Release},
        fence,
    },
};

pub(crate) const CHUNK: usize = 2;
pub(crate) const NEAR: usize = 1;
pub(crate) const DIRECTORY: usize = 2;
pub(crate) const FAR: usize = 1;
pub(crate) const FIRST_SLOTS: usize = 4;
pub(crate) const TABLES: usize = 2;
pub(crate) const NEAR_PAGES: usize = 1;
pub(crate) const NEAR_SLOTS: usize = 2;
pub(crate) const FAR_PAGES: usize = 1;
pub(crate) const FAR_SLOTS: usize = 2;
pub(crate) const WAYS: usize = 1;
pub(crate) const TEXT_WORDS: usize = 1;

/// Loom's atomics with a turnstile in front of each.
///
/// Loom remembers only the last access of each kind to an atomic. Where a thread loads and then stores,
/// as the owner of a cell does, its own load hides the one another thread made before, and loom never
/// tries that one after the store. Every access goes through the turnstile by a relaxed
/// read-modify-write, which loom does try in every order and which makes nothing visible.
macro_rules! atomics {
    ($($Atomic:ident($Value:ident))+) => {$(
        pub(crate) struct $Atomic {
            turnstile: loom::sync::atomic::AtomicUsize,
            value: loom::sync::atomic::$Atomic,
        }

        #[allow(dead_code, reason = "one needs more than the other")]
        impl $Atomic {
            pub(crate) fn new(value: $Value) -> Self {
                Self {
                    turnstile: loom::sync::atomic::AtomicUsize::new(0),
                    value: loom::sync::atomic::$Atomic::new(value),
                }
            }

            fn turn(&self) -> &loom::sync::atomic::$Atomic {
                self.turnstile.fetch_or(0, Relaxed);
                &self.value
            }

            pub(crate) fn load(&self, order: Ordering) -> $Value {
                self.turn().load(order)
            }

            pub(crate) fn store(&self, value: $Value, order: Ordering) {
                self.turn().store(value, order);
            }

            pub(crate) fn swap(&self, value: $Value, order: Ordering) -> $Value {
                self.turn().swap(value, order)
            }

            pub(crate) fn compare_exchange_weak(
                &self,
                expected: $Value,
                value: $Value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$Value, $Value> {
                self.turn().compare_exchange(expected, value, success, failure)
            }
        }
    )+};
}

atomics! {
    AtomicU64(u64)
    AtomicUsize(usize)
}

thread_local! {
    // Loom runs the threads of a model on one thread.
    static LOCKS: Cell<usize> = const { Cell::new(0) };
}

/// How many locks were taken.
pub(crate) fn locks() -> usize {
    LOCKS.get()
}

/// With the interface of `parking_lot`'s.
#[derive(Default)]
pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        LOCKS.set(LOCKS.get() + 1);
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// With the interface and the orderings of `once_cell`'s.
///
/// In place of a pointer it sets a number, that of a reference in a list which loom knows nothing of. So
/// loom sees who set it and who may see that, and what is behind the reference as far as it consists of
/// loom's types.
pub(crate) struct OnceRef<'a, T> {
    chosen: AtomicUsize,
    offered: std::sync::Mutex<Vec<&'a T>>,
}

impl<'a, T> OnceRef<'a, T> {
    pub(crate) fn new() -> Self {
        Self { chosen: AtomicUsize::new(0), offered: std::sync::Mutex::default() }
    }

    pub(crate) fn get(&self) -> Option<&'a T> {
        self.offered(self.chosen.load(Acquire))
    }

    pub(crate) fn set(&self, value: &'a T) -> Result<(), ()> {
        self.offer(value).map(|_| ()).map_err(|_| ())
    }

    /// Two that both make a value are refused here, though `once_cell` takes the first: the callers see
    /// to it by a lock, so that no memory is lost.
    pub(crate) fn get_or_init(&self, make: impl FnOnce() -> &'a T) -> &'a T {
        self.get().unwrap_or_else(|| {
            let value = make();
            assert!(self.offer(value).is_ok(), "two threads made the same thing");
            value
        })
    }

    fn offer(&self, value: &'a T) -> Result<usize, usize> {
        let number = {
            let mut offered = self.offered.lock().unwrap_or_else(PoisonError::into_inner);
            offered.push(value);
            offered.len()
        };
        self.chosen.compare_exchange_weak(0, number, Release, Acquire)
    }

    fn offered(&self, number: usize) -> Option<&'a T> {
        let offered = self.offered.lock().unwrap_or_else(PoisonError::into_inner);
        offered.get(number.checked_sub(1)?).copied()
    }
}
