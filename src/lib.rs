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
pub mod middleware;
mod registry;
mod storage;
pub mod subsystems;
#[cfg(test)]
mod testing;

/// The label enums of every subsystem.
pub mod labels {
    pub use crate::subsystems::{
        auth::{
            ApiKeyStatus, AuthStatus, DenialReason, JwtStatus, SessionEndReason, TokenRefreshStatus,
        },
        business::ActiveUsersWindow,
        cache::{
            CacheEvictionReason, CacheLayer, CacheOperation, CacheStatus, RedisCommandStatus,
            RedisPoolState,
        },
        database::{
            AcquireStatus, DatabaseErrorType, DatabasePoolState, QueryStatus, QueryType,
            TransactionOutcome,
        },
        errors::{ErrorSeverity, LogLevel},
        fno::{FoCacheRefreshStatus, FoQueryStatus, FoQueryType, GreeksStatus},
        market_data::{CalendarStatus, IndicatorStatus, IndicatorType, MarketDataType},
        rate_limits::RateLimitDecision,
        self_metrics::{ScrapeFormat, ScrapeStatus},
        shared::HttpMethod,
        smart_orders::{
            CostTransactionType, MarginMethod, MarginStatus, MarketImpactLevel,
            OrderRejectionReason, OrderSide, OrderState, OrderType, PlacementStatus,
            SlippageDirection, ValidationStatus,
        },
        statements::{StatementErrorType, StatementFileType, StatementStatus, TransactionCategory},
        strategies::{
            StrategyM2mStatus, StrategyOperation, StrategyOperationStatus, StrategySignal,
        },
        ticker_service::{
            CircuitBreakerState, TickerErrorType, TickerOperation, TickerRequestStatus,
        },
        websocket::{HandshakeStatus, MessageDirection, MessageDropReason, SubscriptionType},
        workers::{HOUSEKEEPING, ORDER_CLEANUP, STRATEGY_M2M, WorkerTaskStatus},
    };
}

#[cfg(feature = "tracing")]
pub use self::collect::log::LogEvents;
pub use self::{
    builder::{BuildError, Builder},
    clock::Clock,
    collect::{
        panic::{PanicHookError, install_panic_hook},
        pool::PoolStats,
        process::ProcessStats,
        runtime::RuntimeStats,
    },
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
    subsystems::{
        CatalogEntry, Subsystems, business::BusinessStats, cache::CacheStats, catalog,
        smart_orders::ValidationOutcome, websocket::WebsocketConnection,
    },
};

// The helpers as free functions, subsystem by subsystem.
pub use self::subsystems::{
    auth::free::*, business::free::*, cache::free::*, database::free::*, errors::free::*,
    fno::free::*, http::free::*, http_client::free::*, market_data::free::*, process::free::*,
    rate_limits::free::*, self_metrics::free::*, smart_orders::free::*, statements::free::*,
    strategies::free::*, ticker_service::free::*, websocket::free::*, workers::free::*,
};
