//! `foundations` with its newer backend (the feature `foundations-metrics-backend`): the functions of
//! `#[metrics]` at each event, or the metric they give, kept.
//!
//! Closed labels are `#[low_cardinality]`. The counters of events have a cell for each thread, as is documented for
//! those that are incremented very often; that takes more memory than a `Counter`. Times go to `TimeHistogram`,
//! which takes no lock.

use std::time::Duration;

use backend_metrics::Format;
use foundations::telemetry::{
    metrics::{
        Counter, Gauge, Histogram, HistogramBuilder, ScrapeFormat, ThreadLocalCounter,
        TimeHistogram, collect_format, metrics,
    },
    settings::MetricsSettings,
};

use crate::{
    library::{Count, Handles, Level, Library, Observe, Time},
    shape::{self, Method, QueryStatus, QueryType, Request},
};

#[metrics(unprefixed)]
mod database {
    /// Queries by what they do and how they ended
    #[low_cardinality]
    pub fn queries_total(query_type: QueryType, status: QueryStatus) -> ThreadLocalCounter;

    /// Time from sending a query to its last row
    #[low_cardinality]
    #[ctor = HistogramBuilder { buckets: shape::QUERY }]
    pub fn query_duration_seconds(query_type: QueryType) -> TimeHistogram;
}

#[metrics(unprefixed)]
mod http {
    /// Requests by how they were answered
    pub fn requests_total(method: Method, endpoint: &String, status: u16) -> ThreadLocalCounter;

    /// Time from the request until the server has taken the whole response
    #[ctor = HistogramBuilder { buckets: shape::REQUEST }]
    pub fn request_duration_seconds(method: Method, endpoint: &String) -> TimeHistogram;

    /// Size of request bodies as announced by the client
    #[ctor = HistogramBuilder { buckets: shape::SIZE }]
    pub fn request_size_bytes(method: Method, endpoint: &String) -> Histogram;

    /// Size of response bodies as far as the server has taken them
    #[ctor = HistogramBuilder { buckets: shape::RESPONSE_SIZE }]
    pub fn response_size_bytes(method: Method, endpoint: &String) -> Histogram;

    /// Time from the request to the response head
    #[ctor = HistogramBuilder { buckets: shape::REQUEST }]
    pub fn time_to_first_byte_seconds(method: Method, endpoint: &String) -> TimeHistogram;

    /// Requests that are not finished
    pub fn active_requests(endpoint: &String) -> Gauge;

    /// Requests dropped before the end of the response: by the client or a timeout further out
    pub fn requests_cancelled_total(method: Method, endpoint: &String) -> Counter;

    /// Requests whose handler or response body panicked
    pub fn panics_total(endpoint: &String) -> Counter;
}

/// Its registry is the process's.
pub struct Foundations;

impl Library for Foundations {
    const NAME: &'static str = "foundations";
    type Counter = &'static ThreadLocalCounter;
    type Histogram = &'static TimeHistogram;
    type Handles = Handles<ThreadLocalCounter, TimeHistogram, Histogram, Histogram, Gauge>;

    fn new() -> Self {
        Self
    }

    fn count_query(&self, query_type: QueryType, status: QueryStatus) {
        database::queries_total(query_type, status).inc();
    }

    fn observe_query(&self, query_type: QueryType, took: Duration) {
        database::query_duration_seconds(query_type).time(took);
    }

    fn start_request(&self, request: &Request) {
        http::active_requests(&request.endpoint).inc();
    }

    fn track_request(&self, request: &Request, took: Duration) {
        http::requests_total(request.method, &request.endpoint, request.status.as_u16()).inc();
        http::request_duration_seconds(request.method, &request.endpoint).time(took);
        http::request_size_bytes(request.method, &request.endpoint)
            .observe(request.received as f64);
        http::response_size_bytes(request.method, &request.endpoint).observe(request.sent as f64);
    }

    fn end_request(&self, request: &Request, first_byte: Duration) {
        http::time_to_first_byte_seconds(request.method, &request.endpoint).time(first_byte);
        http::active_requests(&request.endpoint).dec();
    }

    fn make_quiet_series(&self, request: &Request) {
        drop(http::requests_cancelled_total(request.method, &request.endpoint));
        drop(http::panics_total(&request.endpoint));
    }

    fn query_counter(&'static self, query_type: QueryType, status: QueryStatus) -> Self::Counter {
        database::queries_total(query_type, status)
    }

    fn query_histogram(&'static self, query_type: QueryType) -> Self::Histogram {
        database::query_duration_seconds(query_type)
    }

    fn request_handles(&'static self, request: &Request) -> Self::Handles {
        let (method, endpoint) = (request.method, &request.endpoint);
        Handles {
            requests: http::requests_total(method, endpoint, request.status.as_u16()),
            duration: http::request_duration_seconds(method, endpoint),
            received: http::request_size_bytes(method, endpoint),
            sent: http::response_size_bytes(method, endpoint),
            first_byte: http::time_to_first_byte_seconds(method, endpoint),
            active: http::active_requests(endpoint),
        }
    }

    fn encode(&self, format: Format) -> Option<String> {
        if format != Format::OpenMetrics {
            return None;
        }
        let text = collect_format(ScrapeFormat::fallback(), &MetricsSettings::default())
            .expect("valid families");
        Some(String::from_utf8(text).expect("text"))
    }
}

impl Count for &'static ThreadLocalCounter {
    fn inc(&self) {
        ThreadLocalCounter::inc(self);
    }
}

impl Count for ThreadLocalCounter {
    fn inc(&self) {
        ThreadLocalCounter::inc(self);
    }
}

impl Observe for Histogram {
    fn observe(&self, value: f64) {
        Histogram::observe(self, value);
    }
}

impl Time for TimeHistogram {
    fn time(&self, took: Duration) {
        self.observe(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }
}

impl Time for &'static TimeHistogram {
    fn time(&self, took: Duration) {
        TimeHistogram::time(self, took);
    }
}

impl Level for Gauge {
    fn up(&self) {
        self.inc();
    }

    fn down(&self) {
        self.dec();
    }
}
