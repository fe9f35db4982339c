//! `foundations` with its newer backend, by hand.

use std::time::Duration;

use foundations::telemetry::{
    metrics::{Counter, Histogram, HistogramBuilder, ScrapeFormat, collect_format, metrics},
    settings::MetricsSettings,
};
use server::Record;

const BUCKETS: &[f64] = &[0.005, 0.01, 0.05, 0.1, 0.5, 1.0];

#[metrics(unprefixed)]
mod database {
    /// Queries
    pub fn queries_total(query_type: &'static str, status: &'static str) -> Counter;

    /// Time of queries
    #[ctor = HistogramBuilder { buckets: BUCKETS }]
    pub fn query_duration_seconds(query_type: &'static str) -> Histogram;
}

#[metrics(unprefixed)]
mod http {
    /// Requests
    pub fn requests_total(method: &String, endpoint: &'static str, status: &String) -> Counter;

    /// Time of requests
    #[ctor = HistogramBuilder { buckets: BUCKETS }]
    pub fn request_duration_seconds(method: &String, endpoint: &'static str) -> Histogram;
}

/// Its registry is the process's.
struct Metrics;

impl Record for Metrics {
    fn query(&self, query_type: &'static str, status: &'static str, took: Duration) {
        database::queries_total(query_type, status).inc();
        database::query_duration_seconds(query_type).observe(took.as_secs_f64());
    }

    fn request(&self, method: &str, endpoint: &'static str, status: &str, took: Duration) {
        let method = method.to_owned();
        http::requests_total(&method, endpoint, &status.to_owned()).inc();
        http::request_duration_seconds(&method, endpoint).observe(took.as_secs_f64());
    }

    fn scrape(&self) -> String {
        let text = collect_format(ScrapeFormat::fallback(), &MetricsSettings::default());
        String::from_utf8(text.expect("valid families")).expect("text")
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    server::serve_measured(Metrics).await
}
