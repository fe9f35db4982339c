//! What hangs below an entry: read without a lock, added to under the lock of its domain.

use super::sync::{FAR_PAGES, FAR_SLOTS, NEAR_PAGES, NEAR_SLOTS, OnceRef};

/// A table of children by their position, filled page by page as they are added. Finding one takes the same
/// time whichever it is, however many there are.
///
/// A slot is set once, so a reader sees a child whole or not at all. One that misses a child that was just
/// added asks again under the lock.
pub(crate) struct Children<C: 'static> {
    /// The first positions, which are the common ones, lie one step away.
    near: [OnceRef<'static, Page<C, NEAR_SLOTS>>; NEAR_PAGES],
    far: OnceRef<'static, Directory<C>>,
}

type Page<C, const SLOTS: usize> = [OnceRef<'static, C>; SLOTS];
type Directory<C> = [OnceRef<'static, Page<C, FAR_SLOTS>>; FAR_PAGES];

/// The positions that lie near.
const NEAR: usize = NEAR_PAGES * NEAR_SLOTS;

impl<C: 'static> Children<C> {
    pub(crate) fn new() -> Self {
        Self { near: std::array::from_fn(|_| OnceRef::new()), far: OnceRef::new() }
    }

    /// The child at a position, if there is one. It can miss one added at the same time.
    #[inline]
    pub(crate) fn find(&self, position: u16) -> Option<&'static C> {
        let position = usize::from(position);
        match self.near.get(position / NEAR_SLOTS) {
            Some(page) => page.get()?[position % NEAR_SLOTS].get(),
            None => self.find_far(position - NEAR),
        }
    }

    // Out of line, so that the common ones are found in line.
    #[inline(never)]
    fn find_far(&self, position: usize) -> Option<&'static C> {
        let page = self.far.get()?.get(position / FAR_SLOTS)?;
        page.get()?[position % FAR_SLOTS].get()
    }

    /// Adds a child at a position that has none. No other thread may add at the same time.
    pub(crate) fn add(&self, position: u16, child: &'static C) {
        let position = usize::from(position);
        let slot = if let Some(page) = self.near.get(position / NEAR_SLOTS) {
            &page.get_or_init(leaked)[position % NEAR_SLOTS]
        } else {
            let directory = self.far.get_or_init(leaked);
            let position = position - NEAR;
            &directory[position / FAR_SLOTS].get_or_init(leaked)[position % FAR_SLOTS]
        };
        let added = slot.set(child);
        debug_assert!(added.is_ok(), "there is one already");
    }
}

fn leaked<T, const N: usize>() -> &'static [OnceRef<'static, T>; N] {
    Box::leak(Box::new(std::array::from_fn(|_| OnceRef::new())))
}
