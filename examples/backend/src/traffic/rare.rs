//! What happens once on a day, for a moment: so that nothing is at zero for ever.

use std::{sync::Arc, time::Duration};

use http::Method;
use serde_json::json;
use tokio::{io::AsyncWriteExt, net::TcpStream, time};

use super::{
    client::{Client, Credentials},
    day::Trader,
};
use crate::{accounts, app::App, faults::Fault};

/// Everything of this page, in turn; then nothing more.
///
/// None of it lasts long enough, or comes often enough, for an alert.
pub(super) async fn run(app: Arc<App>, client: Client, trader: Arc<Trader>) {
    let faults = &app.faults;
    pause(20).await;
    hang_up(&client).await;
    pause(5).await;
    lock_out(&client).await;
    pause(5).await;
    ask_too_often(&trader).await;
    pause(5).await;
    // Connections are cut for a moment; the cache goes on with its first layer.
    faults.hold(Fault::Redis, Duration::from_secs(2)).await;
    pause(5).await;
    // The last connection of the pool is held for less time than a caller waits for one, so that only
    // whoever takes them all waits in vain.
    faults.hold(Fault::Database, Duration::from_millis(900)).await;
    pause(5).await;
    // Long enough to open the circuit breaker, which then tries again by itself.
    faults.hold(Fault::Ticker, Duration::from_secs(5)).await;
    pause(5).await;
    faults.hold(Fault::SlowClients, Duration::from_secs(15)).await;
    pause(25).await;
    // A bug that one request in two thousand meets.
    faults.once(Fault::Panics);
}

async fn pause(seconds: u64) {
    time::sleep(Duration::from_secs(seconds)).await;
}

/// Clients that go away before they were answered.
async fn hang_up(client: &Client) {
    const ENDPOINT: &str = "/fo/{underlying}/option-chain";
    let request = b"GET /fo/NIFTY/option-chain HTTP/1.1\r\nhost: localhost\r\nx-api-key: demo-key-A-01\r\n\r\n";
    for _ in 0..5 {
        if let Ok(mut stream) = TcpStream::connect(client.backend).await {
            // Counted before, as the backend counts the request even if nobody waits for its answer.
            client.count(|tally| *tally.unanswered.entry(ENDPOINT).or_default() += 1);
            drop(stream.write_all(request).await);
        }
    }
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

/// A program that does not wait between its requests.
async fn ask_too_often(trader: &Trader) {
    let who = Credentials::Key(format!("demo-key-{}", trader.account));
    for _ in 0..100 {
        trader.client.ask(Method::GET, "/statements", "/statements", &who, None).await;
    }
}
