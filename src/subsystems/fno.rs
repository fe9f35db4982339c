//! Futures and options analytics.
//!
//! | family | labels | recorded by |
//! | --- | --- | --- |
//! | `fo_queries_total`, `fo_query_duration_seconds` | `query_type`; `status` | [`Metrics::start_fo_query`], [`Metrics::track_fo_query`] |
//! | `fo_query_rows` | `query_type` | [`FoQueryGuard::rows`], [`Metrics::track_fo_query_rows`] |
//! | `fo_greeks_calculations_total`, `fo_greeks_calculation_duration_seconds` | `status` | [`Metrics::track_greeks_calculation`] |
//! | `fo_instrument_cache_refreshes_total`, `fo_instrument_cache_last_refresh_timestamp_seconds` | `status` | [`Metrics::track_fo_cache_refreshed`], [`Metrics::track_fo_cache_refresh_failed`] |
//! | `fo_instruments_cached` | | [`Metrics::track_fo_cache_refreshed`], [`Metrics::set_fo_instruments_cached`] |
//!
//! ```
//! use backend_metrics::{Metrics, labels::FoQueryType};
//!
//! fn option_chain(metrics: Metrics) -> Result<Vec<u32>, std::io::Error> {
//!     let query = metrics.start_fo_query(FoQueryType::OptionChain);
//!     let strikes = vec![21_900, 22_000, 22_100]; // an early return is recorded too
//!     query.rows(3).success();
//!     Ok(strikes)
//! }
//!
//! let metrics = Metrics::new();
//! option_chain(metrics)?;
//! metrics.track_fo_cache_refreshed(48_210);
//! let text = metrics.to_text();
//! assert!(text.contains("fo_queries_total{query_type=\"option_chain\",status=\"success\"} 1\n"));
//! assert!(text.contains("fo_instruments_cached 48210\n"));
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! [`Metrics::start_fo_query`]: crate::Metrics::start_fo_query
//! [`Metrics::track_fo_query`]: crate::Metrics::track_fo_query
//! [`Metrics::track_fo_query_rows`]: crate::Metrics::track_fo_query_rows
//! [`Metrics::track_greeks_calculation`]: crate::Metrics::track_greeks_calculation
//! [`Metrics::track_fo_cache_refreshed`]: crate::Metrics::track_fo_cache_refreshed
//! [`Metrics::track_fo_cache_refresh_failed`]: crate::Metrics::track_fo_cache_refresh_failed
//! [`Metrics::set_fo_instruments_cached`]: crate::Metrics::set_fo_instruments_cached

use std::time::Duration;

use crate::{
    CounterFamily, Gauge, Histogram, HistogramFamily, LateGauge, Stopwatch, guard::dropped,
};

use super::helpers::helpers;

families! {
    /// Futures and options analytics.
    pub struct FnoMetrics = "fno" {
        /// Queries for futures and options data by how they ended
        pub queries: CounterFamily<(FoQueryType, FoQueryStatus)> = "fo_queries_total",

        /// Time of a query for futures and options data
        ///
        /// Failed and cancelled queries are included.
        pub query_duration: HistogramFamily<FoQueryType> =
            "fo_query_duration_seconds"
            in &[0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0],

        /// Instruments in the instrument cache
        ///
        /// Shared: the replicas cache the same instruments, so take the maximum.
        pub instruments_cached: Gauge = "fo_instruments_cached" [shared],

        /// Calculations of greeks by how they ended
        pub greeks_calculations: CounterFamily<GreeksStatus> = "fo_greeks_calculations_total",

        /// Time of a calculation of greeks
        ///
        /// Failed calculations are included.
        pub greeks_calculation_duration: Histogram =
            "fo_greeks_calculation_duration_seconds"
            in &[0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0],

        /// Refreshes of the instrument cache by how they ended
        pub instrument_cache_refreshes: CounterFamily<FoCacheRefreshStatus> =
            "fo_instrument_cache_refreshes_total",

        /// Time of day when the instrument cache was last refreshed
        ///
        /// Seconds since 1970. A refresh that fails does not move it. Absent until the first success.
        pub instrument_cache_last_refresh_timestamp: LateGauge =
            "fo_instrument_cache_last_refresh_timestamp_seconds",

        /// Rows that a query for futures and options data returned
        pub query_rows: HistogramFamily<FoQueryType, u64> =
            "fo_query_rows" in &[1.0, 10.0, 100.0, 1_000.0, 10_000.0, 100_000.0],
    }
}

