//! Two thousand WebSocket clients, of whom some stop reading.

use std::{net::SocketAddr, sync::Arc};

use futures_util::{SinkExt, StreamExt, stream};
use serde_json::{Value, json};
use tokio::{
    net::{TcpSocket, TcpStream},
    runtime::Runtime,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message, client::IntoClientRequest},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    backend, http,
    incident::{Database, Incident},
    runbooks::Excuse::{Maybe, Nothing},
    wait::{DEADLINE, eventually},
    watch::CLOSED,
};

/// Clients that read.
const READERS: u32 = 1_960;
/// Clients that do not: so few that their errors are no reason to page.
const STALLED: u32 = 40;
/// Clients of an ordinary day: enough to be missed, and no crowd.
const REGULARS: u32 = 60;
/// How many connect at a time.
const AT_ONCE: usize = 50;
/// What a client that does not read has room for, in bytes.
const ROOM: u32 = 4096;

type Socket = WebSocketStream<TcpStream>;

#[test]
#[ignore = "needs PostgreSQL, Redis, Prometheus and Alertmanager: run scripts/test"]
fn a_crowd_is_told_of_until_it_leaves_and_who_does_not_read_is_cut_off() {
    let files = u64::from(READERS + STALLED) + 1_000;
    assert!(rlimit::increase_nofile_limit(files).is_ok_and(|limit| limit >= files));
    let arguments = ["--rate-limit", "1000000"];
    let program = backend::command(&[]);
    // In the evening: while the market is open, it would be told of that they leave.
    let mut incident =
        Incident::prepare_while(CLOSED, "crowd", Database::postgres(), program, &arguments);
    incident.begin();
    let address = incident.backend.address;
    let options = options(address);
    let crowd = Crowd::new(address, READERS, &options);
    let stalled = stream::iter(0..STALLED)
        .map(async |_| open(address, Some(ROOM), &options).await.expect("it is let in"));
    let stalled: Vec<Socket> = crowd.runtime.block_on(stalled.buffer_unordered(AT_ONCE).collect());
    let connections = "sum(websocket_connections_active)";
    incident.prometheus.wait_for(connections, f64::from(READERS + STALLED));

    // It costs the others nothing, and those who do not read miss messages and are cut off.
    let cut_off = r#"sum(websocket_errors_total{error_type="write_timeout"})"#;
    eventually(2 * DEADLINE, || match incident.prometheus.value(cut_off)? {
        cut_off if cut_off.total_cmp(&f64::from(STALLED)).is_eq() => Ok(()),
        cut_off => Err(format!("{cut_off} were cut off")),
    });
    let dropped = r#"sum(websocket_messages_dropped_total{reason="slow_consumer"})"#;
    assert!(incident.prometheus.value(dropped).is_ok_and(|dropped| dropped > 0.0));
    incident.prometheus.wait_for(connections, f64::from(READERS));
    incident.fires("chat", "WebSocketConnectionsHigh");

    drop(stalled);
    crowd.leave();
    incident.resolves("chat", "WebSocketConnectionsHigh");
    let shows_nothing = [
        Maybe("websocket_connections_total", "all of them came at once, and some time ago"),
        Maybe(
            "websocket_handshake_duration_seconds_bucket",
            "all of them came at once, and some time ago",
        ),
        Maybe("websocket_errors_total", "who was cut off is the first, and some time ago"),
    ];
    incident.is_over(&["WebSocketConnectionsHigh"], &shows_nothing);
    incident.nothing_has_drifted();
}

