//! What WebSocket clients send, receive and do to a connection is what the metrics say, over real sockets.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use backend_metrics::Metrics;
use clap::Parser;
use futures_util::{SinkExt, StreamExt};
use http::{Request, StatusCode};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use reference_backend::{
    Backend,
    app::App,
    config::Config,
    routes::{self, Call, Matched},
    server,
    ticker::protocol::Tick,
};
use serde_json::{Value, json};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpSocket, TcpStream},
    time,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{
        self, Message,
        protocol::{
            CloseFrame,
            frame::{
                Frame,
                coding::{CloseCode, Data, OpCode},
            },
        },
    },
};

const STREAM: &str = "/ws/fo/stream";
const INDICATORS: &str = "/ws/indicators";
/// How long anything may take.
const DEADLINE: Duration = Duration::from_secs(20);

/// A backend, and its routes without the log-in before them.
struct Server {
    backend: Backend,
    metrics: Metrics,
    address: SocketAddr,
}

impl Server {
    async fn start() -> Self {
        let metrics = Metrics::new();
        let config = Config::parse_from(["", "--listen", "127.0.0.1:0", "--traffic", "0"]);
        let backend = Backend::start(config, metrics).await.unwrap();
        let app = Arc::clone(backend.app());
        let listener = server::listen(([127, 0, 0, 1], 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let app = Arc::clone(&app);
                let service = service_fn(move |request| answer(Arc::clone(&app), request));
                let connection =
                    http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                tokio::spawn(connection.with_upgrades());
            }
        });
        Self { backend, metrics, address }
    }

    fn app(&self) -> &App {
        self.backend.app()
    }

    async fn connect(&self, path: &str) -> Client {
        let stream = TcpStream::connect(self.address).await.unwrap();
        self.connect_over(stream, path).await.unwrap()
    }

    async fn connect_over(
        &self,
        stream: TcpStream,
        path: &str,
    ) -> Result<Client, tungstenite::Error> {
        let url = format!("ws://{}{path}", self.address);
        let (socket, _) = client_async(url, stream).await?;
        Ok(Client { socket, sent: Tally::default(), received: Tally::default() })
    }

    fn tick(&self, symbol: &str, sequence: u64) {
        self.app().market.apply(Tick {
            symbol: symbol.to_owned(),
            sequence,
            price: 24_500.5,
            bid: 24_500.25,
            ask: 24_500.75,
            bid_quantity: 75,
            ask_quantity: 150,
            open_interest: 1_200,
            sent_at: 0,
        });
    }

    /// The value of a series, such as `name{label="value"}`; zero while there is none.
    fn value(&self, series: &str) -> u64 {
        let text = self.metrics.to_text();
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        // Sums have a fraction, which is none here.
        value.map_or(0, |value| value.trim_end_matches(".0").parse().unwrap())
    }

    /// The value of a series of an endpoint, with the labels after it.
    fn of(&self, endpoint: &str, family: &str, labels: &str) -> u64 {
        self.value(&format!("{family}{{endpoint=\"{endpoint}\"{labels}}}"))
    }

    fn dropped(&self, reason: &str) -> u64 {
        self.of(STREAM, "websocket_messages_dropped_total", &format!(",reason=\"{reason}\""))
    }

    /// The messages of each type that there were.
    fn messages(&self, family: &str) -> BTreeMap<String, u64> {
        let text = self.metrics.to_text();
        let of_family =
            text.lines().filter_map(|line| line.strip_prefix(family)?.strip_prefix('{'));
        let by_type = of_family.map(|line| {
            let (labels, value) = line.rsplit_once("\"} ").unwrap();
            let (_, message_type) = labels.rsplit_once("message_type=\"").unwrap();
            (message_type.to_owned(), value.parse().unwrap())
        });
        by_type.filter(|(_, count)| *count > 0).collect()
    }

    /// Waits until no connection is open, then looks whether a gauge still holds something up.
    async fn assert_idle(&self) {
        for endpoint in [STREAM, INDICATORS] {
            let open = || self.of(endpoint, "websocket_connections_active", "");
            eventually("all connections are closed", || open() == 0).await;
        }
        let text = self.metrics.to_text();
        let gauges = ["websocket_subscriptions_active{", "websocket_send_queue_depth{"];
        let held: Vec<_> = text
            .lines()
            .filter(|line| gauges.iter().any(|gauge| line.starts_with(gauge)))
            .filter(|line| !line.ends_with(" 0"))
            .collect();
        assert_eq!(held, [""; 0]);
    }
}

