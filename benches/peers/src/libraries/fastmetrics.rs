//! `fastmetrics`: `Family::with_or_new` at each event, or the metric cloned out of the family; a scrape into a
//! new text, or into one that is kept.

use std::time::Duration;

use backend_metrics::Format;
use fastmetrics::{
    derive::LabelSet,
    format::text::{self, EscapingScheme, TextProfile},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use crate::{
    library::{Count, Handles, Level, Library, Observe},
    shape::{self, Method, QueryStatus, QueryType, Request},
};

#[derive(Clone, PartialEq, Eq, Hash, LabelSet)]
struct QueryLabels {
    query_type: QueryType,
    status: QueryStatus,
}

#[derive(Clone, PartialEq, Eq, Hash, LabelSet)]
struct TypeLabels {
    query_type: QueryType,
}

#[derive(Clone, PartialEq, Eq, Hash, LabelSet)]
struct ResponseLabels {
    method: Method,
    endpoint: String,
    status: u16,
}

#[derive(Clone, PartialEq, Eq, Hash, LabelSet)]
struct RouteLabels {
    method: Method,
    endpoint: String,
}

#[derive(Clone, PartialEq, Eq, Hash, LabelSet)]
struct EndpointLabels {
    endpoint: String,
}

pub struct FastMetrics {
    registry: Registry,
    queries: Family<QueryLabels, Counter>,
    query_duration: Family<TypeLabels, Histogram>,
    requests: Family<ResponseLabels, Counter>,
    request_duration: Family<RouteLabels, Histogram>,
    request_size: Family<RouteLabels, Histogram>,
    response_size: Family<RouteLabels, Histogram>,
    first_byte: Family<RouteLabels, Histogram>,
    active: Family<EndpointLabels, Gauge>,
    cancelled: Family<RouteLabels, Counter>,
    panics: Family<EndpointLabels, Counter>,
}

fn response(request: &Request) -> ResponseLabels {
    ResponseLabels {
        method: request.method,
        endpoint: request.endpoint.clone(),
        status: request.status.as_u16(),
    }
}

fn route(request: &Request) -> RouteLabels {
    RouteLabels { method: request.method, endpoint: request.endpoint.clone() }
}

fn endpoint(request: &Request) -> EndpointLabels {
    EndpointLabels { endpoint: request.endpoint.clone() }
}

fn profile(format: Format) -> Option<TextProfile> {
    match format {
        Format::OpenMetrics => {
            Some(TextProfile::OpenMetricsV1_0_0 { escaping_scheme: EscapingScheme::default() })
        }
        Format::Text => Some(TextProfile::PrometheusV0_0_4),
        _ => None,
    }
}

impl Library for FastMetrics {
    const NAME: &'static str = "fastmetrics";
    type Counter = Counter;
    type Histogram = Histogram;
    type Handles = Handles<Counter, Histogram, Histogram, Histogram, Gauge>;

    fn new() -> Self {
        let mut registry = Registry::default();
        macro_rules! registered {
            ($name:ident, $family:expr) => {{
                let family = $family;
                registry
                    .register(shape::$name.stem(), shape::$name.help, family.clone())
                    .expect("a new name");
                family
            }};
        }
        macro_rules! histograms {
            ($name:ident, $bounds:ident) => {
                registered!($name, Family::new(|| Histogram::new(shape::$bounds.iter().copied())))
            };
        }
        Self {
            queries: registered!(QUERIES, Family::default()),
            query_duration: histograms!(QUERY_DURATION, QUERY),
            requests: registered!(REQUESTS, Family::default()),
            request_duration: histograms!(REQUEST_DURATION, REQUEST),
            request_size: histograms!(REQUEST_BYTES, SIZE),
            response_size: histograms!(RESPONSE_BYTES, RESPONSE_SIZE),
            first_byte: histograms!(FIRST_BYTE, REQUEST),
            active: registered!(ACTIVE, Family::default()),
            cancelled: registered!(CANCELLED, Family::default()),
            panics: registered!(PANICS, Family::default()),
            registry,
        }
    }

    fn count_query(&self, query_type: QueryType, status: QueryStatus) {
        self.queries.with_or_new(&QueryLabels { query_type, status }, Counter::inc);
    }

    fn observe_query(&self, query_type: QueryType, took: Duration) {
        self.query_duration
            .with_or_new(&TypeLabels { query_type }, |metric| metric.observe(took.as_secs_f64()));
    }

    fn start_request(&self, request: &Request) {
        self.active.with_or_new(&endpoint(request), Gauge::inc);
    }

    fn track_request(&self, request: &Request, took: Duration) {
        self.requests.with_or_new(&response(request), Counter::inc);
        let route = route(request);
        self.request_duration.with_or_new(&route, |metric| metric.observe(took.as_secs_f64()));
        self.request_size.with_or_new(&route, |metric| metric.observe(request.received as f64));
        self.response_size.with_or_new(&route, |metric| metric.observe(request.sent as f64));
    }

    fn end_request(&self, request: &Request, first_byte: Duration) {
        self.first_byte
            .with_or_new(&route(request), |metric| metric.observe(first_byte.as_secs_f64()));
        self.active.with_or_new(&endpoint(request), Gauge::dec);
    }

    fn make_quiet_series(&self, request: &Request) {
        self.cancelled.with_or_new(&route(request), |_| ());
        self.panics.with_or_new(&endpoint(request), |_| ());
    }

    fn query_counter(&'static self, query_type: QueryType, status: QueryStatus) -> Counter {
        self.queries.with_or_new(&QueryLabels { query_type, status }, Clone::clone)
    }

    fn query_histogram(&'static self, query_type: QueryType) -> Histogram {
        self.query_duration.with_or_new(&TypeLabels { query_type }, Clone::clone)
    }

    fn request_handles(&'static self, request: &Request) -> Self::Handles {
        let route = route(request);
        Handles {
            requests: self.requests.with_or_new(&response(request), Clone::clone),
            duration: self.request_duration.with_or_new(&route, Clone::clone),
            received: self.request_size.with_or_new(&route, Clone::clone),
            sent: self.response_size.with_or_new(&route, Clone::clone),
            first_byte: self.first_byte.with_or_new(&route, Clone::clone),
            active: self.active.with_or_new(&endpoint(request), Clone::clone),
        }
    }

    fn encode(&self, format: Format) -> Option<String> {
        let mut text = String::new();
        text::encode(&mut text, &self.registry, profile(format)?)
            .expect("a string takes everything");
        Some(text)
    }

    fn encode_kept(&self, format: Format) -> Option<Box<dyn FnMut() -> usize + '_>> {
        profile(format)?;
        let mut text = String::new();
        Some(Box::new(move || {
            text.clear();
            let profile = profile(format).expect("it was known before");
            text::encode(&mut text, &self.registry, profile).expect("a string takes everything");
            text.len()
        }))
    }
}

impl Count for Counter {
    fn inc(&self) {
        Self::inc(self);
    }
}

impl Observe for Histogram {
    fn observe(&self, value: f64) {
        Self::observe(self, value);
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
