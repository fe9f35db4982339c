//! Clients that listen.

use std::{sync::Arc, time::Duration};

use futures_util::{SinkExt, StreamExt};
use http::{HeaderValue, Method, header};
use serde_json::json;
use tokio::{
    net::{TcpSocket, TcpStream},
    time,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message, client::IntoClientRequest},
};
use tokio_util::sync::CancellationToken;

use super::{client::Tally, day::Trader};
use crate::faults::Fault;

/// How many listen at once.
pub(super) const CLIENTS: usize = 8;
/// What a client that reads late has room for: little, so that it is late soon.
const ROOM: u32 = 4096;

/// Listens to one stream for a while, then to the next, until `stop`.
pub(super) async fn run(number: usize, trader: Arc<Trader>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        if let Err(error) = listen(number, &trader, &stop).await {
            tracing::debug!(%error, "a listener ended");
            stop.run_until_cancelled(time::sleep(Duration::from_secs(1))).await;
        }
    }
}

/// Opens a WebSocket.
async fn open(trader: &Trader, path: &'static str) -> Result<WebSocketStream<TcpStream>, Error> {
    let token = trader.token().await.unwrap_or_default();
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(ROOM)?;
    let stream = socket.connect(trader.client.backend).await?;
    let mut request = format!("ws://{}{path}", trader.client.backend).into_client_request()?;
    let bearer = HeaderValue::try_from(format!("Bearer {token}")).map_err(http::Error::from)?;
    request.headers_mut().insert(header::AUTHORIZATION, bearer);
    let opened = client_async(request, stream).await;
    trader.client.note(
        &Method::GET,
        path,
        match &opened {
            Ok((_, response)) => Some(response.status()),
            Err(Error::Http(response)) => Some(response.status()),
            Err(_) => None,
        },
    );
    Ok(opened?.0)
}

/// Sends a message that is too large, and is shown the door.
pub(super) async fn shout(trader: &Trader) -> Result<(), Error> {
    let mut socket = open(trader, "/ws/fo/stream").await?;
    socket.send(Message::text("!".repeat(100_000))).await?;
    while socket.next().await.transpose()?.is_some() {}
    Ok(())
}

async fn listen(number: usize, trader: &Trader, stop: &CancellationToken) -> Result<(), Error> {
    let (path, subscribe) = if number % 3 == 2 {
        let options = [trader.favourite(), trader.favourite(), trader.favourite()];
        (
            "/ws/indicators",
            json!({ "action": "subscribe", "indicator": "delta", "symbols": options }),
        )
    } else {
        let symbols = trader.symbols();
        ("/ws/fo/stream", json!({ "action": "subscribe", "symbols": symbols, "strategies": true }))
    };
    let mut socket = open(trader, path).await?;
    let tally = |change: fn(&mut Tally)| trader.client.count(change);
    socket.send(Message::text(subscribe.to_string())).await?;
    tally(|tally| tally.messages_sent += 1);
    let mut pings = time::interval(Duration::from_secs(5));
    let end = time::sleep(Duration::from_secs(rand::random_range(20..60)));
    tokio::pin!(end);
    loop {
        // Some are late on purpose while the fault is on: the backend must not wait for them.
        let reads = number % 2 == 1 || !trader.app.faults.is_on(Fault::SlowClients);
        tokio::select! {
            // Who left while it is late would miss nothing.
            () = &mut end, if reads => break,
            () = stop.cancelled() => break,
            _ = pings.tick() => {
                socket.send(Message::text(json!({ "action": "ping" }).to_string())).await?;
                tally(|tally| tally.messages_sent += 1);
            }
            message = socket.next(), if reads => match message.transpose()? {
                Some(message) if message.is_text() => tally(|tally| tally.messages_received += 1),
                Some(_) => {}
                None => return Ok(()),
            },
        }
    }
    // What the backend has sent before it answers the close is received as well.
    socket.close(None).await?;
    while let Some(message) = socket.next().await.transpose()? {
        if message.is_text() {
            tally(|tally| tally.messages_received += 1);
        }
    }
    Ok(())
}
