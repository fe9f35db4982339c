//! Whatever open labels are called with, by however many threads: the series stay at the cap, what was folded is
//! counted, known values keep their series, and memory stays within a bound.
//!
//! A process of its own, as its memory is looked at.

#![cfg(target_os = "linux")]

mod common;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    convert::Infallible,
    thread,
    time::{Duration, Instant},
};

use backend_metrics::{
    Format, Metrics, WebsocketConnection, catalog,
    labels::{
        CalendarStatus, ErrorSeverity, MessageDirection, RateLimitDecision, RedisCommandStatus,
        TransactionOutcome, WorkerTaskStatus,
    },
    middleware::{ClientLayer, Endpoint, MetricsLayer},
};
use common::{
    exposition::{Exposition, read},
    resident::resident_bytes,
};
use futures_util::FutureExt;
use http::{Method, Request, Response, StatusCode};
use tower::{Layer, Service, service_fn};

/// The cap of a domain, as it is by default.
const CAP: usize = 1_000;
const THREADS: usize = 8;
/// Values that are used before the others come.
const KNOWN: usize = 20;
/// How often each thread uses a known value once it has used so many others.
const KNOWN_EACH: usize = 50;

/// The most that memory grows by: a thousand values in each domain, the cells of the threads that use them, and
/// the text of a scrape.
const MOST_GROWTH: u64 = 100_000_000;

/// Events that name a value of a domain, one look-up each.
struct Flood {
    /// What overflows of the domain are counted under.
    domain: &'static str,
    /// The label that the values stand in.
    label: &'static str,
    /// A family of the domain, which counts one for each event unless it is a gauge.
    family: &'static str,
    event: fn(Metrics, &str),
}

const NOTHING: Duration = Duration::ZERO;

/// One for each open label of each domain.
const FLOODS: &[Flood] = &[
    Flood {
        domain: "http_requests_total",
        label: "endpoint",
        family: "http_requests_total",
        event: |m, endpoint| {
            m.track_http_request(&Method::GET, endpoint, StatusCode::OK, NOTHING, (1, 1));
        },
    },
    Flood {
        domain: "http_client_requests_total",
        label: "upstream",
        family: "http_client_requests_total",
        event: |m, upstream| m.track_upstream_request(upstream, &Method::GET, None, NOTHING),
    },
    Flood {
        domain: "database_transaction_duration_seconds",
        label: "operation",
        family: "database_transactions_total",
        event: |m, operation| {
            m.track_database_transaction(operation, NOTHING, TransactionOutcome::Committed);
        },
    },
    Flood {
        domain: "redis_command_duration_seconds",
        label: "command",
        family: "redis_commands_total",
        event: |m, command| m.track_redis_command(command, NOTHING, RedisCommandStatus::Success),
    },
    Flood {
        domain: "websocket_connections_active",
        label: "endpoint",
        family: "websocket_connections_total",
        event: |m, endpoint| {
            m.track_websocket_connection(endpoint, WebsocketConnection::Connected);
        },
    },
    Flood {
        domain: "websocket_messages_sent_total",
        label: "message_type",
        family: "websocket_messages_sent_total",
        event: |m, message_type| {
            m.track_websocket_message(KNOWN_ENDPOINT, message_type, MessageDirection::Sent, 1);
        },
    },
    Flood {
        domain: "websocket_errors_total",
        label: "error_type",
        family: "websocket_errors_total",
        event: |m, error_type| m.track_websocket_error(KNOWN_ENDPOINT, error_type),
    },
    Flood {
        domain: "strategies_total",
        label: "account_id",
        family: "strategy_pnl_total",
        event: |m, account| m.update_strategy_account(account, 1, 1, 1.0),
    },
    Flood {
        domain: "calendar_requests_total",
        label: "endpoint",
        family: "calendar_requests_total",
        event: |m, endpoint| m.track_calendar_request(endpoint, NOTHING, CalendarStatus::Success),
    },
    Flood {
        domain: "worker_tasks_total",
        label: "worker_type",
        family: "worker_tasks_total",
        event: |m, worker| m.track_worker_task(worker, NOTHING, WorkerTaskStatus::Success),
    },
    Flood {
        domain: "application_errors_total",
        label: "error_type",
        family: "application_errors_total",
        event: |m, error_type| m.track_application_error(error_type, ErrorSeverity::Error),
    },
    Flood {
        domain: "unhandled_exceptions_total",
        label: "exception_type",
        family: "unhandled_exceptions_total",
        event: |m, exception_type| m.track_unhandled_exception(exception_type),
    },
    Flood {
        domain: "rate_limit_exceeded_total",
        label: "endpoint",
        family: "rate_limit_requests_total",
        event: |m, endpoint| m.track_rate_limit(endpoint, RateLimitDecision::Allowed),
    },
];

