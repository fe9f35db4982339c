//! The pages that alerts lead to.

use std::{collections::BTreeMap, fs};

use crate::{
    expressions,
    faster::with_windows_divided,
    prometheus::Prometheus,
    watch::{self, TIMES},
};

/// A part of queries that show nothing, and why.
pub(crate) type Excuse = (&'static str, &'static str);

pub(crate) const NO_PANIC: Excuse = ("http_panics_total", "nothing panics");
pub(crate) const TICKER_ANSWERS: [Excuse; 2] = [
    ("ticker_service_errors_total", "the ticker service answers"),
    ("http_client_requests_total", "so does every other one"),
];
pub(crate) const NO_SOCKET: [Excuse; 3] = [
    ("websocket_handshake_duration_seconds_bucket", "nobody has a WebSocket"),
    ("websocket_message_latency_seconds_bucket", "nobody has a WebSocket"),
    ("websocket_errors_total", "nobody has a WebSocket"),
];
/// In no fault does it matter whether these show something.
const ANYWHERE: [Excuse; 9] = [
    ("iterations_missed_total", "a busy machine misses some"),
    ("offset 1d", "the service is younger"),
    ("offset 1h", "the service is younger, with an hour of three minutes"),
    ("pg_up", "there is no exporter, and 0 is what it would say"),
    ("redis_up", "there is no exporter, and 0 is what it would say"),
    ("http_active_requests", "at one moment there is a request, at another none"),
    ("database_pool_pending_acquires", "at one moment somebody waits, at another nobody"),
    ("tokio_global_queue_depth", "at one moment a task waits, at another none"),
    ("websocket_send_queue_depth", "at one moment a message waits, at another none"),
];

/// Whether each query of the runbooks of the alerts that fired has shown something meanwhile.
#[derive(Default)]
pub(crate) struct Runbooks {
    pages: BTreeMap<String, Vec<Query>>,
}

struct Query {
    text: String,
    has_shown: bool,
}

impl Runbooks {
    /// Asks what has shown nothing yet, for each alert that fires now.
    #[track_caller]
    pub(crate) fn look(&mut self, prometheus: &Prometheus) {
        for alert in watch::firing(prometheus) {
            // Those of one name have one page.
            let alert = alert.split(' ').next().expect("it has a name");
            let page = self.pages.entry(alert.to_owned()).or_insert_with(|| page(alert));
            for query in page.iter_mut().filter(|query| !query.has_shown) {
                let samples = prometheus.query(&with_windows_divided(&query.text, TIMES));
                let finds_zeros = query.text.ends_with("== 0");
                query.has_shown = samples.iter().any(|it| finds_zeros || it.value.abs() > 0.0);
            }
        }
    }

    /// Sees that each has shown something, but for those that have one of these parts, which show nothing for this
    /// reason.
    #[track_caller]
    pub(crate) fn check(&self, fault: &str, excused: &[Excuse]) {
        let queries = self.pages.iter().flat_map(|(alert, queries)| {
            queries.iter().map(move |query| (format!("{alert}: {}", query.text), query.has_shown))
        });
        let queries: Vec<(String, bool)> = queries.collect();
        let has_one =
            |query: &str, excuses: &[Excuse]| excuses.iter().any(|(part, _)| query.contains(part));
        let of_all = queries.iter().filter(|(query, _)| !has_one(query, &ANYWHERE));
        let wrong = of_all.filter(|(query, has_shown)| *has_shown == has_one(query, excused));
        let wrong = wrong.map(|(query, has_shown)| match has_shown {
            true => format!("shows something, though it is excused: {query}"),
            false => format!("shows nothing: {query}"),
        });
        let unused =
            excused.iter().filter(|(part, _)| !queries.iter().any(|it| it.0.contains(part)));
        let unused = unused.map(|(part, reason)| format!("nobody asks for {part} ({reason})"));
        let wrong: Vec<String> = wrong.chain(unused).collect();
        assert!(wrong.is_empty(), "{fault}:\n{}", wrong.join("\n"));
    }
}

/// The queries of the runbook of an alert.
#[track_caller]
fn page(alert: &str) -> Vec<Query> {
    let file = format!("monitoring/runbooks/{alert}.md");
    let markdown = fs::read_to_string(watch::repository().join(&file))
        .unwrap_or_else(|error| panic!("{file}: {error}"));
    let queries = expressions::of_markdown(&file, &markdown).into_iter();
    let queries: Vec<Query> =
        queries.map(|query| Query { text: query.text, has_shown: false }).collect();
    assert!(!queries.is_empty(), "{file} has no query");
    queries
}
