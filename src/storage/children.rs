//! The list of what hangs below an entry: read without a lock, added to under the lock of its domain.

use super::sync::{CHILDREN, OnceRef};

/// What a list holds.
pub(crate) trait Child {
    /// Whether it is the one of this domain and code.
    fn is(&self, domain: u32, code: u16) -> bool;
}

/// A few children, and behind them more.
///
/// The slots are set once and in their order, so a reader sees a child whole or not at all, and the first free
/// slot is the end. One that misses a child that was just added asks again under the lock.
pub(crate) struct Children<C: 'static> {
    slots: [OnceRef<'static, C>; CHILDREN],
    next: OnceRef<'static, Self>,
}

impl<C: Child> Children<C> {
    pub(crate) fn new() -> Self {
        Self { slots: std::array::from_fn(|_| OnceRef::new()), next: OnceRef::new() }
    }

    /// The child of a domain and code, if there is one. It can miss one added at the same time.
    #[inline]
    pub(crate) fn find(&self, domain: u32, code: u16) -> Option<&'static C> {
        let mut node = self;
        loop {
            for slot in &node.slots {
                let child = slot.get()?;
                if child.is(domain, code) {
                    return Some(child);
                }
            }
            node = node.next.get()?;
        }
    }

    /// Adds a child that is not there. No other thread may add at the same time.
    pub(crate) fn add(&self, child: &'static C) {
        let mut node = self;
        while !node.slots.iter().any(|slot| slot.set(child).is_ok()) {
            node = node.next.get_or_init(|| Box::leak(Box::new(Self::new())));
        }
    }
}
