//! Typed Prometheus metrics for trading backends.

// So that the macros mean the same inside the crate and outside of it.
extern crate self as backend_metrics;

#[macro_use]
mod model;
mod builder;
mod clock;
mod collect;
mod escape;
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

    pub use crate::subsystems::business::ActiveUsersWindow;
    pub use crate::subsystems::errors::{ErrorSeverity, LogLevel};
    pub use crate::subsystems::market_data::{
        CalendarStatus, IndicatorStatus, IndicatorType, MarketDataType,
    };
    pub use crate::subsystems::rate_limits::RateLimitDecision;
    pub use crate::subsystems::workers::{
        HOUSEKEEPING, ORDER_CLEANUP, STRATEGY_M2M, WorkerTaskStatus,
    };
}

pub use self::{
    builder::{BuildError, Builder},
    clock::Clock,
    collect::pool::PoolStats,
    exposition::Format,
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

pub use self::subsystems::business::free::*;
pub use self::subsystems::errors::free::*;
pub use self::subsystems::market_data::free::*;
pub use self::subsystems::process::free::*;
pub use self::subsystems::rate_limits::free::*;
pub use self::subsystems::workers::free::*;

#[cfg(feature = "tracing")]
#[cfg_attr(docsrs, doc(cfg(feature = "tracing")))]
pub use self::collect::log::LogEvents;
pub use self::{
    collect::{
        panic::{PanicHookError, install_panic_hook},
        runtime::RuntimeStats,
    },
    subsystems::{business::BusinessStats, process::ProcessStats},
};
