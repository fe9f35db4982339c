//! WebSocket connections and messages.
//!
//! | family | labels | recorded by |
//! | --- | --- | --- |
//! | `websocket_connections_active` | `endpoint` | [`Metrics::start_websocket_session`], [`Metrics::track_websocket_connection`] |
//! | `websocket_connections_total` | `endpoint`, `status` | as above, [`Metrics::start_websocket_handshake`], [`Metrics::track_websocket_rejection`] |
//! | `websocket_handshake_duration_seconds` | `endpoint` | [`Metrics::start_websocket_handshake`], [`Metrics::track_websocket_handshake`] |
//! | `websocket_connection_duration_seconds` | `endpoint` | [`WebsocketSession`], [`Metrics::track_websocket_connection_duration`] |
//! | `websocket_messages_sent_total`, `websocket_messages_received_total`, `websocket_message_size_bytes` | `endpoint`; `message_type`; `direction` | [`WebsocketSession::sent`], [`WebsocketSession::received`], [`Metrics::track_websocket_message`] |
//! | `websocket_message_latency_seconds` | `endpoint` | [`WebsocketSession::latency`], [`Metrics::track_websocket_message_latency`] |
//! | `websocket_messages_dropped_total` | `endpoint`, `reason` | [`WebsocketSession::dropped`], [`Metrics::track_websocket_message_drop`] |
//! | `websocket_errors_total` | `endpoint`, `error_type` | [`WebsocketSession::error`], [`Metrics::track_websocket_error`] |
//! | `websocket_subscriptions_active` | `endpoint`, `subscription_type` | [`WebsocketSession::subscribe`], [`WebsocketSession::unsubscribe`], [`Metrics::track_websocket_subscriptions`] |
//! | `websocket_send_queue_depth` | `endpoint` | [`WebsocketSession::queued`], [`Metrics::track_websocket_queue`] |
//!
//! A [`WebsocketSession`] does the book-keeping of one connection. Its methods take `&self`, so that the
//! task that reads and the task that writes can share it in an `Arc`. When it is dropped, it takes down
//! what it holds up: the connection, its subscriptions and its queue.
//!
//! ```
//! use backend_metrics::{Metrics, labels::SubscriptionType};
//!
//! let metrics = Metrics::new();
//! let session = metrics.start_websocket_session("/ws/fo/stream");
//! session.received("subscribe", 48);
//! session.subscribe(SubscriptionType::Instruments, 20);
//! session.sent("tick", 310);
//! let text = metrics.to_text();
//! assert!(text.contains("websocket_connections_active{endpoint=\"/ws/fo/stream\"} 1\n"));
//! assert!(text.contains(
//!     "websocket_messages_sent_total{endpoint=\"/ws/fo/stream\",message_type=\"tick\"} 1\n"
//! ));
//! drop(session);
//! assert!(metrics.to_text().contains("websocket_connections_active{endpoint=\"/ws/fo/stream\"} 0\n"));
//! ```

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use crate::{
    CounterFamily, Domain, HistogramFamily, InFlight, LabelSet, Metrics, Open, Stopwatch,
    UpDownGaugeFamily, buckets,
};

use super::helpers::helpers;

