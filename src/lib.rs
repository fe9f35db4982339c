//! Typed Prometheus metrics for trading backends.

// So that the macros mean the same inside the crate and outside of it.
extern crate self as backend_metrics;

#[macro_use]
mod model;
mod builder;
mod clock;
mod collect;
mod escape;
pub mod exporter;
mod exposition;
mod family;
mod global;
mod guard;
mod instance;
mod registry;
mod storage;
pub mod subsystems;
#[cfg(test)]
mod testing;

/// The label enums of every subsystem.
pub mod labels {
    pub use crate::subsystems::database::{
        AcquireStatus, DatabaseErrorType, DatabasePoolState, QueryStatus, QueryType,
        TransactionOutcome,
    };
}

pub use self::{
    builder::{BuildError, Builder},
    clock::Clock,
    collect::pool::PoolStats,
    exporter::Exporter,
    exposition::{Format, MetricsCollector},
    family::*,
    global::AlreadyInstalled,
    instance::{Metrics, Stopwatch},
    model::{
        Buckets, Definition, Kind, Label, Labels, Shared, UnitRule, ValueSet, buckets,
        checked_values,
    },
    registry::{FamilyType, Now, Part, Registrar, Subsystem},
    subsystems::{CatalogEntry, Subsystems, catalog},
};

// The helpers as free functions, subsystem by subsystem.
pub use self::subsystems::database::free::*;
