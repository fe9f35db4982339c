//! Cache operations, in memory and in Redis.
//!
//! | family | labels | recorded by |
//! | --- | --- | --- |
//! | `cache_operations_total`, `cache_operation_duration_seconds` | `operation`, `cache_layer`; `status` | [`Metrics::start_cache_operation`], [`Metrics::track_cache_operation`] |
//! | `cache_hit_rate` | `cache_layer` | derived from the gets, or [`Metrics::set_cache_hit_rate`] |
//! | `cache_value_size_bytes` | `cache_layer` | [`CacheGuard::bytes`], [`Metrics::track_cache_value_size`] |
//! | `cache_evictions_total` | `cache_layer`, `reason` | [`Metrics::track_cache_evictions`] |
//! | `cache_entries_total`, `cache_memory_usage_bytes` | `cache_layer`; none | [`Metrics::update_cache_stats`] |
//! | `redis_commands_total`, `redis_command_duration_seconds` | `command`; `status` | [`Metrics::start_redis_command`], [`Metrics::track_redis_command`] |
//! | `redis_connection_errors_total` | | [`RedisCommandGuard::connection_error`], [`Metrics::track_redis_connection_error`] |
//! | `redis_reconnects_total` | | [`Metrics::track_redis_reconnect`] |
//! | `redis_pool_connections`, `redis_pool_connections_by_pool` | `state`; `pool` | [`Metrics::add_redis_pool_source`], [`Metrics::remove_redis_pool_source`], [`Metrics::update_redis_pool`] |
//!
//! ```
//! use std::collections::HashMap;
//!
//! use backend_metrics::{
//!     Metrics,
//!     labels::{CacheLayer, CacheOperation},
//! };
//!
//! fn quote(metrics: Metrics, cache: &HashMap<&str, String>, symbol: &str) -> Option<String> {
//!     let get = metrics.start_cache_operation(CacheOperation::Get, CacheLayer::Memory);
//!     let quote = cache.get(symbol).cloned();
//!     match &quote {
//!         Some(quote) => get.bytes(quote.len() as u64).hit(),
//!         None => get.miss(),
//!     }
//!     quote
//! }
//!
//! let metrics = Metrics::new();
//! let cache = HashMap::from([("NIFTY", "22450.10".to_owned())]);
//! for symbol in ["NIFTY", "BANKNIFTY"] {
//!     quote(metrics, &cache, symbol);
//! }
//! assert!(metrics.to_text().contains("cache_hit_rate{cache_layer=\"l1_memory\"} 50\n"));
//! ```

use std::time::Duration;

#[cfg(doc)]
use crate::Metrics;
use crate::{
    Counter, CounterFamily, Domain, Gauge, GaugeFamily, HistogramFamily, LabelSet, LateGaugeFamily,
    Now, Open, PoolStats, RatioWindow, Stopwatch, buckets,
    collect::{callback::Callback, given::Given, pool::PoolSources},
    guard::dropped,
};

use super::helpers::helpers;

