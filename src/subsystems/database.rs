//! Queries, connections and transactions of the database.
//!
//! | family | labels | recorded by |
//! | --- | --- | --- |
//! | `database_queries_total`, `database_query_duration_seconds`, `database_slow_queries_total` | `query_type`; `status` | [`Metrics::start_database_query`], [`Metrics::track_database_query`] |
//! | `database_rows_returned` | `query_type` | [`QueryGuard::rows`], [`Metrics::track_database_rows`] |
//! | `database_errors_total` | `error_type` | [`QueryGuard::error`], [`Metrics::track_database_error`] |
//! | `database_pool_acquires_total`, `database_pool_acquire_duration_seconds`, `database_pool_acquire_timeouts_total`, `database_pool_pending_acquires` | `status` | [`Metrics::start_database_acquire`], [`Metrics::track_database_acquire`] |
//! | `database_pool_connections`, `database_pool_connections_by_pool` | `state`; `pool` | [`Metrics::add_database_pool_source`], [`Metrics::remove_database_pool_source`], [`Metrics::update_database_pool`] |
//! | `database_transactions_total`, `database_transaction_duration_seconds` | `operation`; `outcome` | [`Metrics::start_database_transaction`], [`Metrics::track_database_transaction`] |
//!
//! ```
//! use backend_metrics::{Metrics, labels::QueryType};
//!
//! fn count_orders(metrics: Metrics) -> Result<u64, std::io::Error> {
//!     let query = metrics.start_database_query(QueryType::Select);
//!     let result = Ok(12); // the query; an early return or a cancelled future is recorded too
//!     query.finish(&result);
//!     result
//! }
//!
//! let metrics = Metrics::new();
//! count_orders(metrics)?;
//! assert!(
//!     metrics
//!         .to_text()
//!         .contains("database_queries_total{query_type=\"select\",status=\"success\"} 1\n")
//! );
//! # Ok::<(), std::io::Error>(())
//! ```

use std::time::Duration;

#[cfg(doc)]
use crate::Metrics;
use crate::{
    Counter, CounterFamily, Domain, GaugeFamily, Histogram, HistogramFamily, InFlight,
    LateGaugeFamily, Open, PoolStats, Stopwatch, UpDownGauge, buckets,
    collect::{callback::Callback, pool::PoolSources},
    guard::dropped,
};

use super::helpers::helpers;

