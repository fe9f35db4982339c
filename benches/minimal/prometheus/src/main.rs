//! `prometheus`, by hand.

use std::time::Duration;

use prometheus::{
    HistogramVec, IntCounterVec, TextEncoder, register_histogram_vec, register_int_counter_vec,
};
use server::Record;

struct Metrics {
    queries: IntCounterVec,
    query_duration: HistogramVec,
    requests: IntCounterVec,
    request_duration: HistogramVec,
}

impl Metrics {
    fn new() -> prometheus::Result<Self> {
        let buckets = || vec![0.005, 0.01, 0.05, 0.1, 0.5, 1.0];
        Ok(Self {
            queries: register_int_counter_vec!(
                "database_queries_total",
                "Queries",
                &["query_type", "status"]
            )?,
            query_duration: register_histogram_vec!(
                "database_query_duration_seconds",
                "Time of queries",
                &["query_type"],
                buckets()
            )?,
            requests: register_int_counter_vec!(
                "http_requests_total",
                "Requests",
                &["method", "endpoint", "status"]
            )?,
            request_duration: register_histogram_vec!(
                "http_request_duration_seconds",
                "Time of requests",
                &["method", "endpoint"],
                buckets()
            )?,
        })
    }
}

impl Record for Metrics {
    fn query(&self, query_type: &'static str, status: &'static str, took: Duration) {
        self.queries.with_label_values(&[query_type, status]).inc();
        self.query_duration.with_label_values(&[query_type]).observe(took.as_secs_f64());
    }

    fn request(&self, method: &str, endpoint: &'static str, status: &str, took: Duration) {
        self.requests.with_label_values(&[method, endpoint, status]).inc();
        self.request_duration.with_label_values(&[method, endpoint]).observe(took.as_secs_f64());
    }

    fn scrape(&self) -> String {
        let families = prometheus::gather();
        TextEncoder::new().encode_to_string(&families).expect("a string takes all")
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let metrics = Metrics::new().expect("names of their own");
    server::serve_measured(metrics).await
}
