//! `metrics` with `metrics-exporter-prometheus`, by hand.

use std::time::Duration;

use metrics::{counter, histogram};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use server::Record;

struct Metrics(PrometheusHandle);

impl Record for Metrics {
    fn query(&self, query_type: &'static str, status: &'static str, took: Duration) {
        counter!("database_queries_total", "query_type" => query_type, "status" => status)
            .increment(1);
        histogram!("database_query_duration_seconds", "query_type" => query_type).record(took);
    }

    fn request(&self, method: &str, endpoint: &'static str, status: &str, took: Duration) {
        let (method, status) = (method.to_owned(), status.to_owned());
        histogram!(
            "http_request_duration_seconds", "method" => method.clone(), "endpoint" => endpoint
        )
        .record(took);
        counter!(
            "http_requests_total", "method" => method, "endpoint" => endpoint, "status" => status
        )
        .increment(1);
    }

    fn scrape(&self) -> String {
        self.0.render()
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let builder = PrometheusBuilder::new()
        .set_buckets(&[0.005, 0.01, 0.05, 0.1, 0.5, 1.0])
        .expect("there are buckets");
    let handle = builder.install_recorder().expect("there is no other");
    server::serve_measured(Metrics(handle)).await
}