families! {
    /// Queries, connections and transactions of the database.
    pub struct DatabaseMetrics = "database" {
        with {
            /// What transactions are for.
            pub operations: Domain<TransactionOperation>,
            /// The pools that are read before a scrape.
            pub(crate) pools: PoolSources,
            pub(crate) pool_names: Domain<DatabasePool>,
        }

        /// Queries by what they do and how they ended
        pub queries: CounterFamily<(QueryType, QueryStatus)> = "database_queries_total",

        /// Time from sending a query to its last row
        ///
        /// Failed and cancelled queries are included.
        pub query_duration: HistogramFamily<QueryType> =
            "database_query_duration_seconds" in buckets::QUERY,

        /// Connections of the pool; total is the configured maximum
        ///
        /// So `active / total` is the utilisation. Read from the sources of
        /// [`Metrics::add_database_pool_source`] before every scrape, and absent in one in which a source gave nothing;
        /// or set, and zero before that.
        pub pool_connections: GaugeFamily<DatabasePoolState> = "database_pool_connections",

        /// Connections of each pool; total is the configured maximum
        ///
        /// Of the sources of [`Metrics::add_database_pool_source`], by their names. In the sum of
        /// `database_pool_connections` a pool that is full hides behind one that is idle.
        pub named_pool_connections: LateGaugeFamily<(Open<DatabasePool>, DatabasePoolState)> =
            "database_pool_connections_by_pool",

        /// Time a caller waited for a connection
        ///
        /// Waits that timed out, failed or were given up are included.
        pub pool_acquire_duration: Histogram =
            "database_pool_acquire_duration_seconds" in buckets::QUERY,

        /// Waits for a connection that ended in a timeout
        pub pool_acquire_timeouts: Counter = "database_pool_acquire_timeouts_total",

        /// Time from the beginning of a transaction to its commit or rollback
        pub transaction_duration: HistogramFamily<Open<TransactionOperation>> =
            "database_transaction_duration_seconds"
            in &[0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0],

        /// Errors by kind
        ///
        /// Of queries and of the connection. A wait for a connection that times out is not among them:
        /// see [`pool_acquire_timeouts`](Self::pool_acquire_timeouts).
        pub errors: CounterFamily<DatabaseErrorType> = "database_errors_total",

        /// Waits for a connection by how they ended
        pub pool_acquires: CounterFamily<AcquireStatus> = "database_pool_acquires_total",

        /// Callers that wait for a connection now
        pub pool_pending_acquires: UpDownGauge = "database_pool_pending_acquires",

        /// Transactions by how they ended
        pub transactions: CounterFamily<(Open<TransactionOperation>, TransactionOutcome)> =
            "database_transactions_total",

        /// Rows that a query returned or changed
        pub rows_returned: HistogramFamily<QueryType, u64> =
            "database_rows_returned" in &[0.0, 1.0, 10.0, 100.0, 1_000.0, 10_000.0, 100_000.0],

        /// Queries that took longer than the threshold of the builder
        ///
        /// See [`Builder::slow_query`](crate::Builder::slow_query); 500 ms unless set.
        pub slow_queries: CounterFamily<QueryType> = "database_slow_queries_total",
    }
}

label_values! {
    /// What a query does.
    pub enum QueryType = "query_type" {
        /// Reads rows.
        Select = "select",
        /// Adds rows.
        Insert = "insert",
        /// Changes rows.
        Update = "update",
        /// Removes rows.
        Delete = "delete",
        /// Calls a stored procedure.
        Procedure = "procedure",
    }
}

label_values! {
    /// How a query ended.
    pub enum QueryStatus = "status" {
        /// It returned.
        Success = "success",
        /// It returned an error, or its guard was dropped by a panic.
        Error = "error",
        /// Its guard was dropped without an outcome: the caller went away.
        Cancelled = "cancelled",
    }
}

label_values! {
    /// What a connection of the pool is doing.
    pub enum DatabasePoolState = "state" {
        /// In use by a caller.
        Active = "active",
        /// Open and free.
        Idle = "idle",
        /// The most there can be, as configured.
        Total = "total",
    }
}

label_values! {
    /// What kind of error the database gave.
    pub enum DatabaseErrorType = "error_type" {
        /// The connection could not be made or broke.
        Connection = "connection_error",
        /// The database refused the query.
        Query = "query_error",
        /// The query took longer than allowed.
        Timeout = "timeout",
        /// The transaction was chosen to end a deadlock.
        Deadlock = "deadlock",
    }
}

label_values! {
    /// How a wait for a connection ended.
    pub enum AcquireStatus = "status" {
        /// With a connection.
        Success = "success",
        /// With the pool's timeout.
        Timeout = "timeout",
        /// With another error, or with a panic.
        Error = "error",
        /// The caller gave up.
        Cancelled = "cancelled",
    }
}

label_values! {
    /// How a transaction ended.
    pub enum TransactionOutcome = "outcome" {
        /// Its changes are kept.
        Committed = "committed",
        /// Its changes are undone. A guard that is dropped rolls back, as database clients do.
        RolledBack = "rolled_back",
    }
}

open_labels! {
    /// A pool, by the name that the service gave it.
    pub struct DatabasePool(pool) [removable];
}

open_labels! {
    /// What a transaction is for: a name out of the code, such as `place_order`.
    pub struct TransactionOperation(operation);
}

