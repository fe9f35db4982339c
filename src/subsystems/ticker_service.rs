//! Requests to the ticker service and the ticks it sends.
//!
//! | family | labels | recorded by |
//! | --- | --- | --- |
//! | `ticker_service_requests_total`, `ticker_service_request_duration_seconds` | `operation`; `status` | [`Metrics::start_ticker_request`], [`Metrics::track_ticker_request`] |
//! | `ticker_service_errors_total` | `error_type` | [`TickerRequestGuard::error`], [`Metrics::track_ticker_error`] |
//! | `ticker_service_retries_total` | `operation` | [`Metrics::track_ticker_retry`] |
//! | `ticker_service_circuit_breaker_state`, `ticker_service_circuit_breaker_transitions_total` | `state` | [`Metrics::set_circuit_breaker_state`] |
//! | `ticker_service_circuit_breaker_failures_total` | | [`Metrics::track_circuit_breaker_failure`] |
//! | `ticker_service_subscriptions_active` | | [`Metrics::set_ticker_subscriptions`], [`Metrics::track_ticker_subscriptions`] |
//! | `ticker_service_ticks_received_total`, `ticker_service_tick_latency_seconds`, `ticker_service_last_tick_timestamp_seconds` | | [`Metrics::track_tick`], [`Metrics::track_ticks`] |
//!
//! ```
//! use backend_metrics::{
//!     Metrics,
//!     labels::{TickerErrorType, TickerOperation},
//! };
//!
//! fn subscribe(metrics: Metrics, tokens: &[u32]) -> Result<(), std::io::Error> {
//!     let request = metrics.start_ticker_request(TickerOperation::Subscribe);
//!     let result = Ok(()); // the request; a cancelled future is recorded too
//!     request.finish(&result, |error: &std::io::Error| match error.kind() {
//!         std::io::ErrorKind::TimedOut => TickerErrorType::Timeout,
//!         _ => TickerErrorType::Connection,
//!     });
//!     metrics.set_ticker_subscriptions(tokens.len().try_into().unwrap_or(u32::MAX));
//!     result
//! }
//!
//! let metrics = Metrics::new();
//! subscribe(metrics, &[256_265, 260_105])?;
//! let text = metrics.to_text();
//! assert!(text.contains("ticker_service_requests_total{operation=\"subscribe\",status=\"success\"} 1\n"));
//! assert!(text.contains("ticker_service_subscriptions_active 2\n"));
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! [`Metrics::start_ticker_request`]: crate::Metrics::start_ticker_request
//! [`Metrics::track_ticker_request`]: crate::Metrics::track_ticker_request
//! [`Metrics::track_ticker_error`]: crate::Metrics::track_ticker_error
//! [`Metrics::track_ticker_retry`]: crate::Metrics::track_ticker_retry
//! [`Metrics::set_circuit_breaker_state`]: crate::Metrics::set_circuit_breaker_state
//! [`Metrics::track_circuit_breaker_failure`]: crate::Metrics::track_circuit_breaker_failure
//! [`Metrics::set_ticker_subscriptions`]: crate::Metrics::set_ticker_subscriptions
//! [`Metrics::track_ticker_subscriptions`]: crate::Metrics::track_ticker_subscriptions
//! [`Metrics::track_tick`]: crate::Metrics::track_tick
//! [`Metrics::track_ticks`]: crate::Metrics::track_ticks

use std::time::Duration;

use crate::{
    Counter, CounterFamily, Gauge, Histogram, HistogramFamily, LateGauge, Stopwatch, buckets,
    guard::dropped,
};

use super::helpers::helpers;

