//! Random arguments of helpers and guards, with the values at which something changes.

use std::{
    fmt,
    panic::resume_unwind,
    time::{Duration, UNIX_EPOCH},
};

use backend_metrics::{
    BusinessStats, CacheStats, PoolStats, ProcessStats, RuntimeStats, ValidationOutcome,
    WebsocketConnection,
    labels::{
        AcquireStatus, ActiveUsersWindow, ApiKeyStatus, AuthStatus, CacheEvictionReason,
        CacheLayer, CacheOperation, CacheStatus, CalendarStatus, CircuitBreakerState,
        CostTransactionType, DatabaseErrorType, DenialReason, ErrorSeverity, FoQueryStatus,
        FoQueryType, GreeksStatus, IndicatorStatus, IndicatorType, JwtStatus, LogLevel,
        MarginMethod, MarginStatus, MarketDataType, MarketImpactLevel, MessageDirection,
        MessageDropReason, OrderRejectionReason, OrderSide, OrderState, OrderType, PlacementStatus,
        QueryStatus, QueryType, RateLimitDecision, RedisCommandStatus, ScrapeFormat, ScrapeStatus,
        SessionEndReason, StatementErrorType, StatementFileType, StatementStatus,
        StrategyM2mStatus, StrategyOperation, StrategyOperationStatus, StrategySignal,
        SubscriptionType, TickerErrorType, TickerOperation, TickerRequestStatus,
        TokenRefreshStatus, TransactionCategory, TransactionOutcome, WorkerTaskStatus,
    },
};
use http::{Method, StatusCode};
use proptest::{
    collection, option,
    prelude::{Just, any},
    prop_oneof,
    sample::select,
    strategy::{BoxedStrategy, Strategy},
};

/// What a helper takes.
pub(crate) trait Argument: Clone + fmt::Debug + Send + Sync + 'static {
    /// How the helper takes it.
    type Given<'a>;

    fn random() -> BoxedStrategy<Self>;

    fn give(&self) -> Self::Given<'_>;
}

/// Declares arguments that are given as they are, each with its strategy.
macro_rules! arguments {
    ($($Type:ty = $strategy:expr,)+) => {$(
        impl Argument for $Type {
            type Given<'a> = Self;

            fn random() -> BoxedStrategy<Self> {
                $strategy.boxed()
            }

            fn give(&self) -> Self {
                self.clone()
            }
        }
    )+};
}

/// Text that ends up in open labels: more values than there is room for, some of them hostile.
const TEXTS: &[&str] = &[
    "/orders",
    "/ws",
    "other",
    "",
    "a\"b\\c\nd",
    "# EOF",
    "😀",
    // Cut at 128 bytes, the two are one.
    "क्षत्रिय क्षत्रिय क्षत्रिय क्षत्रिय क्षत्रिय क्षत्रिय क्षत्रिय",
    "क्षत्रिय क्षत्रिय क्षत्रिय क्षत्रिय क्षत्रिय क्षत्रिय",
];

