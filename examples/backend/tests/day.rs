//! The default day: every family moves, clients and scrapes agree, nothing drifts.
//!
//! Ignored unless asked for, as it takes two minutes; `DAY_SECONDS` makes it longer.

#[path = "../../../tests/common/exposition.rs"]
#[allow(dead_code, reason = "shared with the tests of the library")]
mod exposition;

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    net::SocketAddr,
    time::Duration,
};

use backend_metrics::{Format, Metrics};
use clap::Parser;
use exposition::{Exposition, parse};
use http_body_util::{BodyExt, Empty};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use reference_backend::{Backend, config::Config, telemetry};
use tokio::time::{self, Instant};

/// How long it takes for everything to have moved, as the README says.
const EVERYTHING_MOVES: Duration = Duration::from_secs(120);

/// Families that may stand still: the table in the README gives the reasons.
fn may_stand_still() -> BTreeSet<String> {
    let readme = include_str!("../README.md");
    let table = readme.split_once("## What stands still").expect("there is a table").1;
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    rows.map(|(name, _)| name.to_owned()).collect()
}

#[derive(Debug)]
struct Day {
    client: Client<hyper_util::client::legacy::connect::HttpConnector, Empty<&'static [u8]>>,
    address: SocketAddr,
    moved: BTreeSet<String>,
    breaker_open: Duration,
    last: Instant,
}

impl Day {
    async fn scrape(&mut self) -> Exposition {
        let uri = format!("http://{}/metrics", self.address).parse().expect("it is an address");
        let response = self.client.get(uri).await.expect("it answers");
        assert_eq!(response.status(), 200);
        let body = response.into_body().collect().await.expect("it ends").to_bytes();
        let text = str::from_utf8(&body).expect("it is text");
        let exposition = parse(text, Format::Text).unwrap_or_else(|broken| panic!("{broken:?}"));
        for family in &exposition.families {
            let moved = |value: &str| {
                value.parse::<f64>().is_ok_and(|value| value != 0.0 && !value.is_nan())
            };
            if family.samples.iter().any(|sample| moved(&sample.value)) {
                self.moved.insert(family.name.clone());
            }
        }
        let since = self.last.elapsed();
        self.last = Instant::now();
        if number(&exposition, "ticker_service_circuit_breaker_state") != 0.0 {
            self.breaker_open += since;
        }
        exposition
    }
}

/// The sum of a family's series.
fn number(exposition: &Exposition, name: &str) -> f64 {
    let samples = exposition.samples().filter(|sample| sample.name == name);
    samples.map(|sample| sample.value.parse::<f64>().expect("it is a number")).sum()
}

