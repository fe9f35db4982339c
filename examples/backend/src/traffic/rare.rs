//! What happens once on a day, for a moment: so that nothing is at zero for ever.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use http::Method;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time,
};

use super::{
    client::{Client, Credentials},
    day::Trader,
    sockets,
};
use crate::{accounts, app::App, faults::Fault, statements, workers::Work};

/// Everything of this page, in turn; then nothing more.
///
/// None of it lasts long enough, or comes often enough, for an alert.
pub(super) async fn run(app: Arc<App>, client: Client, trader: Arc<Trader>) {
    let faults = &app.faults;
    pause(20).await;
    drop(hang_up(&client).await);
    drop(sockets::shout(&trader).await);
    pause(5).await;
    lock_out(&client).await;
    pause(5).await;
    upload_nonsense(&trader).await;
    ask_too_often(&trader).await;
    pause(5).await;
    // Connections are cut for a moment; the cache goes on with its first layer.
    faults.hold(Fault::Redis, Duration::from_secs(2)).await;
    pause(5).await;
    // The last connection of the pool is held for half the time that a caller waits for one, so that only
    // whoever takes them all waits in vain.
    faults.hold(Fault::Database, Duration::from_millis(400)).await;
    pause(5).await;
    // Their queues are full after seven seconds. Not for as long as a write may take: they read on, and miss what was
    // dropped in between. While there are ticks, so not just after the trouble of the ticker service.
    faults.hold(Fault::SlowClients, Duration::from_secs(12)).await;
    pause(5).await;
    // Long enough to open the circuit breaker, which then tries again by itself. Housekeeping that falls into
    // it is tried again as well, and what is queued behind it waits.
    tokio::join!(faults.hold(Fault::Ticker, Duration::from_secs(5)), async {
        pause(1).await;
        for _ in 0..3 {
            app.workers.enqueue(Work::KeepHouse);
        }
    });
    pause(25).await;
    // A bug that one job meets, and one request in two thousand.
    faults.once(Fault::WorkerPanics);
    faults.once(Fault::Panics);
}

async fn pause(seconds: u64) {
    time::sleep(Duration::from_secs(seconds)).await;
}

/// Clients that go away before they were answered.
async fn hang_up(client: &Client) -> io::Result<()> {
    let body =
        json!({ "account": accounts::DEMO_IDLE, "password": accounts::DEMO_PASSWORD }).to_string();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(client.backend).await?;
        let head = format!(
            "POST /auth/login HTTP/1.1\r\nhost: {}\r\ncontent-length: {}\r\nexpect: 100-continue\r\n\r\n",
            client.backend,
            body.len()
        );
        stream.write_all(head.as_bytes()).await?;
        // The backend asks for the body: so it has begun, and will count the request whatever its end.
        stream.read_u8().await?;
        client.count(|tally| *tally.unanswered.entry("/auth/login").or_default() += 1);
        stream.write_all(body.as_bytes()).await?;
        // It compares passwords for longer than this.
        time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// Someone who does not know the password, and does not give up: of an account that nobody trades with, or its
/// trader would be locked out as well.
async fn lock_out(client: &Client) {
    for attempt in 0..6 {
        let body =
            json!({ "account": accounts::DEMO_IDLE, "password": format!("guess {attempt}") });
        client
            .ask(Method::POST, "/auth/login", "/auth/login", &Credentials::Nobody, Some(body))
            .await;
    }
}

/// A file that is no statement.
async fn upload_nonsense(trader: &Trader) {
    let who = Credentials::Key(format!("demo-key-{}", trader.account));
    let body = Bytes::from_static(b"day;what\nyesterday;something\n");
    trader
        .client
        .send(Method::POST, "/statements", "/statements", &who, statements::CSV, body)
        .await;
}

/// A program that does not wait between its requests.
async fn ask_too_often(trader: &Trader) {
    let who = Credentials::Key(format!("demo-key-{}", trader.account));
    for _ in 0..100 {
        trader.client.ask(Method::GET, "/statements", "/statements", &who, None).await;
    }
}
