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
    definition::{Definition, Kind, Shared, UnitRule, check_names},
    label::{Label, Labels, ValueSet, check_label_name, check_label_value},
};
pub(crate) use buckets::MAX_BOUNDS;
pub(crate) use label::is_label_name;
