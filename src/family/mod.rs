//! The types that a field of a subsystem may have.
//!
//! A family hands out a *handle*, the place of one series' cells, by index arithmetic on its labels.

mod counter;
mod gauge;
mod histogram;
mod info;
mod labels;
mod window;

pub use self::{
    counter::{Counter, CounterFamily, ReadCounter},
    gauge::{
        Gauge, GaugeFamily, InFlight, LateGauge, LateGaugeFamily, UpDownGauge, UpDownGaugeFamily,
    },
    histogram::{Histogram, HistogramFamily, Observation},
    info::Info,
    labels::{Domain, DomainRef, LabelSet, Open, OpenLabels, OpenValues, RemovableValues},
    window::RatioWindow,
};
pub(crate) use self::{
    gauge::{decode_late, decode_level, encode_late},
    labels::{Nested, NestedLabels},
};