arguments! {
    // Mostly the same few, so that helpers meet.
    &'static str = prop_oneof![3 => select(&TEXTS[..2]), 2 => select(TEXTS)],
    bool = any::<bool>(),
    u64 = prop_oneof![
        6 => 0..200_u64,
        3 => select(&[1_000, 1_001, 10_000, 1_000_000, 1_000_001][..]),
        1 => select(&[1 << 48, 1 << 53, (1 << 53) + 1, u64::MAX][..]),
    ],
    u32 = prop_oneof![6 => 0..200_u32, 1 => Just(u32::MAX)],
    i64 = prop_oneof![6 => -9..9_i64, 1 => select(&[i64::MIN, i64::MAX][..])],
    i32 = prop_oneof![6 => -9..9_i32, 1 => select(&[i32::MIN, i32::MAX][..])],
    f64 = prop_oneof![
        6 => (-200..20_000_i32).prop_map(|cents| f64::from(cents) / 100.0),
        1 => select(&[0.005, -0.0, 0.1 + 0.2, 1e300, f64::MAX, f64::NAN, f64::INFINITY, f64::NEG_INFINITY][..]),
    ],
    // Bounds of buckets, one nanosecond past them, and what is far away.
    Duration = prop_oneof![
        2 => select(&[0, 1, 100, 500, 1_000, 5_000, 10_000, 50_000, 100_000, 250_000, 500_000][..])
            .prop_flat_map(|micros| (0..2_u32).prop_map(move |past| Duration::new(0, micros * 1_000 + past))),
        2 => (0..4_000_u64).prop_map(Duration::from_millis),
        1 => (0..8_000_u64).prop_map(Duration::from_secs),
        1 => select(vec![Duration::from_nanos(1 << 53), Duration::MAX]),
    ],
    (u64, u64) = (u64::random(), u64::random()),
    Vec<Duration> = collection::vec(Duration::random(), 0..4),
    StatusCode = prop_oneof![
        3 => select(&[StatusCode::OK, StatusCode::NOT_FOUND, StatusCode::BAD_GATEWAY][..]),
        1 => select(&[StatusCode::METHOD_NOT_ALLOWED, StatusCode::NOT_IMPLEMENTED][..]),
        1 => (100..1_000_u16).prop_map(|code| StatusCode::from_u16(code).expect("it is in range")),
    ],
    PoolStats = (u32::random(), u32::random(), u32::random())
        .prop_map(|(active, idle, max)| PoolStats { active, idle, max }),
    CacheStats = (option::of(u64::random()), option::of(u64::random()), option::of(u64::random()))
        .prop_map(|(memory_entries, memory_bytes, redis_entries)| {
            CacheStats { memory_entries, memory_bytes, redis_entries }
        }),
    RuntimeStats = (u64::random(), u64::random(), u64::random(), Duration::random())
        .prop_map(|(workers, alive_tasks, global_queue_depth, busy)| {
            RuntimeStats { workers, alive_tasks, global_queue_depth, busy }
        }),
    ProcessStats = (option::of(Duration::random()), collection::vec(option::of(u64::random()), 6))
        .prop_map(|(cpu, counts)| ProcessStats {
            cpu,
            open_fds: counts[0],
            max_fds: counts[1],
            virtual_memory_bytes: counts[2],
            resident_memory_bytes: counts[3],
            threads: counts[4],
            start_time: counts[5].map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds % (1 << 40))),
        }),
    BusinessStats = (collection::vec(option::of(u64::random()), 6), option::of(f64::random()))
        .prop_map(|(counts, turnover_today_rupees)| BusinessStats {
            active_users_5m: counts[0],
            active_users_15m: counts[1],
            active_users_1h: counts[2],
            daily_active_users: counts[3],
            orders_placed_today: counts[4],
            strategies_created_today: counts[5],
            turnover_today_rupees,
        }),
    WebsocketConnection =
        select(&[WebsocketConnection::Connected, WebsocketConnection::Disconnected][..]),
    ValidationOutcome = prop_oneof![
        Just(ValidationOutcome::Passed),
        OrderRejectionReason::random().prop_map(ValidationOutcome::Rejected),
        Just(ValidationOutcome::Error),
        Just(ValidationOutcome::Cancelled),
    ],
}

/// Declares the enums of labels.
macro_rules! labels {
    ($($Label:ty),+ $(,)?) => {
        arguments! { $($Label = select(<$Label>::ALL),)+ }
    };
}

