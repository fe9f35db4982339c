//! `fastmetrics`, by hand.

use std::time::Duration;

use fastmetrics::{
    derive::{LabelSet, Register},
    error::Result,
    format::text::{self, EscapingScheme, TextProfile},
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::{Register, Registry},
};
use server::Record;

#[derive(Clone, PartialEq, Eq, Hash, LabelSet)]
struct QueryLabels {
    query_type: &'static str,
    status: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, LabelSet)]
struct TypeLabels {
    query_type: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, LabelSet)]
struct ResponseLabels {
    method: String,
    endpoint: &'static str,
    status: String,
}

#[derive(Clone, PartialEq, Eq, Hash, LabelSet)]
struct RouteLabels {
    method: String,
    endpoint: &'static str,
}

#[derive(Register)]
struct Metrics {
    /// Queries
    database_queries: Family<QueryLabels, Counter>,
    /// Time of queries
    database_query_duration_seconds: Family<TypeLabels, Histogram>,
    /// Requests
    http_requests: Family<ResponseLabels, Counter>,
    /// Time of requests
    http_request_duration_seconds: Family<RouteLabels, Histogram>,
}

impl Metrics {
    fn new() -> Self {
        let histogram = || Histogram::new([0.005, 0.01, 0.05, 0.1, 0.5, 1.0]);
        Self {
            database_queries: Family::default(),
            database_query_duration_seconds: Family::new(histogram),
            http_requests: Family::default(),
            http_request_duration_seconds: Family::new(histogram),
        }
    }
}

struct Registered {
    registry: Registry,
    metrics: Metrics,
}

impl Record for Registered {
    fn query(&self, query_type: &'static str, status: &'static str, took: Duration) {
        let metrics = &self.metrics;
        metrics.database_queries.with_or_new(&QueryLabels { query_type, status }, Counter::inc);
        metrics
            .database_query_duration_seconds
            .with_or_new(&TypeLabels { query_type }, |metric| metric.observe(took.as_secs_f64()));
    }

    fn request(&self, method: &str, endpoint: &'static str, status: &str, took: Duration) {
        let (method, status) = (method.to_owned(), status.to_owned());
        let route = RouteLabels { method: method.clone(), endpoint };
        let response = ResponseLabels { method, endpoint, status };
        self.metrics.http_requests.with_or_new(&response, Counter::inc);
        self.metrics
            .http_request_duration_seconds
            .with_or_new(&route, |metric| metric.observe(took.as_secs_f64()));
    }

    fn scrape(&self) -> String {
        let mut text = String::new();
        let escaping_scheme = EscapingScheme::default();
        let profile = TextProfile::OpenMetricsV1_0_0 { escaping_scheme };
        text::encode(&mut text, &self.registry, profile).expect("a string takes all");
        text
    }
}

fn registered() -> Result<Registered> {
    let (mut registry, metrics) = (Registry::default(), Metrics::new());
    metrics.register(&mut registry)?;
    Ok(Registered { registry, metrics })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    server::serve_measured(registered().expect("names of their own")).await
}
