//! The default day: every family moves, clients and scrapes agree, nothing drifts.
//!
//! Ignored unless asked for, as it takes two minutes; `DAY_SECONDS` makes it longer. Run it with
//! `RUST_BACKTRACE=0`, as the backtrace of the day's panics would read all debug information into memory.

#[path = "../../../tests/common/exposition.rs"]
mod exposition;

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    net::SocketAddr,
    time::Duration,
};

use backend_metrics::Format;
use clap::Parser;
use exposition::{Exposition, Sample, parse};
use http_body_util::{BodyExt, Empty};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use reference_backend::{Backend, config::Config, telemetry, traffic::Tally};
use tokio::time::{self, Instant};

/// How long it takes for everything to have moved, as the README says.
const EVERYTHING_MOVES: Duration = Duration::from_mins(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes two minutes: run scripts/test"]
async fn a_healthy_day_moves_every_family_and_adds_up() {
    let metrics = telemetry::metrics().expect("there is one instance");
    telemetry::start_log(metrics).expect("there is one log");
    let config = Config::parse_from(["reference-backend", "--listen", "127.0.0.1:0"]);
    let mut backend = Backend::start(config, metrics).await.expect("it starts");
    let mut watcher = Scraper::new(backend.address());
    watcher.watch(length()).await;

    let tally = backend.stop_traffic().await;
    let end = watcher.settled().await;
    let (seen, scraped) = requests(&tally, &end);
    assert_eq!(seen, scraped);
    assert_eq!(count(&end, "websocket_messages_received_total"), tally.messages_sent);
    assert_eq!(count(&end, "websocket_messages_sent_total"), tally.messages_received);

    let all: u64 = scraped.values().sum();
    let wrong = scraped.iter().filter(|(request, _)| request.status.starts_with('5'));
    let wrong: u64 = wrong.map(|(_, count)| count).sum();
    let open = watcher.breaker_open;
    println!("requests: {all}, of which 5xx: {wrong}; the circuit breaker was open for {open:?}");
    assert!(wrong * 2_000 <= all, "{wrong} of {all}");
    assert!(open < Duration::from_mins(1), "{open:?}");

    let (early, late) = watcher.memory();
    println!("resident: {early:.0} MiB in the second quarter, {late:.0} MiB in the last");
    assert!(late < early * 1.25, "{early} {late}");

    let sql = "SELECT COUNT(*) FROM orders WHERE state IN ('open', 'partially_filled')";
    let database = backend.app().database.clone();
    let mut orders = (0, 1);
    // Orders are filled and expire all the time, so both are read until they agree.
    for _ in 0..100 {
        let open: Vec<(i64,)> = database.select(sqlx::query_as(sql)).await.expect("it answers");
        orders = (open[0].0.cast_unsigned(), count(&watcher.scrape().await, "orders_open"));
        if orders.0 == orders.1 {
            break;
        }
    }
    assert_eq!(orders.0, orders.1);
    backend.stop().await;

    let families: BTreeSet<_> = backend_metrics::catalog().map(|entry| entry.family.name).collect();
    let still: BTreeSet<_> =
        families.into_iter().filter(|name| !watcher.moved.contains(*name)).collect();
    println!("{} families moved, these stood still: {still:?}", watcher.moved.len());
    assert!(still.is_subset(&may_stand_still()), "{still:?}");
}

/// How long the day is.
fn length() -> Duration {
    env::var("DAY_SECONDS").map_or(EVERYTHING_MOVES, |seconds| {
        Duration::from_secs(seconds.parse().expect("DAY_SECONDS is a number")).max(EVERYTHING_MOVES)
    })
}

/// Families that may stand still: the table in the README gives the reasons.
fn may_stand_still() -> BTreeSet<&'static str> {
    let readme = include_str!("../README.md");
    let (_, table) = readme.split_once("## What stands still").expect("there is a table");
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    rows.map(|(name, _)| name).collect()
}

/// What scrapes the backend, and what it saw.
#[derive(Debug)]
struct Scraper {
    client: Client<HttpConnector, Empty<&'static [u8]>>,
    address: SocketAddr,
    last: Instant,
    /// Families that were seen at something else than zero.
    moved: BTreeSet<String>,
    breaker_open: Duration,
    resident: Vec<f64>,
}

impl Scraper {
    fn new(address: SocketAddr) -> Self {
        Self {
            client: Client::builder(TokioExecutor::new()).build_http(),
            address,
            last: Instant::now(),
            moved: BTreeSet::new(),
            breaker_open: Duration::ZERO,
            resident: Vec::new(),
        }
    }

