//! `measured`: label groups at each event, or the `LabelId` they give, kept; a scrape by a new
//! encoder, or by one that is kept, as is documented.
//!
//! Closed labels are enums, which it keeps in arrays; the endpoint is interned by `lasso`, as its
//! documentation has it for labels that are not known at the start. None of the libraries knows it there.

use std::{sync::Arc, time::Duration};

use backend_metrics::Format;
use measured::{
    CounterVec, FixedCardinalityLabel, GaugeVec, HistogramVec, LabelGroup, MetricGroup,
    label::LabelGroupSet,
    lasso::ThreadedRodeo,
    metric::{
        LabelId, MetricType, MetricVec,
        counter::CounterState,
        gauge::GaugeState,
        histogram::{HistogramState, Thresholds},
    },
    text::BufferedTextEncoder,
};

use crate::{
    library::{Count, Handles, Level, Library, Observe},
    shape::{self, Method, QueryStatus, QueryType, Request},
};

type Endpoints = Arc<ThreadedRodeo>;

#[derive(Clone, Copy, FixedCardinalityLabel)]
pub enum Status {
    Ok = 200,
    Created = 201,
    NoContent = 204,
    BadRequest = 400,
    NotFound = 404,
    Cancelled = 499,
    Failed = 500,
}

#[derive(Clone, Copy, LabelGroup)]
#[label(set = QuerySet)]
pub struct Query {
    query_type: QueryType,
    status: QueryStatus,
}

#[derive(Clone, Copy, LabelGroup)]
#[label(set = TypeSet)]
pub struct Type {
    query_type: QueryType,
}

#[derive(Clone, Copy, LabelGroup)]
#[label(set = ResponseSet)]
pub struct Response<'a> {
    method: Method,
    #[label(dynamic_with = Endpoints)]
    endpoint: &'a str,
    status: Status,
}

#[derive(Clone, Copy, LabelGroup)]
#[label(set = RouteSet)]
pub struct Route<'a> {
    method: Method,
    #[label(dynamic_with = Endpoints)]
    endpoint: &'a str,
}

#[derive(Clone, Copy, LabelGroup)]
#[label(set = EndpointSet)]
pub struct Endpoint<'a> {
    #[label(dynamic_with = Endpoints)]
    endpoint: &'a str,
}

#[derive(MetricGroup)]
#[metric(new(endpoints: &Endpoints))]
pub struct Measured {
    /// Queries by what they do and how they ended
    database_queries_total: CounterVec<QuerySet>,
    /// Time from sending a query to its last row
    #[metric(metadata = bounds(shape::QUERY))]
    database_query_duration_seconds: HistogramVec<TypeSet, 11>,
    /// Requests by how they were answered
    #[metric(label_set = ResponseSet::new(endpoints.clone()))]
    http_requests_total: CounterVec<ResponseSet>,
    /// Time from the request until the server has taken the whole response
    #[metric(label_set = RouteSet::new(endpoints.clone()), metadata = bounds(shape::REQUEST))]
    http_request_duration_seconds: HistogramVec<RouteSet, 11>,
    /// Size of request bodies as announced by the client
    #[metric(label_set = RouteSet::new(endpoints.clone()), metadata = bounds(shape::SIZE))]
    http_request_size_bytes: HistogramVec<RouteSet, 5>,
    /// Size of response bodies as far as the server has taken them
    #[metric(label_set = RouteSet::new(endpoints.clone()), metadata = bounds(shape::RESPONSE_SIZE))]
    http_response_size_bytes: HistogramVec<RouteSet, 6>,
    /// Time from the request to the response head
    #[metric(label_set = RouteSet::new(endpoints.clone()), metadata = bounds(shape::REQUEST))]
    http_time_to_first_byte_seconds: HistogramVec<RouteSet, 11>,
    /// Requests that are not finished
    #[metric(label_set = EndpointSet::new(endpoints.clone()))]
    http_active_requests: GaugeVec<EndpointSet>,
    /// Requests dropped before the end of the response: by the client or a timeout further out
    #[metric(label_set = RouteSet::new(endpoints.clone()))]
    http_requests_cancelled_total: CounterVec<RouteSet>,
    /// Requests whose handler or response body panicked
    #[metric(label_set = EndpointSet::new(endpoints.clone()))]
    http_panics_total: CounterVec<EndpointSet>,
}

fn bounds<const N: usize>(bounds: &[f64]) -> Thresholds<N> {
    Thresholds::with_buckets(bounds.try_into().expect("as many as the type says"))
}

fn status(request: &Request) -> Status {
    match request.status.as_u16() {
        200 => Status::Ok,
        201 => Status::Created,
        204 => Status::NoContent,
        400 => Status::BadRequest,
        404 => Status::NotFound,
        499 => Status::Cancelled,
        _ => Status::Failed,
    }
}