families! {
    /// WebSocket connections and messages.
    pub struct WebsocketMetrics = "websocket" {
        with {
            /// The endpoints seen so far.
            pub endpoints: Domain<WebsocketEndpoint>,
            /// The types of messages of each endpoint.
            pub message_types: Domain<WebsocketMessageType>,
            /// The types of errors of each endpoint.
            pub error_types: Domain<WebsocketErrorType>,
        }

        /// Connections that are open now
        pub connections_active: UpDownGaugeFamily<Open<WebsocketEndpoint>> =
            "websocket_connections_active",

        /// Messages sent to clients
        ///
        /// Those that were handed to the connection. What is left out before is in
        /// [`messages_dropped`](Self::messages_dropped).
        pub messages_sent: CounterFamily<Open<WebsocketMessageType>> =
            "websocket_messages_sent_total",

        /// Messages received from clients
        ///
        /// It has the types of [`messages_sent`](Self::messages_sent) as well, at zero: the two share them.
        pub messages_received: CounterFamily<Open<WebsocketMessageType>> =
            "websocket_messages_received_total",

        /// Time that a connection was open
        ///
        /// Observed when it ends, so a connection that is still open is not in it.
        pub connection_duration: HistogramFamily<Open<WebsocketEndpoint>> =
            "websocket_connection_duration_seconds"
            in &[1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0, 1_800.0, 3_600.0, 7_200.0],

        /// Errors of connections by kind
        ///
        /// The objective `ws-errors` in `alerts/slo.yml` leaves out what a client does wrong: `oversized`, and kinds
        /// that begin with `invalid_` or `protocol`.
        pub errors: CounterFamily<Open<WebsocketErrorType>> = "websocket_errors_total",

        /// Subscriptions that clients hold now
        pub subscriptions_active: UpDownGaugeFamily<(Open<WebsocketEndpoint>, SubscriptionType)> =
            "websocket_subscriptions_active",

        /// Connections that clients asked for
        pub connections: CounterFamily<(Open<WebsocketEndpoint>, HandshakeStatus)> =
            "websocket_connections_total",

        /// Time from the request for a connection to its acceptance or rejection
        pub handshake_duration: HistogramFamily<Open<WebsocketEndpoint>> =
            "websocket_handshake_duration_seconds"
            in &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0],

        /// Time from when a message was ready to when it was handed to the connection
        ///
        /// It grows when a client reads slowly or a queue fills up.
        pub message_latency: HistogramFamily<Open<WebsocketEndpoint>> =
            "websocket_message_latency_seconds"
            in &[0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0],

        /// Size of messages, before compression
        pub message_size: HistogramFamily<(Open<WebsocketEndpoint>, MessageDirection), u64> =
            "websocket_message_size_bytes" in buckets::SIZE,

        /// Messages to clients that were given up
        pub messages_dropped: CounterFamily<(Open<WebsocketEndpoint>, MessageDropReason)> =
            "websocket_messages_dropped_total",

        /// Messages that wait to be sent, over all connections
        ///
        /// The sum of what the sessions of the endpoint report with [`WebsocketSession::queued`]; a session
        /// that ends takes its part back.
        pub send_queue_depth: UpDownGaugeFamily<Open<WebsocketEndpoint>> =
            "websocket_send_queue_depth",
    }
}

label_values! {
    /// How a request for a connection ended.
    pub enum HandshakeStatus = "status" {
        /// The connection was opened.
        Accepted = "accepted",
        /// The service refused it, or the client went away before it was open.
        Rejected = "rejected",
    }
}

label_values! {
    /// Which way a message goes.
    pub enum MessageDirection = "direction" {
        /// From the service to the client.
        Sent = "sent",
        /// From the client to the service.
        Received = "received",
    }
}

label_values! {
    /// Why a message was not sent.
    pub enum MessageDropReason = "reason" {
        /// The queue of the connection was full: the client reads too slowly.
        SlowConsumer = "slow_consumer",
        /// The connection was closed before the message was sent.
        Closed = "closed",
        /// The message was larger than the connection allows.
        Oversized = "oversized",
    }
}

label_values! {
    /// What a client is subscribed to.
    pub enum SubscriptionType = "subscription_type" {
        /// Ticks of instruments.
        Instruments = "instruments",
        /// Values of indicators.
        Indicators = "indicators",
        /// Changes of strategies.
        Strategies = "strategies",
    }
}

open_labels! {
    /// The route template of a WebSocket endpoint, such as `/ws/fo/stream`.
    pub struct WebsocketEndpoint(endpoint);
}

open_labels! {
    /// An endpoint and the type of a message, a name out of the protocol such as `tick`.
    pub struct WebsocketMessageType(endpoint, message_type);
}

open_labels! {
    /// An endpoint and the kind of an error, a name out of the code such as `protocol_error`.
    pub struct WebsocketErrorType(endpoint, error_type);
}

/// What happened to a connection, for [`Metrics::track_websocket_connection`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WebsocketConnection {
    /// It was opened.
    Connected,
    /// It ended.
    Disconnected,
}

impl WebsocketMetrics {
    /// Counts a connection that was opened.
    fn accept(&self, endpoint: Open<WebsocketEndpoint>) {
        self.connections.get((endpoint, HandshakeStatus::Accepted)).inc();
    }