/// Whose values are the names of families, which are known when the instance is built, or those of callbacks and pools,
/// which no event has and which have a cap of their own.
const OWN: [&str; 5] = [
    "database_pool_connections_by_pool",
    "metrics_callback_failures_total",
    "metrics_label_overflows_total",
    "metrics_series",
    "redis_pool_connections_by_pool",
];

/// Whose values are methods, which are few: see `tests/field/endpoints.rs`.
const METHODS: [&str; 2] =
    ["http_request_duration_seconds", "http_client_request_duration_seconds"];

/// A WebSocket endpoint that is there before the others.
const KNOWN_ENDPOINT: &str = "known 0";

fn known(number: usize) -> String {
    format!("known {number}")
}

/// A value that nobody has used before, with what an exposition has to escape in some of them.
fn stranger(number: usize) -> String {
    match number % 4 {
        0 => format!("/orders/{number:x}/legs"),
        1 => format!("{number}\"\\\n\u{1f600}"),
        2 => format!("{number:0>100}"),
        _ => format!("stranger {number}"),
    }
}

/// Calls `event` with each known value once and then on all threads with all strangers, each twice in a row on one
/// thread, and with a known one now and then.
fn flood(strangers: usize, event: impl Fn(&str) + Sync) {
    (0..KNOWN).for_each(|number| event(&known(number)));
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let event = &event;
            scope.spawn(move || {
                for (used, number) in (thread..strangers).step_by(THREADS).enumerate() {
                    let value = stranger(number);
                    event(&value);
                    event(&value);
                    if used % KNOWN_EACH == 0 {
                        event(&known(used / KNOWN_EACH % KNOWN));
                    }
                }
            });
        }
    });
}

/// How often [`flood`] uses each known value.
fn uses_of_known(strangers: usize) -> BTreeMap<String, u64> {
    let mut uses: BTreeMap<String, u64> = (0..KNOWN).map(|number| (known(number), 1)).collect();
    for thread in 0..THREADS {
        let used = (thread..strangers).step_by(THREADS).len();
        for turn in 0..used.div_ceil(KNOWN_EACH) {
            *uses.get_mut(&known(turn % KNOWN)).unwrap() += 1;
        }
    }
    uses
}

/// What the series of a family come to, by one of their labels.
fn by_label(exposition: &Exposition, family: &str, label: &str) -> HashMap<String, u64> {
    let mut sums = HashMap::new();
    for sample in exposition.samples().filter(|sample| sample.name == family) {
        let (_, value) = sample.labels.iter().find(|(name, _)| name == label).unwrap();
        *sums.entry(value.clone()).or_default() += sample.value.parse::<u64>().unwrap();
    }
    sums
}

/// Asserts that a domain has as many values as it may, that each known one and each stranger with a series counts
/// what it was used for, and that all others are `other` and were counted as overflows.
fn assert_folded(strangers: usize, flood: &Flood, shown: &HashMap<String, u64>, overflows: u64) {
    let Flood { domain, family, .. } = flood;
    let is_gauge = catalog().any(|entry| {
        entry.family.name == *family && entry.family.kind == backend_metrics::Kind::Gauge
    });
    let known = uses_of_known(strangers);
    assert_eq!(shown.len(), CAP + 1, "{domain}");
    let mut kept = 0;
    for (value, count) in shown {
        if value == "other" {
            continue;
        }
        let uses = known.get(value).copied().unwrap_or(2);
        assert!(is_gauge || *count == uses, "{family}, {value:?}: {count} of {uses}");
        kept += uses;
    }
    assert!(known.keys().all(|value| shown.contains_key(value)), "{domain}");
    let used = known.values().sum::<u64>() + 2 * strangers as u64;
    assert_eq!(overflows, used - kept, "{domain}");
    if !is_gauge {
        assert_eq!(shown["other"], overflows, "{domain}");
    }
}

/// What the helpers come to.
fn assert_helpers(strangers: usize, exposition: &Exposition) {
    let overflows = by_label(exposition, "metrics_label_overflows_total", "family");
    for flood in FLOODS {
        let shown = by_label(exposition, flood.family, flood.label);
        assert_folded(strangers, flood, &shown, overflows[flood.domain]);
    }
}