families! {
    /// Cache operations, in memory and in Redis.
    pub struct CacheMetrics = "cache" {
        with {
            /// The Redis commands seen so far.
            pub commands: Domain<RedisCommand>,
            /// The gets of the last five minutes.
            pub(crate) gets: RatioWindow<CacheLayer>,
            /// The hit rates that the service knows better.
            pub(crate) given_hit_rates: Given<{ CacheLayer::COUNT }>,
            /// The pools that are read before a scrape.
            pub(crate) redis_pools: PoolSources,
            pub(crate) redis_pool_names: Domain<RedisPool>,
        }

        /// Cache operations by layer and how they ended
        ///
        /// A look-up through two layers is two operations: one of each layer that was asked.
        pub operations: CounterFamily<(CacheOperation, CacheLayer, CacheStatus)> =
            "cache_operations_total",

        /// Percent of the gets of the last five minutes that were hits
        ///
        /// From 0 to 100, and NaN while there was no get. Errors and cancelled gets are neither hit nor
        /// miss. Derived before every scrape, unless [`Metrics::set_cache_hit_rate`] gave a number.
        pub hit_rate: GaugeFamily<CacheLayer> = "cache_hit_rate",

        /// Time that a cache operation took
        ///
        /// Failed and cancelled operations are included.
        pub operation_duration: HistogramFamily<(CacheOperation, CacheLayer)> =
            "cache_operation_duration_seconds"
            in &[0.0001, 0.0005, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25],

        /// Memory that the cache in the process takes
        ///
        /// As the service reports it with [`Metrics::update_cache_stats`].
        pub memory_usage: Gauge = "cache_memory_usage_bytes",

        /// Entries of the cache
        ///
        /// As the service reports them with [`Metrics::update_cache_stats`]. Every replica sees the same
        /// entries in Redis: never sum that series over replicas.
        pub entries: GaugeFamily<CacheLayer> =
            "cache_entries_total" [specified_name, shared_value("l2_redis")],

        /// Connections to Redis that could not be made or broke
        pub redis_connection_errors: Counter = "redis_connection_errors_total",

        /// Time from sending a command to Redis to its reply
        ///
        /// Failed and cancelled commands are included.
        pub redis_command_duration: HistogramFamily<Open<RedisCommand>> =
            "redis_command_duration_seconds"
            in &[0.0001, 0.0005, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1],

        /// Commands to Redis by how they ended
        pub redis_commands: CounterFamily<(Open<RedisCommand>, RedisCommandStatus)> =
            "redis_commands_total",

        /// Connections to Redis; total is the configured maximum
        ///
        /// So `active / total` is the utilisation. Read from the sources of
        /// [`Metrics::add_redis_pool_source`] before every scrape, and absent in one in which a source gave nothing;
        /// or set, and zero before that.
        pub redis_pool_connections: GaugeFamily<RedisPoolState> = "redis_pool_connections",

        /// Connections of each pool to Redis; total is the configured maximum
        ///
        /// Of the sources of [`Metrics::add_redis_pool_source`], by their names.
        pub named_redis_pool_connections: LateGaugeFamily<(Open<RedisPool>, RedisPoolState)> =
            "redis_pool_connections_by_pool",

        /// Connections to Redis that were made again after a loss
        pub redis_reconnects: Counter = "redis_reconnects_total",

        /// Entries that left the cache
        pub evictions: CounterFamily<(CacheLayer, CacheEvictionReason)> = "cache_evictions_total",

        /// Size of the values that are read and written
        ///
        /// The value as it is stored, without its key.
        pub value_size: HistogramFamily<CacheLayer, u64> = "cache_value_size_bytes" in buckets::SIZE,
    }
    on_scrape = CacheMetrics::derive
}

label_values! {
    /// What a cache operation does.
    pub enum CacheOperation = "operation" {
        /// Looks up an entry.
        Get = "get",
        /// Stores an entry.
        Set = "set",
        /// Removes an entry.
        Delete = "delete",
    }
}

label_values! {
    /// Which cache an operation is on.
    pub enum CacheLayer = "cache_layer" {
        /// The cache in the memory of the process.
        Memory = "l1_memory",
        /// Redis, which the replicas share.
        Redis = "l2_redis",
    }
}

label_values! {
    /// How a cache operation ended.
    pub enum CacheStatus = "status" {
        /// A get found its entry.
        Hit = "hit",
        /// A get found no entry, or one that had expired.
        Miss = "miss",
        /// A set or a delete was done.
        Success = "success",
        /// The cache could not answer, or the guard was dropped by a panic.
        Error = "error",
        /// The guard was dropped without an outcome: the caller went away.
        Cancelled = "cancelled",
    }
}

label_values! {
    /// Why an entry left the cache.
    pub enum CacheEvictionReason = "reason" {
        /// Its time to live was over.
        Expired = "expired",
        /// The cache was full and needed its room.
        Capacity = "capacity",
        /// The service removed it.
        Explicit = "explicit",
        /// A newer value took its place.
        Replaced = "replaced",
    }
}

label_values! {
    /// How a command to Redis ended.
    pub enum RedisCommandStatus = "status" {
        /// Redis replied. A reply that says there is no such key is one.
        Success = "success",
        /// Redis replied with an error, there was no reply, or the guard was dropped by a panic.
        Error = "error",
        /// The guard was dropped without an outcome: the caller went away.
        Cancelled = "cancelled",
    }
}

