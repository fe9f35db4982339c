//! `opentelemetry` with `opentelemetry-prometheus`, by hand.

use std::{error::Error, time::Duration};

use opentelemetry::{
    KeyValue,
    metrics::{Counter, Histogram, MeterProvider},
};
use opentelemetry_sdk::metrics::SdkMeterProvider;
use prometheus::{Registry, TextEncoder};
use server::Record;

struct Metrics {
    registry: Registry,
    queries: Counter<u64>,
    query_duration: Histogram<f64>,
    requests: Counter<u64>,
    request_duration: Histogram<f64>,
    /// The instruments stop with it.
    _provider: SdkMeterProvider,
}

impl Metrics {
    fn new() -> Result<Self, Box<dyn Error>> {
        let registry = Registry::new();
        let exporter =
            opentelemetry_prometheus::exporter().with_registry(registry.clone()).build()?;
        let provider = SdkMeterProvider::builder().with_reader(exporter).build();
        let meter = provider.meter("minimal");
        let histogram = |name| {
            let builder = meter.f64_histogram(name).with_unit("s");
            builder.with_boundaries(vec![0.005, 0.01, 0.05, 0.1, 0.5, 1.0]).build()
        };
        Ok(Self {
            queries: meter.u64_counter("database_queries").build(),
            query_duration: histogram("database_query_duration"),
            requests: meter.u64_counter("http_requests").build(),
            request_duration: histogram("http_request_duration"),
            registry,
            _provider: provider,
        })
    }
}

impl Record for Metrics {
    fn query(&self, query_type: &'static str, status: &'static str, took: Duration) {
        let labels = [KeyValue::new("query_type", query_type), KeyValue::new("status", status)];
        self.queries.add(1, &labels);
        self.query_duration.record(took.as_secs_f64(), &labels[..1]);
    }

    fn request(&self, method: &str, endpoint: &'static str, status: &str, took: Duration) {
        let labels = [
            KeyValue::new("method", method.to_owned()),
            KeyValue::new("endpoint", endpoint),
            KeyValue::new("status", status.to_owned()),
        ];
        self.requests.add(1, &labels);
        self.request_duration.record(took.as_secs_f64(), &labels[..2]);
    }

    fn scrape(&self) -> String {
        let families = self.registry.gather();
        TextEncoder::new().encode_to_string(&families).expect("a string takes all")
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    server::serve_measured(Metrics::new()?).await?;
    Ok(())
}