label_values! {
    /// What a query for futures and options data asks for.
    pub enum FoQueryType = "query_type" {
        /// How contracts or volume are spread over the strikes.
        StrikeDistribution = "strike_distribution",
        /// Open interest and its change.
        OiAnalysis = "oi_analysis",
        /// A series over time by moneyness.
        MoneynessSeries = "moneyness_series",
        /// All strikes of an expiry.
        OptionChain = "option_chain",
        /// Anything else.
        Other = "other",
    }
}

label_values! {
    /// How a query for futures and options data ended.
    pub enum FoQueryStatus = "status" {
        /// It returned.
        Success = "success",
        /// It returned an error, or its guard was dropped by a panic.
        Error = "error",
        /// Its guard was dropped without an outcome: the caller went away.
        Cancelled = "cancelled",
    }
}

label_values! {
    /// How a calculation of greeks ended.
    pub enum GreeksStatus = "status" {
        /// It gave the greeks.
        Success = "success",
        /// It found none: an input was missing, or the volatility did not converge.
        Error = "error",
    }
}

label_values! {
    /// How a refresh of the instrument cache ended.
    pub enum FoCacheRefreshStatus = "status" {
        /// The cache holds the new instruments.
        Success = "success",
        /// The cache stays as it was.
        Error = "error",
    }
}

helpers! {
    /// Counts a query for futures and options data that ended and observes how long it took.
    ///
    /// Moves `fo_queries_total` and `fo_query_duration_seconds`.
    /// [`Metrics::start_fo_query`](crate::Metrics::start_fo_query) measures the time itself.
    pub fn track_fo_query(self, query_type: FoQueryType, duration: Duration, status: FoQueryStatus) {
        let queries = self.fno.queries.get((query_type, status));
        self.fno.query_duration.get(query_type).observe_counted(duration, queries);
    }

    /// Observes how many rows a query returned, in `fo_query_rows`.
    pub fn track_fo_query_rows(self, query_type: FoQueryType, rows: u64) {
        self.fno.query_rows.get(query_type).observe(rows);
    }

    /// Starts a query for futures and options data; the guard records how it ended.
    pub fn start_fo_query(self, query_type: FoQueryType) -> FoQueryGuard {
        FoQueryGuard { watch: self.stopwatch(), query_type, status: None, rows: None }
    }

    /// Counts a calculation of the greeks of one contract and observes how long it took.
    ///
    /// Moves `fo_greeks_calculations_total` and `fo_greeks_calculation_duration_seconds`.
    pub fn track_greeks_calculation(self, duration: Duration, status: GreeksStatus) {
        let calculations = self.fno.greeks_calculations.get(status);
        self.fno.greeks_calculation_duration.observe_counted(duration, calculations);
    }

    /// Counts a refresh of the instrument cache that succeeded and left `instruments` in it.
    ///
    /// Moves `fo_instrument_cache_refreshes_total` and sets `fo_instruments_cached` and
    /// `fo_instrument_cache_last_refresh_timestamp_seconds`.
    pub fn track_fo_cache_refreshed(self, instruments: u32) {
        self.fno.instrument_cache_refreshes.get(FoCacheRefreshStatus::Success).inc();
        self.fno.instruments_cached.set(f64::from(instruments));
        self.fno.instrument_cache_last_refresh_timestamp.set_time(self.clock().wall());
    }

    /// Counts a refresh of the instrument cache that failed, in `fo_instrument_cache_refreshes_total`.
    pub fn track_fo_cache_refresh_failed(self) {
        self.fno.instrument_cache_refreshes.get(FoCacheRefreshStatus::Error).inc();
    }

    /// Sets `fo_instruments_cached`, for a cache that also changes between refreshes.
    pub fn set_fo_instruments_cached(self, instruments: u32) {
        self.fno.instruments_cached.set(f64::from(instruments));
    }
}

/// A query for futures and options data that is under way. Dropped without an outcome it is `cancelled`,
/// dropped by a panic `error`.
#[derive(Debug)]
#[must_use = "a guard dropped at once records a cancelled query"]
pub struct FoQueryGuard {
    watch: Stopwatch,
    query_type: FoQueryType,
    status: Option<FoQueryStatus>,
    rows: Option<u64>,
}

