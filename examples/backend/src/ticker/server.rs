//! The ticker service itself, with a random walk for a market.
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /health` | nothing |
//! | `GET /instruments` | every [`Instrument`](super::protocol::Instrument) |
//! | `POST`, `DELETE /subscriptions` | nothing; the stream has the ticks of these symbols, or no more |
//! | `GET /history/{symbol}?candles=N` | the last [`Candle`](super::protocol::Candle)s |
//! | `POST /margin` | the [`Margin`](super::protocol::Margin) of a [`MarginRequest`](super::protocol::MarginRequest) |
//! | `GET /stream` | a [`Tick`] in every event, without an end |

use std::{error::Error, io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited, StreamBody};
use hyper::{
    body::{Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::{
    net::TcpListener,
    sync::broadcast::{self, error::RecvError},
    time,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    exchange::Exchange,
    protocol::{Subscription, Tick},
};
use crate::{
    faults::{Fault, Faults},
    reply::{self, Reply},
};

/// How often the market moves.
const BEAT: Duration = Duration::from_millis(100);
/// Beats that a stream may fall behind before it misses some.
const BEATS_KEPT: usize = 256;
/// The largest body of a request.
const LARGEST_BODY: usize = 64 * 1024;

/// How long an answer takes while the service is slow.
const SLOW: Duration = Duration::from_secs(3);
/// What trouble there is with connections.
const DROPPED: &str = "a connection dropped on purpose";

/// Why a connection is dropped without an answer.
type Dropped = Box<dyn Error + Send + Sync>;

/// Starts the service on a free port of loopback; gives where.
pub async fn start(
    faults: Faults,
    tasks: &TaskTracker,
    stop: CancellationToken,
) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let service = Arc::new(Service {
        exchange: Mutex::new(Exchange::open()),
        beats: broadcast::Sender::new(BEATS_KEPT),
        faults,
    });
    tasks.spawn(stop.clone().run_until_cancelled_owned(service.clone().trade()));
    tasks.spawn(stop.clone().run_until_cancelled_owned(serve(
        service,
        listener,
        tasks.clone(),
        stop,
    )));
    Ok(address)
}

async fn serve(
    service: Arc<Service>,
    listener: TcpListener,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            time::sleep(BEAT).await;
            continue;
        };
        drop(stream.set_nodelay(true));
        let service = service.clone();
        let connection = http1::Builder::new().serve_connection(
            TokioIo::new(stream),
            service_fn(move |request| service.clone().answer(request)),
        );
        // Streams do not end by themselves.
        tasks.spawn(stop.clone().run_until_cancelled_owned(connection));
    }
}

/// The market, and what is asked of it.
#[derive(Debug)]
struct Service {
    exchange: Mutex<Exchange>,
    /// The ticks of each beat, as events.
    beats: broadcast::Sender<Bytes>,
    faults: Faults,
}

#[derive(Deserialize)]
struct HistoryQuery {
    candles: usize,
}

impl Service {
    /// Moves the market, and tells the streams.
    async fn trade(self: Arc<Self>) {
        let mut beats = time::interval(BEAT);
        loop {
            beats.tick().await;
            let mut exchange = self.exchange.lock();
            let ticks = exchange.beat();
            // Under the lock, so that a stream that begins misses none.
            self.send(&ticks);
        }
    }

    fn send(&self, ticks: &[Tick]) {
        if !ticks.is_empty() {
            // An error means that there is no stream.
            drop(self.beats.send(events(ticks)));
        }
    }

    /// Answers, or hangs up.
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Result<Reply, Dropped> {
        if self.faults.is_on(Fault::TickerSlow) {
            time::sleep(SLOW).await;
        }
        if self.faults.is_on(Fault::Ticker) {
            if rand::random() {
                return Err(DROPPED.into());
            }
            return Ok(reply::empty(StatusCode::SERVICE_UNAVAILABLE));
        }
        time::sleep(Duration::from_micros(rand::random_range(1_000..5_000))).await;
        Ok(self.route(request).await.unwrap_or_else(reply::empty))
    }

    async fn route(&self, request: Request<Incoming>) -> Result<Reply, StatusCode> {
        let (head, body) = request.into_parts();
        let body = Limited::new(body, LARGEST_BODY).collect().await;
        let body = body.map_err(|_| StatusCode::BAD_REQUEST)?.to_bytes();
        let path: Vec<_> = head.uri.path().split('/').skip(1).collect();
        match (&head.method, path.as_slice()) {
            (&Method::GET, ["health"]) => Ok(reply::empty(StatusCode::OK)),
            (&Method::GET, ["instruments"]) => json(&self.exchange.lock().instruments()),
            (&Method::POST, ["subscriptions"]) => {
                let Subscription { symbols } = parse(&body)?;
                let mut exchange = self.exchange.lock();
                let ticks = exchange.subscribe(&symbols);
                self.send(&ticks);
                Ok(reply::empty(StatusCode::OK))
            }
            (&Method::DELETE, ["subscriptions"]) => {
                let Subscription { symbols } = parse(&body)?;
                self.exchange.lock().unsubscribe(&symbols);
                Ok(reply::empty(StatusCode::OK))
            }
            (&Method::GET, ["history", symbol]) => {
                let query = head.uri.query().unwrap_or_default();
                let HistoryQuery { candles } =
                    serde_urlencoded::from_str(query).map_err(|_| StatusCode::BAD_REQUEST)?;
                json(&self.exchange.lock().history(symbol, candles).ok_or(StatusCode::NOT_FOUND)?)
            }
            (&Method::POST, ["margin"]) => {
                let margin = self.exchange.lock().margin(&parse(&body)?);
                json(&margin.ok_or(StatusCode::NOT_FOUND)?)
            }
            (&Method::GET, ["stream"]) => Ok(self.stream()),
            _ => Err(StatusCode::NOT_FOUND),
        }
    }

    /// A tick of each symbol, then those from now on.
    fn stream(&self) -> Reply {
        let (first, beats) = {
            let mut exchange = self.exchange.lock();
            (events(&exchange.snapshot()), self.beats.subscribe())
        };
        let events = stream::once(async { Ok(first) }).chain(following(beats, self.faults.clone()));
        let body = StreamBody::new(events.map(|events| events.map(Frame::data)));
        let mut reply = Response::new(body.boxed_unsync());
        let media_type = const { HeaderValue::from_static("text/event-stream") };
        reply.headers_mut().insert(header::CONTENT_TYPE, media_type);
        reply
    }
}

/// The beats from now on; broken off while there is trouble.
fn following(
    beats: broadcast::Receiver<Bytes>,
    faults: Faults,
) -> impl Stream<Item = Result<Bytes, Dropped>> {
    stream::unfold((beats, faults), async |(mut beats, faults)| {
        loop {
            let beat = match beats.recv().await {
                _ if faults.is_on(Fault::Ticker) => Err(DROPPED.into()),
                Ok(beat) => Ok(beat),
                // Its reader is too slow, and sees from the numbers of the ticks what it missed.
                Err(RecvError::Lagged(_)) => continue,
                Err(RecvError::Closed) => return None,
            };
            return Some((beat, (beats, faults)));
        }
    })
}

/// Each tick as an event.
fn events(ticks: &[Tick]) -> Bytes {
    let ticks = ticks.iter().filter_map(|tick| serde_json::to_string(tick).ok());
    let events: Vec<_> = ticks.map(|tick| format!("data: {tick}\n\n")).collect();
    events.concat().into()
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, StatusCode> {
    serde_json::from_slice(body).map_err(|_| StatusCode::BAD_REQUEST)
}

fn json(value: &impl Serialize) -> Result<Reply, StatusCode> {
    reply::json(StatusCode::OK, value).map_err(|problem| problem.status())
}
