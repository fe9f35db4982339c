//! Market data, indicators and the calendar.
//!
//! | family | labels | recorded by |
//! | --- | --- | --- |
//! | `calendar_requests_total`, `calendar_request_duration_seconds` | `endpoint`; `status` | [`Metrics::start_calendar_request`], [`Metrics::track_calendar_request`] |
//! | `market_data_updates_total`, `market_data_update_lag_seconds`, `market_data_last_update_timestamp_seconds` | `data_type` | [`Metrics::track_market_data_update`] |
//! | `market_data_gaps_total` | `data_type` | [`Metrics::track_market_data_gap`] |
//! | `indicator_calculations_total`, `indicator_calculation_duration_seconds` | `indicator_type`; `status` | [`Metrics::start_indicator_calculation`], [`Metrics::track_indicator_calculation`] |
//! | `indicator_cache_hit_rate` | `indicator_type` | [`Metrics::track_indicator_cache`], [`Metrics::set_indicator_cache_hit_rate`] |
//!
//! ```
//! use std::time::Duration;
//!
//! use backend_metrics::{
//!     Metrics,
//!     labels::{IndicatorType, MarketDataType},
//! };
//!
//! let metrics = Metrics::new();
//! metrics.track_market_data_update(MarketDataType::Tick, Some(Duration::from_millis(4)));
//! metrics.track_indicator_cache(IndicatorType::Delta, false);
//! let calculation = metrics.start_indicator_calculation(IndicatorType::Delta);
//! let delta: Result<f64, std::num::ParseFloatError> = "0.52".parse();
//! calculation.finish(&delta);
//! assert!(metrics.to_text().contains("market_data_updates_total{data_type=\"tick\"} 1\n"));
//! ```
//!
//! [`Metrics::start_calendar_request`]: crate::Metrics::start_calendar_request
//! [`Metrics::track_calendar_request`]: crate::Metrics::track_calendar_request
//! [`Metrics::track_market_data_update`]: crate::Metrics::track_market_data_update
//! [`Metrics::track_market_data_gap`]: crate::Metrics::track_market_data_gap
//! [`Metrics::start_indicator_calculation`]: crate::Metrics::start_indicator_calculation
//! [`Metrics::track_indicator_calculation`]: crate::Metrics::track_indicator_calculation
//! [`Metrics::track_indicator_cache`]: crate::Metrics::track_indicator_cache
//! [`Metrics::set_indicator_cache_hit_rate`]: crate::Metrics::set_indicator_cache_hit_rate

use std::time::Duration;

use crate::{
    CounterFamily, Domain, GaugeFamily, HistogramFamily, LabelSet, LateGaugeFamily, Now, Open,
    RatioWindow, Stopwatch, collect::given::Given,
};

use super::helpers::helpers;

families! {
    /// Market data, indicators and the calendar.
    pub struct MarketDataMetrics = "market_data" {
        with {
            /// The endpoints of the calendar.
            pub calendar_endpoints: Domain<CalendarEndpoint>,
            /// The look-ups of indicators in the last five minutes.
            pub indicator_cache: RatioWindow<IndicatorType>,
            /// Hit rates that the service sets itself.
            pub(crate) hit_rates: Given<{ IndicatorType::COUNT }>,
        }

        /// Requests to the market calendar by how they ended
        pub calendar_requests: CounterFamily<(Open<CalendarEndpoint>, CalendarStatus)> =
            "calendar_requests_total",

        /// Updates received from the market
        pub updates: CounterFamily<MarketDataType> = "market_data_updates_total",

        /// Calculations of an indicator by how they ended
        pub indicator_calculations: CounterFamily<(IndicatorType, IndicatorStatus)> =
            "indicator_calculations_total",

        /// Share of indicator look-ups in the last five minutes found in the cache, in percent
        ///
        /// From 0 to 100, and NaN while there was no look-up. Derived from
        /// [`track_indicator_cache`](crate::Metrics::track_indicator_cache) before every scrape, unless
        /// [`set_indicator_cache_hit_rate`](crate::Metrics::set_indicator_cache_hit_rate) was called for
        /// the indicator.
        pub indicator_cache_hit_rate: GaugeFamily<IndicatorType> = "indicator_cache_hit_rate",

        /// Time to answer a request to the market calendar
        ///
        /// Failed requests are included.
        pub calendar_request_duration: HistogramFamily<Open<CalendarEndpoint>> =
            "calendar_request_duration_seconds"
            in &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5],

        /// Time from an event at the exchange to its arrival here
        ///
        /// Needs clocks that agree; updates without a lag are left out.
        pub update_lag: HistogramFamily<MarketDataType> =
            "market_data_update_lag_seconds"
            in &[0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0],

        /// Gaps found in the sequence of updates
        pub gaps: CounterFamily<MarketDataType> = "market_data_gaps_total",

        /// When the last update arrived
        ///
        /// By the clock of this host. `time() - market_data_last_update_timestamp_seconds` is its age.
        pub last_update_timestamp: LateGaugeFamily<MarketDataType> =
            "market_data_last_update_timestamp_seconds",

        /// Time to calculate an indicator
        ///
        /// Failed calculations are included.
        pub indicator_calculation_duration: HistogramFamily<IndicatorType> =
            "indicator_calculation_duration_seconds"
            in &[0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0],
    }
    on_scrape = MarketDataMetrics::set_hit_rates
}