families! {
    /// Requests to the ticker service and the ticks it sends.
    pub struct TickerServiceMetrics = "ticker_service" {
        /// Requests to the ticker service by how they ended
        pub requests: CounterFamily<(TickerOperation, TickerRequestStatus)> =
            "ticker_service_requests_total",

        /// Time from sending a request to the ticker service to its answer
        ///
        /// Failed and cancelled requests are included, and those that an open circuit breaker refused.
        pub request_duration: HistogramFamily<TickerOperation> =
            "ticker_service_request_duration_seconds"
            in &[0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 2.5, 5.0, 10.0],

        /// State of the circuit breaker: 0 closed, 1 open, 2 half-open
        ///
        /// Set by [`Metrics::set_circuit_breaker_state`](crate::Metrics::set_circuit_breaker_state); closed until
        /// then.
        pub circuit_breaker_state: Gauge = "ticker_service_circuit_breaker_state",

        /// Failures that the circuit breaker counted
        pub circuit_breaker_failures: Counter = "ticker_service_circuit_breaker_failures_total",

        /// Errors of the ticker service by kind
        pub errors: CounterFamily<TickerErrorType> = "ticker_service_errors_total",

        /// Changes of the circuit breaker to a state
        pub circuit_breaker_transitions: CounterFamily<CircuitBreakerState> =
            "ticker_service_circuit_breaker_transitions_total",

        /// Requests to the ticker service that were sent again
        pub retries: CounterFamily<TickerOperation> = "ticker_service_retries_total",

        /// Instruments that the ticker service sends ticks of now
        ///
        /// It is set or stepped, see
        /// [`Metrics::set_ticker_subscriptions`](crate::Metrics::set_ticker_subscriptions) and
        /// [`Metrics::track_ticker_subscriptions`](crate::Metrics::track_ticker_subscriptions).
        pub subscriptions_active: Gauge = "ticker_service_subscriptions_active",

        /// Ticks received
        pub ticks_received: Counter = "ticker_service_ticks_received_total",

        /// Time of day when the last tick was received
        ///
        /// Seconds since 1970, by the clock of this process. Absent until the first tick. `time() - max(...)` is
        /// how old the market data is.
        pub last_tick_timestamp: LateGauge = "ticker_service_last_tick_timestamp_seconds",

        /// Time from the stamp of the exchange on a tick to its receipt
        ///
        /// Two clocks are compared, so it is no better than they agree.
        pub tick_latency: Histogram = "ticker_service_tick_latency_seconds" in buckets::QUERY,
    }
}

label_values! {
    /// What a request to the ticker service asks for.
    pub enum TickerOperation = "operation" {
        /// Ticks of more instruments.
        Subscribe = "subscribe",
        /// No more ticks of some instruments.
        Unsubscribe = "unsubscribe",
        /// Whether it is well.
        Health = "health",
        /// Ticks or candles of the past.
        History = "history",
        /// Anything else.
        Other = "other",
    }
}

label_values! {
    /// How a request to the ticker service ended.
    pub enum TickerRequestStatus = "status" {
        /// With an answer.
        Success = "success",
        /// With an error, or its guard was dropped by a panic.
        Error = "error",
        /// Its guard was dropped without an outcome: the caller went away.
        Cancelled = "cancelled",
    }
}

label_values! {
    /// What kind of error a request to the ticker service met.
    pub enum TickerErrorType = "error_type" {
        /// It took longer than allowed.
        Timeout = "timeout",
        /// The connection could not be made or broke.
        Connection = "connection_error",
        /// The circuit breaker was open, and nothing was sent.
        CircuitOpen = "circuit_open",
        /// The answer's status says that the request failed.
        Http = "http_error",
    }
}

label_values! {
    /// What a circuit breaker does with requests.
    pub enum CircuitBreakerState = "state" {
        /// It lets them through. 0 in `ticker_service_circuit_breaker_state`.
        Closed = "closed",
        /// It refuses them. 1 in `ticker_service_circuit_breaker_state`.
        Open = "open",
        /// It lets a few through to see how they fare. 2 in `ticker_service_circuit_breaker_state`.
        HalfOpen = "half_open",
    }
}

