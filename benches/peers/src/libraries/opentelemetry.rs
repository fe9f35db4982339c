//! `opentelemetry` with `opentelemetry-prometheus`: attributes at each event, or an instrument bound to them
//! (the feature `experimental_metrics_bound_instruments`), kept.

use std::time::Duration;

use backend_metrics::Format;
use opentelemetry::{
    KeyValue,
    metrics::{
        BoundCounter, BoundHistogram, BoundUpDownCounter, Counter, Histogram, MeterProvider,
        UpDownCounter,
    },
};
use opentelemetry_sdk::metrics::{Instrument, SdkMeterProvider, Stream};
use prometheus::{Registry, TextEncoder};

use crate::{
    library::{Count, Handles, Level, Library, Observe},
    shape::{self, QueryStatus, QueryType, Request},
};

/// Past its default of 2,000 attribute sets to an instrument all would be one.
const LIMIT: usize = 20_000;

pub struct OpenTelemetry {
    registry: Registry,
    /// It would stop with it.
    _provider: SdkMeterProvider,
    queries: Counter<u64>,
    query_duration: Histogram<f64>,
    requests: Counter<u64>,
    request_duration: Histogram<f64>,
    request_size: Histogram<f64>,
    response_size: Histogram<f64>,
    first_byte: Histogram<f64>,
    active: UpDownCounter<i64>,
    cancelled: Counter<u64>,
    panics: Counter<u64>,
}

fn query(query: QueryType) -> KeyValue {
    KeyValue::new("query_type", query.as_str())
}

fn endpoint(request: &Request) -> KeyValue {
    KeyValue::new("endpoint", request.endpoint.clone())
}

fn route(request: &Request) -> [KeyValue; 2] {
    [KeyValue::new("method", request.method.as_str()), endpoint(request)]
}

fn response(request: &Request) -> [KeyValue; 3] {
    let [method, endpoint] = route(request);
    [method, endpoint, KeyValue::new("status", i64::from(request.status.as_u16()))]
}

impl Library for OpenTelemetry {
    const NAME: &'static str = "opentelemetry";
    type Counter = BoundCounter<u64>;
    type Histogram = BoundHistogram<f64>;
    type Handles = Handles<
        BoundCounter<u64>,
        BoundHistogram<f64>,
        BoundHistogram<f64>,
        BoundHistogram<f64>,
        BoundUpDownCounter<i64>,
    >;

    fn new() -> Self {
        let registry = Registry::new();
        // The same lines as the others have.
        let exporter = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .scope_info_enabled(false)
            .without_target_info()
            .build()
            .expect("a new registry");
        let provider = SdkMeterProvider::builder()
            .with_reader(exporter)
            .with_view(|_: &Instrument| {
                Stream::builder().with_cardinality_limit(LIMIT).build().ok()
            })
            .build();
        let meter = provider.meter("peers");
        let counter =
            |name: &shape::Name| meter.u64_counter(name.stem()).with_description(name.help).build();
        let histogram = |name: &shape::Name, bounds: &[f64]| {
            meter
                .f64_histogram(name.name)
                .with_description(name.help)
                .with_boundaries(bounds.to_vec())
                .build()
        };
        Self {
            queries: counter(&shape::QUERIES),
            query_duration: histogram(&shape::QUERY_DURATION, shape::QUERY),
            requests: counter(&shape::REQUESTS),
            request_duration: histogram(&shape::REQUEST_DURATION, shape::REQUEST),
            request_size: histogram(&shape::REQUEST_BYTES, shape::SIZE),
            response_size: histogram(&shape::RESPONSE_BYTES, shape::RESPONSE_SIZE),
            first_byte: histogram(&shape::FIRST_BYTE, shape::REQUEST),
            active: meter
                .i64_up_down_counter(shape::ACTIVE.name)
                .with_description(shape::ACTIVE.help)
                .build(),
            cancelled: counter(&shape::CANCELLED),
            panics: counter(&shape::PANICS),
            registry,
            _provider: provider,
        }
    }

    fn count_query(&self, query_type: QueryType, status: QueryStatus) {
        self.queries.add(1, &[query(query_type), KeyValue::new("status", status.as_str())]);
    }

    fn observe_query(&self, query_type: QueryType, took: Duration) {
        self.query_duration.record(took.as_secs_f64(), &[query(query_type)]);
    }

    fn start_request(&self, request: &Request) {
        self.active.add(1, &[endpoint(request)]);
    }

    fn track_request(&self, request: &Request, took: Duration) {
        self.requests.add(1, &response(request));
        let route = route(request);
        self.request_duration.record(took.as_secs_f64(), &route);
        self.request_size.record(request.received as f64, &route);
        self.response_size.record(request.sent as f64, &route);
    }

    fn end_request(&self, request: &Request, first_byte: Duration) {
        self.first_byte.record(first_byte.as_secs_f64(), &route(request));
        self.active.add(-1, &[endpoint(request)]);
    }

    fn make_quiet_series(&self, request: &Request) {
        self.cancelled.add(0, &route(request));
        self.panics.add(0, &[endpoint(request)]);
    }

    fn query_counter(&'static self, query_type: QueryType, status: QueryStatus) -> Self::Counter {
        self.queries.bind(&[query(query_type), KeyValue::new("status", status.as_str())])
    }

    fn query_histogram(&'static self, query_type: QueryType) -> Self::Histogram {
        self.query_duration.bind(&[query(query_type)])
    }

    fn request_handles(&'static self, request: &Request) -> Self::Handles {
        let route = route(request);
        Handles {
            requests: self.requests.bind(&response(request)),
            duration: self.request_duration.bind(&route),
            received: self.request_size.bind(&route),
            sent: self.response_size.bind(&route),
            first_byte: self.first_byte.bind(&route),
            active: self.active.bind(&[endpoint(request)]),
        }
    }

    fn encode(&self, format: Format) -> Option<String> {
        let text = || {
            TextEncoder::new().encode_to_string(&self.registry.gather()).expect("valid families")
        };
        (format == Format::Text).then(text)
    }
}

impl Count for BoundCounter<u64> {
    fn inc(&self) {
        self.add(1);
    }
}

impl Observe for BoundHistogram<f64> {
    fn observe(&self, value: f64) {
        self.record(value);
    }
}

impl Level for BoundUpDownCounter<i64> {
    fn up(&self) {
        self.add(1);
    }

    fn down(&self) {
        self.add(-1);
    }
}
