//! Clients of the backend, so that there is something to see: a healthy day in small.
//!
//! They are clients like any other: all they do goes over connections to the backend's address. What they saw is
//! counted by the client, so that it can be compared with what was scraped.

mod client;
mod day;
mod rare;
mod sockets;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::time::{self, MissedTickBehavior};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::client::Tally;
use self::{client::Client, day::Trader};
use crate::{accounts, app::App};

/// Requests that may be under way at once; past it the next one waits.
const UNDER_WAY: usize = 256;

/// Sends `rate` requests in a second to `backend` until `stop`; gives what came back.
pub async fn run(app: Arc<App>, backend: SocketAddr, rate: u32, stop: CancellationToken) -> Tally {
    let client = Client::new(backend);
    let traders: Vec<_> = accounts::DEMO
        .iter()
        .map(|account| Arc::new(Trader::new(account, client.clone(), app.clone())))
        .collect();
    // Nobody comes before there is something to trade.
    while app.market.instruments().is_empty() && !stop.is_cancelled() {
        time::sleep(Duration::from_millis(50)).await;
    }
    // Those that end by themselves, and those that are ended.
    let (requests, others) = (TaskTracker::new(), TaskTracker::new());
    others.spawn(stop.clone().run_until_cancelled_owned(rare::run(
        app.clone(),
        client.clone(),
        traders[0].clone(),
    )));
    for number in 0..sockets::CLIENTS {
        let trader = traders[number % traders.len()].clone();
        others.spawn(sockets::run(number, trader, stop.clone()));
    }

    let mut ticks = time::interval(Duration::from_secs(1) / rate);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        if requests.len() < UNDER_WAY {
            let trader = traders[rand::random_range(..traders.len())].clone();
            requests.spawn(async move { trader.act().await });
        }
    }
    for tracker in [requests, others] {
        tracker.close();
        tracker.wait().await;
    }
    client.tally()
}