label_values! {
    /// How a request to the calendar ended.
    pub enum CalendarStatus = "status" {
        /// It was answered.
        Success = "success",
        /// It failed, or its guard was dropped without an outcome.
        Error = "error",
    }
}

label_values! {
    /// What an update brings.
    pub enum MarketDataType = "data_type" {
        /// A trade or a quote.
        Tick = "tick",
        /// A bar: open, high, low and close.
        Ohlc = "ohlc",
        /// The order book.
        MarketDepth = "market_depth",
    }
}

label_values! {
    /// What is calculated.
    pub enum IndicatorType = "indicator_type" {
        /// The implied volatility.
        Iv = "iv",
        /// The change of the price with the underlying.
        Delta = "delta",
        /// The change of delta with the underlying.
        Gamma = "gamma",
        /// The change of the price with time.
        Theta = "theta",
        /// The change of the price with the volatility.
        Vega = "vega",
        /// The open interest.
        Oi = "oi",
    }
}

label_values! {
    /// How a calculation of an indicator ended.
    pub enum IndicatorStatus = "status" {
        /// With a value.
        Success = "success",
        /// Without a value, or its guard was dropped without an outcome.
        Error = "error",
    }
}

open_labels! {
    /// An endpoint of the calendar: a route template such as `/calendar/holidays`, never a raw path.
    pub struct CalendarEndpoint(endpoint);
}

impl MarketDataMetrics {
    fn set_hit_rates(&self, now: &Now) {
        for indicator in IndicatorType::ALL.iter().copied() {
            let percent = self
                .hit_rates
                .get(indicator.index())
                .unwrap_or_else(|| self.indicator_cache.percent(indicator, now.uptime));
            self.indicator_cache_hit_rate.get(indicator).set(percent);
        }
    }

    fn record_calendar_request(
        &self,
        endpoint: Open<CalendarEndpoint>,
        duration: Duration,
        status: CalendarStatus,
    ) {
        let requests = self.calendar_requests.get((endpoint, status));
        self.calendar_request_duration.get(endpoint).observe_counted(duration, requests);
    }
}

