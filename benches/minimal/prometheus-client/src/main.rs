//! `prometheus-client`, by hand.

use std::time::Duration;

use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};
use server::Record;

type Labels<const N: usize> = [(&'static str, String); N];
type Histograms<const N: usize> = Family<Labels<N>, Histogram, fn() -> Histogram>;

struct Metrics {
    registry: Registry,
    queries: Family<Labels<2>, Counter>,
    query_duration: Histograms<1>,
    requests: Family<Labels<3>, Counter>,
    request_duration: Histograms<2>,
}

fn histogram() -> Histogram {
    Histogram::new([0.005, 0.01, 0.05, 0.1, 0.5, 1.0])
}

impl Metrics {
    fn new() -> Self {
        let metrics = Self {
            registry: Registry::default(),
            queries: Family::default(),
            query_duration: Family::new_with_constructor(histogram),
            requests: Family::default(),
            request_duration: Family::new_with_constructor(histogram),
        };
        let mut registry = Registry::default();
        registry.register("database_queries", "Queries", metrics.queries.clone());
        registry.register(
            "database_query_duration_seconds",
            "Time of queries",
            metrics.query_duration.clone(),
        );
        registry.register("http_requests", "Requests", metrics.requests.clone());
        registry.register(
            "http_request_duration_seconds",
            "Time of requests",
            metrics.request_duration.clone(),
        );
        Self { registry, ..metrics }
    }
}

impl Record for Metrics {
    fn query(&self, query_type: &'static str, status: &'static str, took: Duration) {
        let query_type = ("query_type", query_type.to_owned());
        let labels = [query_type.clone(), ("status", status.to_owned())];
        self.queries.get_or_create(&labels).inc();
        self.query_duration.get_or_create(&[query_type]).observe(took.as_secs_f64());
    }

    fn request(&self, method: &str, endpoint: &'static str, status: &str, took: Duration) {
        let method = ("method", method.to_owned());
        let endpoint = ("endpoint", endpoint.to_owned());
        let labels = [method.clone(), endpoint.clone(), ("status", status.to_owned())];
        self.requests.get_or_create(&labels).inc();
        self.request_duration.get_or_create(&[method, endpoint]).observe(took.as_secs_f64());
    }

    fn scrape(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("a string takes all");
        text
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    server::serve_measured(Metrics::new()).await
}
