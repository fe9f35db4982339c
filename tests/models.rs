//! Models of the hand-over between threads: `cells.rs`, `table.rs` and `exemplars.rs` of `src/storage`, run
//! under loom.
//!
//! The files are compiled here as they are, with loom's types in place of their own and sizes that a model
//! can grow past. `intern.rs` is too large for a model: its look-up and the return of a removed value are
//! written again, small. A model runs through all interleavings with at most two preemptions;
//! `LOOM_MAX_PREEMPTIONS=3` tries more, in a minute.
//!
//! Not modelled: the thread-locals of `local.rs` and how they end, the list of children in `intern.rs`, and
//! the code of `once_cell` and `parking_lot`.
//!
//! What each model is worth was tried by breaking on purpose what it guards:
//!
//! | broken | loom says |
//! | --- | --- |
//! | a thread returns its slab before its last write | the sum is 1 of 3 |
//! | a leased slab stays in the list of free ones | the sum is 2 of 3 |
//! | the pool's lock is taken and released relaxed | concurrent load and mutable accesses |
//! | a returned slab is no longer summed | the sum is 0 of 3 |
//! | a returned slab is emptied into the shared one | the sum falls from 3 to 2 |
//! | the shared slab is written by load and store | the sum is 1 of 2 |
//! | a chunk is added without the slab's lock | two threads made the same thing |
//! | `OnceRef::get` or `set` is relaxed | concurrent load and mutable accesses |
//! | a lease that cannot be had is asked for under the lock | one lock more than before |
//! | the leases that are left are not counted on return | the slab is not leased again |
//! | `Table::current` is stored or loaded relaxed | an entry was found and is lost |
//! | `current` is stored before the larger table is set, or filled | an entry was found and is lost |
//! | the table grows without the entry that made it grow | an entry is lost |
//! | an entry is added without the domain's lock | an entry is there twice |
//! | the table is not asked again under the domain's lock | an entry is there twice |
//! | a removed entry comes back by a relaxed store, or is looked at by a relaxed load | what was set is 0 |
//! | a removed entry is cleared after it came back | what was set is 0 |
//! | a writer of a slot stores its odd sequence | an exemplar is made of two |
//! | a writer has no fence behind its odd sequence | an exemplar is made of two |
//! | a reader has no fence before it looks at the sequence again, or does not look | an exemplar is made of two |
//! | a reader does not mind an odd sequence | an exemplar is made of two |
//! | the even sequence is stored or loaded relaxed | an exemplar is made of two |
//! | a writer does not mind an odd sequence | neither exemplar is found |

#![cfg(test)]

#[expect(dead_code, reason = "the models need a part of it")]
#[path = "../src/storage/cells.rs"]
mod cells;
#[path = "../src/storage/exemplars.rs"]
mod exemplars;
#[path = "../src/storage/table.rs"]
mod table;

/// The synchronisation types of these files, made of loom's, and sizes small enough to be grown in a model.
mod sync {
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
}

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex as StdMutex, PoisonError},
};

use loom::thread::{self, JoinHandle};

use self::{
    cells::{Address, Pool},
    exemplars::{Exemplar, Table as Exemplars},
    sync::{Acquire, AtomicU64, AtomicUsize, Mutex, Relaxed, Release},
    table::{Hashed, Table},
};

/// In the first chunk, and in one that is reached through a directory.
const NEAR_CELL: Address = 1;
const FAR_CELL: Address = 2;

