//! Gauges: those that are set are one cell for all threads, those that step up and down are signed sums.

use std::{
    marker::PhantomData,
    time::{SystemTime, UNIX_EPOCH},
};

use super::labels::{self, LabelSet};
use crate::{
    model::{Definition, Kind, Labels},
    registry::{FamilyType, Registrar, Slot},
    storage::{
        cells::Address,
        local::{self, Place},
    },
};

/// A level that is set. It stands at zero from the start, and is left out while it is [cleared](Self::clear).
#[derive(Clone, Copy, Debug)]
pub struct Gauge {
    cell: Address,
}

impl Gauge {
    /// Sets the level. What is not a number is exposed as it is.
    #[inline]
    pub fn set(self, value: f64) {
        local::set(self.cell, value.to_bits());
    }

    /// Leaves the level out of the exposition until it is set again.
    ///
    /// For a level whose source gives nothing: an absent series is seen as such, a stale one is not.
    #[inline]
    pub fn clear(self) {
        local::set(self.cell, ABSENT);
    }

    /// Changes the level in one atomic operation; gives the level before. One that is left out counts as zero.
    ///
    /// For a level that is set and also steps. All threads share its cell: what steps often is cheaper as
    /// an [`UpDownGauge`].
    pub(crate) fn update(self, change: impl Fn(f64) -> f64) -> f64 {
        let level = |bits| decode_level(bits).unwrap_or_default();
        let before = local::update_shared(self.cell, |bits| change(level(bits)).to_bits());
        level(before)
    }

    /// Sets the level to a number of things; exact up to 2^53.
    #[inline]
    #[expect(clippy::cast_precision_loss, reason = "a level past 2^53 is rounded, as documented")]
    pub fn set_count(self, count: u64) {
        self.set(count as f64);
    }
}

/// Gauges by label set; those of closed labels stand at zero from the start.
#[derive(Debug)]
pub struct GaugeFamily<L> {
    base: Place,
    labels: PhantomData<fn(L)>,
}

impl<L: LabelSet> GaugeFamily<L> {
    /// The gauge of a label set.
    #[inline]
    #[must_use]
    pub fn get(&self, labels: L) -> Gauge {
        Gauge { cell: labels::place(self.base, 1, 1, labels).address }
    }
}

/// A level that is left out until it is set for the first time, and while it is [cleared](Self::clear).
#[derive(Clone, Copy, Debug)]
pub struct LateGauge {
    cell: Address,
}

impl LateGauge {
    /// Sets the level.
    #[inline]
    pub fn set(self, value: f64) {
        local::set(self.cell, encode_late(value));
    }

    /// Sets the level to a number of things; exact up to 2^53.
    #[inline]
    #[expect(clippy::cast_precision_loss, reason = "a level past 2^53 is rounded, as documented")]
    pub fn set_count(self, count: u64) {
        self.set(count as f64);
    }

    /// Sets the level to a moment, in seconds since 1970; one before that is 0.
    pub fn set_time(self, time: SystemTime) {
        self.set(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64());
    }

    /// Leaves the level out of the exposition until it is set again, as before it was set for the first time.
    #[inline]
    pub fn clear(self) {
        local::set(self.cell, 0);
    }
}

/// Late gauges by label set.
#[derive(Debug)]
pub struct LateGaugeFamily<L> {
    base: Place,
    labels: PhantomData<fn(L)>,
}

impl<L: LabelSet> LateGaugeFamily<L> {
    /// The gauge of a label set.
    #[inline]
    #[must_use]
    pub fn get(&self, labels: L) -> LateGauge {
        LateGauge { cell: labels::place(self.base, 1, 1, labels).address }
    }
}

/// What stands for a level that is absent: a NaN that no arithmetic gives.
const ABSENT: u64 = 0x7ff8_5e1f_ab5e_17ed;

/// The level of a gauge, unless it was cleared.
pub(crate) fn decode_level(cell: u64) -> Option<f64> {
    (cell != ABSENT).then(|| f64::from_bits(cell))
}

/// Cells start at 0, so 0 stands for absent.
pub(crate) fn encode_late(value: f64) -> u64 {
    value.to_bits() ^ ABSENT
}

/// The level of a late gauge, if it was set.
pub(crate) fn decode_late(cell: u64) -> Option<f64> {
    (cell != 0).then(|| f64::from_bits(cell ^ ABSENT))
}

/// A level that steps up and down, such as requests in flight. It stands at zero from the start.
///
/// Each thread keeps its own steps, and a scrape adds them up: an up on one thread and a down on another
/// cost nothing extra. A scrape that falls between the two shows no less than 0.
#[derive(Clone, Copy, Debug)]
pub struct UpDownGauge {
    cell: Place,
}

impl UpDownGauge {
    /// One up.
    #[inline]
    pub fn inc(self) {
        self.cell.add(1);
    }

    /// One down.
    #[inline]
    pub fn dec(self) {
        self.add(-1);
    }

    /// Up by `steps`, or down where it is negative.
    #[inline]
    pub fn add(self, steps: i64) {
        self.cell.add(steps.cast_unsigned());
    }

    /// One up now, and one down when the guard is dropped.
    #[inline]
    pub fn track(self) -> InFlight {
        self.inc();
        InFlight(self)
    }
}

/// Holds an [`UpDownGauge`] up by one.
#[derive(Debug)]
#[must_use = "a guard dropped at once takes the step back"]
pub struct InFlight(UpDownGauge);

impl Drop for InFlight {
    #[inline]
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Up-down gauges by label set; those of closed labels stand at zero from the start.
#[derive(Debug)]
pub struct UpDownGaugeFamily<L> {
    base: Place,
    labels: PhantomData<fn(L)>,
}

impl<L: LabelSet> UpDownGaugeFamily<L> {
    /// The gauge of a label set.
    #[inline]
    #[must_use]
    pub fn get(&self, labels: L) -> UpDownGauge {
        UpDownGauge { cell: labels::place(self.base, 1, 1, labels) }
    }
}

macro_rules! gauge_types {
    ($($Single:ident $Family:ident $slot:ident $labels:ident,)+) => {$(
        impl FamilyType for $Single {
            const KIND: Kind = Kind::Gauge;
            const LABELS: &'static Labels = &Labels::NONE;

            fn register(definition: &'static Definition, registrar: &mut Registrar) -> Self {
                Self { cell: registrar.add(definition, Slot::$slot, 1, None).into() }
            }
        }

        impl<L: LabelSet> FamilyType for $Family<L> {
            const KIND: Kind = Kind::Gauge;
            const LABELS: &'static Labels = labels::$labels::<L>();

            fn register(definition: &'static Definition, registrar: &mut Registrar) -> Self {
                let domain = L::domain(registrar);
                let base = registrar.add(definition, Slot::$slot, L::COUNT, domain);
                Self { base: Place::of(base), labels: PhantomData }
            }
        }
    )+};
}

gauge_types! {
    Gauge GaugeFamily Gauge of_removable,
    LateGauge LateGaugeFamily Late of_removable,
    UpDownGauge UpDownGaugeFamily UpDown of,
}