impl DatabaseMetrics {
    #[inline]
    fn record_query(&self, query_type: QueryType, duration: Duration, status: QueryStatus) {
        let queries = self.queries.get((query_type, status));
        self.query_duration.get(query_type).observe_counted(duration, queries);
    }

    // It makes the whole record, so that the caller has nothing to do after the call.
    #[cold]
    #[inline(never)]
    fn record_slow_query(&self, query_type: QueryType, duration: Duration, status: QueryStatus) {
        self.slow_queries.get(query_type).inc();
        self.record_query(query_type, duration, status);
    }

    /// Sets the gauges of all pools, or leaves them out.
    pub(crate) fn set_pool(&self, stats: Option<PoolStats>) {
        for (state, connections) in states(stats) {
            let gauge = self.pool_connections.get(state);
            match connections {
                Some(connections) => gauge.set(connections.into()),
                None => gauge.clear(),
            }
        }
    }

    /// Sets the gauges of a pool, or leaves them out; `callback` is that of its source.
    pub(crate) fn set_named_pool(&self, callback: &str, stats: Option<PoolStats>) {
        let name = callback.strip_prefix(SOURCE).unwrap_or(callback);
        // Past the cap a pool is in the sum alone.
        let Some(pool) = self.pool_names.find(name) else { return };
        for (state, connections) in states(stats) {
            let gauge = self.named_pool_connections.get((pool, state));
            match connections {
                Some(connections) => gauge.set(connections.into()),
                None => gauge.clear(),
            }
        }
    }
}

/// What the callbacks of pools begin with, before their names.
const SOURCE: &str = "database_pool:";

/// The connections of a pool by their state; of none if it could not be read.
fn states(stats: Option<PoolStats>) -> [(DatabasePoolState, Option<u32>); 3] {
    [
        (DatabasePoolState::Active, stats.map(|stats| stats.active)),
        (DatabasePoolState::Idle, stats.map(|stats| stats.idle)),
        (DatabasePoolState::Total, stats.map(|stats| stats.max)),
    ]
}