impl CircuitBreakerState {
    /// The state as the gauge shows it.
    const fn level(self) -> f64 {
        match self {
            Self::Closed => 0.0,
            Self::Open => 1.0,
            Self::HalfOpen => 2.0,
        }
    }
}

helpers! {
    /// Counts a request to the ticker service that ended and observes how long it took.
    ///
    /// Moves `ticker_service_requests_total` and `ticker_service_request_duration_seconds`.
    /// [`Metrics::start_ticker_request`](crate::Metrics::start_ticker_request) measures the time itself.
    pub fn track_ticker_request(self, operation: TickerOperation, duration: Duration, status: TickerRequestStatus) {
        let requests = self.ticker_service.requests.get((operation, status));
        self.ticker_service.request_duration.get(operation).observe_counted(duration, requests);
    }

    /// Starts a request to the ticker service; the guard records how it ended.
    pub fn start_ticker_request(self, operation: TickerOperation) -> TickerRequestGuard {
        TickerRequestGuard { watch: self.stopwatch(), operation, status: None }
    }

    /// Counts an error in `ticker_service_errors_total`.
    pub fn track_ticker_error(self, error_type: TickerErrorType) {
        self.ticker_service.errors.get(error_type).inc();
    }

    /// Counts a request that is sent again in `ticker_service_retries_total`.
    ///
    /// Once for each attempt after the first.
    pub fn track_ticker_retry(self, operation: TickerOperation) {
        self.ticker_service.retries.get(operation).inc();
    }

    /// Sets the state of the circuit breaker.
    ///
    /// Sets `ticker_service_circuit_breaker_state` and, if the state is another than before, counts it in
    /// `ticker_service_circuit_breaker_transitions_total`. Threads that set the same state at the same time count
    /// one transition. A breaker starts closed.
    pub fn set_circuit_breaker_state(self, state: CircuitBreakerState) {
        let level = state.level();
        let before = self.ticker_service.circuit_breaker_state.update(|_| level);
        if before.to_bits() != level.to_bits() {
            self.ticker_service.circuit_breaker_transitions.get(state).inc();
        }
    }

    /// Counts a failure that brings the circuit breaker closer to opening, in
    /// `ticker_service_circuit_breaker_failures_total`.
    pub fn track_circuit_breaker_failure(self) {
        self.ticker_service.circuit_breaker_failures.inc();
    }

    /// Sets how many instruments the ticker service sends ticks of, in `ticker_service_subscriptions_active`.
    ///
    /// For a client that keeps the set of its subscriptions, and for a connection that was lost, with 0.
    pub fn set_ticker_subscriptions(self, instruments: u32) {
        self.ticker_service.subscriptions_active.set(f64::from(instruments));
    }

    /// Counts subscriptions up, or down where `change` is negative, in `ticker_service_subscriptions_active`.
    ///
    /// From the level that was set last, if one was; never below 0.
    pub fn track_ticker_subscriptions(self, change: i32) {
        let change = f64::from(change);
        self.ticker_service.subscriptions_active.update(|level| (level + change).max(0.0));
    }

    /// Counts a tick and observes how long it was on its way.
    ///
    /// Moves `ticker_service_ticks_received_total` and `ticker_service_tick_latency_seconds` and sets
    /// `ticker_service_last_tick_timestamp_seconds`. An exchange's clock can be ahead of ours: take 0 then, as
    /// `received.duration_since(stamp).unwrap_or_default()` does.
    pub fn track_tick(self, latency: Duration) {
        self.track_ticks(1, [latency]);
    }

    /// Counts ticks that arrived together and observes how long they were on their way.
    ///
    /// `latencies` are those of the ticks: of all, of one that stands for the others, or none where the stamps
    /// are not known. One reading of the clock and one addition serve the whole batch. With no ticks the
    /// timestamp stays.
    ///
    /// ```
    /// # use std::time::{Duration, SystemTime};
    /// # let metrics = backend_metrics::Metrics::new();
    /// # let stamps = [SystemTime::now(), SystemTime::now()];
    /// let received = SystemTime::now();
    /// metrics.track_ticks(2, stamps.iter().map(|stamp| received.duration_since(*stamp).unwrap_or_default()));
    /// ```
    pub fn track_ticks(self, ticks: u64, latencies: impl IntoIterator<Item = Duration>) {
        for latency in latencies {
            self.ticker_service.tick_latency.observe(latency);
        }
        if ticks > 0 {
            self.ticker_service.ticks_received.add(ticks);
            self.ticker_service.last_tick_timestamp.set_time(self.clock().wall());
        }
    }
}