/// Every family by its name as scraped.
fn all_families() -> BTreeSet<String> {
    backend_metrics::catalog().map(|entry| entry.family.name.to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes two minutes: run scripts/test"]
async fn a_healthy_day_moves_every_family_and_adds_up() {
    let length = env::var("DAY_SECONDS").ok().map_or(EVERYTHING_MOVES, |seconds| {
        Duration::from_secs(seconds.parse().expect("DAY_SECONDS is a number of seconds"))
    });
    let metrics: Metrics = telemetry::metrics().expect("there is one instance");
    telemetry::start_log(metrics).expect("there is one log");
    let config = Config::parse_from(["reference-backend", "--listen", "127.0.0.1:0"]);
    let mut backend = Backend::start(config, metrics).await.expect("it starts");
    let started = Instant::now();
    let mut day = Day {
        client: Client::builder(TokioExecutor::new()).build_http(),
        address: backend.address(),
        moved: BTreeSet::new(),
        breaker_open: Duration::ZERO,
        last: started,
    };
    let mut memory = Vec::new();
    while started.elapsed() < length.max(EVERYTHING_MOVES) {
        let exposition = day.scrape().await;
        memory.push(number(&exposition, "process_resident_memory_bytes"));
        if started.elapsed() < EVERYTHING_MOVES {
            // So that levels are seen which last for a moment.
            time::sleep(Duration::from_millis(100)).await;
        } else {
            time::sleep(Duration::from_secs(5)).await;
        }
    }
    let still: BTreeSet<_> = all_families().difference(&day.moved).cloned().collect();
    println!("moved: {}, stood still: {still:?}", day.moved.len());
    let excused = may_stand_still();

    // What clients saw is what was scraped, for every endpoint and status.
    let tally = backend.stop_traffic().await;
    let settled = time::timeout(Duration::from_secs(20), async {
        loop {
            let exposition = day.scrape().await;
            let busy = ["http_active_requests", "websocket_connections_active"];
            if busy.iter().all(|name| number(&exposition, name) == 0.0) {
                return exposition;
            }
            time::sleep(Duration::from_millis(100)).await;
        }
    });
    let exposition = settled.await.expect("nothing is under way");
    let mut scraped = BTreeMap::new();
    for sample in exposition.samples().filter(|sample| sample.name == "http_requests_total") {
        let label = |name: &str| {
            let found = sample.labels.iter().find(|(label, _)| label == name);
            found.expect("it has the label").1.clone()
        };
        let count: u64 = sample.value.parse().expect("it is a number");
        scraped.insert((label("method"), label("endpoint"), label("status")), count);
    }
    let mut seen: BTreeMap<_, _> = tally
        .answers
        .iter()
        .map(|((method, endpoint, status), count)| {
            ((method.clone(), (*endpoint).to_owned(), status.to_string()), *count)
        })
        .collect();
    // Of clients that hung up the backend may have noticed, or answered before it did.
    for (endpoint, count) in &tally.unanswered {
        let mut left = *count;
        for ((method, _, status), scraped) in
            scraped.iter().filter(|((_, of, _), _)| of == endpoint)
        {
            let key = (method.clone(), (*endpoint).to_owned(), status.clone());
            let more = scraped.saturating_sub(seen.get(&key).copied().unwrap_or(0)).min(left);
            if more > 0 {
                *seen.entry(key).or_default() += more;
                left -= more;
            }
        }
        assert_eq!(left, 0, "{endpoint}: {count} hung up");
    }
    assert_eq!(seen, scraped);
    let messages = [
        number(&exposition, "websocket_messages_received_total"),
        number(&exposition, "websocket_messages_sent_total"),
    ];
    assert_eq!(messages, [tally.messages_sent as f64, tally.messages_received as f64]);

    // A healthy day.
    let all: u64 = scraped.values().sum();
    let is_wrong = |status: &str| status.starts_with('5');
    let wrong: u64 =
        scraped.iter().filter(|((.., status), _)| is_wrong(status)).map(|(_, count)| count).sum();
    println!("requests: {all}, 5xx: {wrong}, breaker open: {:?}", day.breaker_open);
    assert!(wrong * 2000 <= all, "{wrong} of {all}: {:?}", tally.answers);
    assert!(day.breaker_open < Duration::from_mins(1), "{:?}", day.breaker_open);

    // No gauge has drifted.
    for name in [
        "http_active_requests",
        "websocket_connections_active",
        "websocket_subscriptions_active",
        "websocket_send_queue_depth",
        "database_pool_pending_acquires",
    ] {
        assert_eq!(number(&exposition, name), 0.0, "{name}");
    }
    let open = "SELECT COUNT(*) FROM orders WHERE state IN ('open', 'partially_filled')";
    let app = backend.app();
    let open: Vec<(i64,)> = app.database.select(sqlx::query_as(open)).await.expect("it answers");
    let exposition = day.scrape().await;
    assert_eq!(number(&exposition, "orders_open"), open[0].0 as f64);

    // Memory is flat once everything is warm.
    let (half, end) = (memory[memory.len() / 2], memory[memory.len() - 1]);
    println!(
        "resident: {:.1} MiB at half time, {:.1} at the end",
        half / 1048576.0,
        end / 1048576.0
    );
    assert!(end < half * 1.1, "{half} {end}");

    backend.stop().await;
    assert!(still.is_subset(&excused), "stood still: {:?}", still.difference(&excused));
}