    fn message(
        &self,
        endpoint: Open<WebsocketEndpoint>,
        message_type: &str,
        direction: MessageDirection,
        bytes: u64,
    ) {
        let message_type = self.message_types.get((endpoint_value(endpoint), message_type));
        match direction {
            MessageDirection::Sent => self.messages_sent.get(message_type).inc(),
            MessageDirection::Received => self.messages_received.get(message_type).inc(),
        }
        self.message_size.get((endpoint, direction)).observe(bytes);
    }

    fn error(&self, endpoint: Open<WebsocketEndpoint>, error_type: &str) {
        self.errors.get(self.error_types.get((endpoint_value(endpoint), error_type))).inc();
    }
}

/// The endpoint as it is exposed, `other` past the cap: so that all families agree on it.
fn endpoint_value(endpoint: Open<WebsocketEndpoint>) -> &'static str {
    endpoint.entry().values().0
}

helpers! {
    /// Counts a connection that was opened, or takes one that ended off the active ones.
    ///
    /// [`Connected`](WebsocketConnection::Connected) moves `websocket_connections_active` and
    /// `websocket_connections_total{status="accepted"}`; each must be followed by one
    /// [`Disconnected`](WebsocketConnection::Disconnected). [`Metrics::start_websocket_session`] makes sure
    /// of that and does both: use one or the other for a connection.
    pub fn track_websocket_connection(self, endpoint: &str, connection: WebsocketConnection) {
        let endpoint = self.websocket.endpoints.get(endpoint);
        let active = self.websocket.connections_active.get(endpoint);
        match connection {
            WebsocketConnection::Connected => {
                self.websocket.accept(endpoint);
                active.inc();
            }
            WebsocketConnection::Disconnected => active.dec(),
        }
    }

    /// Observes how long a connection was open, in `websocket_connection_duration_seconds`.
    pub fn track_websocket_connection_duration(self, endpoint: &str, duration: Duration) {
        let endpoint = self.websocket.endpoints.get(endpoint);
        self.websocket.connection_duration.get(endpoint).observe(duration);
    }

    /// Starts a connection that was accepted; the session holds it open.
    ///
    /// Moves `websocket_connections_active` and `websocket_connections_total{status="accepted"}`. `endpoint`
    /// is a route template, never a raw path. To measure the handshake as well, begin with
    /// [`Metrics::start_websocket_handshake`].
    pub fn start_websocket_session(self, endpoint: &str) -> WebsocketSession {
        WebsocketSession::new(self, self.websocket.endpoints.get(endpoint))
    }

    /// Starts a handshake, when the request for a connection arrives.
    ///
    /// The guard goes where the connection is opened and is exchanged for its session there.
    ///
    /// ```
    /// # let metrics = backend_metrics::Metrics::new();
    /// let handshake = metrics.start_websocket_handshake("/ws/fo/stream");
    /// let session = handshake.accept();
    /// session.sent("welcome", 20);
    /// ```
    pub fn start_websocket_handshake(self, endpoint: &str) -> WebsocketHandshake {
        WebsocketHandshake {
            endpoint: self.websocket.endpoints.get(endpoint),
            watch: self.stopwatch(),
            accepted: false,
        }
    }

    /// Observes how long a handshake took, in `websocket_handshake_duration_seconds`.
    ///
    /// The connection itself is counted by [`Metrics::start_websocket_session`] or
    /// [`Metrics::track_websocket_rejection`].
    pub fn track_websocket_handshake(self, endpoint: &str, duration: Duration) {
        let endpoint = self.websocket.endpoints.get(endpoint);
        self.websocket.handshake_duration.get(endpoint).observe(duration);
    }

    /// Counts a connection that was refused, in `websocket_connections_total{status="rejected"}`.
    pub fn track_websocket_rejection(self, endpoint: &str) {
        let endpoint = self.websocket.endpoints.get(endpoint);
        self.websocket.connections.get((endpoint, HandshakeStatus::Rejected)).inc();
    }

    /// Counts a message and observes its size.
    ///
    /// Moves `websocket_messages_sent_total` or `websocket_messages_received_total`, and
    /// `websocket_message_size_bytes`. `message_type` is a name out of the protocol, such as `tick`.
    pub fn track_websocket_message(
        self,
        endpoint: &str,
        message_type: &str,
        direction: MessageDirection,
        bytes: u64,
    ) {
        let endpoint = self.websocket.endpoints.get(endpoint);
        self.websocket.message(endpoint, message_type, direction, bytes);
    }

    /// Observes how long a message waited to be sent, in `websocket_message_latency_seconds`.
    pub fn track_websocket_message_latency(self, endpoint: &str, latency: Duration) {
        let endpoint = self.websocket.endpoints.get(endpoint);
        self.websocket.message_latency.get(endpoint).observe(latency);
    }

    /// Counts a message that was not sent, in `websocket_messages_dropped_total`.
    pub fn track_websocket_message_drop(self, endpoint: &str, reason: MessageDropReason) {
        let endpoint = self.websocket.endpoints.get(endpoint);
        self.websocket.messages_dropped.get((endpoint, reason)).inc();
    }

    /// Counts an error of a connection, in `websocket_errors_total`.
    ///
    /// `error_type` is a name out of the code, such as `protocol_error`, never the message of an error.
    pub fn track_websocket_error(self, endpoint: &str, error_type: &str) {
        self.websocket.error(self.websocket.endpoints.get(endpoint), error_type);
    }

    /// Moves `websocket_subscriptions_active` up by `change`, or down where it is negative.
    ///
    /// [`WebsocketSession::subscribe`] takes them back by itself when the connection ends.
    pub fn track_websocket_subscriptions(
        self,
        endpoint: &str,
        subscription_type: SubscriptionType,
        change: i64,
    ) {
        let endpoint = self.websocket.endpoints.get(endpoint);
        self.websocket.subscriptions_active.get((endpoint, subscription_type)).add(change);
    }

    /// Moves `websocket_send_queue_depth` up by `change` messages, or down where it is negative.
    ///
    /// [`WebsocketSession::queued`] works the change out of the depth.
    pub fn track_websocket_queue(self, endpoint: &str, change: i64) {
        let endpoint = self.websocket.endpoints.get(endpoint);
        self.websocket.send_queue_depth.get(endpoint).add(change);
    }
}