helpers! {
    /// Counts a query that ended and observes how long it took.
    ///
    /// Moves `database_queries_total`, `database_query_duration_seconds` and, past the threshold,
    /// `database_slow_queries_total`. [`Metrics::start_database_query`] measures the time itself.
    pub fn track_database_query(self, query_type: QueryType, duration: Duration, status: QueryStatus) {
        if duration > self.slow_query() {
            self.database.record_slow_query(query_type, duration, status);
        } else {
            self.database.record_query(query_type, duration, status);
        }
    }

    /// Starts a query; the guard records how it ended.
    pub fn start_database_query(self, query_type: QueryType) -> QueryGuard {
        QueryGuard { watch: self.stopwatch(), query_type, status: None, rows: None }
    }

    /// Observes how many rows a query returned or changed, in `database_rows_returned`.
    pub fn track_database_rows(self, query_type: QueryType, rows: u64) {
        self.database.rows_returned.get(query_type).observe(rows);
    }

    /// Counts an error in `database_errors_total`.
    pub fn track_database_error(self, error_type: DatabaseErrorType) {
        self.database.errors.get(error_type).inc();
    }

    /// Counts a wait for a connection that ended and observes how long it took.
    ///
    /// Moves `database_pool_acquires_total`, `database_pool_acquire_duration_seconds` and, for a timeout,
    /// `database_pool_acquire_timeouts_total`.
    pub fn track_database_acquire(self, duration: Duration, status: AcquireStatus) {
        let acquires = self.database.pool_acquires.get(status);
        self.database.pool_acquire_duration.observe_counted(duration, acquires);
        if status == AcquireStatus::Timeout {
            self.database.pool_acquire_timeouts.inc();
        }
    }

    /// Starts to wait for a connection, which `database_pool_pending_acquires` shows; the guard records how
    /// the wait ended.
    pub fn start_database_acquire(self) -> AcquireGuard {
        AcquireGuard {
            _pending: self.database.pool_pending_acquires.track(),
            watch: self.stopwatch(),
            status: None,
        }
    }

    /// Counts a transaction that ended and observes how long it took.
    ///
    /// Moves `database_transactions_total` and `database_transaction_duration_seconds`.
    pub fn track_database_transaction(self, operation: &str, duration: Duration, outcome: TransactionOutcome) {
        let operation = self.database.operations.get(operation);
        let transactions = self.database.transactions.get((operation, outcome));
        self.database.transaction_duration.get(operation).observe_counted(duration, transactions);
    }

    /// Starts a transaction; the guard records how it ended.
    ///
    /// `operation` is a name out of the code, such as `place_order`.
    pub fn start_database_transaction(self, operation: &str) -> TransactionGuard {
        TransactionGuard {
            operation: self.database.operations.get(operation),
            watch: self.stopwatch(),
            outcome: TransactionOutcome::RolledBack,
        }
    }

    /// Sets the three series of `database_pool_connections`.
    ///
    /// [`Metrics::add_database_pool_source`] keeps them up to date by itself.
    pub fn update_database_pool(self, stats: PoolStats) {
        self.database.set_pool(Some(stats));
    }

    /// Adds a pool that is read before every scrape, in place of one that was added by the same name. It is shown by its
    /// name in `database_pool_connections_by_pool`, and added up with the others in `database_pool_connections`.
    ///
    /// If a source gives `None`, panics, or takes longer than the
    /// [`Builder::collect_timeout`](crate::Builder::collect_timeout), there is no sum, and the gauges are absent in that
    /// scrape. `metrics_callback_failures_total{callback="database_pool:<name>"}` counts it; a panic and a timeout count
    /// in `application_errors_total` as well, as `collector_panic` and `collector_timeout`. A pool that is closed for
    /// good is taken out by [`Metrics::remove_database_pool_source`].
    pub fn add_database_pool_source(self, name: &str, source: impl Fn() -> Option<PoolStats> + Send + Sync + 'static) {
        let callback = [SOURCE, name].concat();
        if self.database.pools.add(Callback::new(callback.as_str(), move |_| source())) {
            _ = self.self_metrics.callbacks.get(&callback);
            _ = self.database.pool_names.get(name);
        }
    }

    /// Takes a pool out that was added by this name; `false` if there is none. Its own gauges are
    /// left out from then on; without the last pool, the gauges of the sum are zero.
    pub fn remove_database_pool_source(self, name: &str) -> bool {
        let callback = [SOURCE, name].concat();
        self.database.pools.remove(&callback, || _ = self.database.pool_names.remove(name))
    }
}

/// A query that is under way. Dropped without an outcome it is `cancelled`, dropped by a panic `error`.
#[derive(Debug)]
#[must_use = "a guard dropped at once records a cancelled query"]
pub struct QueryGuard {
    watch: Stopwatch,
    query_type: QueryType,
    status: Option<QueryStatus>,
    rows: Option<u64>,
}

impl QueryGuard {
    /// Notes how many rows the query returned or changed.
    pub fn rows(mut self, rows: u64) -> Self {
        self.rows = Some(rows);
        self
    }

    /// The query returned.
    pub fn success(mut self) {
        self.status = Some(QueryStatus::Success);
    }

    /// The query failed, which `database_errors_total` counts as well.
    pub fn error(mut self, error_type: DatabaseErrorType) {
        self.watch.metrics().track_database_error(error_type);
        self.status = Some(QueryStatus::Error);
    }

    /// The query returned `result`; an error counts as one of the query.
    pub fn finish<T, E>(self, result: &Result<T, E>) {
        match result {
            Ok(_) => self.success(),
            Err(_) => self.error(DatabaseErrorType::Query),
        }
    }
}

impl Drop for QueryGuard {
    fn drop(&mut self) {
        let metrics = self.watch.metrics();
        let status =
            self.status.unwrap_or_else(|| dropped(QueryStatus::Error, QueryStatus::Cancelled));
        metrics.track_database_query(self.query_type, self.watch.elapsed(), status);
        if let Some(rows) = self.rows {
            metrics.track_database_rows(self.query_type, rows);
        }
    }
}

