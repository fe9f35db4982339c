//! A hash table that only grows: read without a lock, added to under its owner's lock.
//!
//! The slots are set once, so a reader sees an entry whole or not at all. A full table is followed by one
//! of twice its size that holds every entry again; a reader that still looks into the old one can miss
//! an entry that was just added, and then asks again under the lock.

use super::sync::{Acquire, AtomicUsize, FIRST_SLOTS, OnceRef, Release, TABLES};

/// What a table holds.
pub(crate) trait Hashed {
    /// The hash the entry was added with.
    fn hash(&self) -> u64;
}

/// See the [module](self).
pub(crate) struct Table<E: 'static> {
    tables: [OnceRef<'static, Slots<E>>; TABLES],
    current: AtomicUsize,
}

struct Slots<E: 'static>(Box<[OnceRef<'static, E>]>);

impl<E> Slots<E> {
    fn new(len: usize) -> &'static Self {
        Box::leak(Box::new(Self((0..len).map(|_| OnceRef::new()).collect())))
    }

    /// The slots that `hash` may be in, in the order they are tried.
    fn probe(&self, hash: u64) -> impl Iterator<Item = &OnceRef<'static, E>> {
        #[expect(clippy::cast_possible_truncation, reason = "only the low bits pick the slot")]
        let start = hash as usize;
        (0..self.0.len()).map(move |step| &self.0[(start + step) & (self.0.len() - 1)])
    }

    fn insert(&self, hash: u64, entry: &'static E) {
        for slot in self.probe(hash) {
            if slot.set(entry).is_ok() {
                return;
            }
        }
    }
}

impl<E: Hashed + Sync> Table<E> {
    pub(crate) fn new() -> Self {
        Self { tables: std::array::from_fn(|_| OnceRef::new()), current: AtomicUsize::new(0) }
    }

    /// The entry with this hash that `is_it` accepts. It can miss one added at the same time.
    pub(crate) fn get(&self, hash: u64, is_it: impl Fn(&E) -> bool) -> Option<&'static E> {
        let slots = self.tables[self.current.load(Acquire)].get()?;
        for slot in slots.probe(hash) {
            let entry = slot.get()?;
            if entry.hash() == hash && is_it(entry) {
                return Some(entry);
            }
        }
        None
    }

    /// Adds an entry that is not there. `len` is how many are: the caller counts them under its lock, and
    /// no other thread may add at the same time.
    pub(crate) fn insert(&self, len: usize, entry: &'static E) {
        let current = self.current.load(Acquire);
        let slots = self.tables[current].get_or_init(|| Slots::new(FIRST_SLOTS << current));
        if (len + 1) * 2 <= slots.0.len() || current + 1 == TABLES {
            slots.insert(entry.hash(), entry);
            return;
        }
        let larger = Slots::new(slots.0.len() * 2);
        for old in slots.0.iter().filter_map(OnceRef::get) {
            larger.insert(old.hash(), old);
        }
        larger.insert(entry.hash(), entry);
        if self.tables[current + 1].set(larger).is_ok() {
            self.current.store(current + 1, Release);
        }
    }
}
