//! Histograms of integers: one cell for the sum and one for each bucket.

use std::{marker::PhantomData, time::Duration};

use super::labels::{self, LabelSet};
#[cfg(feature = "exemplars")]
use crate::storage::trace;
use crate::{
    model::{Buckets, Definition, Kind, Labels, UnitRule},
    registry::{FamilyType, Registrar, Slot},
    storage::{
        cells::Address,
        local::{self, Near},
    },
};

/// The most that one observation adds to a sum: 104 days in nanoseconds, 9 PB in bytes. So no single
/// observation can use a sum up.
const MOST: u64 = 1 << 53;

/// What a histogram observes: a [`Duration`], a whole number (`u64`) of bytes or things, or a fraction
/// (`f64`).
///
/// Every observation is counted, whatever its value:
///
/// - a fraction counts as the nearest billionth;
/// - one larger than 2^53 units (nanoseconds, bytes, billionths) adds 2^53 to the sum, which saturates;
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
        (units, units.min(MOST))
    }
}

/// A distribution of observations over buckets, with their sum.
///
/// One series: a field of its own, or what a [`HistogramFamily`] gives for a label set.
#[derive(Clone, Copy, Debug)]
pub struct Histogram<V = Duration> {
    base: Address,
    buckets: &'static Buckets,
    observations: PhantomData<fn(V)>,
}

impl<V: Observation> Histogram<V> {
    /// Adds an observation.
    #[inline]
    pub fn observe(self, value: V) {
        self.observe_units(value.units(), local::observe);
    }

    /// Adds an observation that is in stored units already, nanoseconds or bytes, to cells that are `near`.
    #[inline]
    pub(crate) fn observe_near(self, near: Near, units: u64) {
        self.observe_units(units.units(), |base, bucket, amount| {
            near.observe(base, bucket, amount);
        });
    }

    #[inline]
    fn observe_units(self, (value, amount): (u64, u64), observe: impl FnOnce(Address, usize, u64)) {
        let bucket = self.buckets.index(value);
        observe(self.base, bucket, amount);
        #[cfg(feature = "exemplars")]
        #[expect(clippy::cast_possible_truncation, reason = "there are 32 bounds at most")]
        trace::offer(self.base + 1 + bucket as Address, value);
    }
}

/// Histograms by label set; a series appears with its first observation.
#[derive(Debug)]
pub struct HistogramFamily<L, V = Duration> {
    base: Address,
    /// Cells of one series.
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
            base: labels::address(self.base, self.stride, labels),
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
        Self { base, buckets, observations: PhantomData }
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
        Self { base, stride: slot.cells(), buckets, types: PhantomData }
    }
}