/// A wait for a connection. Dropped without an outcome it is `cancelled`, dropped by a panic `error`.
#[derive(Debug)]
#[must_use = "a guard dropped at once records a wait that was given up"]
pub struct AcquireGuard {
    watch: Stopwatch,
    status: Option<AcquireStatus>,
    _pending: InFlight,
}

impl AcquireGuard {
    /// The caller has its connection.
    pub fn success(mut self) {
        self.status = Some(AcquireStatus::Success);
    }

    /// The pool's timeout ended the wait.
    pub fn timeout(mut self) {
        self.status = Some(AcquireStatus::Timeout);
    }

    /// Another error ended the wait.
    pub fn error(mut self) {
        self.status = Some(AcquireStatus::Error);
    }
}

impl Drop for AcquireGuard {
    fn drop(&mut self) {
        let status =
            self.status.unwrap_or_else(|| dropped(AcquireStatus::Error, AcquireStatus::Cancelled));
        self.watch.metrics().track_database_acquire(self.watch.elapsed(), status);
    }
}

/// A transaction that is under way. Dropped without an outcome it is rolled back.
#[derive(Debug)]
#[must_use = "a guard dropped at once records a transaction that was rolled back"]
pub struct TransactionGuard {
    watch: Stopwatch,
    operation: Open<TransactionOperation>,
    outcome: TransactionOutcome,
}

impl TransactionGuard {
    /// The changes are kept.
    pub fn commit(mut self) {
        self.outcome = TransactionOutcome::Committed;
    }

    /// The changes are undone.
    pub fn rollback(self) {}
}

impl Drop for TransactionGuard {
    fn drop(&mut self) {
        let database = &self.watch.metrics().database;
        let transactions = database.transactions.get((self.operation, self.outcome));
        let duration = database.transaction_duration.get(self.operation);
        duration.observe_counted(self.watch.elapsed(), transactions);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::mpsc::{Sender, channel},
        time::Duration,
    };

    use super::{DatabaseErrorType, QueryStatus, QueryType};
    use crate::{
        PoolStats,
        testing::{Fixture, PanicsAgain},
    };

