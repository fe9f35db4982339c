//! `prometheus-client`: `Family::get_or_create` at each event, or the metric cloned out of the family; a scrape
//! into a new text, or into one that is kept.

use std::{fmt, time::Duration};

use backend_metrics::Format;
use prometheus_client::{
    encoding::{EncodeLabelSet, prometheus_text, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use crate::{
    library::{Count, Handles, Level, Library, Observe},
    shape::{self, Method, QueryStatus, QueryType, Request},
};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueryLabels {
    query_type: QueryType,
    status: QueryStatus,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TypeLabels {
    query_type: QueryType,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResponseLabels {
    method: Method,
    endpoint: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    method: Method,
    endpoint: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndpointLabels {
    endpoint: String,
}

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

pub struct PrometheusClient {
    registry: Registry,
    queries: Family<QueryLabels, Counter>,
    query_duration: Histograms<TypeLabels>,
    requests: Family<ResponseLabels, Counter>,
    request_duration: Histograms<RouteLabels>,
    request_size: Histograms<RouteLabels>,
    response_size: Histograms<RouteLabels>,
    first_byte: Histograms<RouteLabels>,
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

fn encoder(format: Format) -> Option<fn(&mut String, &Registry) -> fmt::Result> {
    match format {
        Format::OpenMetrics => Some(text::encode),
        Format::Text => Some(prometheus_text::encode),
        _ => None,
    }
}

impl Library for PrometheusClient {
    const NAME: &'static str = "prometheus-client";
    type Counter = Counter;
    type Histogram = Histogram;
    type Handles = Handles<Counter, Histogram, Histogram, Histogram, Gauge>;

    fn new() -> Self {
        let mut registry = Registry::default();
        macro_rules! registered {
            ($name:ident, $family:expr) => {{
                let family = $family;
                registry.register(shape::$name.stem(), shape::$name.help, family.clone());
                family
            }};
        }
        macro_rules! histograms {
            ($name:ident, $bounds:ident) => {
                registered!(
                    $name,
                    Histograms::new_with_constructor(|| Histogram::new(
                        shape::$bounds.iter().copied()
                    ))
                )
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
        self.queries.get_or_create(&QueryLabels { query_type, status }).inc();
    }

    fn observe_query(&self, query_type: QueryType, took: Duration) {
        self.query_duration.get_or_create(&TypeLabels { query_type }).observe(took.as_secs_f64());
    }

    fn start_request(&self, request: &Request) {
        self.active.get_or_create(&endpoint(request)).inc();
    }

    fn track_request(&self, request: &Request, took: Duration) {
        self.requests.get_or_create(&response(request)).inc();
        let route = route(request);
        self.request_duration.get_or_create(&route).observe(took.as_secs_f64());
        self.request_size.get_or_create(&route).observe(request.received as f64);
        self.response_size.get_or_create(&route).observe(request.sent as f64);
    }

    fn end_request(&self, request: &Request, first_byte: Duration) {
        self.first_byte.get_or_create(&route(request)).observe(first_byte.as_secs_f64());
        self.active.get_or_create(&endpoint(request)).dec();
    }

    fn make_quiet_series(&self, request: &Request) {
        drop(self.cancelled.get_or_create(&route(request)));
        drop(self.panics.get_or_create(&endpoint(request)));
    }

    fn query_counter(&'static self, query_type: QueryType, status: QueryStatus) -> Counter {
        self.queries.get_or_create_owned(&QueryLabels { query_type, status })
    }

    fn query_histogram(&'static self, query_type: QueryType) -> Histogram {
        self.query_duration.get_or_create_owned(&TypeLabels { query_type })
    }

    fn request_handles(&'static self, request: &Request) -> Self::Handles {
        let route = route(request);
        Handles {
            requests: self.requests.get_or_create_owned(&response(request)),
            duration: self.request_duration.get_or_create_owned(&route),
            received: self.request_size.get_or_create_owned(&route),
            sent: self.response_size.get_or_create_owned(&route),
            first_byte: self.first_byte.get_or_create_owned(&route),
            active: self.active.get_or_create_owned(&endpoint(request)),
        }
    }

    fn encode(&self, format: Format) -> Option<String> {
        let mut text = String::new();
        encoder(format)?(&mut text, &self.registry).expect("a string takes everything");
        Some(text)
    }

    fn encode_kept(&self, format: Format) -> Option<Box<dyn FnMut() -> usize + '_>> {
        let (encode, mut text) = (encoder(format)?, String::new());
        Some(Box::new(move || {
            text.clear();
            encode(&mut text, &self.registry).expect("a string takes everything");
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
