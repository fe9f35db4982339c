//! `prometheus`: `with_label_values` at each event, or the metric it gives, kept.
//!
//! Its `local` metrics are faster, and not exact: a scrape does not see what has not been flushed.

use std::time::Duration;

use backend_metrics::Format;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Registry, TextEncoder, register_histogram_vec_with_registry,
    register_int_counter_vec_with_registry, register_int_gauge_vec_with_registry,
};

use crate::{
    library::{Count, Handles, Level, Library, Observe},
    shape::{self, Name, QueryStatus, QueryType, Request},
};

pub struct Prometheus {
    registry: Registry,
    queries: IntCounterVec,
    query_duration: HistogramVec,
    requests: IntCounterVec,
    request_duration: HistogramVec,
    request_size: HistogramVec,
    response_size: HistogramVec,
    first_byte: HistogramVec,
    active: IntGaugeVec,
    cancelled: IntCounterVec,
    panics: IntCounterVec,
}

fn route(request: &Request) -> [&str; 2] {
    [request.method.as_str(), &request.endpoint]
}

impl Library for Prometheus {
    const NAME: &'static str = "prometheus";
    type Counter = IntCounter;
    type Histogram = Histogram;
    type Handles = Handles<IntCounter, Histogram, Histogram, Histogram, IntGauge>;

    fn new() -> Self {
        const ROUTE: &[&str] = &["method", "endpoint"];
        const ENDPOINT: &[&str] = &["endpoint"];
        let registry = Registry::new();
        let counter = |name: &Name, labels: &[&str]| {
            register_int_counter_vec_with_registry!(name.name, name.help, labels, registry)
                .expect("a new name")
        };
        let histogram = |name: &Name, labels: &[&str], bounds: &[f64]| {
            let options = HistogramOpts::new(name.name, name.help).buckets(bounds.to_vec());
            register_histogram_vec_with_registry!(options, labels, registry).expect("a new name")
        };
        let active = register_int_gauge_vec_with_registry!(
            shape::ACTIVE.name,
            shape::ACTIVE.help,
            ENDPOINT,
            registry
        );
        Self {
            queries: counter(&shape::QUERIES, &["query_type", "status"]),
            query_duration: histogram(&shape::QUERY_DURATION, &["query_type"], shape::QUERY),
            requests: counter(&shape::REQUESTS, &["method", "endpoint", "status"]),
            request_duration: histogram(&shape::REQUEST_DURATION, ROUTE, shape::REQUEST),
            request_size: histogram(&shape::REQUEST_BYTES, ROUTE, shape::SIZE),
            response_size: histogram(&shape::RESPONSE_BYTES, ROUTE, shape::RESPONSE_SIZE),
            first_byte: histogram(&shape::FIRST_BYTE, ROUTE, shape::REQUEST),
            active: active.expect("a new name"),
            cancelled: counter(&shape::CANCELLED, ROUTE),
            panics: counter(&shape::PANICS, ENDPOINT),
            registry,
        }
    }

    fn count_query(&self, query: QueryType, status: QueryStatus) {
        self.queries.with_label_values(&[query.as_str(), status.as_str()]).inc();
    }

    fn observe_query(&self, query: QueryType, took: Duration) {
        self.query_duration.with_label_values(&[query.as_str()]).observe(took.as_secs_f64());
    }

    fn start_request(&self, request: &Request) {
        self.active.with_label_values(&[&request.endpoint]).inc();
    }

    fn track_request(&self, request: &Request, took: Duration) {
        let [method, endpoint] = route(request);
        self.requests.with_label_values(&[method, endpoint, request.status.as_str()]).inc();
        self.request_duration.with_label_values(&[method, endpoint]).observe(took.as_secs_f64());
        self.request_size.with_label_values(&[method, endpoint]).observe(request.received as f64);
        self.response_size.with_label_values(&[method, endpoint]).observe(request.sent as f64);
    }

    fn end_request(&self, request: &Request, first_byte: Duration) {
        self.first_byte.with_label_values(&route(request)).observe(first_byte.as_secs_f64());
        self.active.with_label_values(&[&request.endpoint]).dec();
    }

    fn make_quiet_series(&self, request: &Request) {
        self.cancelled.with_label_values(&route(request));
        self.panics.with_label_values(&[&request.endpoint]);
    }

    fn query_counter(&'static self, query: QueryType, status: QueryStatus) -> IntCounter {
        self.queries.with_label_values(&[query.as_str(), status.as_str()])
    }

    fn query_histogram(&'static self, query: QueryType) -> Histogram {
        self.query_duration.with_label_values(&[query.as_str()])
    }

    fn request_handles(&'static self, request: &Request) -> Self::Handles {
        let [method, endpoint] = route(request);
        Handles {
            requests: self.requests.with_label_values(&[method, endpoint, request.status.as_str()]),
            duration: self.request_duration.with_label_values(&[method, endpoint]),
            received: self.request_size.with_label_values(&[method, endpoint]),
            sent: self.response_size.with_label_values(&[method, endpoint]),
            first_byte: self.first_byte.with_label_values(&[method, endpoint]),
            active: self.active.with_label_values(&[endpoint]),
        }
    }

    fn encode(&self, format: Format) -> Option<String> {
        let text = || {
            TextEncoder::new().encode_to_string(&self.registry.gather()).expect("valid families")
        };
        (format == Format::Text).then(text)
    }
}

impl Count for IntCounter {
    fn inc(&self) {
        Self::inc(self);
    }
}

impl Observe for Histogram {
    fn observe(&self, value: f64) {
        Self::observe(self, value);
    }
}

impl Level for IntGauge {
    fn up(&self) {
        self.inc();
    }

    fn down(&self) {
        self.dec();
    }
}