/// A request to the ticker service that is under way. Dropped without an outcome it is `cancelled`, dropped by
/// a panic `error`.
#[derive(Debug)]
#[must_use = "a guard dropped at once records a cancelled request"]
pub struct TickerRequestGuard {
    watch: Stopwatch,
    operation: TickerOperation,
    status: Option<TickerRequestStatus>,
}

impl TickerRequestGuard {
    /// The answer is here.
    pub fn success(mut self) {
        self.status = Some(TickerRequestStatus::Success);
    }

    /// The request failed, which `ticker_service_errors_total` counts as well.
    pub fn error(mut self, error_type: TickerErrorType) {
        self.watch.metrics().track_ticker_error(error_type);
        self.status = Some(TickerRequestStatus::Error);
    }

    /// The request returned `result`; `error_type` says what kind of error it is.
    pub fn finish<T, E>(
        self,
        result: &Result<T, E>,
        error_type: impl FnOnce(&E) -> TickerErrorType,
    ) {
        match result {
            Ok(_) => self.success(),
            Err(error) => self.error(error_type(error)),
        }
    }
}

impl Drop for TickerRequestGuard {
    fn drop(&mut self) {
        let status = self
            .status
            .unwrap_or_else(|| dropped(TickerRequestStatus::Error, TickerRequestStatus::Cancelled));
        let duration = self.watch.elapsed();
        self.watch.metrics().track_ticker_request(self.operation, duration, status);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::Barrier,
        time::{Duration, SystemTime},
    };

    use super::{CircuitBreakerState, TickerErrorType, TickerOperation};
    use crate::testing::Fixture;

