//! One connection: its requests, its queue, its end.

use std::{collections::HashSet, io, mem, sync::Arc, time::Duration};

use backend_metrics::{labels::MessageDropReason, subsystems::websocket::WebsocketSession};
use futures_util::{SinkExt, StreamExt};
use hyper_tungstenite::{
    WebSocketStream,
    tungstenite::{
        self, Bytes, Error, Message, Utf8Bytes,
        error::ProtocolError,
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    sync::mpsc::{self, error::TrySendError},
    time::{self, Instant},
};

use super::{
    Websockets,
    protocol::{Outgoing, Request, Select, Topic},
};

/// How many messages may wait for a client that reads slowly.
const QUEUE: usize = 256;
/// The most that a client may listen to.
const SUBSCRIPTIONS: usize = 1_000;
/// How long a message may take to be written.
const WRITE_TIMEOUT: Duration = Duration::from_secs(15);
/// How often a client is asked for a sign of life. One that gave none since the last time is gone.
const PING_EVERY: Duration = Duration::from_secs(30);
/// How long a client may take to close its side.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// What the hub has of a connection: where its messages go, and its metrics.
#[derive(Debug)]
pub(super) struct Outbox {
    queue: mpsc::Sender<Outgoing>,
    metrics: WebsocketSession,
}

impl Outbox {
    /// A queue and its other end.
    pub(super) fn new(metrics: WebsocketSession) -> (Arc<Self>, mpsc::Receiver<Outgoing>) {
        let (sender, queue) = mpsc::channel(QUEUE);
        (Arc::new(Self { queue: sender, metrics }), queue)
    }

    /// Puts a message into the queue, unless the client is too slow.
    pub(super) fn put(&self, message: Outgoing) {
        match self.queue.try_reserve() {
            Ok(place) => {
                // Before it is sent: later, the client's task may have taken it and set a depth without it.
                self.metrics.queued((self.queue.max_capacity() - self.queue.capacity()) as u64);
                place.send(message);
            }
            Err(TrySendError::Full(())) => self.metrics.dropped(MessageDropReason::SlowConsumer),
            Err(TrySendError::Closed(())) => self.metrics.dropped(MessageDropReason::Closed),
        }
    }
}

/// A client that is connected.
///
/// Its task reads and writes in turn, so a client that does not read is not read from either; what it costs
/// is its queue.
#[derive(Debug)]
pub(super) struct Session {
    websockets: Arc<Websockets>,
    outbox: Arc<Outbox>,
    queue: mpsc::Receiver<Outgoing>,
    topics: HashSet<Topic>,
    select: Select,
    account: String,
}

impl Session {
    pub(super) fn new(
        websockets: Arc<Websockets>,
        metrics: WebsocketSession,
        select: Select,
        account: String,
    ) -> Self {
        let (outbox, queue) = Outbox::new(metrics);
        Self { websockets, outbox, queue, topics: HashSet::new(), select, account }
    }

    /// Serves the client until one side ends it.
    pub(super) async fn run<S: Stream>(self, mut socket: WebSocketStream<S>) {
        // The connection counts as open until it is closed; its subscriptions end before.
        let outbox = Arc::clone(&self.outbox);
        let end = self.converse(&mut socket).await;
        if let Some(error) = end.error() {
            outbox.metrics.error(error);
        }
        let closed = time::timeout(CLOSE_TIMEOUT, close(&mut socket, end)).await;
        tracing::info!(?end, in_time = closed.is_ok(), "WebSocket closed");
    }

    async fn converse<S: Stream>(mut self, socket: &mut WebSocketStream<S>) -> End {
        let mut ping = time::interval_at(Instant::now() + PING_EVERY, PING_EVERY);
        let mut alive = true;
        loop {
            let result = tokio::select! {
                () = self.websockets.stop.cancelled() => Err(End::Stopped),
                _ = ping.tick() => {
                    if mem::take(&mut alive) {
                        self.write(socket, Message::Ping(Bytes::new())).await
                    } else {
                        Err(End::Silent)
                    }
                }
                Some(message) = self.queue.recv() => {
                    self.outbox.metrics.queued(self.queue.len() as u64);
                    self.send(socket, message).await
                }
                message = socket.next() => {
                    alive = true;
                    match message.unwrap_or(Err(Error::ConnectionClosed)) {
                        Ok(Message::Text(text)) => {
                            let answer = self.answer(text.as_bytes());
                            self.send(socket, answer).await
                        }
                        Ok(Message::Binary(bytes)) => {
                            let answer = self.answer(&bytes);
                            self.send(socket, answer).await
                        }
                        Ok(Message::Close(_)) => Err(End::Client),
                        // Pings are answered by the crate.
                        Ok(_) => Ok(()),
                        Err(error) => Err(error.into()),
                    }
                }
            };
            if let Err(end) = result {
                return end;
            }
        }
    }

    /// Does what a message asks for.
    fn answer(&mut self, message: &[u8]) -> Outgoing {
        let request: Option<Request> = serde_json::from_slice(message).ok();
        // Never a text of the client's.
        let message_type = request.as_ref().map_or("other", Request::name);
        self.outbox.metrics.received(message_type, message.len() as u64);
        let (message_type, result) = match request {
            Some(Request::Subscribe(selection)) => {
                let topics = (self.select)(selection, &self.account);
                ("subscribed", topics.and_then(|topics| self.subscribe(topics)))
            }
            Some(Request::Unsubscribe(selection)) => {
                let topics = (self.select)(selection, &self.account);
                ("unsubscribed", topics.map(|topics| self.unsubscribe(topics)))
            }
            Some(Request::Ping) => ("pong", Ok(())),
            None => ("error", Err("this is not a request")),
        };
        match result {
            Ok(()) => {
                let body = serde_json::json!({ "subscriptions": self.topics.len() });
                Outgoing::new(message_type, &body)
            }
            Err(error) => {
                self.outbox.metrics.error("invalid_request");
                Outgoing::error(error)
            }
        }
    }

    fn subscribe(&mut self, topics: Vec<Topic>) -> Result<(), &'static str> {
        if self.topics.len() + topics.len() > SUBSCRIPTIONS {
            return Err("too many subscriptions");
        }
        for topic in topics {
            if self.topics.insert(topic.clone()) {
                self.outbox.metrics.subscribe(topic.subscription_type(), 1);
                self.websockets.hub.join(topic, Arc::clone(&self.outbox));
            }
        }
        Ok(())
    }

    fn unsubscribe(&mut self, topics: impl IntoIterator<Item = Topic>) {
        for topic in topics {
            if self.topics.remove(&topic) {
                self.leave(topic);
            }
        }
    }

    fn leave(&self, topic: Topic) {
        self.outbox.metrics.unsubscribe(topic.subscription_type(), 1);
        self.websockets.hub.leave(topic, &self.outbox);
    }

    /// Sends a message and counts it, as sent or as given up.
    async fn send<S: Stream>(
        &self,
        socket: &mut WebSocketStream<S>,
        message: Outgoing,
    ) -> Result<(), End> {
        let Outgoing { message_type, text, ready } = message;
        let bytes = text.len() as u64;
        let written = self.write(socket, Message::Text(text)).await;
        if written.is_ok() {
            self.outbox.metrics.sent(message_type, bytes);
            self.outbox.metrics.latency(ready.elapsed());
        } else {
            self.outbox.metrics.dropped(MessageDropReason::Closed);
        }
        written
    }

    async fn write<S: Stream>(
        &self,
        socket: &mut WebSocketStream<S>,
        message: Message,
    ) -> Result<(), End> {
        let write = time::timeout(WRITE_TIMEOUT, socket.send(message));
        match self.websockets.stop.run_until_cancelled(write).await {
            Some(Ok(result)) => result.map_err(End::from),
            Some(Err(_)) => Err(End::Stalled),
            None => Err(End::Stopped),
        }
    }
}

