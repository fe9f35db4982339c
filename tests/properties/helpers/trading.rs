//! The helpers around prices: analytics, the ticker service, market data, WebSockets.

use std::time::Duration;

use backend_metrics::{
    WebsocketConnection,
    labels::{
        CalendarStatus, CircuitBreakerState, FoQueryStatus, FoQueryType, GreeksStatus,
        IndicatorStatus, IndicatorType, MarketDataType, MessageDirection, MessageDropReason,
        SubscriptionType, TickerErrorType, TickerOperation, TickerRequestStatus,
    },
};

use super::helpers;

helpers! { for m:
    fn track_fo_query(query: FoQueryType, took: Duration, status: FoQueryStatus) {
        m.count("fo_queries_total", &[query.as_str(), status.as_str()], 1);
        m.observe("fo_query_duration_seconds", &[query.as_str()], took);
    }

    fn track_fo_query_rows(query: FoQueryType, rows: u64) {
        m.observe("fo_query_rows", &[query.as_str()], rows);
    }

    fn track_greeks_calculation(took: Duration, status: GreeksStatus) {
        m.count("fo_greeks_calculations_total", &[status.as_str()], 1);
        m.observe("fo_greeks_calculation_duration_seconds", &[], took);
    }

    fn track_fo_cache_refreshed(instruments: u32) {
        m.count("fo_instrument_cache_refreshes_total", &["success"], 1);
        m.set("fo_instruments_cached", &[], instruments.into());
        m.now("fo_instrument_cache_last_refresh_timestamp_seconds", &[]);
    }

    fn track_fo_cache_refresh_failed() {
        m.count("fo_instrument_cache_refreshes_total", &["error"], 1);
    }

    fn set_fo_instruments_cached(instruments: u32) {
        m.set("fo_instruments_cached", &[], instruments.into());
    }

    fn track_ticker_request(operation: TickerOperation, took: Duration, status: TickerRequestStatus) {
        m.count("ticker_service_requests_total", &[operation.as_str(), status.as_str()], 1);
        m.observe("ticker_service_request_duration_seconds", &[operation.as_str()], took);
    }

    fn track_ticker_error(error: TickerErrorType) {
        m.count("ticker_service_errors_total", &[error.as_str()], 1);
    }

    fn track_ticker_retry(operation: TickerOperation) {
        m.count("ticker_service_retries_total", &[operation.as_str()], 1);
    }

    fn set_circuit_breaker_state(state: CircuitBreakerState) {
        let level = match state.as_str() {
            "closed" => 0.0,
            "open" => 1.0,
            _ => 2.0,
        };
        let before = m.level("ticker_service_circuit_breaker_state");
        m.set("ticker_service_circuit_breaker_state", &[], level);
        if before != Some(level) {
            m.count("ticker_service_circuit_breaker_transitions_total", &[state.as_str()], 1);
        }
    }

    fn track_circuit_breaker_failure() {
        m.count("ticker_service_circuit_breaker_failures_total", &[], 1);
    }

    fn set_ticker_subscriptions(instruments: u32) {
        m.set("ticker_service_subscriptions_active", &[], instruments.into());
    }

    fn track_ticker_subscriptions(change: i32) {
        m.change("ticker_service_subscriptions_active", |active| {
            let active = active + f64::from(change);
            if active < 0.0 { 0.0 } else { active }
        });
    }

    fn track_tick(latency: Duration) {
        m.track_ticks(1, vec![latency]);
    }

    fn track_ticks(ticks: u64, latencies: Vec<Duration>) {
        m.count("ticker_service_ticks_received_total", &[], ticks);
        for latency in latencies {
            m.observe("ticker_service_tick_latency_seconds", &[], latency);
        }
        if ticks > 0 {
            m.now("ticker_service_last_tick_timestamp_seconds", &[]);
        }
    }

    fn track_calendar_request(endpoint: &'static str, took: Duration, status: CalendarStatus) {
        let endpoint = m.open("market_data", "endpoint", endpoint);
        m.calendar_request(&endpoint, took, status);
    }

    fn track_market_data_update(data: MarketDataType, lag: Option<Duration>) {
        m.count("market_data_updates_total", &[data.as_str()], 1);
        m.now("market_data_last_update_timestamp_seconds", &[data.as_str()]);
        if let Some(lag) = lag {
            m.observe("market_data_update_lag_seconds", &[data.as_str()], lag);
        }
    }

    fn track_market_data_gap(data: MarketDataType) {
        m.count("market_data_gaps_total", &[data.as_str()], 1);
    }

    fn track_indicator_calculation(indicator: IndicatorType, took: Duration, status: IndicatorStatus) {
        m.count("indicator_calculations_total", &[indicator.as_str(), status.as_str()], 1);
        m.observe("indicator_calculation_duration_seconds", &[indicator.as_str()], took);
    }

    fn track_indicator_cache(indicator: IndicatorType, hit: bool) {
        m.look_up("indicator_cache_hit_rate", indicator.as_str(), hit);
    }

    fn set_indicator_cache_hit_rate(indicator: IndicatorType, percent: f64) {
        m.give("indicator_cache_hit_rate", indicator.as_str(), percent);
    }

    fn track_websocket_connection(endpoint: &'static str, connection: WebsocketConnection) {
        let endpoint = m.open("websocket", "endpoint", endpoint);
        if connection == WebsocketConnection::Connected {
            m.websocket_accepted(&endpoint);
        } else {
            m.step("websocket_connections_active", &[&endpoint], -1);
        }
    }

    fn track_websocket_connection_duration(endpoint: &'static str, took: Duration) {
        let endpoint = m.open("websocket", "endpoint", endpoint);
        m.observe("websocket_connection_duration_seconds", &[&endpoint], took);
    }

    fn track_websocket_handshake(endpoint: &'static str, took: Duration) {
        let endpoint = m.open("websocket", "endpoint", endpoint);
        m.observe("websocket_handshake_duration_seconds", &[&endpoint], took);
    }

    fn track_websocket_rejection(endpoint: &'static str) {
        let endpoint = m.open("websocket", "endpoint", endpoint);
        m.count("websocket_connections_total", &[&endpoint, "rejected"], 1);
    }

    fn track_websocket_message(endpoint: &'static str, of: &'static str, direction: MessageDirection, bytes: u64) {
        let endpoint = m.open("websocket", "endpoint", endpoint);
        m.websocket_message(&endpoint, of, direction, bytes);
    }

    fn track_websocket_message_latency(endpoint: &'static str, latency: Duration) {
        let endpoint = m.open("websocket", "endpoint", endpoint);
        m.observe("websocket_message_latency_seconds", &[&endpoint], latency);
    }

    fn track_websocket_message_drop(endpoint: &'static str, reason: MessageDropReason) {
        let endpoint = m.open("websocket", "endpoint", endpoint);
        m.count("websocket_messages_dropped_total", &[&endpoint, reason.as_str()], 1);
    }

    fn track_websocket_error(endpoint: &'static str, error: &'static str) {
        let endpoint = m.open("websocket", "endpoint", endpoint);
        m.websocket_error(&endpoint, error);
    }

    fn track_websocket_subscriptions(endpoint: &'static str, to: SubscriptionType, change: i64) {
        let endpoint = m.open("websocket", "endpoint", endpoint);
        m.step("websocket_subscriptions_active", &[&endpoint, to.as_str()], change);
    }

    fn track_websocket_queue(endpoint: &'static str, change: i64) {
        let endpoint = m.open("websocket", "endpoint", endpoint);
        m.step("websocket_send_queue_depth", &[&endpoint], change);
    }
}