async fn answer(
    app: Arc<App>,
    request: Request<Incoming>,
) -> Result<reference_backend::reply::Reply, Infallible> {
    let metrics = app.metrics;
    let mut request = routes::match_route(request);
    let matched: Matched = request.extensions_mut().remove().unwrap();
    let handler = matched.handler;
    let call = Call { app, request, account: "A-01".to_owned(), matched };
    Ok(handler(call).await.unwrap_or_else(|problem| problem.answer(metrics)))
}

async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < end, "not in time: {what}");
        time::sleep(Duration::from_millis(2)).await;
    }
}

/// Messages and their bytes.
#[derive(Debug, Default)]
struct Tally {
    by_type: BTreeMap<String, u64>,
    bytes: u64,
}

impl Tally {
    fn count(&mut self, message_type: &str, bytes: usize) {
        *self.by_type.entry(message_type.to_owned()).or_default() += 1;
        self.bytes += bytes as u64;
    }

    fn sum(&self) -> u64 {
        self.by_type.values().sum()
    }
}

/// A client that counts.
struct Client {
    socket: WebSocketStream<TcpStream>,
    sent: Tally,
    received: Tally,
}

impl Client {
    async fn send(&mut self, message_type: &str, message: Message) {
        self.sent.count(message_type, message.len());
        self.socket.send(message).await.unwrap();
    }

    /// Sends a request and waits for its answer. The requests of a client that does not listen have no
    /// other messages between.
    async fn ask(&mut self, message_type: &str, request: &Value) -> Value {
        self.send(message_type, Message::text(request.to_string())).await;
        self.receive().await.unwrap()
    }

    async fn subscribe(&mut self, symbols: &[&str]) {
        let request = json!({ "action": "subscribe", "symbols": symbols });
        let answer = self.ask("subscribe", &request).await;
        assert_eq!(answer["type"], "subscribed", "{answer}");
    }

    /// The next message, or how the server closed.
    async fn receive(&mut self) -> Result<Value, Option<CloseFrame>> {
        loop {
            let message = time::timeout(DEADLINE, self.socket.next()).await.expect("in time");
            match message.expect("a close frame is first").unwrap() {
                Message::Text(text) => {
                    let message: Value = serde_json::from_str(&text).unwrap();
                    self.received.count(message["type"].as_str().unwrap(), text.len());
                    return Ok(message);
                }
                Message::Close(frame) => return Err(frame),
                _ => {}
            }
        }
    }

    /// Reads until the server closes; gives why.
    async fn closed(&mut self) -> Option<CloseCode> {
        loop {
            if let Err(frame) = self.receive().await {
                return frame.map(|frame| frame.code);
            }
        }
    }

