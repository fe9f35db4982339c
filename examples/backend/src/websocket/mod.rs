//! Clients that are told what happens: ticks, indicators and strategies as they change.
//!
//! [`hub`] knows who listens to what and puts messages into the queues of the [`session`]s, each of which reads
//! and writes one connection. [`protocol`] is what they say.

pub mod hub;
pub mod protocol;
pub mod session;

use std::{
    future::{self, Ready},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use hyper_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio::{sync::Semaphore, time};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument;

use self::{
    hub::Hub,
    protocol::{Select, Selection},
    session::Session,
};
use crate::{
    reply::{self, Problem, Reply},
    routes::Call,
};

/// The most connections at a time.
const CONNECTIONS: usize = 3_000;
/// When a client that found no place may try again.
const RETRY_AFTER: Duration = Duration::from_secs(10);
/// The largest message that a client may send, in bytes.
const LARGEST_MESSAGE: usize = 64 * 1024;
/// What is read at a time, in bytes. Requests are short; without this every connection would hold 128 KiB.
const READ_BUFFER: usize = 4 * 1024;
/// How long the answer to a handshake may take to be sent.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(10);

/// The connections that are open, and what they listen to.
#[derive(Debug)]
pub struct Websockets {
    /// A permit for each connection that may still be opened.
    pub places: Arc<Semaphore>,
    hub: Hub,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Websockets {
    /// Nobody is connected yet. Connections are among `tasks`, and are closed at `stop`.
    #[must_use]
    pub fn new(tasks: TaskTracker, stop: CancellationToken) -> Arc<Self> {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        Arc::new(Self { places, hub: Hub::default(), tasks, stop })
    }

    /// Tells the clients of an account what one of its strategies is worth now.
    pub fn strategy_changed(&self, account: &str, strategy: &str, profit_paise: i64) {
        self.hub.strategy_changed(account, strategy, profit_paise);
    }
}

/// `GET /ws/fo/stream`
pub fn fo_stream(call: Call) -> Ready<Result<Reply, Problem>> {
    future::ready(open(call, Selection::of_market))
}

/// `GET /ws/indicators`
pub fn indicators(call: Call) -> Ready<Result<Reply, Problem>> {
    future::ready(open(call, Selection::of_indicators))
}

/// Answers a handshake. The connection goes on in a task of its own.
fn open(mut call: Call, select: Select) -> Result<Reply, Problem> {
    if !hyper_tungstenite::is_upgrade_request(&call.request) {
        return Err(Problem::BadRequest("this is for WebSockets".to_owned()));
    }
    // Dropped on the way to its session, it is a connection that was rejected.
    let handshake = call.app.metrics.start_websocket_handshake(call.matched.template);
    let websockets = Arc::clone(&call.app.websockets);
    let place = Arc::clone(&websockets.places)
        .try_acquire_owned()
        .map_err(|_| Problem::TooMany(RETRY_AFTER))?;
    let (reply, upgrade) = hyper_tungstenite::upgrade(&mut call.request, Some(config()))
        .map_err(|error| Problem::BadRequest(error.to_string()))?;
    let tasks = websockets.tasks.clone();
    let connection = async move {
        // The client has its answer when this is ready; it may also be gone.
        if let Ok(Ok(socket)) = time::timeout(UPGRADE_TIMEOUT, upgrade).await {
            Session::new(websockets, handshake.accept(), select, call.account).run(socket).await;
        }
        drop(place);
    };
    tasks.spawn(connection.in_current_span());
    Ok(reply.map(|_| reply::body(Bytes::new())))
}

fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .max_message_size(Some(LARGEST_MESSAGE))
        .max_frame_size(Some(LARGEST_MESSAGE))
}