/// A handshake that is under way. Dropped, by a panic or otherwise, it is a rejected connection.
#[derive(Debug)]
#[must_use = "a guard dropped at once records a rejected connection"]
pub struct WebsocketHandshake {
    watch: Stopwatch,
    endpoint: Open<WebsocketEndpoint>,
    accepted: bool,
}

impl WebsocketHandshake {
    /// The connection is open; the session holds it.
    pub fn accept(mut self) -> WebsocketSession {
        self.accepted = true;
        WebsocketSession::new(self.watch.metrics(), self.endpoint)
    }

    /// The connection is refused.
    pub fn reject(self) {}
}

impl Drop for WebsocketHandshake {
    fn drop(&mut self) {
        let websocket = &self.watch.metrics().websocket;
        websocket.handshake_duration.get(self.endpoint).observe(self.watch.elapsed());
        if !self.accepted {
            websocket.connections.get((self.endpoint, HandshakeStatus::Rejected)).inc();
        }
    }
}

/// A connection that is open. When it is dropped, the connection has ended: it is no longer active, nor are
/// its subscriptions and its queue, and its duration is observed.
///
/// It may be shared by the tasks of the connection, in an `Arc`.
#[derive(Debug)]
#[must_use = "a session dropped at once records a connection that ended at once"]
pub struct WebsocketSession {
    watch: Stopwatch,
    endpoint: Open<WebsocketEndpoint>,
    /// What of the families that go up and down is this connection's.
    subscriptions: [AtomicU64; SubscriptionType::COUNT],
    queued: AtomicU64,
    _active: InFlight,
}

impl WebsocketSession {
    fn new(metrics: Metrics, endpoint: Open<WebsocketEndpoint>) -> Self {
        metrics.websocket.accept(endpoint);
        Self {
            watch: metrics.stopwatch(),
            endpoint,
            subscriptions: Default::default(),
            queued: AtomicU64::new(0),
            _active: metrics.websocket.connections_active.get(endpoint).track(),
        }
    }

    /// Counts a message of `bytes` bytes that was handed to the connection.
    ///
    /// `message_type` is a name out of the protocol, such as `tick`.
    #[inline]
    pub fn sent(&self, message_type: &str, bytes: u64) {
        self.websocket().message(self.endpoint, message_type, MessageDirection::Sent, bytes);
    }