impl crate::model::Model {
    /// A request to the calendar whose label is known.
    pub(crate) fn calendar_request(
        &mut self,
        endpoint: &str,
        took: Duration,
        status: CalendarStatus,
    ) {
        self.count("calendar_requests_total", &[endpoint, status.as_str()], 1);
        self.observe("calendar_request_duration_seconds", &[endpoint], took);
    }

    /// A connection of an endpoint whose label is known.
    pub(crate) fn websocket_accepted(&mut self, endpoint: &str) {
        self.count("websocket_connections_total", &[endpoint, "accepted"], 1);
        self.step("websocket_connections_active", &[endpoint], 1);
    }

    /// A message of an endpoint whose label is known.
    pub(crate) fn websocket_message(
        &mut self,
        endpoint: &str,
        of: &str,
        direction: MessageDirection,
        bytes: u64,
    ) {
        let [from, of] = self.open_all("websocket", ["endpoint", "message_type"], [endpoint, of]);
        let family = match direction {
            MessageDirection::Sent => "websocket_messages_sent_total",
            _ => "websocket_messages_received_total",
        };
        self.count(family, &[&from, &of], 1);
        self.observe("websocket_message_size_bytes", &[endpoint, direction.as_str()], bytes);
    }

    /// An error of an endpoint whose label is known.
    pub(crate) fn websocket_error(&mut self, endpoint: &str, error: &str) {
        let labels = self.open_all("websocket", ["endpoint", "error_type"], [endpoint, error]);
        self.count("websocket_errors_total", &[&labels[0], &labels[1]], 1);
    }
}