/// Runs a model through all interleavings with at most two preemptions; what came out of them.
///
/// A model names what it expects to come out, so that it fails when loom tries less than it seems to.
fn outcomes<T>(model: impl Fn() -> T + Sync + Send + 'static) -> BTreeSet<T>
where
    T: Clone + Ord + Send + 'static,
{
    let seen = Arc::new(StdMutex::new(BTreeSet::new()));
    let into = seen.clone();
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(2);
    builder.check(move || {
        let outcome = model();
        into.lock().unwrap_or_else(PoisonError::into_inner).insert(outcome);
    });
    seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn join<T>(thread: JoinHandle<T>) -> T {
    thread.join().expect("the thread does not panic")
}

mod slabs {
    use super::*;

    fn pool(limit: usize) -> &'static Pool {
        Box::leak(Box::new(Pool::new(limit)))
    }

    /// A thread from its first write to its end, as `local.rs` runs it: it counts one in each of the cells.
    fn live(pool: &'static Pool, cells: &[Address]) {
        let lease = pool.lease();
        for cell in cells {
            match &lease {
                Some(lease) => lease.slab().chunk_of(*cell).update_owned(*cell, |count| count + 1),
                None => _ = pool.shared().update_shared(*cell, |count| count + 1),
            }
        }
    }

    #[test]
    fn a_slab_goes_on_under_its_next_owner_and_others_share_one() {
        let shared = outcomes(|| {
            let pool = pool(1);
            let threads = [(); 3].map(|()| thread::spawn(move || live(pool, &[NEAR_CELL])));
            threads.into_iter().for_each(join);
            assert_eq!(pool.reader().sum(NEAR_CELL), 3);
            pool.shared().load(NEAR_CELL)
        });
        assert_eq!(shared, BTreeSet::from([0, 1, 2]));
    }

    #[test]
    fn a_sum_never_falls_while_chunks_are_added_and_the_last_is_exact() {
        let sums = outcomes(|| {
            let pool = pool(1);
            let threads =
                [(); 2].map(|()| thread::spawn(move || live(pool, &[NEAR_CELL, FAR_CELL])));
            let [first, second] = [(); 2].map(|()| pool.reader().sum(FAR_CELL));
            assert!(first <= second, "from {first} to {second}");
            threads.into_iter().for_each(join);
            let mut last = [0; 2];
            pool.reader().sums(NEAR_CELL, &mut last);
            assert_eq!(last, [2, 2]);
            (first, second)
        });
        assert_eq!(sums, BTreeSet::from([(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)]));
    }

    #[test]
    fn threads_without_a_slab_add_a_chunk_of_the_shared_one_once() {
        let before = outcomes(|| {
            let pool = pool(0);
            let count = move || pool.shared().update_shared(FAR_CELL, |count| count + 1);
            let threads = [(); 2].map(|()| thread::spawn(count));
            let before = threads.map(join);
            assert_eq!(pool.reader().sum(FAR_CELL), 2);
            before
        });
        assert_eq!(before, BTreeSet::from([[0, 1], [1, 0]]));
    }

    #[test]
    fn while_all_slabs_are_leased_a_lease_is_refused_without_a_lock() {
        outcomes(|| {
            let pool = pool(1);
            let lease = pool.lease();
            assert!(lease.is_some());
            let locks = sync::locks();
            assert!(pool.lease().is_none());
            assert_eq!(sync::locks(), locks);
            drop(lease);
            assert!(pool.lease().is_some());
        });
    }
}

mod interner {
    use super::*;

    struct Entry {
        name: u64,
        /// Loom knows when it was written: a look-up that finds the entry too early is an error.
        body: AtomicU64,
    }

    impl Hashed for Entry {
        /// All entries want the same slot, so that the next ones are tried.
        fn hash(&self) -> u64 {
            1
        }
    }

    impl Entry {
        fn new(name: u64) -> &'static Self {
            Box::leak(Box::new(Self { name, body: AtomicU64::new(name) }))
        }
    }

    fn find(table: &Table<Entry>, name: u64) -> Option<&'static Entry> {
        let entry = table.get(1, |entry| entry.name == name)?;
        assert_eq!(entry.body.load(Relaxed), name);
        Some(entry)
    }

    #[test]
    fn what_is_found_is_whole_and_found_again_while_the_table_grows() {
        let found = outcomes(|| {
            let table: &Table<Entry> = Box::leak(Box::new(Table::new()));
            table.insert(0, Entry::new(0));
            let adds = thread::spawn(|| {
                table.insert(1, Entry::new(1));
                // From here on the table has to be twice as large.
                table.insert(2, Entry::new(2));
            });
            let found = [0, 1, 2].map(|name| {
                let found = find(table, name).is_some();
                assert!(!found || find(table, name).is_some(), "{name} was found and is lost");
                found
            });
            join(adds);
            assert!((0..3).all(|name| find(table, name).is_some()), "an entry is lost");
            found
        });
        let [no, yes] = [false, true];
        assert_eq!(
            found,
            BTreeSet::from([[yes, no, no], [yes, no, yes], [yes, yes, no], [yes, yes, yes]])
        );
    }

    /// As `Domain::get` and `Domain::add` of `intern.rs`: a look-up without the lock, and one under it.
    struct Interner {
        table: Table<Entry>,
        known: Mutex<usize>,
    }

    impl Interner {
        /// The entry of a name, and whether it was added.
        fn get(&self, name: u64) -> (&'static Entry, bool) {
            if let Some(entry) = find(&self.table, name) {
                return (entry, false);
            }
            let mut known = self.known.lock();
            if let Some(entry) = find(&self.table, name) {
                return (entry, false);
            }
            let entry = Entry::new(name);
            self.table.insert(*known, entry);
            *known += 1;
            (entry, true)
        }
    }

    #[test]
    fn threads_agree_on_the_entry_of_a_name() {
        let added = outcomes(|| {
            let interner: &Interner =
                Box::leak(Box::new(Interner { table: Table::new(), known: Mutex::new(0) }));
            // The first of the two that follow fills the table, the second makes it grow.
            interner.get(2);
            let threads = [[0, 1], [1, 0]].map(|names| {
                thread::spawn(move || {
                    names.map(|name| {
                        let (entry, added) = interner.get(name);
                        assert!(std::ptr::eq(entry, interner.get(name).0), "{name} is there twice");
                        added
                    })
                })
            });
            let added = threads.map(join);
            assert_eq!(*interner.known.lock(), 3);
            added
        });
        let [no, yes] = [false, true];
        assert_eq!(
            added,
            BTreeSet::from([
                [[no, no], [yes, yes]],
                [[yes, no], [yes, no]],
                [[yes, yes], [no, no]]
            ])
        );
    }

    /// As `Domain::add` of `intern.rs`: the row of a removed value is cleared before the value comes back.
    #[test]
    fn a_value_that_came_back_keeps_what_is_set_then() {
        let set = outcomes(|| {
            let entry = Arc::new((AtomicUsize::new(1), AtomicU64::new(7)));
            let adds = thread::spawn({
                let entry = entry.clone();
                move || {
                    entry.1.store(0, Relaxed);
                    entry.0.store(0, Release);
                }
            });
            let (removed, cell) = &*entry;
            let set = removed.load(Acquire) == 0;
            if set {
                cell.store(5, Relaxed);
            }
            join(adds);
            assert_eq!(cell.load(Relaxed), if set { 5 } else { 0 });
            set
        });
        assert_eq!(set, BTreeSet::from([false, true]));
    }
}

