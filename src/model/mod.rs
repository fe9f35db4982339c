//! What a family is: its definition and its labels.
//!
//! Nothing here knows a single metric; everything above builds on it.

pub mod buckets;
mod definition;
mod label;
#[macro_use]
mod macros;

pub use self::{
    buckets::Buckets,
    definition::{Definition, Kind, Shared, UnitRule},
    label::{Label, Labels, ValueSet, checked_values},
};
pub(crate) use label::is_label_name;