label_values! {
    /// What a connection to Redis is doing.
    pub enum RedisPoolState = "state" {
        /// In use by a caller.
        Active = "active",
        /// Open and free.
        Idle = "idle",
        /// The most there can be, as configured.
        Total = "total",
    }
}

open_labels! {
    /// A pool of connections to Redis, by the name that the service gave it.
    pub struct RedisPool(pool) [removable];
}

open_labels! {
    /// A Redis command in lower case, such as `hget`: its name alone, never its key.
    pub struct RedisCommand(command);
}

/// The level of a cache, for [`Metrics::update_cache_stats`]. What is `None` stays as it was.
///
/// Later versions may have more fields: end with `..CacheStats::default()`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Entries of the cache in memory.
    pub memory_entries: Option<u64>,
    /// Bytes that the cache in memory takes.
    pub memory_bytes: Option<u64>,
    /// Entries in Redis.
    pub redis_entries: Option<u64>,
}

impl CacheMetrics {
    fn derive(&self, now: &Now) {
        for layer in CacheLayer::ALL.iter().copied() {
            let given = self.given_hit_rates.get(layer.index());
            let percent = given.unwrap_or_else(|| self.gets.percent(layer, now.uptime));
            self.hit_rate.get(layer).set(percent);
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
    fn set_stats(&self, stats: CacheStats) {
        if let Some(entries) = stats.memory_entries {
            self.entries.get(CacheLayer::Memory).set(entries as f64);
        }
        if let Some(bytes) = stats.memory_bytes {
            self.memory_usage.set(bytes as f64);
        }
        if let Some(entries) = stats.redis_entries {
            self.entries.get(CacheLayer::Redis).set(entries as f64);
        }
    }

    /// Sets the gauges of all pools, or leaves them out.
    pub(crate) fn set_redis_pool(&self, stats: Option<PoolStats>) {
        for (state, connections) in states(stats) {
            let gauge = self.redis_pool_connections.get(state);
            match connections {
                Some(connections) => gauge.set(connections.into()),
                None => gauge.clear(),
            }
        }
    }

    /// Sets the gauges of a pool, or leaves them out; `callback` is that of its source.
    pub(crate) fn set_named_redis_pool(&self, callback: &str, stats: Option<PoolStats>) {
        let name = callback.strip_prefix(SOURCE).unwrap_or(callback);
        // Past the cap a pool is in the sum alone.
        let Some(pool) = self.redis_pool_names.find(name) else { return };
        for (state, connections) in states(stats) {
            let gauge = self.named_redis_pool_connections.get((pool, state));
            match connections {
                Some(connections) => gauge.set(connections.into()),
                None => gauge.clear(),
            }
        }
    }

    fn record_redis_command(
        &self,
        command: Open<RedisCommand>,
        duration: Duration,
        status: RedisCommandStatus,
    ) {
        let commands = self.redis_commands.get((command, status));
        self.redis_command_duration.get(command).observe_counted(duration, commands);
    }
}

/// What the callbacks of pools begin with, before their names.
const SOURCE: &str = "redis_pool:";

/// The connections of a pool by their state; of none if it could not be read.
fn states(stats: Option<PoolStats>) -> [(RedisPoolState, Option<u32>); 3] {
    [
        (RedisPoolState::Active, stats.map(|stats| stats.active)),
        (RedisPoolState::Idle, stats.map(|stats| stats.idle)),
        (RedisPoolState::Total, stats.map(|stats| stats.max)),
    ]
}

helpers! {
    /// Counts a cache operation that ended and observes how long it took.
    ///
    /// Moves `cache_operations_total` and `cache_operation_duration_seconds`. A get that is a hit or a miss
    /// also counts towards `cache_hit_rate`, for which the clock is read once.
    /// [`Metrics::start_cache_operation`] measures the time itself.
    pub fn track_cache_operation(
        self,
        operation: CacheOperation,
        layer: CacheLayer,
        duration: Duration,
        status: CacheStatus,
    ) {
        let operations = self.cache.operations.get((operation, layer, status));
        self.cache.operation_duration.get((operation, layer)).observe_counted(duration, operations);
        if operation == CacheOperation::Get && matches!(status, CacheStatus::Hit | CacheStatus::Miss) {
            self.cache.gets.record(layer, status == CacheStatus::Hit, self.uptime());
        }
    }

    /// Starts a cache operation; the guard records how it ended.
    pub fn start_cache_operation(self, operation: CacheOperation, layer: CacheLayer) -> CacheGuard {
        CacheGuard { watch: self.stopwatch(), operation, layer, status: None, bytes: None }
    }

    /// Observes the size of a value that was read or written, in `cache_value_size_bytes`.
    pub fn track_cache_value_size(self, layer: CacheLayer, bytes: u64) {
        self.cache.value_size.get(layer).observe(bytes);
    }

    /// Counts entries that left the cache, in `cache_evictions_total`.
    pub fn track_cache_evictions(self, layer: CacheLayer, reason: CacheEvictionReason, entries: u64) {
        self.cache.evictions.get((layer, reason)).add(entries);
    }

    /// Sets `cache_entries_total` and `cache_memory_usage_bytes` to what the service knows.
    ///
    /// ```
    /// use backend_metrics::{CacheStats, Metrics};
    ///
    /// let metrics = Metrics::new();
    /// metrics.update_cache_stats(CacheStats {
    ///     memory_entries: Some(1_200),
    ///     memory_bytes: Some(4_800_000),
    ///     ..CacheStats::default()
    /// });
    /// assert!(metrics.to_text().contains("cache_entries_total{cache_layer=\"l1_memory\"} 1200\n"));
    /// ```
    pub fn update_cache_stats(self, stats: CacheStats) {
        self.cache.set_stats(stats);
    }

    /// Gives `cache_hit_rate` of a layer, in percent from 0 to 100.
    ///
    /// The series keeps what was given last and is no longer derived from the gets of this process: for a
    /// service that reads the figures of the cache itself.
    pub fn set_cache_hit_rate(self, layer: CacheLayer, percent: f64) {
        self.cache.given_hit_rates.set(layer.index(), percent);
    }

    /// Counts a command to Redis that ended and observes how long it took.
    ///
    /// Moves `redis_commands_total` and `redis_command_duration_seconds`. `command` is a name in lower case,
    /// such as `hget`, without its key. [`Metrics::start_redis_command`] measures the time itself.
    pub fn track_redis_command(self, command: &str, duration: Duration, status: RedisCommandStatus) {
        self.cache.record_redis_command(self.cache.commands.get(command), duration, status);
    }

    /// Starts a command to Redis; the guard records how it ended.
    ///
    /// `command` is a name in lower case, such as `hget`, without its key.
    pub fn start_redis_command(self, command: &str) -> RedisCommandGuard {
        RedisCommandGuard {
            command: self.cache.commands.get(command),
            watch: self.stopwatch(),
            status: None,
        }
    }

    /// Counts a connection to Redis that could not be made or broke, in `redis_connection_errors_total`.
    pub fn track_redis_connection_error(self) {
        self.cache.redis_connection_errors.inc();
    }

    /// Counts a connection to Redis that was made again after a loss, in `redis_reconnects_total`.
    pub fn track_redis_reconnect(self) {
        self.cache.redis_reconnects.inc();
    }

    /// Sets the three series of `redis_pool_connections`.
    ///
    /// [`Metrics::add_redis_pool_source`] keeps them up to date by itself.
    pub fn update_redis_pool(self, stats: PoolStats) {
        self.cache.set_redis_pool(Some(stats));
    }

    /// Adds a pool that is read before every scrape, in place of one that was added by the same name; the pools of a
    /// process are added up.
    ///
    /// If a source gives `None`, panics, or takes longer than the
    /// [`Builder::collect_timeout`](crate::Builder::collect_timeout), there is no sum, and the gauges are absent in that
    /// scrape. `metrics_callback_failures_total{callback="redis_pool:<name>"}` counts it; a panic and a timeout count in
    /// `application_errors_total` as well, as `collector_panic` and `collector_timeout`. A pool that is closed for good
    /// is taken out by [`Metrics::remove_redis_pool_source`].
    pub fn add_redis_pool_source(self, name: &str, source: impl Fn() -> Option<PoolStats> + Send + Sync + 'static) {
        let callback = [SOURCE, name].concat();
        if self.cache.redis_pools.add(Callback::new(callback.as_str(), move |_| source())) {
            _ = self.self_metrics.callbacks.get(&callback);
            _ = self.cache.redis_pool_names.get(name);
        }
    }

    /// Takes a pool out that was added by this name; `false` if there is none. Without the last one, the gauges of the
    /// pool are zero.
    pub fn remove_redis_pool_source(self, name: &str) -> bool {
        let callback = [SOURCE, name].concat();
        self.cache.redis_pools.remove(&callback, || _ = self.cache.redis_pool_names.remove(name))
    }
}

/// A cache operation that is under way. Dropped without an outcome it is `cancelled`, dropped by a panic
/// `error`.
#[derive(Debug)]
#[must_use = "a guard dropped at once records a cancelled operation"]
pub struct CacheGuard {
    watch: Stopwatch,
    operation: CacheOperation,
    layer: CacheLayer,
    status: Option<CacheStatus>,
    bytes: Option<u64>,
}

impl CacheGuard {
    /// Notes the size of the value that was read or written.
    pub fn bytes(mut self, bytes: u64) -> Self {
        self.bytes = Some(bytes);
        self
    }

    /// The get found its entry.
    pub fn hit(mut self) {
        self.status = Some(CacheStatus::Hit);
    }

    /// The get found no entry, or one that had expired.
    pub fn miss(mut self) {
        self.status = Some(CacheStatus::Miss);
    }

    /// The set or the delete was done.
    pub fn success(mut self) {
        self.status = Some(CacheStatus::Success);
    }

    /// The cache could not answer.
    pub fn error(mut self) {
        self.status = Some(CacheStatus::Error);
    }
}

impl Drop for CacheGuard {
    fn drop(&mut self) {
        let metrics = self.watch.metrics();
        let status =
            self.status.unwrap_or_else(|| dropped(CacheStatus::Error, CacheStatus::Cancelled));
        metrics.track_cache_operation(self.operation, self.layer, self.watch.elapsed(), status);
        if let Some(bytes) = self.bytes {
            metrics.track_cache_value_size(self.layer, bytes);
        }
    }
}

/// A command to Redis that is under way. Dropped without an outcome it is `cancelled`, dropped by a panic
/// `error`.
#[derive(Debug)]
#[must_use = "a guard dropped at once records a cancelled command"]
pub struct RedisCommandGuard {
    watch: Stopwatch,
    command: Open<RedisCommand>,
    status: Option<RedisCommandStatus>,
}

impl RedisCommandGuard {
    /// Redis replied.
    pub fn success(mut self) {
        self.status = Some(RedisCommandStatus::Success);
    }

    /// Redis replied with an error.
    pub fn error(mut self) {
        self.status = Some(RedisCommandStatus::Error);
    }

    /// The connection could not be made or broke, which `redis_connection_errors_total` counts as well.
    pub fn connection_error(mut self) {
        self.watch.metrics().track_redis_connection_error();
        self.status = Some(RedisCommandStatus::Error);
    }

    /// Redis replied with `result`.
    pub fn finish<T, E>(self, result: &Result<T, E>) {
        match result {
            Ok(_) => self.success(),
            Err(_) => self.error(),
        }
    }
}

impl Drop for RedisCommandGuard {
    fn drop(&mut self) {
        let status = self
            .status
            .unwrap_or_else(|| dropped(RedisCommandStatus::Error, RedisCommandStatus::Cancelled));
        let cache = &self.watch.metrics().cache;
        cache.record_redis_command(self.command, self.watch.elapsed(), status);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{
        CacheEvictionReason, CacheLayer, CacheOperation, CacheStats, CacheStatus,
        RedisCommandStatus,
    };
    use crate::{PoolStats, testing::Fixture};

    const MEMORY_RATE: &str = r#"cache_hit_rate{cache_layer="l1_memory"}"#;
    const REDIS_RATE: &str = r#"cache_hit_rate{cache_layer="l2_redis"}"#;

    fn get(test: &Fixture, layer: CacheLayer, status: CacheStatus) {
        let duration = Duration::from_micros(300);
        test.metrics.track_cache_operation(CacheOperation::Get, layer, duration, status);
    }

    #[test]
    fn an_operation_is_counted_and_timed_once_whatever_its_end() {
        let test = Fixture::new();
        let start = |operation| {
            let guard = test.metrics.start_cache_operation(operation, CacheLayer::Redis);
            test.clock.advance(Duration::from_millis(2));
            guard
        };
        start(CacheOperation::Get).bytes(500).hit();
        start(CacheOperation::Get).miss();
        start(CacheOperation::Get).error();
        drop(start(CacheOperation::Get));
        std::panic::catch_unwind(|| {
            let _get = start(CacheOperation::Get);
            panic!("the guard unwinds");
        })
        .unwrap_err();
        start(CacheOperation::Set).bytes(700).success();
        start(CacheOperation::Delete).success();
        let get = r#"operation="get",cache_layer="l2_redis""#;
        for (status, count) in
            [("hit", 1.0), ("miss", 1.0), ("success", 0.0), ("error", 2.0), ("cancelled", 1.0)]
        {
            let series = format!("cache_operations_total{{{get},status=\"{status}\"}}");
            test.assert_series(&[(&series, count)]);
        }
        test.assert_series(&[
            (
                r#"cache_operations_total{operation="set",cache_layer="l2_redis",status="success"}"#,
                1.0,
            ),
            (
                r#"cache_operations_total{operation="delete",cache_layer="l2_redis",status="success"}"#,
                1.0,
            ),
            (
                r#"cache_operation_duration_seconds_count{operation="get",cache_layer="l2_redis"}"#,
                5.0,
            ),
            (
                r#"cache_operation_duration_seconds_sum{operation="get",cache_layer="l2_redis"}"#,
                0.01,
            ),
            (r#"cache_value_size_bytes_count{cache_layer="l2_redis"}"#, 2.0),
            (r#"cache_value_size_bytes_sum{cache_layer="l2_redis"}"#, 1_200.0),
        ]);
    }

    #[test]
    fn the_hit_rate_is_not_a_number_before_the_first_get() {
        let test = Fixture::new();
        assert!(test.series(MEMORY_RATE).unwrap().is_nan());
        get(&test, CacheLayer::Memory, CacheStatus::Error);
        get(&test, CacheLayer::Memory, CacheStatus::Cancelled);
        assert!(test.series(MEMORY_RATE).unwrap().is_nan());
        assert!(test.series(REDIS_RATE).unwrap().is_nan());
    }

    #[test]
    fn the_hit_rate_is_that_of_the_gets_of_the_last_five_minutes() {
        let test = Fixture::new();
        (0..3).for_each(|_| get(&test, CacheLayer::Memory, CacheStatus::Hit));
        get(&test, CacheLayer::Memory, CacheStatus::Miss);
        get(&test, CacheLayer::Redis, CacheStatus::Miss);
        test.metrics.track_cache_operation(
            CacheOperation::Set,
            CacheLayer::Memory,
            Duration::ZERO,
            CacheStatus::Success,
        );
        test.assert_series(&[(MEMORY_RATE, 75.0), (REDIS_RATE, 0.0)]);

        test.clock.advance(Duration::from_secs(200));
        (0..4).for_each(|_| get(&test, CacheLayer::Memory, CacheStatus::Miss));
        test.assert_series(&[(MEMORY_RATE, 37.5)]);

        test.clock.advance(Duration::from_secs(99));
        test.assert_series(&[(MEMORY_RATE, 37.5), (REDIS_RATE, 0.0)]);

        // Five minutes after the first gets only the later ones are left.
        test.clock.advance(Duration::from_secs(1));
        test.assert_series(&[(MEMORY_RATE, 0.0)]);
        assert!(test.series(REDIS_RATE).unwrap().is_nan());

        test.clock.advance(Duration::from_secs(200));
        assert!(test.series(MEMORY_RATE).unwrap().is_nan());
        get(&test, CacheLayer::Memory, CacheStatus::Hit);
        test.assert_series(&[(MEMORY_RATE, 100.0)]);
    }

    #[test]
    fn a_hit_rate_that_is_set_stays() {
        let test = Fixture::new();
        get(&test, CacheLayer::Memory, CacheStatus::Hit);
        get(&test, CacheLayer::Redis, CacheStatus::Hit);
        test.metrics.set_cache_hit_rate(CacheLayer::Redis, 0.0);
        test.assert_series(&[(MEMORY_RATE, 100.0), (REDIS_RATE, 0.0)]);
        test.metrics.set_cache_hit_rate(CacheLayer::Redis, 82.5);
        get(&test, CacheLayer::Redis, CacheStatus::Miss);
        test.clock.advance(Duration::from_hours(1));
        test.assert_series(&[(REDIS_RATE, 82.5)]);
        assert!(test.series(MEMORY_RATE).unwrap().is_nan());
    }

    #[test]
    fn stats_that_are_not_given_stay() {
        let test = Fixture::new();
        test.metrics.update_cache_stats(CacheStats {
            memory_entries: Some(12),
            memory_bytes: Some(4_096),
            redis_entries: Some(90),
        });
        test.metrics
            .update_cache_stats(CacheStats { memory_entries: Some(0), ..CacheStats::default() });
        test.assert_series(&[
            (r#"cache_entries_total{cache_layer="l1_memory"}"#, 0.0),
            (r#"cache_entries_total{cache_layer="l2_redis"}"#, 90.0),
            ("cache_memory_usage_bytes", 4_096.0),
        ]);
    }

    #[test]
    fn evictions_are_counted_by_reason() {
        let test = Fixture::new();
        test.metrics.track_cache_evictions(CacheLayer::Memory, CacheEvictionReason::Expired, 7);
        test.metrics.track_cache_evictions(CacheLayer::Memory, CacheEvictionReason::Expired, 1);
        test.assert_series(&[
            (r#"cache_evictions_total{cache_layer="l1_memory",reason="expired"}"#, 8.0),
            (r#"cache_evictions_total{cache_layer="l2_redis",reason="replaced"}"#, 0.0),
        ]);
    }

    #[test]
    fn a_redis_command_is_counted_and_timed_once_whatever_its_end() {
        let test = Fixture::new();
        let start = || {
            let command = test.metrics.start_redis_command("hget");
            test.clock.advance(Duration::from_millis(1));
            command
        };
        start().success();
        start().finish(&Ok::<_, ()>(1));
        start().finish(&Err::<(), _>("WRONGTYPE"));
        start().connection_error();
        drop(start());
        std::panic::catch_unwind(|| {
            let _command = start();
            panic!("the guard unwinds");
        })
        .unwrap_err();
        test.metrics.track_redis_command(
            "hget",
            Duration::from_millis(4),
            RedisCommandStatus::Success,
        );
        test.metrics.track_redis_reconnect();
        test.assert_series(&[
            (r#"redis_commands_total{command="hget",status="success"}"#, 3.0),
            (r#"redis_commands_total{command="hget",status="error"}"#, 3.0),
            (r#"redis_commands_total{command="hget",status="cancelled"}"#, 1.0),
            (r#"redis_command_duration_seconds_count{command="hget"}"#, 7.0),
            (r#"redis_command_duration_seconds_sum{command="hget"}"#, 0.01),
            ("redis_connection_errors_total", 1.0),
            ("redis_reconnects_total", 1.0),
        ]);
    }

    #[test]
    fn redis_pools_are_read_at_scrape_and_added_up() {
        let test = Fixture::new();
        test.metrics.update_redis_pool(PoolStats { active: 9, idle: 9, max: 9 });
        test.assert_series(&[(r#"redis_pool_connections{state="active"}"#, 9.0)]);
        for (name, active) in [("one", 3), ("other", 4)] {
            let stats = PoolStats { active, idle: 1, max: 20 };
            test.metrics.add_redis_pool_source(name, move || Some(stats));
        }
        test.assert_series(&[
            (r#"redis_pool_connections{state="active"}"#, 7.0),
            (r#"redis_pool_connections{state="idle"}"#, 2.0),
            (r#"redis_pool_connections{state="total"}"#, 40.0),
        ]);
    }
}