impl Drop for Session {
    /// Takes the connection out of the hub, and counts what is left for it.
    fn drop(&mut self) {
        for topic in mem::take(&mut self.topics) {
            self.leave(topic);
        }
        while self.queue.try_recv().is_ok() {
            self.outbox.metrics.dropped(MessageDropReason::Closed);
        }
        self.outbox.metrics.queued(0);
    }
}

/// What a connection runs on.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The client closed it.
    Client,
    /// The service stops.
    Stopped,
    /// The client is gone.
    Lost,
    /// The client gives no sign of life.
    Silent,
    /// The client does not read.
    Stalled,
    /// The client sent a message that is too large.
    Oversized,
    /// The client sent a text that is none.
    InvalidText,
    /// The client does not speak the protocol.
    Protocol,
}

impl End {
    /// Its name in labels, if it is an error.
    fn error(self) -> Option<&'static str> {
        match self {
            Self::Client | Self::Stopped => None,
            Self::Lost => Some("io"),
            Self::Silent => Some("ping_timeout"),
            Self::Stalled => Some("write_timeout"),
            Self::Oversized => Some("oversized"),
            Self::InvalidText => Some("invalid_text"),
            Self::Protocol => Some("protocol"),
        }
    }

    /// What the client is told, unless it knows.
    fn code(self) -> Option<CloseCode> {
        match self {
            Self::Client | Self::Lost => None,
            Self::Stopped => Some(CloseCode::Away),
            Self::Silent | Self::Stalled => Some(CloseCode::Policy),
            Self::Oversized => Some(CloseCode::Size),
            Self::InvalidText => Some(CloseCode::Invalid),
            Self::Protocol => Some(CloseCode::Protocol),
        }
    }
}