labels! {
    AcquireStatus, ActiveUsersWindow, ApiKeyStatus, AuthStatus, CacheEvictionReason, CacheLayer,
    CacheOperation, CacheStatus, CalendarStatus, CircuitBreakerState, CostTransactionType,
    DatabaseErrorType, DenialReason, ErrorSeverity, FoQueryStatus, FoQueryType, GreeksStatus,
    IndicatorStatus, IndicatorType, JwtStatus, LogLevel, MarginMethod, MarginStatus, MarketDataType,
    MarketImpactLevel, MessageDirection, MessageDropReason, OrderRejectionReason, OrderSide,
    OrderState, OrderType, PlacementStatus, QueryStatus, QueryType, RateLimitDecision,
    RedisCommandStatus, ScrapeFormat, ScrapeStatus, SessionEndReason, StatementErrorType,
    StatementFileType, StatementStatus, StrategyM2mStatus, StrategyOperation,
    StrategyOperationStatus, StrategySignal, SubscriptionType, TickerErrorType, TickerOperation,
    TickerRequestStatus, TokenRefreshStatus, TransactionCategory, TransactionOutcome,
    WorkerTaskStatus,
}

impl<T: Argument> Argument for Option<T> {
    type Given<'a> = Option<T>;

    fn random() -> BoxedStrategy<Self> {
        option::of(T::random()).boxed()
    }

    fn give(&self) -> Self {
        self.clone()
    }
}

impl Argument for Method {
    type Given<'a> = &'a Self;

    fn random() -> BoxedStrategy<Self> {
        let brew = Self::from_bytes(b"BREW").expect("it is a token");
        select(vec![Self::GET, Self::HEAD, Self::POST, Self::CONNECT, brew]).boxed()
    }

    fn give(&self) -> &Self {
        self
    }
}

/// What work came to: whether it was done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Came(pub(crate) bool);

impl Argument for Came {
    type Given<'a> = &'static Result<(), ()>;

    fn random() -> BoxedStrategy<Self> {
        any::<bool>().prop_map(Self).boxed()
    }

    fn give(&self) -> &'static Result<(), ()> {
        if self.0 { &Ok(()) } else { &Err(()) }
    }
}

/// What kind of error it is, if it is one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Blamed<T>(pub(crate) T);

impl<T: Argument + Copy> Argument for Blamed<T> {
    type Given<'a> = Box<dyn FnOnce(&()) -> T>;

    fn random() -> BoxedStrategy<Self> {
        T::random().prop_map(Self).boxed()
    }

    fn give(&self) -> Box<dyn FnOnce(&()) -> T> {
        let kind = self.0;
        Box::new(move |()| kind)
    }
}

/// What gives the figures of a pool.
#[derive(Clone, Copy, Debug)]
pub(crate) enum PoolSource {
    Open(PoolStats),
    Gone,
    Panics,
}

impl Argument for PoolSource {
    type Given<'a> = Box<dyn Fn() -> Option<PoolStats> + Send + Sync>;

    fn random() -> BoxedStrategy<Self> {
        prop_oneof![PoolStats::random().prop_map(Self::Open), Just(Self::Gone), Just(Self::Panics)]
            .boxed()
    }

    fn give(&self) -> Box<dyn Fn() -> Option<PoolStats> + Send + Sync> {
        let source = *self;
        Box::new(move || match source {
            Self::Open(stats) => Some(stats),
            Self::Gone => None,
            Self::Panics => resume_unwind(Box::new("on purpose")),
        })
    }
}

/// A runtime that was never run, with a task that waits for it.
#[cfg(feature = "tokio")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct IdleRuntime;

#[cfg(feature = "tokio")]
impl Argument for IdleRuntime {
    type Given<'a> = &'static tokio::runtime::Handle;

    fn random() -> BoxedStrategy<Self> {
        Just(Self).boxed()
    }

    fn give(&self) -> &'static tokio::runtime::Handle {
        static RUNTIME: std::sync::LazyLock<tokio::runtime::Runtime> =
            std::sync::LazyLock::new(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().build();
                let runtime = runtime.expect("a runtime can be built");
                runtime.spawn(std::future::pending::<()>());
                runtime
            });
        RUNTIME.handle()
    }
}

/// The label of a method.
pub(crate) fn method(method: &Method) -> &'static str {
    let standard = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
    standard.into_iter().find(|standard| *standard == method.as_str()).unwrap_or("OTHER")
}
