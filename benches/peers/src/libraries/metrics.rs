//! `metrics` with `metrics-exporter-prometheus`: the macros at each event, or the handles they give, kept.

use std::time::Duration;

use backend_metrics::Format;
use metrics::{
    Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram,
};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::{
    library::{Count, Handles, Level, Library, Observe},
    shape::{self, QueryStatus, QueryType, Request},
};

/// The recorder is the process's, so there is one of it.
pub struct Metrics(PrometheusHandle);

impl Library for Metrics {
    const NAME: &'static str = "metrics";
    type Counter = Counter;
    type Histogram = Histogram;
    type Handles = Handles<Counter, Histogram, Histogram, Histogram, Gauge>;

    fn new() -> Self {
        let mut builder = PrometheusBuilder::new();
        for (name, bounds) in [
            (&shape::QUERY_DURATION, shape::QUERY),
            (&shape::REQUEST_DURATION, shape::REQUEST),
            (&shape::REQUEST_BYTES, shape::SIZE),
            (&shape::RESPONSE_BYTES, shape::RESPONSE_SIZE),
            (&shape::FIRST_BYTE, shape::REQUEST),
        ] {
            builder = builder
                .set_buckets_for_metric(Matcher::Full(name.name.to_owned()), bounds)
                .expect("there are bounds");
        }
        let handle = builder.install_recorder().expect("the first of the process");
        for name in [&shape::QUERIES, &shape::REQUESTS, &shape::CANCELLED, &shape::PANICS] {
            describe_counter!(name.name, name.help);
        }
        for name in [
            &shape::QUERY_DURATION,
            &shape::REQUEST_DURATION,
            &shape::REQUEST_BYTES,
            &shape::RESPONSE_BYTES,
            &shape::FIRST_BYTE,
        ] {
            describe_histogram!(name.name, name.help);
        }
        describe_gauge!(shape::ACTIVE.name, shape::ACTIVE.help);
        Self(handle)
    }

    fn count_query(&self, query: QueryType, status: QueryStatus) {
        query_counter(query, status).increment(1);
    }

    fn observe_query(&self, query: QueryType, took: Duration) {
        query_histogram(query).record(took.as_secs_f64());
    }

    fn start_request(&self, request: &Request) {
        active(request).increment(1.0);
    }

    fn track_request(&self, request: &Request, took: Duration) {
        requests(request).increment(1);
        route_histogram("http_request_duration_seconds", request).record(took.as_secs_f64());
        route_histogram("http_request_size_bytes", request).record(request.received as f64);
        route_histogram("http_response_size_bytes", request).record(request.sent as f64);
    }

    fn end_request(&self, request: &Request, first_byte: Duration) {
        route_histogram("http_time_to_first_byte_seconds", request)
            .record(first_byte.as_secs_f64());
        active(request).decrement(1.0);
    }

    fn make_quiet_series(&self, request: &Request) {
        let method = request.method.as_str();
        drop(
            counter!("http_requests_cancelled_total", "method" => method, "endpoint" => request.endpoint.clone()),
        );
        drop(counter!("http_panics_total", "endpoint" => request.endpoint.clone()));
    }

    fn query_counter(&'static self, query: QueryType, status: QueryStatus) -> Counter {
        query_counter(query, status)
    }

    fn query_histogram(&'static self, query: QueryType) -> Histogram {
        query_histogram(query)
    }

    fn request_handles(&'static self, request: &Request) -> Self::Handles {
        Handles {
            requests: requests(request),
            duration: route_histogram("http_request_duration_seconds", request),
            received: route_histogram("http_request_size_bytes", request),
            sent: route_histogram("http_response_size_bytes", request),
            first_byte: route_histogram("http_time_to_first_byte_seconds", request),
            active: active(request),
        }
    }

    fn encode(&self, format: Format) -> Option<String> {
        (format == Format::Text).then(|| self.0.render())
    }

    /// Takes the observations out of the lists in which the histograms keep them, as is asked for.
    fn upkeep(&self) {
        self.0.run_upkeep();
    }
}

fn query_counter(query: QueryType, status: QueryStatus) -> Counter {
    counter!("database_queries_total", "query_type" => query.as_str(), "status" => status.as_str())
}

fn query_histogram(query: QueryType) -> Histogram {
    histogram!("database_query_duration_seconds", "query_type" => query.as_str())
}

fn requests(request: &Request) -> Counter {
    counter!(
        "http_requests_total",
        "method" => request.method.as_str(),
        "endpoint" => request.endpoint.clone(),
        "status" => request.status.as_str().to_owned(),
    )
}

fn route_histogram(name: &'static str, request: &Request) -> Histogram {
    histogram!(name, "method" => request.method.as_str(), "endpoint" => request.endpoint.clone())
}

fn active(request: &Request) -> Gauge {
    gauge!("http_active_requests", "endpoint" => request.endpoint.clone())
}

impl Count for Counter {
    fn inc(&self) {
        self.increment(1);
    }
}

impl Observe for Histogram {
    fn observe(&self, value: f64) {
        self.record(value);
    }
}

impl Level for Gauge {
    fn up(&self) {
        self.increment(1.0);
    }

    fn down(&self) {
        self.decrement(1.0);
    }
}
