//! Clients that listen.

use std::{sync::Arc, time::Duration};

use futures_util::{SinkExt, StreamExt};
use http::{HeaderValue, header};
use serde_json::json;
use tokio::{net::TcpSocket, time};
use tokio_tungstenite::{
    client_async,
    tungstenite::{Error, Message, client::IntoClientRequest, protocol::CloseFrame},
};
use tokio_util::sync::CancellationToken;

use super::day::Trader;
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

async fn listen(number: usize, trader: &Trader, stop: &CancellationToken) -> Result<(), Error> {
    let path = if number % 3 == 2 { "/ws/indicators" } else { "/ws/fo/stream" };
    let Some(token) = trader.token().await else { return Ok(()) };
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(ROOM)?;
    let stream = socket.connect(trader.client.backend).await?;
    let mut request = format!("ws://{}{path}", trader.client.backend).into_client_request()?;
    let bearer = HeaderValue::try_from(format!("Bearer {token}")).map_err(http::Error::from)?;
    request.headers_mut().insert(header::AUTHORIZATION, bearer);
    let (mut socket, _) = client_async(request, stream).await?;

    let symbols: Vec<_> = (0..30).map(|_| trader.symbol()).collect();
    let subscribe = match path {
        "/ws/indicators" => {
            json!({ "action": "subscribe", "indicator": "delta", "symbols": symbols[..5] })
        }
        _ => json!({ "action": "subscribe", "symbols": symbols }),
    };
    socket.send(Message::text(subscribe.to_string())).await?;
    let mut messages = [1, 0];
    let mut pings = time::interval(Duration::from_secs(5));
    let end = time::sleep(Duration::from_secs(rand::random_range(20..60)));
    tokio::pin!(end);
    loop {
        tokio::select! {
            () = &mut end => break,
            () = stop.cancelled() => break,
            _ = pings.tick() => {
                socket.send(Message::text(json!({ "action": "ping" }).to_string())).await?;
                messages[0] += 1;
            }
            // Late on purpose while the fault is on: the backend must not wait for it.
            message = socket.next(), if !trader.app.faults.is_on(Fault::SlowClients) => match message {
                Some(message) => messages[1] += u64::from(message?.is_text()),
                None => break,
            },
        }
    }
    // What the backend still sends until it has answered the close was sent as well.
    socket.close(None::<CloseFrame>).await?;
    while let Some(message) = socket.next().await {
        messages[1] += u64::from(message?.is_text());
    }
    trader.client.count(|tally| {
        tally.messages[0] += messages[0];
        tally.messages[1] += messages[1];
    });
    Ok(())
}