#[test]
#[ignore = "needs PostgreSQL, Redis, Prometheus and Alertmanager: run scripts/test"]
fn websocket_clients_that_all_leave_are_told_of_until_they_are_back() {
    let arguments = ["--rate-limit", "1000000"];
    let program = backend::command(&[]);
    let mut incident = Incident::prepare("clients gone", Database::postgres(), program, &arguments);
    incident.begin();
    let address = incident.backend.address;
    let options = options(address);
    let crowd = Crowd::new(address, REGULARS, &options);
    incident.comes_true(
        r#"avg_over_time(job:websocket_connections_active:sum{job="backend"}[1h] offset 10m) > 10"#,
    );
    crowd.leave();
    incident.fires("pager", "WebSocketClientsLost");
    let crowd = Crowd::new(address, REGULARS, &options);
    incident.resolves("pager", "WebSocketClientsLost");
    let shows_nothing = [
        Nothing("(websocket_connections_active{", "0 is what it says"),
        Maybe("websocket_messages_dropped_total", "a slow machine drops some"),
        Nothing("websocket_connections_total", "nobody tries to come back"),
        Nothing("websocket_handshake_duration_seconds_bucket", "nobody tries to come back"),
        Nothing("websocket_connection_duration_seconds_bucket", "a first value is no increase"),
        Nothing("websocket_errors_total", "they said good-bye"),
        Nothing("process_start_time_seconds", "it was not restarted"),
    ];
    incident.is_over(&["WebSocketClientsLost"], &shows_nothing);
    crowd.leave();
    incident.nothing_has_drifted();
}

/// Clients that read.
struct Crowd {
    runtime: Runtime,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Crowd {
    /// So many, who listen each to one of these symbols.
    fn new(backend: SocketAddr, readers: u32, symbols: &[String]) -> Self {
        let runtime = Runtime::new().expect("there are threads");
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let symbols: Arc<[String]> = symbols.into();
        let readers = stream::iter(0..readers).map(|number| {
            let symbol = symbols[number as usize % symbols.len()].clone();
            async move { open(backend, None, &[symbol]).await.expect("it is let in") }
        });
        runtime.block_on(async {
            let mut readers = std::pin::pin!(readers.buffer_unordered(AT_ONCE));
            while let Some(socket) = readers.next().await {
                tasks.spawn(read(socket, stop.clone()));
            }
        });
        Self { runtime, stop, tasks }
    }

    /// All of them say good-bye.
    fn leave(self) {
        self.stop.cancel();
        self.tasks.close();
        self.runtime.block_on(self.tasks.wait());
    }
}

/// The symbols of options that are traded.
#[track_caller]
fn options(backend: SocketAddr) -> Vec<String> {
    let key = [("X-API-Key", "demo-key-A-01")];
    let chains = ["NIFTY", "BANKNIFTY"].map(|underlying| {
        let chain = http::request(backend, "GET", &format!("/fo/{underlying}/option-chain"), &key);
        let chain = chain.expect("the backend answers");
        serde_json::from_slice::<Value>(&chain.body).expect("the answer is JSON")
    });
    let strikes = chains.iter().flat_map(|chain| chain["strikes"].as_array().into_iter().flatten());
    let options = strikes.flat_map(|row| [&row["call"]["symbol"], &row["put"]["symbol"]]);
    let options: Vec<String> = options.filter_map(|it| Some(it.as_str()?.to_owned())).collect();
    assert!(options.len() > 50, "{options:?}");
    options
}

/// Opens a WebSocket that listens to the ticks of these symbols.
async fn open(backend: SocketAddr, room: Option<u32>, symbols: &[String]) -> Result<Socket, Error> {
    let socket = TcpSocket::new_v4()?;
    if let Some(room) = room {
        socket.set_recv_buffer_size(room)?;
    }
    let stream = socket.connect(backend).await?;
    let mut request = format!("ws://{backend}/ws/fo/stream").into_client_request()?;
    request.headers_mut().insert("x-api-key", "demo-key-A-02".parse().expect("it is a header"));
    let (mut socket, _) = client_async(request, stream).await?;
    let request = json!({ "action": "subscribe", "symbols": symbols });
    socket.send(Message::text(request.to_string())).await?;
    Ok(socket)
}

/// Reads until it is stopped, then says good-bye.
async fn read(mut socket: Socket, stop: CancellationToken) {
    while let Some(Some(message)) = stop.run_until_cancelled(socket.next()).await {
        message.expect("it is not cut off");
    }
    socket.close(None).await.expect("it is open");
    while let Some(message) = socket.next().await {
        message.expect("it is closed in order");
    }
}
