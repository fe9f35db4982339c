//! Histograms of integers: one cell for the sum and one for each bucket.

use std::{marker::PhantomData, time::Duration};

use super::{
    Counter,
    labels::{self, LabelSet},
};
#[cfg(feature = "exemplars")]
use crate::storage::trace;
use crate::{
    model::{Buckets, Definition, Kind, Labels, MAX_BOUNDS, UnitRule},
    registry::{FamilyType, Registrar, Slot},
    storage::{
        cells::Address,
        local::{self, Near, Place},
    },
};

/// The most that one duration or count adds to a sum: 104 days in nanoseconds, 9 PB in bytes. So no single
/// observation makes what follows too small for the floating-point numbers that a sum is stored as.
const MOST: u64 = 1 << 53;

/// The most cells of a series: the sum, 32 buckets and the one up to infinity.
const MOST_CELLS: usize = MAX_BOUNDS + 2;

/// What a histogram observes: a [`Duration`], a whole number (`u64`) of bytes or things, or a fraction
/// (`f64`).
///
/// Every observation is counted, whatever its value, and a sum is exact for as long as the process lives:
///
/// - a fraction counts as the nearest billionth;
/// - a duration longer than 2^53 nanoseconds adds 2^53 to the sum (104 days), and so does a count larger than
///   2^53; a fraction from 2^64 billionths on adds as many (18,446,744,073.71);
/// - NaN and infinity fall into the `+Inf` bucket and add nothing to the sum;
/// - a negative fraction, be it infinite, counts as 0.
pub trait Observation: Copy + 'static {
    /// Stored units to one base unit.
    const SCALE: f64;
    /// What the type says about the family's name.
    const UNIT: UnitRule;

    /// The value to find the bucket of, and what the sum grows by.
    fn units(self) -> (u64, u64);
}

impl Observation for Duration {
    const SCALE: f64 = 1e9;
    const UNIT: UnitRule = UnitRule::Exactly("_seconds");

    #[inline]
    fn units(self) -> (u64, u64) {
        const BILLION: u64 = 1_000_000_000;
        let (seconds, rest) = (self.as_secs(), u64::from(self.subsec_nanos()));
        // One comparison decides for nearly all that nothing saturates.
        if seconds < MOST / BILLION {
            let nanos = seconds * BILLION + rest;
            (nanos, nanos)
        } else {
            let nanos = seconds.saturating_mul(BILLION).saturating_add(rest);
            (nanos, nanos.min(MOST))
        }
    }
}

impl Observation for u64 {
    const SCALE: f64 = 1.0;
    const UNIT: UnitRule = UnitRule::NotSeconds;

    #[inline]
    fn units(self) -> (u64, u64) {
        (self, self.min(MOST))
    }
}

impl Observation for f64 {
    const SCALE: f64 = 1e9;
    const UNIT: UnitRule = UnitRule::NotSeconds;

    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the cast saturates, which is the rule for enormous and negative observations"
    )]
    fn units(self) -> (u64, u64) {
        if self.is_nan() || self == f64::INFINITY {
            return (u64::MAX, 0);
        }
        let units = (self * Self::SCALE).round() as u64;
        (units, units)
    }
}

/// A distribution of observations over buckets, with their sum.
///
/// One series: a field of its own, or what a [`HistogramFamily`] gives for a label set.
#[derive(Clone, Copy, Debug)]
pub struct Histogram<V = Duration> {
    /// The cell of the sum; the buckets follow.
    base: Place,
    buckets: &'static Buckets,
    observations: PhantomData<fn(V)>,
}

impl<V: Observation> Histogram<V> {
    /// Adds an observation.
    #[inline]
    pub fn observe(self, value: V) {
        self.observe_near(self.base.near(), value);
    }

    /// Adds an observation and counts it in `counter`, as most records do.
    #[inline]
    pub(crate) fn observe_counted(self, value: V, counter: Counter) {
        local::record(counter.near(), move |near_counter| {
            local::record(self.base.near(), move |near| {
                counter.add_near(near_counter, 1);
                self.observe_near(near, value);
            });
        });
    }

    /// Adds an observation to cells that are `near`.
    #[inline]
    pub(crate) fn observe_near(self, near: Near, value: V) {
        self.add_near(near, value.units());
    }

    /// The same of one that is in stored units already, nanoseconds or bytes.
    #[inline]
    pub(crate) fn observe_units_near(self, near: Near, units: u64) {
        self.add_near(near, units.units());
    }

    #[inline]
    fn add_near(self, near: Near, (value, amount): (u64, u64)) {
        let bucket = self.buckets.index(value);
        near.observe(self.base.address, bucket, amount);
        #[cfg(feature = "exemplars")]
        #[expect(clippy::cast_possible_truncation, reason = "there are 32 bounds at most")]
        trace::offer(self.base.address + 1 + bucket as Address, value);
    }
}

/// Histograms by label set; a series appears with its first observation.
#[derive(Debug)]
pub struct HistogramFamily<L, V = Duration> {
    base: Place,
    /// Cells from one series to the next.
    stride: Address,
    buckets: &'static Buckets,
    types: PhantomData<fn(L, V)>,
}

impl<L: LabelSet, V: Observation> HistogramFamily<L, V> {
    /// The histogram of a label set.
    #[inline]
    #[must_use]
    pub fn get(&self, labels: L) -> Histogram<V> {
        Histogram {
            base: labels::place(self.base, self.stride, MOST_CELLS, labels),
            buckets: self.buckets,
            observations: PhantomData,
        }
    }
}

fn buckets_of(definition: &Definition) -> &'static Buckets {
    definition.buckets.expect("a checked definition of a histogram has buckets")
}

impl<V: Observation> FamilyType for Histogram<V> {
    const KIND: Kind = Kind::Histogram;
    const LABELS: &'static Labels = &Labels::NONE;
    const SCALE: f64 = V::SCALE;
    const UNIT: UnitRule = V::UNIT;

    fn register(definition: &'static Definition, registrar: &mut Registrar) -> Self {
        let buckets = buckets_of(definition);
        let base = registrar.add(definition, Slot::Histogram(buckets), 1, None);
        Self { base: Place::of(base), buckets, observations: PhantomData }
    }
}

impl<L: LabelSet, V: Observation> FamilyType for HistogramFamily<L, V> {
    const KIND: Kind = Kind::Histogram;
    const LABELS: &'static Labels = labels::of::<L>();
    const SCALE: f64 = V::SCALE;
    const UNIT: UnitRule = V::UNIT;

    fn register(definition: &'static Definition, registrar: &mut Registrar) -> Self {
        let domain = L::domain(registrar);
        let buckets = buckets_of(definition);
        let slot = Slot::Histogram(buckets);
        let base = registrar.add(definition, slot, L::COUNT, domain);
        let stride = slot.stride(L::COUNT);
        Self { base: Place::of(base), stride, buckets, types: PhantomData }
    }
}