helpers! {
    /// Counts a request to the calendar that ended and observes how long it took.
    ///
    /// Moves `calendar_requests_total` and `calendar_request_duration_seconds`.
    /// [`Metrics::start_calendar_request`](crate::Metrics::start_calendar_request) measures the time itself.
    pub fn track_calendar_request(self, endpoint: &str, duration: Duration, status: CalendarStatus) {
        let endpoint = self.market_data.calendar_endpoints.get(endpoint);
        self.market_data.record_calendar_request(endpoint, duration, status);
    }

    /// Starts a request to the calendar; the guard records how it ended.
    ///
    /// `endpoint` is a route template, such as `/calendar/holidays`.
    pub fn start_calendar_request(self, endpoint: &str) -> CalendarRequestGuard {
        CalendarRequestGuard {
            watch: self.stopwatch(),
            endpoint: self.market_data.calendar_endpoints.get(endpoint),
            status: CalendarStatus::Error,
        }
    }

    /// Counts an update from the market in `market_data_updates_total` and notes its time in
    /// `market_data_last_update_timestamp_seconds`.
    ///
    /// `lag` is the time since the event at the exchange; it goes into `market_data_update_lag_seconds`.
    /// It is `None` where the exchange sends no time.
    pub fn track_market_data_update(self, data_type: MarketDataType, lag: Option<Duration>) {
        self.market_data.updates.get(data_type).inc();
        self.market_data.last_update_timestamp.get(data_type).set_time(self.clock().wall());
        if let Some(lag) = lag {
            self.market_data.update_lag.get(data_type).observe(lag);
        }
    }

    /// Counts a gap in the sequence of updates in `market_data_gaps_total`, however many are missing in it.
    pub fn track_market_data_gap(self, data_type: MarketDataType) {
        self.market_data.gaps.get(data_type).inc();
    }

    /// Counts a calculation of an indicator that ended and observes how long it took.
    ///
    /// Moves `indicator_calculations_total` and `indicator_calculation_duration_seconds`.
    /// [`Metrics::start_indicator_calculation`](crate::Metrics::start_indicator_calculation) measures the
    /// time itself.
    pub fn track_indicator_calculation(self, indicator: IndicatorType, duration: Duration, status: IndicatorStatus) {
        let calculations = self.market_data.indicator_calculations.get((indicator, status));
        self.market_data.indicator_calculation_duration.get(indicator).observe_counted(duration, calculations);
    }

    /// Starts a calculation of an indicator; the guard records how it ended.
    pub fn start_indicator_calculation(self, indicator: IndicatorType) -> IndicatorCalculationGuard {
        IndicatorCalculationGuard { watch: self.stopwatch(), indicator, status: IndicatorStatus::Error }
    }

    /// Notes that an indicator was looked up in the cache, and whether it was there.
    ///
    /// `indicator_cache_hit_rate` is derived from the look-ups of the last five minutes.
    pub fn track_indicator_cache(self, indicator: IndicatorType, hit: bool) {
        self.market_data.indicator_cache.record(indicator, hit, self.uptime());
    }

    /// Sets `indicator_cache_hit_rate`, in percent from 0 to 100. From then on it is not derived for this
    /// indicator.
    pub fn set_indicator_cache_hit_rate(self, indicator: IndicatorType, percent: f64) {
        self.market_data.hit_rates.set(indicator.index(), percent);
    }
}

/// A request to the calendar that is under way. Dropped without an outcome it is an `error`.
#[derive(Debug)]
#[must_use = "a guard dropped at once records a failed request"]
pub struct CalendarRequestGuard {
    watch: Stopwatch,
    endpoint: Open<CalendarEndpoint>,
    status: CalendarStatus,
}

impl CalendarRequestGuard {
    /// The request was answered.
    pub fn success(mut self) {
        self.status = CalendarStatus::Success;
    }

    /// The request failed.
    pub fn error(self) {}

    /// The request came to `result`.
    pub fn finish<T, E>(self, result: &Result<T, E>) {
        match result {
            Ok(_) => self.success(),
            Err(_) => self.error(),
        }
    }
}

impl Drop for CalendarRequestGuard {
    fn drop(&mut self) {
        self.watch.metrics().market_data.record_calendar_request(
            self.endpoint,
            self.watch.elapsed(),
            self.status,
        );
    }
}

/// A calculation of an indicator that is under way. Dropped without an outcome it is an `error`.
#[derive(Debug)]
#[must_use = "a guard dropped at once records a failed calculation"]
pub struct IndicatorCalculationGuard {
    watch: Stopwatch,
    indicator: IndicatorType,
    status: IndicatorStatus,
}

impl IndicatorCalculationGuard {
    /// The calculation gave a value.
    pub fn success(mut self) {
        self.status = IndicatorStatus::Success;
    }

    /// The calculation gave no value.
    pub fn error(self) {}

    /// The calculation came to `result`.
    pub fn finish<T, E>(self, result: &Result<T, E>) {
        match result {
            Ok(_) => self.success(),
            Err(_) => self.error(),
        }
    }
}