    /// Counts a message of `bytes` bytes that came from the client.
    ///
    /// `message_type` is a name out of the protocol, such as `subscribe`: never text that the client chose.
    #[inline]
    pub fn received(&self, message_type: &str, bytes: u64) {
        self.websocket().message(self.endpoint, message_type, MessageDirection::Received, bytes);
    }

    /// Observes how long a message waited, from when it was ready to when it was sent.
    #[inline]
    pub fn latency(&self, latency: Duration) {
        self.websocket().message_latency.get(self.endpoint).observe(latency);
    }

    /// Counts a message that was not sent.
    pub fn dropped(&self, reason: MessageDropReason) {
        self.websocket().messages_dropped.get((self.endpoint, reason)).inc();
    }

    /// Counts an error of the connection. It does not end the session.
    ///
    /// `error_type` is a name out of the code, such as `protocol_error`, never the message of an error.
    pub fn error(&self, error_type: &str) {
        self.websocket().error(self.endpoint, error_type);
    }

    /// The client has `count` subscriptions more.
    pub fn subscribe(&self, subscription_type: SubscriptionType, count: u32) {
        self.subscriptions[subscription_type.index()].fetch_add(count.into(), Relaxed);
        self.add_subscriptions(subscription_type, i64::from(count));
    }

    /// The client has `count` subscriptions less. Those that it does not have are not taken away.
    pub fn unsubscribe(&self, subscription_type: SubscriptionType, count: u32) {
        let mut ended = 0;
        let held = &self.subscriptions[subscription_type.index()];
        held.update(Relaxed, Relaxed, |held| {
            ended = held.min(count.into());
            held - ended
        });
        self.add_subscriptions(subscription_type, -ended.cast_signed());
    }

    /// Sets how many messages wait to be sent on this connection.
    ///
    /// `websocket_send_queue_depth` is the sum over the connections of the endpoint. The length of the
    /// channel to the task that writes is such a depth: report it after each message that is put in, or
    /// taken out.
    #[inline]
    pub fn queued(&self, messages: u64) {
        let before = self.queued.swap(messages, Relaxed);
        let gauge = self.websocket().send_queue_depth.get(self.endpoint);
        gauge.add(messages.wrapping_sub(before).cast_signed());
    }

    fn add_subscriptions(&self, subscription_type: SubscriptionType, change: i64) {
        self.websocket().subscriptions_active.get((self.endpoint, subscription_type)).add(change);
    }

    #[inline]
    fn websocket(&self) -> &'static WebsocketMetrics {
        &self.watch.metrics().instance().subsystems.websocket
    }
}