impl FoQueryGuard {
    /// Notes how many rows the query returned.
    pub fn rows(mut self, rows: u64) -> Self {
        self.rows = Some(rows);
        self
    }

    /// The query returned.
    pub fn success(mut self) {
        self.status = Some(FoQueryStatus::Success);
    }

    /// The query failed.
    pub fn error(mut self) {
        self.status = Some(FoQueryStatus::Error);
    }

    /// The query returned `result`.
    pub fn finish<T, E>(self, result: &Result<T, E>) {
        match result {
            Ok(_) => self.success(),
            Err(_) => self.error(),
        }
    }
}

impl Drop for FoQueryGuard {
    fn drop(&mut self) {
        let metrics = self.watch.metrics();
        let status =
            self.status.unwrap_or_else(|| dropped(FoQueryStatus::Error, FoQueryStatus::Cancelled));
        metrics.track_fo_query(self.query_type, self.watch.elapsed(), status);
        if let Some(rows) = self.rows {
            metrics.track_fo_query_rows(self.query_type, rows);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::{FoQueryType, GreeksStatus};
    use crate::testing::Fixture;

    #[test]
    fn a_query_is_counted_and_timed_once_whatever_its_end() {
        let test = Fixture::new();
        let start = || {
            let query = test.metrics.start_fo_query(FoQueryType::OptionChain);
            test.clock.advance(Duration::from_millis(200));
            query
        };
        start().rows(120).success();
        start().rows(5).finish(&Ok::<_, ()>(1));
        start().error();
        start().finish(&Err::<(), _>(1));
        drop(start());
        std::panic::catch_unwind(|| {
            let _query = start();
            panic!("the guard unwinds");
        })
        .unwrap_err();
        test.assert_series(&[
            (r#"fo_queries_total{query_type="option_chain",status="success"}"#, 2.0),
            (r#"fo_queries_total{query_type="option_chain",status="error"}"#, 3.0),
            (r#"fo_queries_total{query_type="option_chain",status="cancelled"}"#, 1.0),
            (r#"fo_queries_total{query_type="other",status="success"}"#, 0.0),
            (r#"fo_query_duration_seconds_count{query_type="option_chain"}"#, 6.0),
            (r#"fo_query_duration_seconds_sum{query_type="option_chain"}"#, 1.2),
            (r#"fo_query_rows_count{query_type="option_chain"}"#, 2.0),
            (r#"fo_query_rows_sum{query_type="option_chain"}"#, 125.0),
        ]);
    }

    #[test]
    fn greeks_are_counted_and_timed() {
        let test = Fixture::new();
        test.metrics.track_greeks_calculation(Duration::from_micros(250), GreeksStatus::Success);
        test.metrics.track_greeks_calculation(Duration::from_micros(750), GreeksStatus::Error);
        test.assert_series(&[
            (r#"fo_greeks_calculations_total{status="success"}"#, 1.0),
            (r#"fo_greeks_calculations_total{status="error"}"#, 1.0),
            (r#"fo_greeks_calculation_duration_seconds_bucket{le="0.0005"}"#, 1.0),
            ("fo_greeks_calculation_duration_seconds_count", 2.0),
            ("fo_greeks_calculation_duration_seconds_sum", 0.001),
        ]);
    }

    #[test]
    fn a_refresh_that_fails_leaves_the_cache_as_it_was() {
        const LAST_REFRESH: &str = "fo_instrument_cache_last_refresh_timestamp_seconds";
        let test = Fixture::new();
        test.clock.set_wall(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000));
        test.metrics.track_fo_cache_refresh_failed();
        assert_eq!(test.series(LAST_REFRESH), None);
        test.metrics.track_fo_cache_refreshed(48_210);
        test.clock.advance(Duration::from_hours(1));
        test.metrics.track_fo_cache_refresh_failed();
        test.assert_series(&[
            (r#"fo_instrument_cache_refreshes_total{status="success"}"#, 1.0),
            (r#"fo_instrument_cache_refreshes_total{status="error"}"#, 2.0),
            (LAST_REFRESH, 1_700_000_000.0),
            ("fo_instruments_cached", 48_210.0),
        ]);
        test.metrics.set_fo_instruments_cached(48_300);
        test.assert_series(&[("fo_instruments_cached", 48_300.0), (LAST_REFRESH, 1_700_000_000.0)]);
    }
}