    #[test]
    fn a_request_is_counted_and_timed_once_whatever_its_end() {
        let test = Fixture::new();
        let start = || {
            let request = test.metrics.start_ticker_request(TickerOperation::History);
            test.clock.advance(Duration::from_millis(500));
            request
        };
        start().success();
        start().finish(&Ok::<_, ()>(1), |()| TickerErrorType::Http);
        start().error(TickerErrorType::Timeout);
        start().finish(&Err::<(), _>(503), |_| TickerErrorType::Http);
        drop(start());
        std::panic::catch_unwind(|| {
            let _request = start();
            panic!("the guard unwinds");
        })
        .unwrap_err();
        test.metrics.track_ticker_retry(TickerOperation::History);
        let requests = |status| {
            format!(r#"ticker_service_requests_total{{operation="history",status="{status}"}}"#)
        };
        test.assert_series(&[
            (&requests("success"), 2.0),
            (&requests("error"), 3.0),
            (&requests("cancelled"), 1.0),
            (r#"ticker_service_request_duration_seconds_count{operation="history"}"#, 6.0),
            (r#"ticker_service_request_duration_seconds_sum{operation="history"}"#, 3.0),
            (r#"ticker_service_errors_total{error_type="timeout"}"#, 1.0),
            (r#"ticker_service_errors_total{error_type="http_error"}"#, 1.0),
            (r#"ticker_service_errors_total{error_type="circuit_open"}"#, 0.0),
            (r#"ticker_service_retries_total{operation="history"}"#, 1.0),
            (r#"ticker_service_retries_total{operation="subscribe"}"#, 0.0),
        ]);
    }

    #[test]
    fn only_a_change_of_the_circuit_breaker_is_a_transition() {
        let test = Fixture::new();
        let states = |state, open: f64, half_open: f64, closed: f64| {
            let transitions = |state| {
                format!(r#"ticker_service_circuit_breaker_transitions_total{{state="{state}"}}"#)
            };
            test.assert_series(&[
                ("ticker_service_circuit_breaker_state", state),
                (&transitions("open"), open),
                (&transitions("half_open"), half_open),
                (&transitions("closed"), closed),
            ]);
        };
        test.metrics.set_circuit_breaker_state(CircuitBreakerState::Closed);
        states(0.0, 0.0, 0.0, 0.0);
        test.metrics.track_circuit_breaker_failure();
        test.metrics.set_circuit_breaker_state(CircuitBreakerState::Open);
        test.metrics.set_circuit_breaker_state(CircuitBreakerState::Open);
        states(1.0, 1.0, 0.0, 0.0);
        test.metrics.set_circuit_breaker_state(CircuitBreakerState::HalfOpen);
        states(2.0, 1.0, 1.0, 0.0);
        test.metrics.set_circuit_breaker_state(CircuitBreakerState::Closed);
        states(0.0, 1.0, 1.0, 1.0);
        test.assert_series(&[("ticker_service_circuit_breaker_failures_total", 1.0)]);
    }

    #[test]
    fn threads_that_set_the_same_state_count_one_transition() {
        let test = Fixture::new();
        let metrics = test.metrics;
        let barrier = Barrier::new(4);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..250 {
                        for state in [CircuitBreakerState::Open, CircuitBreakerState::Closed] {
                            barrier.wait();
                            metrics.set_circuit_breaker_state(state);
                            barrier.wait();
                        }
                    }
                });
            }
        });
        test.assert_series(&[
            ("ticker_service_circuit_breaker_state", 0.0),
            (r#"ticker_service_circuit_breaker_transitions_total{state="open"}"#, 250.0),
            (r#"ticker_service_circuit_breaker_transitions_total{state="closed"}"#, 250.0),
        ]);
    }

    #[test]
    fn subscriptions_step_from_the_level_that_was_set() {
        let test = Fixture::new();
        test.metrics.track_ticker_subscriptions(3);
        test.assert_series(&[("ticker_service_subscriptions_active", 3.0)]);
        test.metrics.set_ticker_subscriptions(10);
        test.metrics.track_ticker_subscriptions(-4);
        test.assert_series(&[("ticker_service_subscriptions_active", 6.0)]);
        test.metrics.track_ticker_subscriptions(-7);
        test.assert_series(&[("ticker_service_subscriptions_active", 0.0)]);
    }

    #[test]
    fn a_batch_of_ticks_is_counted_at_once() {
        const LAST_TICK: &str = "ticker_service_last_tick_timestamp_seconds";
        let test = Fixture::new();
        test.clock.set_wall(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000));
        test.metrics.track_ticks(0, []);
        assert_eq!(test.series(LAST_TICK), None);
        assert_eq!(test.series("ticker_service_tick_latency_seconds_count"), None);
        test.metrics.track_tick(Duration::from_millis(4));
        test.clock.advance(Duration::from_millis(500));
        test.metrics.track_ticks(3, [2, 3, 7].map(Duration::from_millis));
        test.metrics.track_ticks(40, []);
        test.assert_series(&[
            ("ticker_service_ticks_received_total", 44.0),
            (LAST_TICK, 1_700_000_000.5),
            ("ticker_service_tick_latency_seconds_count", 4.0),
            ("ticker_service_tick_latency_seconds_sum", 0.016),
            (r#"ticker_service_tick_latency_seconds_bucket{le="0.005"}"#, 3.0),
        ]);
        test.clock.advance(Duration::from_secs(5));
        test.metrics.track_ticks(0, []);
        test.assert_series(&[(LAST_TICK, 1_700_000_000.5)]);
    }
}
