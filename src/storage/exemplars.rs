//! The last exemplar of each cell, in a table of fixed size that threads write and read without a lock.
//!
//! A cell has a set of slots that it shares with other cells: it keeps the slot it has, else it takes a free
//! one, else the one whose exemplar is the oldest. A slot is a seqlock. Its sequence is odd while a thread
//! writes; a writer that does not get it drops its exemplar, and a reader that sees it move skips the slot.
//! So nobody waits for anybody.

use super::{
    cells::Address,
    sync::{Acquire, AtomicU64, Relaxed, Release, TEXT_WORDS, WAYS, fence},
};

/// What a cell was told last.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Exemplar {
    /// What a counter grew by or a histogram observed, in stored units.
    pub(crate) value: u64,
    /// Milliseconds since 1970.
    pub(crate) wall: u64,
    /// The trace in which that happened.
    pub(crate) trace: String,
}

/// See the [module](self).
pub(crate) struct Table {
    sets: Box<[Set]>,
    /// The text of each slot, apart from what is looked at to refuse an exemplar.
    texts: Box<[Text]>,
}

#[repr(align(128))]
struct Set([Head; WAYS]);

struct Head {
    sequence: AtomicU64,
    /// The cell, and above its 32 bits the length of the text in bytes. The sink is no key: 0 is a free slot.
    key: AtomicU64,
    value: AtomicU64,
    wall: AtomicU64,
}

struct Text([AtomicU64; TEXT_WORDS]);

/// A slot that an exemplar may go to, as it was found.
struct Place<'a> {
    head: &'a Head,
    text: &'a Text,
    sequence: u64,
    /// Of what moment its exemplar is, if it has one.
    wall: Option<u64>,
}

impl Place<'_> {
    /// The time of day can be set back: what is far ahead of it is old as well.
    fn age(&self, now: u64) -> u64 {
        self.wall.map_or(u64::MAX, |wall| now.abs_diff(wall))
    }
}

impl Table {
    /// A table of so many sets.
    pub(crate) fn new(sets: usize) -> Self {
        let zero = |_| AtomicU64::new(0);
        let head = |_| Head { sequence: zero(0), key: zero(0), value: zero(0), wall: zero(0) };
        Self {
            sets: (0..sets).map(|_| Set(std::array::from_fn(head))).collect(),
            texts: (0..sets * WAYS).map(|_| Text(std::array::from_fn(zero))).collect(),
        }
    }

    /// Keeps an exemplar of a cell, unless the slot that it would go to has one from less than `interval`
    /// ago, or another thread writes; whether it did. `about` may be late: only when the interval seems to be
    /// over is the time read.
    pub(crate) fn offer(
        &self,
        cell: Address,
        value: u64,
        trace: &str,
        interval: u64,
        about: u64,
        now: impl FnOnce() -> u64,
    ) -> bool {
        let bytes = trace.as_bytes();
        let Some(place) = self.place(cell, about) else { return false };
        if place.age(about) < interval || bytes.len() > TEXT_WORDS * 8 {
            return false;
        }
        let wall = now();
        if place.age(wall) < interval {
            return false;
        }
        let Place { head, text, sequence, .. } = place;
        let taken = head.sequence.compare_exchange_weak(sequence, sequence + 1, Relaxed, Relaxed);
        if taken.is_err() {
            return false;
        }
        // Who sees any of what follows sees the odd sequence as well, behind a fence of its own.
        fence(Release);
        head.key.store(u64::from(cell) | (bytes.len() as u64) << 32, Relaxed);
        head.value.store(value, Relaxed);
        head.wall.store(wall, Relaxed);
        for (word, bytes) in text.0.iter().zip(bytes.chunks(8)) {
            let mut padded = [0; 8];
            padded[..bytes.len()].copy_from_slice(bytes);
            word.store(u64::from_le_bytes(padded), Relaxed);
        }
        head.sequence.store(sequence + 2, Release);
        true
    }

    /// The slot of the cell, else a free one, else the oldest; none while another thread writes one of them.
    fn place(&self, cell: Address, about: u64) -> Option<Place<'_>> {
        let mut chosen: Option<Place<'_>> = None;
        for (head, text) in self.slots(cell) {
            let sequence = head.sequence.load(Acquire);
            if sequence % 2 == 1 {
                return None;
            }
            let key = head.key.load(Relaxed);
            let wall = (key != 0).then(|| head.wall.load(Relaxed));
            let place = Place { head, text, sequence, wall };
            if cell_of(key) == cell {
                return Some(place);
            }
            if chosen.as_ref().is_none_or(|chosen| place.age(about) > chosen.age(about)) {
                chosen = Some(place);
            }
        }
        chosen
    }

    /// The exemplar of a cell, if it has one and no thread writes it.
    pub(crate) fn find(&self, cell: Address) -> Option<Exemplar> {
        self.slots(cell).find_map(|(head, text)| {
            let sequence = head.sequence.load(Acquire);
            let key = head.key.load(Relaxed);
            if sequence % 2 == 1 || cell_of(key) != cell {
                return None;
            }
            let (value, wall) = (head.value.load(Relaxed), head.wall.load(Relaxed));
            let len = usize::try_from(key >> 32).ok()?;
            let words = text.0.iter().take(len.div_ceil(8));
            let mut bytes: Vec<u8> =
                words.flat_map(|word| word.load(Relaxed).to_le_bytes()).collect();
            bytes.truncate(len);
            // What was read stands only if nobody has begun to write since.
            fence(Acquire);
            if head.sequence.load(Relaxed) != sequence {
                return None;
            }
            Some(Exemplar { value, wall, trace: String::from_utf8(bytes).ok()? })
        })
    }

    /// The slots that a cell may have.
    fn slots(&self, cell: Address) -> impl Iterator<Item = (&Head, &Text)> {
        // Fibonacci hashing: cells that are a power of two apart do not share a set.
        let hash = u64::from(cell.wrapping_mul(0x9e37_79b9));
        let set = ((hash * self.sets.len() as u64) >> 32) as usize;
        self.sets[set].0.iter().zip(&self.texts[set * WAYS..])
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the cell is the lower half")]
const fn cell_of(key: u64) -> Address {
    key as Address
}