mod exemplar {
    use super::*;

    /// Offers an exemplar in which every number and the text are `of`, a digit.
    fn offer(table: &Exemplars, of: u64) -> bool {
        table.offer(cell(of), of, &of.to_string(), 0, of, || of)
    }

    /// A cell of its own for each, so that a slot changes hands.
    fn cell(of: u64) -> Address {
        Address::try_from(of).expect("a digit is an address")
    }

    /// The exemplar that the table has of these cells, which must be one that was offered.
    fn found(table: &Exemplars, cells: &[u64]) -> Option<u64> {
        cells.iter().find_map(|of| {
            let Exemplar { value, wall, trace } = table.find(cell(*of))?;
            let is_whole = value == *of && wall == *of && trace == of.to_string();
            assert!(is_whole, "an exemplar is made of two: {of}, {value}, {wall}, {trace}");
            Some(*of)
        })
    }

    #[test]
    fn of_two_writers_one_is_kept_whole() {
        let kept = outcomes(|| {
            let table: &Exemplars = Box::leak(Box::new(Exemplars::new(1)));
            let threads = [1, 2].map(|of| thread::spawn(move || offer(table, of)));
            let kept = threads.map(join);
            let found = found(table, &[1, 2]);
            assert!(found.is_some_and(|of| kept[usize::from(of == 2)]), "{found:?} of {kept:?}");
            (kept, found)
        });
        let [no, yes] = [false, true];
        assert_eq!(
            kept,
            BTreeSet::from([
                ([yes, no], Some(1)),
                ([no, yes], Some(2)),
                ([yes, yes], Some(1)),
                ([yes, yes], Some(2)),
            ])
        );
    }

    #[test]
    fn a_reader_sees_an_exemplar_whole_or_not_at_all() {
        let seen = outcomes(|| {
            let table: &Exemplars = Box::leak(Box::new(Exemplars::new(1)));
            assert!(offer(table, 1));
            let writes = thread::spawn(move || offer(table, 2));
            let seen = found(table, &[1, 2]);
            assert!(join(writes), "nobody else writes");
            assert_eq!(found(table, &[1, 2]), Some(2));
            seen
        });
        assert_eq!(seen, BTreeSet::from([None, Some(1), Some(2)]));
    }
}