impl Drop for IndicatorCalculationGuard {
    fn drop(&mut self) {
        self.watch.metrics().track_indicator_calculation(
            self.indicator,
            self.watch.elapsed(),
            self.status,
        );
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::{CalendarStatus, IndicatorStatus, IndicatorType, MarketDataType};
    use crate::testing::Fixture;

    #[test]
    fn a_calendar_request_is_counted_and_timed_whatever_its_end() {
        let test = Fixture::new();
        let start = || {
            let request = test.metrics.start_calendar_request("/calendar/holidays");
            test.clock.advance(Duration::from_millis(20));
            request
        };
        start().success();
        start().finish(&Ok::<(), ()>(()));
        start().error();
        start().finish(&Err::<(), ()>(()));
        drop(start());
        test.metrics.track_calendar_request(
            "/calendar/holidays",
            Duration::from_secs(1),
            CalendarStatus::Success,
        );
        test.assert_series(&[
            (r#"calendar_requests_total{endpoint="/calendar/holidays",status="success"}"#, 3.0),
            (r#"calendar_requests_total{endpoint="/calendar/holidays",status="error"}"#, 3.0),
            (r#"calendar_request_duration_seconds_count{endpoint="/calendar/holidays"}"#, 6.0),
            (r#"calendar_request_duration_seconds_sum{endpoint="/calendar/holidays"}"#, 1.1),
        ]);
    }

    #[test]
    fn an_update_has_a_time_and_may_have_a_lag() {
        const TIME: &str = r#"market_data_last_update_timestamp_seconds{data_type="tick"}"#;
        let test = Fixture::new();
        assert_eq!(test.series(TIME), None);
        test.clock.set_wall(UNIX_EPOCH + Duration::from_millis(1_700_000_000_250));
        test.metrics.track_market_data_update(MarketDataType::Tick, None);
        test.assert_series(&[(TIME, 1_700_000_000.25)]);
        assert_eq!(test.series(r#"market_data_update_lag_seconds_count{data_type="tick"}"#), None);
        test.clock.advance(Duration::from_secs(1));
        test.metrics.track_market_data_update(MarketDataType::Tick, Some(Duration::from_millis(3)));
        test.metrics.track_market_data_gap(MarketDataType::Tick);
        test.assert_series(&[
            (TIME, 1_700_000_001.25),
            (r#"market_data_updates_total{data_type="tick"}"#, 2.0),
            (r#"market_data_updates_total{data_type="ohlc"}"#, 0.0),
            (r#"market_data_update_lag_seconds_sum{data_type="tick"}"#, 0.003),
            (r#"market_data_gaps_total{data_type="tick"}"#, 1.0),
            (r#"market_data_gaps_total{data_type="market_depth"}"#, 0.0),
        ]);
    }

    #[test]
    fn a_calculation_that_is_dropped_is_an_error() {
        let test = Fixture::new();
        test.metrics.start_indicator_calculation(IndicatorType::Iv).success();
        test.metrics.start_indicator_calculation(IndicatorType::Iv).finish(&Ok::<(), ()>(()));
        test.metrics.start_indicator_calculation(IndicatorType::Iv).error();
        let calculation = test.metrics.start_indicator_calculation(IndicatorType::Iv);
        test.clock.advance(Duration::from_millis(2));
        drop(calculation);
        test.metrics.track_indicator_calculation(
            IndicatorType::Oi,
            Duration::from_millis(5),
            IndicatorStatus::Success,
        );
        test.assert_series(&[
            (r#"indicator_calculations_total{indicator_type="iv",status="success"}"#, 2.0),
            (r#"indicator_calculations_total{indicator_type="iv",status="error"}"#, 2.0),
            (r#"indicator_calculations_total{indicator_type="oi",status="success"}"#, 1.0),
            (r#"indicator_calculation_duration_seconds_sum{indicator_type="iv"}"#, 0.002),
            (r#"indicator_calculation_duration_seconds_count{indicator_type="iv"}"#, 4.0),
        ]);
    }

    #[test]
    fn a_hit_rate_is_derived_until_it_is_set() {
        const DELTA: &str = r#"indicator_cache_hit_rate{indicator_type="delta"}"#;
        let test = Fixture::new();
        assert!(test.series(DELTA).unwrap().is_nan());
        for hit in [true, true, true, false] {
            test.metrics.track_indicator_cache(IndicatorType::Delta, hit);
        }
        test.assert_series(&[(DELTA, 75.0)]);
        assert!(
            test.series(r#"indicator_cache_hit_rate{indicator_type="gamma"}"#).unwrap().is_nan()
        );
        test.clock.advance(Duration::from_secs(301));
        assert!(test.series(DELTA).unwrap().is_nan());
        test.metrics.set_indicator_cache_hit_rate(IndicatorType::Delta, 40.0);
        test.metrics.track_indicator_cache(IndicatorType::Delta, true);
        test.metrics.track_indicator_cache(IndicatorType::Gamma, true);
        test.assert_series(&[
            (DELTA, 40.0),
            (r#"indicator_cache_hit_rate{indicator_type="gamma"}"#, 100.0),
        ]);
    }
}