fn response(request: &Request) -> Response<'_> {
    Response { method: request.method, endpoint: &request.endpoint, status: status(request) }
}

fn route(request: &Request) -> Route<'_> {
    Route { method: request.method, endpoint: &request.endpoint }
}

fn endpoint(request: &Request) -> Endpoint<'_> {
    Endpoint { endpoint: &request.endpoint }
}

/// A metric of a family, found once.
pub struct At<M: MetricType + 'static, L: LabelGroupSet + 'static> {
    family: &'static MetricVec<M, L>,
    id: LabelId<L>,
}

impl<M: MetricType, L: LabelGroupSet> At<M, L> {
    fn new(family: &'static MetricVec<M, L>, labels: L::Group<'_>) -> Self {
        Self { family, id: family.with_labels(labels) }
    }
}

type Duration11<L> = At<HistogramState<11>, L>;

impl Library for Measured {
    const NAME: &'static str = "measured";
    type Counter = At<CounterState, QuerySet>;
    type Histogram = Duration11<TypeSet>;
    type Handles = Handles<
        At<CounterState, ResponseSet>,
        Duration11<RouteSet>,
        At<HistogramState<5>, RouteSet>,
        At<HistogramState<6>, RouteSet>,
        At<GaugeState, EndpointSet>,
    >;

    fn new() -> Self {
        Self::new(&Endpoints::default())
    }

    fn count_query(&self, query_type: QueryType, status: QueryStatus) {
        self.database_queries_total.inc(Query { query_type, status });
    }

    fn observe_query(&self, query_type: QueryType, took: Duration) {
        self.database_query_duration_seconds.observe_duration(Type { query_type }, took);
    }

    fn start_request(&self, request: &Request) {
        self.http_active_requests.inc(endpoint(request));
    }

    fn track_request(&self, request: &Request, took: Duration) {
        self.http_requests_total.inc(response(request));
        self.http_request_duration_seconds.observe_duration(route(request), took);
        self.http_request_size_bytes.observe(route(request), request.received as f64);
        self.http_response_size_bytes.observe(route(request), request.sent as f64);
    }

    fn end_request(&self, request: &Request, first_byte: Duration) {
        self.http_time_to_first_byte_seconds.observe_duration(route(request), first_byte);
        self.http_active_requests.dec(endpoint(request));
    }

    fn make_quiet_series(&self, request: &Request) {
        self.http_requests_cancelled_total.inc_by(route(request), 0);
        self.http_panics_total.inc_by(endpoint(request), 0);
    }

    fn query_counter(&'static self, query_type: QueryType, status: QueryStatus) -> Self::Counter {
        At::new(&self.database_queries_total, Query { query_type, status })
    }

    fn query_histogram(&'static self, query_type: QueryType) -> Self::Histogram {
        At::new(&self.database_query_duration_seconds, Type { query_type })
    }

    fn request_handles(&'static self, request: &Request) -> Self::Handles {
        Handles {
            requests: At::new(&self.http_requests_total, response(request)),
            duration: At::new(&self.http_request_duration_seconds, route(request)),
            received: At::new(&self.http_request_size_bytes, route(request)),
            sent: At::new(&self.http_response_size_bytes, route(request)),
            first_byte: At::new(&self.http_time_to_first_byte_seconds, route(request)),
            active: At::new(&self.http_active_requests, endpoint(request)),
        }
    }

    fn encode(&self, format: Format) -> Option<String> {
        if format != Format::Text {
            return None;
        }
        let mut encoder = BufferedTextEncoder::new();
        self.collect_group_into(&mut encoder).unwrap_or_else(|never| match never {});
        Some(String::from_utf8(encoder.finish().into()).expect("text"))
    }

    fn encode_kept(&self, format: Format) -> Option<Box<dyn FnMut() -> usize + '_>> {
        let mut encoder = (format == Format::Text).then(BufferedTextEncoder::new)?;
        Some(Box::new(move || {
            self.collect_group_into(&mut encoder).unwrap_or_else(|never| match never {});
            encoder.finish().len()
        }))
    }
}

impl<L: LabelGroupSet + 'static> Count for At<CounterState, L> {
    fn inc(&self) {
        self.family.get_metric(self.id).inc();
    }
}

impl<const N: usize, L: LabelGroupSet + 'static> Observe for At<HistogramState<N>, L> {
    fn observe(&self, value: f64) {
        self.family.get_metric(self.id).observe(value);
    }
}

impl<L: LabelGroupSet + 'static> Level for At<GaugeState, L> {
    fn up(&self) {
        self.family.get_metric(self.id).inc();
    }

    fn down(&self) {
        self.family.get_metric(self.id).dec();
    }
}
