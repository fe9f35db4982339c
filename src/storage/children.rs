//! The list of what hangs below an entry: read without a lock, added to under the lock of its domain.

use super::sync::{FIRST_CHILDREN, MORE_CHILDREN, OnceRef};

/// What a list holds.
pub(crate) trait Child {
    /// Whether it is the one of this domain and code.
    fn is(&self, domain: u32, code: u16) -> bool;
}

/// The first children, and behind them more.
///
/// The slots are set once and in their order, so a reader sees a child whole or not at all, and the first free
/// slot is the end. One that misses a child that was just added asks again under the lock.
pub(crate) struct Children<C: 'static> {
    first: [OnceRef<'static, C>; FIRST_CHILDREN],
    more: OnceRef<'static, More<C>>,
}

/// Children in a step, and the next step.
struct More<C: 'static> {
    slots: [OnceRef<'static, C>; MORE_CHILDREN],
    next: OnceRef<'static, Self>,
}

impl<C: Child> Children<C> {
    pub(crate) fn new() -> Self {
        Self { first: std::array::from_fn(|_| OnceRef::new()), more: OnceRef::new() }
    }

    /// The child of a domain and code, if there is one. It can miss one added at the same time.
    #[inline]
    pub(crate) fn find(&self, domain: u32, code: u16) -> Option<&'static C> {
        for slot in &self.first {
            let child = slot.get()?;
            if child.is(domain, code) {
                return Some(child);
            }
        }
        self.more.get()?.find(domain, code)
    }

    /// Adds a child that is not there. No other thread may add at the same time.
    pub(crate) fn add(&self, child: &'static C) {
        let set = |slots: &[OnceRef<'static, C>]| slots.iter().any(|slot| slot.set(child).is_ok());
        if set(&self.first) {
            return;
        }
        let mut step = self.more.get_or_init(More::leaked);
        while !set(&step.slots) {
            step = step.next.get_or_init(More::leaked);
        }
    }
}

impl<C: Child> More<C> {
    // Out of line, so that the first children are looked through in line.
    #[inline(never)]
    fn find(&self, domain: u32, code: u16) -> Option<&'static C> {
        let mut step = self;
        loop {
            for slot in &step.slots {
                let child = slot.get()?;
                if child.is(domain, code) {
                    return Some(child);
                }
            }
            step = step.next.get()?;
        }
    }

    fn leaked() -> &'static Self {
        let slots = std::array::from_fn(|_| OnceRef::new());
        Box::leak(Box::new(Self { slots, next: OnceRef::new() }))
    }
}
