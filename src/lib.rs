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
pub mod middleware;
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
    pub use crate::subsystems::http::HttpMethod;
    pub use crate::subsystems::self_metrics::{ScrapeFormat, ScrapeStatus};

    pub use crate::subsystems::strategies::{
        StrategyM2mStatus, StrategyOperation, StrategyOperationStatus, StrategySignal,
    };

    pub use crate::subsystems::fno::{
        FoCacheRefreshStatus, FoQueryStatus, FoQueryType, GreeksStatus,
    };

    pub use crate::subsystems::ticker_service::{
        CircuitBreakerState, TickerErrorType, TickerOperation, TickerRequestStatus,
    };

    pub use crate::subsystems::auth::{
        ApiKeyStatus, AuthStatus, DenialReason, JwtStatus, SessionEndReason, TokenRefreshStatus,
    };

    pub use crate::subsystems::statements::{
        StatementErrorType, StatementFileType, StatementStatus, TransactionCategory,
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
pub use self::subsystems::auth::free::*;
pub use self::subsystems::database::free::*;
pub use self::subsystems::fno::free::*;
pub use self::subsystems::http::free::*;
pub use self::subsystems::http_client::free::*;
pub use self::subsystems::self_metrics::free::*;
pub use self::subsystems::statements::free::*;
pub use self::subsystems::strategies::free::*;
pub use self::subsystems::ticker_service::free::*;