impl From<tungstenite::Error> for End {
    fn from(error: tungstenite::Error) -> Self {
        match error {
            Error::ConnectionClosed | Error::AlreadyClosed => Self::Client,
            Error::Io(_) | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
                Self::Lost
            }
            Error::Capacity(_) => Self::Oversized,
            Error::Utf8(_) => Self::InvalidText,
            _ => Self::Protocol,
        }
    }
}

/// Sends the close frame, or the answer to the client's.
async fn close<S: Stream>(socket: &mut WebSocketStream<S>, end: End) -> Result<(), io::Error> {
    let written = match end.code() {
        Some(code) => {
            let reason = Utf8Bytes::default();
            socket.close(Some(CloseFrame { code, reason })).await
        }
        None => socket.flush().await,
    };
    // An error means that the client is gone, as the next call will say.
    drop(written);
    let stream = socket.get_mut();
    stream.shutdown().await?;
    // Until the client closes: with bytes unread, the end would be a reset, and the frame might not arrive.
    tokio::io::copy(stream, &mut tokio::io::sink()).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use backend_metrics::Metrics;
    use futures_util::{SinkExt, StreamExt};
    use hyper_tungstenite::{
        WebSocketStream,
        tungstenite::{Message, protocol::Role},
    };
    use tokio::{
        io::DuplexStream,
        task::JoinHandle,
        time::{self, Instant},
    };
    use tokio_util::{sync::CancellationToken, task::TaskTracker};

    use super::{PING_EVERY, QUEUE, Session, WRITE_TIMEOUT};
    use crate::websocket::{Websockets, protocol::Selection};

    const STREAM: &str = "/ws/fo/stream";

    struct Test {
        metrics: Metrics,
        websockets: Arc<Websockets>,
        session: JoinHandle<()>,
        client: WebSocketStream<DuplexStream>,
    }

    impl Test {
        /// A client over a pipe that holds `bytes`.
        async fn new(bytes: usize) -> Self {
            let metrics = Metrics::new();
            let websockets = Websockets::new(TaskTracker::new(), CancellationToken::new());
            let session = Session::new(
                Arc::clone(&websockets),
                metrics.start_websocket_session(STREAM),
                Selection::of_market,
                "A-01".to_owned(),
            );
            let (ours, theirs) = tokio::io::duplex(bytes);
            let socket = WebSocketStream::from_raw_socket(ours, Role::Server, None).await;
            let client = WebSocketStream::from_raw_socket(theirs, Role::Client, None).await;
            Self { metrics, websockets, session: tokio::spawn(session.run(socket)), client }
        }

        async fn subscribe(&mut self) {
            let request = r#"{"action":"subscribe","strategies":true}"#;
            self.client.send(Message::text(request)).await.unwrap();
            let answer = self.client.next().await.unwrap().unwrap();
            assert!(answer.to_text().unwrap().contains("subscribed"), "{answer}");
        }

        /// The value of a series of the endpoint.
        fn value(&self, family: &str, label: &str) -> usize {
            let series = format!("{family}{{endpoint=\"{STREAM}\"{label}}} ");
            let text = self.metrics.to_text();
            let line = text.lines().find_map(|line| line.strip_prefix(&series));
            line.unwrap_or_else(|| panic!("no {series}in\n{text}")).parse().unwrap()
        }

        fn dropped(&self, reason: &str) -> usize {
            self.value("websocket_messages_dropped_total", &format!(",reason=\"{reason}\""))
        }

        fn errors(&self, error_type: &str) -> usize {
            self.value("websocket_errors_total", &format!(",error_type=\"{error_type}\""))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_read_costs_its_queue_and_is_cut_off() {
        let mut test = Test::new(256).await;
        test.subscribe().await;
        let begin = Instant::now();
        for profit in 0..1_000 {
            test.websockets.strategy_changed("A-01", "S-1", profit);
        }
        assert_eq!(test.value("websocket_send_queue_depth", ""), QUEUE);
        assert_eq!(test.dropped("slow_consumer"), 1_000 - QUEUE);

        (&mut test.session).await.unwrap();
        assert!(begin.elapsed() >= WRITE_TIMEOUT);
        assert_eq!(test.errors("write_timeout"), 1);
        let sent = ",message_type=\"strategy\"";
        let sent = test.value("websocket_messages_sent_total", sent);
        assert_eq!(sent + test.dropped("closed"), QUEUE);
        for gauge in ["websocket_connections_active", "websocket_send_queue_depth"] {
            assert_eq!(test.value(gauge, ""), 0, "{gauge}");
        }
        let strategies = ",subscription_type=\"strategies\"";
        assert_eq!(test.value("websocket_subscriptions_active", strategies), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_without_a_sign_of_life_is_cut_off() {
        let mut test = Test::new(4096).await;
        // It reads, and so answers pings.
        let reading = time::timeout(10 * PING_EVERY, async {
            while let Some(Ok(message)) = test.client.next().await {
                assert!(message.is_ping(), "{message}");
            }
        });
        assert!(reading.await.is_err(), "closed though it answers");
        assert_eq!(test.value("websocket_connections_active", ""), 1);

        (&mut test.session).await.unwrap();
        assert_eq!(test.errors("ping_timeout"), 1);
        assert_eq!(test.value("websocket_connections_active", ""), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_depth_of_the_queue_is_zero_when_all_is_sent() {
        let mut test = Test::new(64).await;
        test.subscribe().await;
        for profit in 0..100 {
            test.websockets.strategy_changed("A-01", "S-1", profit);
        }
        assert_eq!(test.value("websocket_send_queue_depth", ""), 100);
        for _ in 0..100 {
            test.client.next().await.unwrap().unwrap();
        }
        assert_eq!(test.value("websocket_send_queue_depth", ""), 0);
        assert_eq!(test.value("websocket_connections_active", ""), 1);
        assert_eq!(test.value("websocket_message_latency_seconds_count", ""), 101);
    }
}