/// A service that answers what the path begins with: `/404` or anything else.
async fn answer(request: Request<String>) -> Result<Response<String>, Infallible> {
    let mut response = Response::new(String::new());
    if request.uri().path().starts_with("/404") {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    Ok(response)
}

/// Sends requests through the layers: endpoints that are named, paths that are answered all the same, paths that are
/// not found, methods, and hosts.
fn flood_layers(metrics: Metrics, strangers: usize) {
    let server = MetricsLayer::new(metrics).layer(service_fn(answer));
    let client = ClientLayer::by_host(metrics).layer(service_fn(answer));
    let send = |request: http::request::Builder| {
        let request = request.body(String::new()).unwrap();
        drop(server.clone().call(request).now_or_never().unwrap());
    };
    // Two events with each value, at different places of the request.
    flood(strangers, |value| {
        let word: String = value.chars().filter(char::is_ascii_alphanumeric).collect();
        let letters = |byte: u8| char::from(byte - b'0' + b'a');
        let path: String =
            word.bytes().map(|b| if b.is_ascii_digit() { letters(b) } else { b.into() }).collect();
        send(Request::get("/a").extension(Endpoint::new(format!("/{path}"))));
        send(Request::get(format!("/200/{path}")));
        send(Request::builder().method(&*format!("M{word}")).uri(format!("/404/{path}")));
        let request = Request::get(format!("http://{word}.test/")).body(String::new()).unwrap();
        drop(client.clone().call(request).now_or_never().unwrap());
    });
}

fn assert_layers(strangers: usize, exposition: &Exposition) {
    let used = uses_of_known(strangers).values().sum::<u64>() + 2 * strangers as u64;
    let overflows = by_label(exposition, "metrics_label_overflows_total", "family");
    let endpoints = by_label(exposition, "http_requests_total", "endpoint");
    assert_eq!(endpoints.len(), CAP + 2, "those that fit, `other` and `unmatched`");
    assert_eq!(endpoints["unmatched"], 2 * used);
    assert_eq!(endpoints["other"], overflows["http_requests_total"]);
    assert_eq!(endpoints.values().sum::<u64>(), 3 * used);
    let upstreams = by_label(exposition, "http_client_requests_total", "upstream");
    assert_eq!(upstreams.len(), CAP + 1);
    assert_eq!(upstreams["other"], overflows["http_client_requests_total"]);
    assert_eq!(upstreams.values().sum::<u64>(), used);
    for (value, uses) in uses_of_known(strangers) {
        let number = value.strip_prefix("known ").unwrap();
        let letters: String = number.bytes().map(|b| char::from(b - b'0' + b'a')).collect();
        assert_eq!(endpoints[&format!("/known{letters}")], uses);
        assert_eq!(upstreams[&format!("known{number}.test")], uses);
    }
    let methods = by_label(exposition, "http_requests_total", "method");
    assert_eq!(
        methods.keys().map(|method| &**method).collect::<BTreeSet<_>>(),
        ["GET", "OTHER"].into()
    );
    assert!(by_label(exposition, "http_active_requests", "endpoint").values().all(|n| *n == 0));
}

/// Floods everything with so many distinct values; the time of a scrape in the end.
fn flood_all(strangers: usize) -> Duration {
    let before = resident_bytes();
    let (helpers, layers) = (Metrics::new(), Metrics::new());
    for Flood { event, .. } in FLOODS {
        flood(strangers, |value| event(helpers, value));
    }
    flood_layers(layers, strangers);
    let text = helpers.to_text();
    let started = Instant::now();
    let lines = helpers.to_text().lines().count();
    let took = started.elapsed();
    let growth = resident_bytes().saturating_sub(before);
    println!("{strangers} values in each label: {growth} bytes more, {lines} lines in {took:?}");
    assert!(growth < MOST_GROWTH, "{growth} bytes");
    for metrics in [helpers, layers] {
        let (lines, bound) =
            (metrics.encode(Format::OpenMetrics).lines().count(), metrics.max_lines());
        assert!(lines <= bound, "{lines} of {bound}");
    }
    drop(text);
    assert_helpers(strangers, &read(helpers));
    assert_layers(strangers, &read(layers));
    took
}

#[test]
fn every_open_label_is_flooded() {
    let (domains, labels): (BTreeSet<_>, BTreeSet<_>) =
        FLOODS.iter().map(|flood| (flood.domain, flood.label)).unzip();
    let exposition = read(Metrics::new());
    let known = exposition.values_of("metrics_label_overflows_total", "family");
    let is_open = |name: &&str| !OWN.contains(name) && !METHODS.contains(name);
    let known: BTreeSet<_> = known.into_iter().filter(is_open).collect();
    assert_eq!(domains, known, "a domain of open labels has no flood, or the other way round");
    let open = catalog()
        .flat_map(|entry| entry.family.labels)
        .filter(|label| label.values == backend_metrics::ValueSet::Open)
        .filter(|label| !["family", "callback", "pool"].contains(&label.name));
    assert_eq!(labels, open.map(|label| label.name).collect());
}

#[test]
fn a_hundred_thousand_values_in_every_open_label_are_folded_and_counted() {
    flood_all(100_000);
}

/// cargo test --release --all-features --test cardinality -- --ignored --nocapture
#[test]
#[ignore = "takes a minute in a release build"]
fn a_million_values_in_every_open_label_are_folded_and_counted() {
    let scrape = flood_all(1_000_000);
    assert!(scrape < Duration::from_secs(1), "{scrape:?}");
}