impl Drop for WebsocketSession {
    fn drop(&mut self) {
        for subscription_type in SubscriptionType::ALL.iter().copied() {
            let held = *self.subscriptions[subscription_type.index()].get_mut();
            if held > 0 {
                self.add_subscriptions(subscription_type, -held.cast_signed());
            }
        }
        self.queued(0);
        self.websocket().connection_duration.get(self.endpoint).observe(self.watch.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use super::{
        MessageDirection, MessageDropReason, SubscriptionType, WebsocketConnection,
        WebsocketEndpoint, WebsocketHandshake, WebsocketSession,
    };
    use crate::{Clock, Metrics, testing::Fixture};

    const STREAM: &str = "/ws/fo/stream";

    #[test]
    fn a_session_is_active_until_it_is_dropped() {
        let test = Fixture::new();
        let first = test.metrics.start_websocket_session(STREAM);
        let second = test.metrics.start_websocket_session(STREAM);
        test.assert_series(&[
            (r#"websocket_connections_active{endpoint="/ws/fo/stream"}"#, 2.0),
            (r#"websocket_connections_total{endpoint="/ws/fo/stream",status="accepted"}"#, 2.0),
            (r#"websocket_connections_total{endpoint="/ws/fo/stream",status="rejected"}"#, 0.0),
        ]);
        test.clock.advance(Duration::from_secs(40));
        drop(first);
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _session = second;
            panic!("the session unwinds");
        }))
        .unwrap_err();
        test.assert_series(&[
            (r#"websocket_connections_active{endpoint="/ws/fo/stream"}"#, 0.0),
            (r#"websocket_connection_duration_seconds_sum{endpoint="/ws/fo/stream"}"#, 80.0),
            (
                r#"websocket_connection_duration_seconds_bucket{endpoint="/ws/fo/stream",le="30.0"}"#,
                0.0,
            ),
            (
                r#"websocket_connection_duration_seconds_bucket{endpoint="/ws/fo/stream",le="60.0"}"#,
                2.0,
            ),
        ]);
    }

    #[test]
    fn a_handshake_is_accepted_or_rejected_and_timed() {
        let test = Fixture::new();
        let start = || {
            let handshake = test.metrics.start_websocket_handshake(STREAM);
            test.clock.advance(Duration::from_millis(20));
            handshake
        };
        let session = start().accept();
        start().reject();
        drop(start());
        test.metrics.track_websocket_rejection(STREAM);
        test.metrics.track_websocket_handshake(STREAM, Duration::from_millis(40));
        test.clock.advance(Duration::from_secs(3));
        drop(session);
        test.assert_series(&[
            (r#"websocket_connections_total{endpoint="/ws/fo/stream",status="accepted"}"#, 1.0),
            (r#"websocket_connections_total{endpoint="/ws/fo/stream",status="rejected"}"#, 3.0),
            (r#"websocket_connections_active{endpoint="/ws/fo/stream"}"#, 0.0),
            (r#"websocket_handshake_duration_seconds_count{endpoint="/ws/fo/stream"}"#, 4.0),
            (r#"websocket_handshake_duration_seconds_sum{endpoint="/ws/fo/stream"}"#, 0.1),
            (r#"websocket_connection_duration_seconds_sum{endpoint="/ws/fo/stream"}"#, 3.04),
        ]);
    }

    #[test]
    fn a_connection_can_be_tracked_without_a_session() {
        let test = Fixture::new();
        for connection in [
            WebsocketConnection::Connected,
            WebsocketConnection::Connected,
            WebsocketConnection::Disconnected,
        ] {
            test.metrics.track_websocket_connection(STREAM, connection);
        }
        test.metrics.track_websocket_connection_duration(STREAM, Duration::from_secs(9));
        test.assert_series(&[
            (r#"websocket_connections_active{endpoint="/ws/fo/stream"}"#, 1.0),
            (r#"websocket_connections_total{endpoint="/ws/fo/stream",status="accepted"}"#, 2.0),
            (r#"websocket_connection_duration_seconds_sum{endpoint="/ws/fo/stream"}"#, 9.0),
        ]);
    }

    #[test]
    fn messages_are_counted_by_type_and_sized_by_direction() {
        let test = Fixture::new();
        let session = test.metrics.start_websocket_session(STREAM);
        session.sent("tick", 90);
        session.sent("tick", 110);
        session.received("subscribe", 40);
        session.latency(Duration::from_millis(7));
        session.dropped(MessageDropReason::SlowConsumer);
        session.error("protocol_error");
        test.metrics.track_websocket_message(STREAM, "tick", MessageDirection::Sent, 100);
        test.metrics.track_websocket_message(STREAM, "ping", MessageDirection::Received, 2);
        test.metrics.track_websocket_message_latency(STREAM, Duration::from_millis(3));
        test.metrics.track_websocket_message_drop(STREAM, MessageDropReason::Closed);
        test.metrics.track_websocket_error(STREAM, "protocol_error");
        test.assert_series(&[
            (
                r#"websocket_messages_sent_total{endpoint="/ws/fo/stream",message_type="tick"}"#,
                3.0,
            ),
            (
                r#"websocket_messages_received_total{endpoint="/ws/fo/stream",message_type="subscribe"}"#,
                1.0,
            ),
            (
                r#"websocket_messages_received_total{endpoint="/ws/fo/stream",message_type="ping"}"#,
                1.0,
            ),
            (
                r#"websocket_message_size_bytes_sum{endpoint="/ws/fo/stream",direction="sent"}"#,
                300.0,
            ),
            (
                r#"websocket_message_size_bytes_sum{endpoint="/ws/fo/stream",direction="received"}"#,
                42.0,
            ),
            (r#"websocket_message_latency_seconds_sum{endpoint="/ws/fo/stream"}"#, 0.01),
            (
                r#"websocket_messages_dropped_total{endpoint="/ws/fo/stream",reason="slow_consumer"}"#,
                1.0,
            ),
            (r#"websocket_messages_dropped_total{endpoint="/ws/fo/stream",reason="closed"}"#, 1.0),
            (
                r#"websocket_errors_total{endpoint="/ws/fo/stream",error_type="protocol_error"}"#,
                2.0,
            ),
        ]);
    }

    #[test]
    fn a_session_takes_its_subscriptions_back_down() {
        let test = Fixture::new();
        let instruments = r#"websocket_subscriptions_active{endpoint="/ws/fo/stream",subscription_type="instruments"}"#;
        let indicators = r#"websocket_subscriptions_active{endpoint="/ws/fo/stream",subscription_type="indicators"}"#;
        test.metrics.track_websocket_subscriptions(STREAM, SubscriptionType::Instruments, 5);
        let session = test.metrics.start_websocket_session(STREAM);
        session.subscribe(SubscriptionType::Instruments, 20);
        session.subscribe(SubscriptionType::Indicators, 2);
        session.unsubscribe(SubscriptionType::Instruments, 8);
        test.assert_series(&[(instruments, 17.0), (indicators, 2.0)]);
        session.unsubscribe(SubscriptionType::Indicators, 100);
        test.assert_series(&[(instruments, 17.0), (indicators, 0.0)]);
        drop(session);
        test.assert_series(&[(instruments, 5.0), (indicators, 0.0)]);
        test.metrics.track_websocket_subscriptions(STREAM, SubscriptionType::Instruments, -5);
        test.assert_series(&[(instruments, 0.0)]);
    }

    #[test]
    fn the_queue_depth_is_the_sum_over_the_sessions() {
        let test = Fixture::new();
        let depth = r#"websocket_send_queue_depth{endpoint="/ws/fo/stream"}"#;
        let first = test.metrics.start_websocket_session(STREAM);
        let second = test.metrics.start_websocket_session(STREAM);
        first.queued(10);
        second.queued(4);
        test.assert_series(&[(depth, 14.0)]);
        first.queued(3);
        test.assert_series(&[(depth, 7.0)]);
        drop(second);
        test.assert_series(&[(depth, 3.0)]);
        test.metrics.track_websocket_queue(STREAM, 2);
        drop(first);
        test.assert_series(&[(depth, 2.0)]);
    }

    #[test]
    fn the_tasks_of_a_connection_share_its_session() {
        let test = Fixture::new();
        let session = Arc::new(test.metrics.start_websocket_session(STREAM));
        let reader = Arc::clone(&session);
        std::thread::spawn(move || {
            reader.received("subscribe", 10);
            reader.subscribe(SubscriptionType::Strategies, 3);
            reader.queued(7);
        })
        .join()
        .unwrap();
        session.queued(6);
        drop(session);
        test.assert_series(&[
            (r#"websocket_connections_active{endpoint="/ws/fo/stream"}"#, 0.0),
            (r#"websocket_send_queue_depth{endpoint="/ws/fo/stream"}"#, 0.0),
            (
                r#"websocket_subscriptions_active{endpoint="/ws/fo/stream",subscription_type="strategies"}"#,
                0.0,
            ),
        ]);
    }

    #[test]
    fn an_endpoint_past_the_cap_is_other_in_every_family() {
        let clock = Clock::manual();
        let metrics =
            Metrics::builder().clock(clock.clone()).cap_of::<WebsocketEndpoint>(1).build().unwrap();
        let test = Fixture { metrics, clock };
        for endpoint in ["/a", "/b", "/c"] {
            let session = test.metrics.start_websocket_session(endpoint);
            session.sent("tick", 10);
            session.error("timeout");
        }
        test.assert_series(&[
            (r#"websocket_messages_sent_total{endpoint="/a",message_type="tick"}"#, 1.0),
            (r#"websocket_messages_sent_total{endpoint="other",message_type="tick"}"#, 2.0),
            (r#"websocket_errors_total{endpoint="other",error_type="timeout"}"#, 2.0),
            (r#"websocket_message_size_bytes_count{endpoint="other",direction="sent"}"#, 2.0),
        ]);
    }

    #[test]
    fn the_guards_can_go_to_another_thread() {
        const fn check<T: Send + Sync + 'static>() {}
        const { check::<WebsocketHandshake>() };
        const { check::<WebsocketSession>() };
    }
}
