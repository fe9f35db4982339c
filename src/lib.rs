#![doc = include_str!("../README.md")]
//!
//! # Where things are
//!
//! - [`Metrics`] is an instance; [`Builder`] configures it, and [`Metrics::install`] makes it the one that
//!   the free functions below record into.
//! - [`subsystems`] has a page for each group of families: names, labels, units, when each is recorded.
//! - [`labels`] has the enums of all closed labels.
//! - [`middleware`] has the layers for HTTP servers and clients, with the table of what is recorded when.
//! - [`Exporter`] answers scrapes; [`exporter`] says in which formats.
//! - [`families!`], [`label_values!`] and [`open_labels!`] declare a subsystem of your own.
//! - [`catalog`] lists every family at run time.
//! - [`assets`] has the dashboards and rules of this version.
//!
//! # Promises
//!
//! - The names, types, units, labels and buckets of families are public interface and follow semantic
//!   versioning.
//! - Recording never fails or panics. A thread that records into series that it has recorded into before does not block
//!   or allocate. It may take a lock and allocate
//!   - with its first record, and with its first one in each block of 1,024 cells: 8 KiB, such as those of twenty
//!     endpoints with a method and a status each;
//!   - when a label set appears for the first time in the process;
//!   - for a request whose path is no known endpoint, and for one that waits for a service that is not ready;
//!   - for distinct users ([`Metrics::track_user_activity`]), in sketches that grow to 3 KiB, and for figures of the process
//!     that the service gives ([`Metrics::update_process`]): both under a short lock;
//!   - each time that the thread has added 2^64 nanoseconds (584 years), bytes or billionths to a sum.
//! - The sum of a histogram is exact for as long as the process lives: it has 128 bits.
//! - A scrape sees everything that was recorded before it began, and no counter, bucket, sum or count goes back from
//!   one scrape to the next. The `_count` of a histogram is the number of its last bucket. What is observed while a
//!   scrape reads may be in its buckets and not in its sum, or the other way round; the next scrape has it in both.
//! - Open label values take bounded memory, whatever they are ([`Builder::label_cap`]), and series of what has ended
//!   can be removed ([`Domain::remove`]).
//! - An instance is never freed. Make one at the start of the program; tests may make thousands.
//! - Types of other crates in the public interface are those of `http`, `http-body`, `bytes`,
//!   `tower-layer`, `tower-service` and `prometheus-client`, and with their features of `tokio`,
//!   `tracing-subscriber` and `hyper`.
//!
//! # Threads and processes
//!
//! A thread leases its cells on first use and gives them back at its end, so threads may come and go: memory is that
//! of the most threads at once, up to 256, and threads past that share cells. What is recorded from the destructor of
//! a thread-local is counted, whether ours are there or gone; guards may end there.
//!
//! Do not record from a signal handler or a global allocator: a record may take a lock and allocate.
//!
//! Make the instance after a `fork`, in each process that records. A child of a process that has recorded already
//! starts with a copy of its numbers, and if other threads ran at the time of the `fork`, a lock that one of them held
//! is held for ever: in such a child, record and scrape nothing before `exec`.
//!
//! # What labels reveal
//!
//! Whoever may scrape sees every label value. Closed labels are words of this crate. The open ones:
//!
//! | label | what stands in it | what that reveals |
//! | --- | --- | --- |
//! | `endpoint` | route templates; in a service whose router names no endpoints also raw paths, their ids replaced: see [`middleware`](crate::middleware#the-endpoint) | the shape of the API, and names in paths if routes have no templates |
//! | `upstream` | the name or host of a service that is called | hosts of the network |
//! | `operation`, `worker_type` | names out of the code | what the service does |
//! | `command` | names of Redis commands, never keys | |
//! | `message_type`, `error_type`, `exception_type` | names out of the protocol or the code, never texts of clients or errors | where the service fails |
//! | `account_id` | ids of accounts as the service gives them, beside profit and strategies | personal data: [`Builder::without_account_ids`] shows sums alone, `Builder::hash_account_ids` (feature `hmac`) a keyed hash |
//! | `family` | names of families | |
//! | `pool`, `callback` | names that the service gives its pools, registries and subsystems | how the service is made |
//! | `version`, `component` | what [`Builder::service`] was given | which weaknesses may be there |
//!
//! Users are counted by [`Metrics::track_user_activity`] without keeping or showing an id. An exemplar shows the id of a
//! trace, in `trace_id`. A bearer token keeps strangers out ([`Exporter::bearer_token`]).

// So that the macros mean the same inside the crate and outside of it.
extern crate self as backend_metrics;

#[macro_use]
mod model;
pub mod assets;
mod builder;
mod clock;
mod collect;
mod escape;
pub mod exporter;
mod exposition;
mod family;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod global;
mod guard;
mod instance;
#[cfg(feature = "hmac")]
mod keyed;
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
        self_metrics::{CallbackFailureReason, ScrapeFormat, ScrapeStatus},
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
#[cfg(feature = "exemplars")]
pub use self::collect::trace::TraceExemplars;
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
        check_label_name, check_label_value, check_names,
    },
    registry::{FamilyType, Now, Part, Registrar, Subsystem, check_part, next_definition},
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
