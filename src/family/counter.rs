//! Counters.

use std::marker::PhantomData;

use super::labels::{self, LabelSet};
#[cfg(feature = "exemplars")]
use crate::storage::trace;
use crate::{
    model::{Definition, Kind, Labels},
    registry::{FamilyType, Registrar, Slot},
    storage::{
        cells::Address,
        local::{self, Near, Place},
    },
};

/// A number of events since the process started.
///
/// One series: a field of its own, or what a [`CounterFamily`] gives for a label set. It is the place of
/// a cell, cheap to copy and to keep.
#[derive(Clone, Copy, Debug)]
pub struct Counter {
    cell: Place,
}

impl Counter {
    /// Counts one event.
    #[inline]
    pub fn inc(self) {
        self.add(1);
    }

    /// Counts `events` events. Past `u64::MAX` the counter wraps.
    #[inline]
    pub fn add(self, events: u64) {
        self.add_near(self.near(), events);
    }

    /// What is at hand of its chunk.
    #[inline]
    pub(crate) fn near(self) -> Near {
        self.cell.near()
    }

    /// Counts events in a cell that is `near`.
    #[inline]
    pub(crate) fn add_near(self, near: Near, events: u64) {
        near.add(self.cell.address, events);
        #[cfg(feature = "exemplars")]
        if events > 0 {
            trace::offer(self.cell.address, events);
        }
    }

    pub(crate) fn cell(self) -> Address {
        self.cell.address
    }
}

/// Counters by label set.
#[derive(Debug)]
pub struct CounterFamily<L> {
    base: Place,
    labels: PhantomData<fn(L)>,
}

impl<L: LabelSet> CounterFamily<L> {
    /// The counter of a label set.
    #[inline]
    #[must_use]
    pub fn get(&self, labels: L) -> Counter {
        Counter { cell: labels::place(self.base, 1, 1, labels) }
    }
}

/// A counter that is kept elsewhere, by the operating system say, and read before a scrape.
///
/// It is left out until it was read once, and while what was read last is negative or NaN: strict readers refuse
/// a scrape with such a counter. Each scrape that leaves one out counts
/// `application_errors_total{error_type="invalid_value",severity="error"}`.
#[derive(Clone, Copy, Debug)]
pub struct ReadCounter {
    cell: Address,
}

impl ReadCounter {
    /// Takes over what was read.
    pub fn set(self, value: f64) {
        local::set(self.cell, super::encode_late(value));
    }

    /// Leaves it out of the exposition until it is set again, for a source that cannot be read.
    pub fn clear(self) {
        local::set(self.cell, 0);
    }
}

impl FamilyType for Counter {
    const KIND: Kind = Kind::Counter;
    const LABELS: &'static Labels = &Labels::NONE;

    fn register(definition: &'static Definition, registrar: &mut Registrar) -> Self {
        Self { cell: Place::of(registrar.add(definition, Slot::Counter, 1, None)) }
    }
}

impl<L: LabelSet> FamilyType for CounterFamily<L> {
    const KIND: Kind = Kind::Counter;
    const LABELS: &'static Labels = labels::of::<L>();

    fn register(definition: &'static Definition, registrar: &mut Registrar) -> Self {
        let domain = L::domain(registrar);
        Self {
            base: Place::of(registrar.add(definition, Slot::Counter, L::COUNT, domain)),
            labels: PhantomData,
        }
    }
}

impl FamilyType for ReadCounter {
    const KIND: Kind = Kind::Counter;
    const LABELS: &'static Labels = &Labels::NONE;

    fn register(definition: &'static Definition, registrar: &mut Registrar) -> Self {
        Self { cell: registrar.add(definition, Slot::Late, 1, None) }
    }
}