    #[test]
    fn a_query_is_counted_and_timed_once_whatever_its_end() {
        let test = Fixture::new();
        let start = || {
            let query = test.metrics.start_database_query(QueryType::Select);
            test.clock.advance(Duration::from_millis(20));
            query
        };
        start().rows(3).success();
        start().error(DatabaseErrorType::Deadlock);
        drop(start());
        std::panic::catch_unwind(|| {
            let _query = start();
            panic!("the guard unwinds");
        })
        .unwrap_err();
        test.metrics.track_database_query(
            QueryType::Select,
            Duration::from_secs(1),
            QueryStatus::Success,
        );
        test.assert_series(&[
            (r#"database_queries_total{query_type="select",status="success"}"#, 2.0),
            (r#"database_queries_total{query_type="select",status="error"}"#, 2.0),
            (r#"database_queries_total{query_type="select",status="cancelled"}"#, 1.0),
            (r#"database_query_duration_seconds_count{query_type="select"}"#, 5.0),
            (r#"database_query_duration_seconds_sum{query_type="select"}"#, 1.08),
            (r#"database_rows_returned_sum{query_type="select"}"#, 3.0),
            (r#"database_errors_total{error_type="deadlock"}"#, 1.0),
            (r#"database_slow_queries_total{query_type="select"}"#, 1.0),
        ]);
    }

    #[test]
    fn a_wait_for_a_connection_is_pending_until_it_ends() {
        let test = Fixture::new();
        let waits: Vec<_> = (0..4).map(|_| test.metrics.start_database_acquire()).collect();
        test.assert_series(&[("database_pool_pending_acquires", 4.0)]);
        test.clock.advance(Duration::from_millis(500));
        let mut waits = waits.into_iter();
        waits.next().unwrap().success();
        waits.next().unwrap().timeout();
        waits.next().unwrap().error();
        drop(waits);
        test.assert_series(&[
            ("database_pool_pending_acquires", 0.0),
            (r#"database_pool_acquires_total{status="success"}"#, 1.0),
            (r#"database_pool_acquires_total{status="timeout"}"#, 1.0),
            (r#"database_pool_acquires_total{status="error"}"#, 1.0),
            (r#"database_pool_acquires_total{status="cancelled"}"#, 1.0),
            ("database_pool_acquire_timeouts_total", 1.0),
            ("database_pool_acquire_duration_seconds_sum", 2.0),
        ]);
    }

    #[test]
    fn a_transaction_that_is_dropped_is_rolled_back() {
        let test = Fixture::new();
        test.metrics.start_database_transaction("place_order").commit();
        test.metrics.start_database_transaction("place_order").rollback();
        drop(test.metrics.start_database_transaction("place_order"));
        test.assert_series(&[
            (r#"database_transactions_total{operation="place_order",outcome="committed"}"#, 1.0),
            (r#"database_transactions_total{operation="place_order",outcome="rolled_back"}"#, 2.0),
            (r#"database_transaction_duration_seconds_count{operation="place_order"}"#, 3.0),
        ]);
    }

    #[test]
    fn with_a_pool_that_panics_there_is_no_sum_and_it_is_counted() {
        let test = Fixture::new();
        let panics = || panic!("a pool panics, as the test wants");
        test.metrics.add_database_pool_source("panics", panics);
        let stats = PoolStats { active: 3, idle: 1, max: 20 };
        test.metrics.add_database_pool_source("works", move || Some(stats));
        for scrape in [1.0, 2.0] {
            let panics = test.series(
                r#"application_errors_total{error_type="collector_panic",severity="error"}"#,
            );
            assert_eq!(panics, Some(scrape));
        }
        test.assert_series(&[(
            r#"metrics_callback_failures_total{callback="database_pool:panics",reason="panic"}"#,
            3.0,
        )]);
        assert!(!test.metrics.to_text().contains("\ndatabase_pool_connections{"));
    }

    #[test]
    fn a_pool_that_is_replaced_or_removed_is_dropped_and_its_panic_costs_nothing() {
        struct Tells(Sender<()>, PanicsAgain);
        impl Drop for Tells {
            fn drop(&mut self) {
                self.0.send(()).unwrap();
            }
        }
        let test = Fixture::new();
        let (sender, dropped) = channel();
        for active in 1..3 {
            let tells = Tells(sender.clone(), PanicsAgain);
            test.metrics.add_database_pool_source("orders", move || {
                _ = &tells;
                Some(PoolStats { active, idle: 1, max: 20 })
            });
            let active = f64::from(active);
            test.assert_series(&[(r#"database_pool_connections{state="active"}"#, active)]);
        }
        assert_eq!(dropped.iter().take(1).count(), 1);
        assert!(test.metrics.remove_database_pool_source("orders"));
        assert_eq!(dropped.iter().take(1).count(), 1);
        assert!(!test.metrics.remove_database_pool_source("orders"));
        test.assert_series(&[(r#"database_pool_connections{state="active"}"#, 0.0)]);
    }

    #[test]
    fn pools_are_read_at_scrape_and_added_up() {
        let test = Fixture::new();
        for (name, active) in [("one", 3), ("other", 4)] {
            let stats = PoolStats { active, idle: 1, max: 20 };
            test.metrics.add_database_pool_source(name, move || Some(stats));
        }
        test.assert_series(&[
            (r#"database_pool_connections{state="active"}"#, 7.0),
            (r#"database_pool_connections{state="idle"}"#, 2.0),
            (r#"database_pool_connections{state="total"}"#, 40.0),
        ]);
    }
}
