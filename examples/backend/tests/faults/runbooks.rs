//! The pages that alerts lead to.

use std::{collections::BTreeMap, fs};

use self::Excuse::{Maybe, Nothing};
use crate::{
    expressions,
    faster::with_windows_divided,
    prometheus::Prometheus,
    watch::{self, TIMES},
};

/// A part of the queries that are excused, and why.
#[derive(Clone, Copy)]
pub(crate) enum Excuse {
    /// They show nothing.
    Nothing(&'static str, &'static str),
    /// They may show something.
    Maybe(&'static str, &'static str),
}

impl Excuse {
    fn part(&self) -> &str {
        let (Nothing(part, _) | Maybe(part, _)) = self;
        part
    }

    fn reason(&self) -> &str {
        let (Nothing(_, reason) | Maybe(_, reason)) = self;
        reason
    }
}

pub(crate) const NO_PANIC: Excuse = Nothing("http_panics_total", "nothing panics");
pub(crate) const TICKER_ANSWERS: [Excuse; 2] = [
    Nothing("ticker_service_errors_total", "the ticker service answers"),
    Nothing("http_client_requests_total", "so does every other one"),
];
pub(crate) const NO_SOCKET: [Excuse; 3] = [
    Nothing("websocket_handshake_duration_seconds_bucket", "nobody has a WebSocket"),
    Nothing("websocket_message_latency_seconds_bucket", "nobody has a WebSocket"),
    Nothing("websocket_errors_total", "nobody has a WebSocket"),
];
/// In no fault does it matter whether these show something.
const ANYWHERE: [Excuse; 12] = [
    Maybe("iterations_missed_total", "a busy machine misses some"),
    Maybe("offset 1d", "the service is younger"),
    Maybe("offset 1h", "the service is younger, with an hour of three minutes"),
    Maybe("pg_up", "there is no exporter, and 0 is what it would say"),
    Maybe("redis_up", "there is no exporter, and 0 is what it would say"),
    Maybe("http_active_requests", "at one moment there is a request, at another none"),
    Maybe("database_pool_pending_acquires", "at one moment somebody waits, at another nobody"),
    Maybe("tokio_global_queue_depth", "at one moment a task waits, at another none"),
    Maybe("websocket_send_queue_depth", "at one moment a message waits, at another none"),
    Maybe("database_pool_utilization", "at one moment a connection is in use, at another none"),
    Maybe("1 - sum by (instance, cache_layer", "a fast machine has no slow operation"),
    Maybe("orders_open", "at one moment an order is open, at another none"),
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

    /// Sees that each has shown something, but for those that are excused.
    #[track_caller]
    pub(crate) fn check(&self, fault: &str, excused: &[Excuse]) {
        let queries = self.pages.iter().flat_map(|(alert, queries)| {
            queries.iter().map(move |query| (format!("{alert}: {}", query.text), query.has_shown))
        });
        let queries: Vec<(String, bool)> = queries.collect();
        let excuse = |query: &str| {
            ANYWHERE.iter().chain(excused).find(|excuse| query.contains(excuse.part()))
        };
        let wrong = queries.iter().filter_map(|(query, has_shown)| match excuse(query) {
            None if !has_shown => Some(format!("shows nothing: {query}")),
            Some(excuse @ Nothing(..)) if *has_shown => {
                Some(format!("shows something, though {}: {query}", excuse.reason()))
            }
            _ => None,
        });
        let is_asked = |part: &str| queries.iter().any(|(query, _)| query.contains(part));
        let unused = excused.iter().filter(|excuse| !is_asked(excuse.part()));
        let unused =
            unused.map(|excuse| format!("is not asked: {} ({})", excuse.part(), excuse.reason()));
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
