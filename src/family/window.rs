//! Hits and misses of the last minutes.

use std::{marker::PhantomData, time::Duration};

use super::labels::LabelSet;
use crate::{
    registry::{Part, Registrar},
    storage::{cells::Address, local},
};

/// Cells for each side of a ratio: one for each slice of time.
const SLICES: usize = 16;
const _: () = assert!(SLICES.is_power_of_two(), "so that they lie in one chunk");
/// A slice of time.
const SLICE: Duration = Duration::from_secs(20);
/// Slices that make up the window, the present one included.
const WINDOW: u64 = 15;
/// A cell holds the number of its slice above this bit and a count below it: 170 years of slices, and more events than
/// a thread can record in one.
const COUNT_BITS: u32 = 36;

/// The share of hits among the hits and misses of the last five minutes, by label set.
///
/// Time is cut into slices of 20 seconds: what is counted is between 280 and 300 seconds old at the most.
/// Each thread writes cells of its own, so that counting takes no lock.
#[derive(Debug)]
pub struct RatioWindow<L> {
    base: Address,
    labels: PhantomData<fn(L)>,
}

impl<L: LabelSet> RatioWindow<L> {
    /// Counts a hit or a miss at a time since the instance was built.
    #[inline]
    pub fn record(&self, labels: L, hit: bool, now: Duration) {
        let slice = slice(now);
        #[expect(clippy::cast_possible_truncation, reason = "there are few slices")]
        let cell = self.cells(labels, hit) + (slice % SLICES as u64) as Address;
        local::update(cell, |cell| {
            let kept = if cell >> COUNT_BITS == slice { cell } else { slice << COUNT_BITS };
            kept + 1
        });
    }

    /// The hits and the misses in the window that ends now.
    #[must_use]
    pub fn counts(&self, labels: L, now: Duration) -> (u64, u64) {
        let newest = slice(now);
        let oldest = newest.saturating_sub(WINDOW - 1).max(1);
        let reader = local::reader();
        let side = |hit| {
            let mut count = 0;
            reader.each(self.cells(labels, hit), SLICES, |cell| {
                if (oldest..=newest).contains(&(cell >> COUNT_BITS)) {
                    count += cell & ((1 << COUNT_BITS) - 1);
                }
            });
            count
        };
        (side(true), side(false))
    }

    /// The hits in percent, or NaN while there is neither hit nor miss.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a share of counts under 2^53")]
    pub fn percent(&self, labels: L, now: Duration) -> f64 {
        let (hits, misses) = self.counts(labels, now);
        100.0 * hits as f64 / (hits + misses) as f64
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "a label set's combinations are few")]
    fn cells(&self, labels: L, hit: bool) -> Address {
        self.base + ((labels.index() * 2 + usize::from(hit)) * SLICES) as Address
    }
}

impl<L: LabelSet> Part for RatioWindow<L> {
    const BROKEN_RULE: Option<&'static str> = if L::LIST.open_parts() == 0 {
        None
    } else {
        Some("a window is kept for closed labels only")
    };

    fn register(registrar: &mut Registrar) -> Self {
        let base = registrar.cells(L::COUNT * 2 * SLICES);
        Self { base, labels: PhantomData }
    }
}

/// The number of the slice, from 1 on: 0 is a cell that was never written.
fn slice(now: Duration) -> u64 {
    1 + now.as_secs() / SLICE.as_secs()
}
