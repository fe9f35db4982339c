//! Exemplars, as Prometheus stores them.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use backend_metrics::{
    Metrics, TraceExemplars,
    labels::{QueryStatus, QueryType},
};
use serde_json::Value;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::{
    exposed::Exposed,
    http::percent_encode,
    prometheus::{Prometheus, texts},
    wait::{DEADLINE, eventually},
};

/// An exemplar of a series.
#[derive(Debug, PartialEq)]
struct Exemplar {
    /// The labels of the series, its name among them.
    series: BTreeMap<String, String>,
    labels: BTreeMap<String, String>,
    value: f64,
    timestamp: f64,
}

/// The exemplars of the series of a name, from a minute ago until a minute from now.
#[track_caller]
fn exemplars(prometheus: &Prometheus, name: &str) -> Vec<Exemplar> {
    let (query, now) = (percent_encode(name), seconds());
    let (start, end) = (now - 60.0, now + 60.0);
    let data = prometheus
        .api(&format!("/api/v1/query_exemplars?query={query}&start={start:.3}&end={end:.3}"));
    let all = data.as_array().and_then(|all| all.iter().map(of_series).collect::<Option<Vec<_>>>());
    all.unwrap_or_else(|| panic!("{name}: {data}")).into_iter().flatten().collect()
}

fn of_series(answer: &Value) -> Option<Vec<Exemplar>> {
    let exemplars = answer["exemplars"].as_array()?.iter();
    let exemplars = exemplars.map(|exemplar| {
        Some(Exemplar {
            series: texts(&answer["seriesLabels"])?,
            labels: texts(&exemplar["labels"])?,
            value: exemplar["value"].as_str()?.parse().ok()?,
            timestamp: exemplar["timestamp"].as_f64()?,
        })
    });
    exemplars.collect()
}

#[test]
#[ignore = "needs a Prometheus server: run scripts/test"]
fn an_exemplar_is_stored_with_its_trace() {
    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const OTHER: &str = "00-4bf9/a:b.c_d+e==";
    let before = seconds();
    let metrics = Metrics::new();
    let subscriber = tracing_subscriber::registry().with(TraceExemplars::new());
    tracing::subscriber::with_default(subscriber, || {
        let record = |query_type, milliseconds| {
            let took = Duration::from_millis(milliseconds);
            metrics.track_database_query(query_type, took, QueryStatus::Success);
        };
        record(QueryType::Delete, 1);
        tracing::info_span!("request", trace_id = TRACE).in_scope(|| record(QueryType::Select, 67));
        tracing::info_span!("request", trace_id = OTHER)
            .in_scope(|| record(QueryType::Insert, 9_000));
    });
    let after = seconds();
    let server = Exposed::start(metrics);
    let prometheus = Prometheus::scraping(&[("backend", server.address())]);
    prometheus.wait_until_up();

    let address = server.address().to_string();
    let expected = |name: &str, labels: &[(&str, &str)], trace: &str, value: f64| {
        let constant = [("__name__", name), ("job", "backend"), ("instance", &*address)];
        (map(&[&constant, labels].concat()), map(&[("trace_id", trace)]), value)
    };
    let counter = "database_queries_total";
    let bucket = "database_query_duration_seconds_bucket";
    for (name, mut all) in [
        (
            counter,
            vec![
                expected(counter, &[("query_type", "select"), ("status", "success")], TRACE, 1.0),
                expected(counter, &[("query_type", "insert"), ("status", "success")], OTHER, 1.0),
            ],
        ),
        (
            bucket,
            vec![
                expected(bucket, &[("query_type", "select"), ("le", "0.1")], TRACE, 0.067),
                expected(bucket, &[("query_type", "insert"), ("le", "+Inf")], OTHER, 9.0),
            ],
        ),
    ] {
        let found = eventually(DEADLINE, || match exemplars(&prometheus, name) {
            found if found.is_empty() => Err(format!("{name} has no exemplar")),
            found => Ok(found),
        });
        for Exemplar { timestamp, .. } in &found {
            let is_of_now = before - 0.001 <= *timestamp && *timestamp <= after;
            assert!(is_of_now, "{timestamp} is not between {before} and {after}");
        }
        let found = found.into_iter().map(|one| (one.series, one.labels, one.value));
        let mut found: Vec<_> = found.collect();
        found.sort_by(|one, other| one.0.cmp(&other.0));
        all.sort_by(|one, other| one.0.cmp(&other.0));
        assert_eq!(found, all);
    }
    // Scraped again, they are the same.
    prometheus.settle();
    assert_eq!(exemplars(&prometheus, counter).len(), 2);
    assert_eq!(prometheus.warnings(), [""; 0]);
}

fn map(labels: &[(&str, &str)]) -> BTreeMap<String, String> {
    labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is past 1970").as_secs_f64()
}