    async fn scrape(&mut self) -> Exposition {
        let uri = format!("http://{}/metrics", self.address).parse().expect("it is an address");
        let response = self.client.get(uri).await.expect("it answers");
        assert_eq!(response.status(), 200);
        let body = response.into_body().collect().await.expect("it ends").to_bytes();
        let text = str::from_utf8(&body).expect("it is text");
        let exposition = parse(text, Format::Text).unwrap_or_else(|broken| panic!("{broken:?}"));
        for family in &exposition.families {
            let is_something = |sample: &Sample| value(sample) != 0.0 && !value(sample).is_nan();
            if family.samples.iter().any(is_something) {
                self.moved.insert(family.name.clone());
            }
        }
        let since = self.last.elapsed();
        self.last = Instant::now();
        if sum(&exposition, "ticker_service_circuit_breaker_state") != 0.0 {
            self.breaker_open += since;
        }
        self.resident.push(sum(&exposition, "process_resident_memory_bytes"));
        exposition
    }

    /// Scrapes until the end of the day: at first so often that levels are seen which last for a moment.
    async fn watch(&mut self, length: Duration) {
        let started = Instant::now();
        while started.elapsed() < length {
            self.scrape().await;
            let pause = if started.elapsed() < EVERYTHING_MOVES { 100 } else { 5_000 };
            time::sleep(Duration::from_millis(pause)).await;
        }
    }

    /// Scrapes until nothing is under way. Every gauge of what was is back at zero then.
    async fn settled(&mut self) -> Exposition {
        const OF_A_MOMENT: [&str; 5] = [
            "http_active_requests",
            "websocket_connections_active",
            "websocket_subscriptions_active",
            "websocket_send_queue_depth",
            "database_pool_pending_acquires",
        ];
        let mut last = self.scrape().await;
        for _ in 0..200 {
            if OF_A_MOMENT.iter().all(|name| sum(&last, name) == 0.0) {
                return last;
            }
            time::sleep(Duration::from_millis(50)).await;
            last = self.scrape().await;
        }
        panic!("{:?}", OF_A_MOMENT.map(|name| (name, sum(&last, name))));
    }

    /// The median of the memory in use in the second and in the last quarter of the scrapes, in MiB.
    fn memory(&self) -> (f64, f64) {
        const MEBIBYTE: f64 = 1_048_576.0;
        let quarter = self.resident.len() / 4;
        let median = |number| {
            let mut part = self.resident[quarter * number..][..quarter].to_vec();
            part.sort_by(f64::total_cmp);
            part[quarter / 2] / MEBIBYTE
        };
        (median(1), median(3))
    }
}

/// What is counted as one in `http_requests_total`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Request {
    method: String,
    endpoint: String,
    status: String,
}

/// How many requests clients saw, and how many were scraped.
#[track_caller]
fn requests(
    tally: &Tally,
    exposition: &Exposition,
) -> (BTreeMap<Request, u64>, BTreeMap<Request, u64>) {
    let scraped: BTreeMap<_, _> = exposition
        .samples()
        .filter(|sample| sample.name == "http_requests_total")
        .map(|sample| {
            let label = |name| {
                let found = sample.labels.iter().find(|(label, _)| label == name);
                found.expect("it has the label").1.clone()
            };
            let request = Request {
                method: label("method"),
                endpoint: label("endpoint"),
                status: label("status"),
            };
            (request, sample.value.parse::<u64>().expect("it is a count"))
        })
        // A failure stands at zero beside what was answered.
        .filter(|(_, count)| *count > 0)
        .collect();
    let mut seen: BTreeMap<_, _> = tally
        .answers
        .iter()
        .map(|((method, endpoint, status), count)| {
            let (endpoint, status) = ((*endpoint).to_owned(), status.to_string());
            (Request { method: method.clone(), endpoint, status }, *count)
        })
        .collect();
    // Whoever hung up does not know with what status it was counted, but it was.
    for (endpoint, count) in &tally.unanswered {
        let mut left = *count;
        for (request, scraped) in
            scraped.iter().filter(|(request, _)| request.endpoint == *endpoint)
        {
            let seen = seen.entry(request.clone()).or_default();
            let unknown = scraped.saturating_sub(*seen).min(left);
            *seen += unknown;
            left -= unknown;
        }
        assert_eq!(left, 0, "of {count} requests to {endpoint} that got no answer");
    }
    (seen, scraped)
}

fn value(sample: &Sample) -> f64 {
    sample.value.parse().expect("it is a number")
}

/// The sum of a family's series.
fn sum(exposition: &Exposition, name: &str) -> f64 {
    exposition.samples().filter(|sample| sample.name == name).map(value).sum()
}

/// The sum of a family's series that are whole numbers.
fn count(exposition: &Exposition, name: &str) -> u64 {
    let samples = exposition.samples().filter(|sample| sample.name == name);
    samples.map(|sample| sample.value.parse::<u64>().expect("it is a count")).sum()
}