    async fn close(&mut self) {
        self.socket.close(None).await.unwrap();
        assert_eq!(self.closed().await, None);
        self.socket.get_mut().shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn what_clients_send_and_receive_is_what_is_counted() {
    let server = Server::start().await;
    let (mut one, mut two) = (server.connect(STREAM).await, server.connect(STREAM).await);
    one.subscribe(&["T-1", "T-2", "T-2"]).await;
    one.subscribe(&["T-2", "T-3"]).await;
    two.subscribe(&["T-1"]).await;
    let instruments = || {
        let instruments = ",subscription_type=\"instruments\"";
        server.of(STREAM, "websocket_subscriptions_active", instruments)
    };
    assert_eq!(instruments(), 4);
    assert_eq!(server.of(STREAM, "websocket_connections_active", ""), 2);

    for sequence in 0..50 {
        for symbol in ["T-1", "T-2", "T-3", "nobody listens"] {
            server.tick(symbol, sequence);
        }
    }
    for expected in 0..150 {
        let tick = one.receive().await.unwrap();
        assert_eq!((&tick["type"], &tick["sequence"]), (&json!("tick"), &json!(expected / 3)));
    }
    for expected in 0..50 {
        let tick = two.receive().await.unwrap();
        assert_eq!((&tick["symbol"], &tick["sequence"]), (&json!("T-1"), &json!(expected)));
    }

    let answer = one.ask("ping", &json!({ "action": "ping" })).await;
    assert_eq!(answer["type"], "pong");
    let request = json!({ "action": "unsubscribe", "symbols": ["T-1", "T-2", "never"] });
    assert_eq!(one.ask("unsubscribe", &request).await["type"], "unsubscribed");
    assert_eq!(instruments(), 2);
    for request in [
        json!({ "action": "an action of the client's" }),
        json!({ "symbols": ["T-1"] }),
        json!("no request"),
    ] {
        assert_eq!(two.ask("other", &request).await["type"], "error");
    }
    two.send("other", Message::binary(vec![0xff; 3])).await;
    assert_eq!(two.receive().await.unwrap()["type"], "error");
    for symbols in [vec![], vec!["X".repeat(65)], (0..1_001).map(|n| n.to_string()).collect()] {
        let request = json!({ "action": "subscribe", "symbols": symbols });
        assert_eq!(two.ask("subscribe", &request).await["type"], "error");
    }
    assert_eq!(instruments(), 2);
    let invalid = ",error_type=\"invalid_request\"";
    assert_eq!(server.of(STREAM, "websocket_errors_total", invalid), 7);

    one.close().await;
    two.close().await;
    server.assert_idle().await;
    let sum = |a: &Tally, b: &Tally| {
        let mut sum = a.by_type.clone();
        for (message_type, count) in &b.by_type {
            *sum.entry(message_type.clone()).or_default() += count;
        }
        sum
    };
    let family = "websocket_messages_sent_total";
    assert_eq!(server.messages(family), sum(&one.received, &two.received));
    let family = "websocket_messages_received_total";
    assert_eq!(server.messages(family), sum(&one.sent, &two.sent));
    for (direction, a, b) in
        [("sent", &one.received, &two.received), ("received", &one.sent, &two.sent)]
    {
        let labels = format!(",direction=\"{direction}\"");
        let size = |part: &str| {
            server.of(STREAM, &format!("websocket_message_size_bytes_{part}"), &labels)
        };
        assert_eq!(size("count"), a.sum() + b.sum(), "{direction}");
        assert_eq!(size("sum"), a.bytes + b.bytes, "{direction}");
    }
    let latencies = server.of(STREAM, "websocket_message_latency_seconds_count", "");
    assert_eq!(latencies, one.received.sum() + two.received.sum());
    let durations = server.of(STREAM, "websocket_connection_duration_seconds_count", "");
    assert_eq!(durations, 2);
    server.backend.stop().await;
}

#[tokio::test]
async fn whatever_ends_a_connection_is_told_and_leaves_no_gauge_up() {
    let server = Server::start().await;
    let text =
        |bytes: Vec<u8>| Message::Frame(Frame::message(bytes, OpCode::Data(Data::Text), true));
    for (error, code, last) in [
        ("oversized", CloseCode::Size, text(vec![b' '; 64 * 1024 + 1])),
        ("oversized", CloseCode::Size, text(vec![b' '; 4 * 1024 * 1024])),
        ("invalid_text", CloseCode::Invalid, text(vec![0xff])),
        (
            "protocol",
            CloseCode::Protocol,
            Message::Frame(Frame::message(vec![], OpCode::Data(Data::Continue), true)),
        ),
    ] {
        let errors = || {
            let labels = format!(",error_type=\"{error}\"");
            server.of(STREAM, "websocket_errors_total", &labels)
        };
        let before = errors();
        let mut client = server.connect(STREAM).await;
        client.subscribe(&["T-1", "T-2"]).await;
        client.socket.send(last).await.unwrap();
        assert_eq!(client.closed().await, Some(code), "{error}");
        drop(client);
        server.assert_idle().await;
        assert_eq!(errors(), before + 1, "{error}");
    }
    // That is about messages to clients.
    assert_eq!(server.dropped("oversized"), 0);

    // As a message of the largest size is not too large.
    let mut client = server.connect(STREAM).await;
    client.send("other", text(vec![b' '; 64 * 1024])).await;
    assert_eq!(client.receive().await.unwrap()["type"], "error");
    client.close().await;

    // A client that is gone: with a reset, with an end of its stream, and in the middle of a frame.
    for (bytes, reset) in [(&b""[..], true), (b"", false), (b"\x81", false)] {
        let mut client = server.connect(STREAM).await;
        client.subscribe(&["T-1"]).await;
        client.socket.get_mut().write_all(bytes).await.unwrap();
        if reset {
            client.socket.get_ref().set_zero_linger().unwrap();
        }
        drop(client);
        server.assert_idle().await;
    }
    assert_eq!(server.of(STREAM, "websocket_errors_total", ",error_type=\"io\""), 3);
    server.backend.stop().await;
}

#[tokio::test]
async fn a_backend_that_stops_says_so_and_does_not_wait_for_long() {
    let server = Server::start().await;
    let mut clients = Vec::new();
    for path in [STREAM, STREAM, INDICATORS] {
        let mut client = server.connect(path).await;
        let request = json!({ "action": "subscribe", "indicator": "oi", "symbols": ["T-1"] });
        assert_eq!(client.ask("subscribe", &request).await["type"], "subscribed");
        clients.push(client);
    }
    // Does not answer the close frame.
    let silent = server.connect(STREAM).await;
    let Server { backend, metrics, address } = server;
    let app = Arc::clone(backend.app());
    let begin = Instant::now();
    let (codes, ()) = tokio::join!(
        futures_util::future::join_all(clients.iter_mut().map(Client::closed)),
        backend.stop(),
    );
    assert_eq!(codes, [Some(CloseCode::Away); 3]);
    assert!(begin.elapsed() < Duration::from_secs(8), "{:?}", begin.elapsed());
    drop(silent);
    for endpoint in [STREAM, INDICATORS] {
        let text = metrics.to_text();
        let active = format!("websocket_connections_active{{endpoint=\"{endpoint}\"}} 0\n");
        assert!(text.contains(&active), "{text}");
        let errors = format!("websocket_errors_total{{endpoint=\"{endpoint}\"");
        assert!(!text.contains(&errors), "{text}");
    }
    drop((app, address));
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_nobody_up() {
    let server = Server::start().await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let stream = socket.connect(server.address).await.unwrap();
    let mut slow = server.connect_over(stream, STREAM).await.unwrap();
    slow.subscribe(&["T-1"]).await;
    let mut fast = server.connect(STREAM).await;
    fast.subscribe(&["T-1"]).await;

    let begin = Instant::now();
    let mut ticks = 0;
    while server.dropped("slow_consumer") == 0 {
        for _ in 0..100 {
            server.tick("T-1", ticks);
            ticks += 1;
        }
        for expected in ticks - 100..ticks {
            assert_eq!(fast.receive().await.unwrap()["sequence"], expected);
        }
        assert!(begin.elapsed() < DEADLINE, "the slow one took {ticks} ticks");
    }
    assert!(server.of(STREAM, "websocket_send_queue_depth", "") >= 255);
    // The system keeps little for it: a client that catches up gets no ticks of minutes ago.
    assert!(ticks < 2_000, "the slow one took {ticks} ticks");

    slow.socket.get_ref().set_zero_linger().unwrap();
    drop(slow);
    let active = || server.of(STREAM, "websocket_connections_active", "");
    eventually("the slow one is gone", || active() == 1).await;
    fast.close().await;
    server.assert_idle().await;

    // Each tick was for two: sent, not put into a queue, or still in it at the end.
    let sent = server.messages("websocket_messages_sent_total")["tick"];
    assert_eq!(fast.received.by_type["tick"], ticks);
    assert_eq!(sent + server.dropped("slow_consumer") + server.dropped("closed"), 2 * ticks);
    assert!(server.dropped("closed") >= 256);
    server.backend.stop().await;
}

#[tokio::test]
async fn indicators_come_again_and_again() {
    let server = Server::start().await;
    eventually("there is a market", || server.app().market.last("NIFTY").is_some()).await;
    let mut client = server.connect(INDICATORS).await;
    let request = |indicator: &str, symbol: &str| json!({ "action": "subscribe", "indicator": indicator, "symbols": [symbol] });
    let answer = client.ask("subscribe", &request("no such", "NIFTY")).await;
    assert_eq!(answer, json!({ "type": "error", "error": "no such indicator" }));
    assert_eq!(client.ask("subscribe", &request("oi", "NIFTY")).await["type"], "subscribed");
    let indicators = ",subscription_type=\"indicators\"";
    assert_eq!(server.of(INDICATORS, "websocket_subscriptions_active", indicators), 1);
    let assert_value = |mut message: Value| {
        assert!(message["value"].take().is_number());
        let fields =
            json!({ "type": "indicator", "indicator": "oi", "symbol": "NIFTY", "value": null });
        assert_eq!(message, fields);
    };
    for _ in 0..2 {
        assert_value(client.receive().await.unwrap());
    }

    // What cannot be calculated is said.
    let mut lost = server.connect(INDICATORS).await;
    assert_eq!(lost.ask("subscribe", &request("oi", "unknown")).await["type"], "subscribed");
    assert_eq!(lost.receive().await.unwrap()["type"], "error");

    lost.close().await;
    client.close().await;
    server.assert_idle().await;
    let sent = server.messages("websocket_messages_sent_total");
    assert_eq!(sent["indicator"], client.received.by_type["indicator"]);
    server.backend.stop().await;
}

#[tokio::test]
async fn strategies_are_told_to_their_account() {
    let server = Server::start().await;
    let mut client = server.connect(STREAM).await;
    let request = json!({ "action": "subscribe", "strategies": true });
    assert_eq!(client.ask("subscribe", &request).await["type"], "subscribed");
    let strategies = ",subscription_type=\"strategies\"";
    assert_eq!(server.of(STREAM, "websocket_subscriptions_active", strategies), 1);
    server.app().websockets.strategy_changed("A-02", "S-2", 5);
    server.app().websockets.strategy_changed("A-01", "S-1", -250);
    let message = client.receive().await.unwrap();
    let expected = json!({ "type": "strategy", "strategy": "S-1", "profit_paise": -250 });
    assert_eq!(message, expected);
    client.close().await;
    server.assert_idle().await;
    server.backend.stop().await;
}

#[tokio::test]
async fn a_handshake_is_accepted_or_rejected() {
    let server = Server::start().await;
    let ask = async |head: &str| {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let request =
            format!("GET {STREAM} HTTP/1.1\r\nhost: h\r\n{head}connection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let read = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut answer);
        time::timeout(DEADLINE, read).await.expect("in time").unwrap();
        String::from_utf8(answer).unwrap()
    };
    let connections = |status: &str| {
        let labels = format!(",status=\"{status}\"");
        server.of(STREAM, "websocket_connections_total", &labels)
    };
    // No request for a connection.
    let answer = ask("").await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert_eq!(connections("rejected"), 0);
    // One without a key.
    let answer = ask("connection: upgrade\r\nupgrade: websocket\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert_eq!(connections("rejected"), 1);

    let places = &server.app().websockets.places;
    let taken = places.acquire_many(u32::try_from(places.available_permits()).unwrap() - 1);
    let taken = taken.await.unwrap();
    let mut last = server.connect(STREAM).await;
    let stream = TcpStream::connect(server.address).await.unwrap();
    match server.connect_over(stream, STREAM).await.map(|_| ()) {
        Err(tungstenite::Error::Http(answer)) => {
            assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
        }
        other => panic!("{other:?}"),
    }
    last.close().await;
    eventually("the place is free", || places.available_permits() == 1).await;
    drop(taken);
    server.connect(STREAM).await.close().await;
    server.assert_idle().await;
    assert_eq!(connections("accepted"), 2);
    assert_eq!(connections("rejected"), 2);
    assert_eq!(server.of(STREAM, "websocket_handshake_duration_seconds_count", ""), 4);
    server.backend.stop().await;
}
