//! Requests to the service.
//!
//! The layer of [`middleware`](crate::middleware) records all of them for a tower service; a server that is
//! none calls [`Metrics::start_http_request`]. One request is one record, made once, whatever happens.
//!
//! | family | labels | recorded |
//! | --- | --- | --- |
//! | `http_requests_total` | `method`, `endpoint`, `status` | at the end of the response body |
//! | `http_request_duration_seconds` | `method`, `endpoint` | at the end of the response body |
//! | `http_time_to_first_byte_seconds` | `method`, `endpoint` | with the response head |
//! | `http_request_size_bytes` | `method`, `endpoint` | at the end, if the request says its size |
//! | `http_response_size_bytes` | `method`, `endpoint` | at the end of the response body |
//! | `http_active_requests` | `endpoint` | up with the request, down at its end |
//! | `http_requests_cancelled_total` | `method`, `endpoint` | when it was dropped from outside, by its client or by a timeout further out |
//! | `http_panics_total` | `endpoint` | when the handler or the body panicked |
//!
//! The response body ends here once its last frame is handed to the server, which is before the client has read it: see
//! [bodies](crate::middleware#bodies).
//!
//! ```
//! use backend_metrics::Metrics;
//! use http::{Method, StatusCode};
//!
//! let metrics = Metrics::new();
//! let mut request = metrics.start_http_request(&Method::GET, "/orders/{id}");
//! request.head(StatusCode::OK);
//! request.sent(512);
//! request.end();
//! assert!(metrics.to_text().contains(
//!     "http_requests_total{method=\"GET\",endpoint=\"/orders/{id}\",status=\"200\"} 1\n"
//! ));
//! ```

use std::{
    mem,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use http::{Method, StatusCode};

use crate::{
    CounterFamily, Domain, HistogramFamily, Label, Labels, Metrics, Open, OpenLabels, Stopwatch,
    UpDownGaugeFamily, ValueSet, buckets,
    family::{Nested, NestedLabels},
    registry::{Part, Registrar},
    storage::intern::Nest,
};

use super::{
    helpers::helpers,
    shared::{Answer, HttpMethod},
};

families! {
    /// Requests to the service.
    pub struct HttpMetrics = "http" {
        with {
            /// The route templates.
            pub endpoints: Domain<HttpEndpoint>,
            pub(crate) routes: Nested<HttpRoute>,
            pub(crate) responses: Nested<HttpResponse>,
            pub(crate) paths: Paths,
        }

        /// Requests by how they were answered
        ///
        /// 499 where the request was dropped from outside, by its client or by a timeout further out; 500 where the
        /// handler failed or panicked before the head.
        pub requests: CounterFamily<Open<HttpResponse>> = "http_requests_total",

        /// Time from the request until the server has taken the whole response
        ///
        /// For an upgrade or an event stream: to the response head. Requests that were cancelled or failed
        /// are included, and so is the time that a request waits until the service is ready for it.
        /// A body of a single frame is taken at once, however slowly the client reads it.
        pub request_duration: HistogramFamily<Open<HttpRoute>> =
            "http_request_duration_seconds" in buckets::REQUEST,

        /// Size of request bodies as announced by the client
        ///
        /// A body of unknown length is no sample.
        pub request_size: HistogramFamily<Open<HttpRoute>, u64> =
            "http_request_size_bytes" in buckets::SIZE,

        /// Size of response bodies as far as the server has taken them
        ///
        /// A frame counts as a whole once the server has it, whether all of it reaches the client or not.
        /// Requests that got no head, and upgrades, have no body and are no samples.
        pub response_size: HistogramFamily<Open<HttpRoute>, u64> = "http_response_size_bytes"
            in &[100.0, 1_000.0, 10_000.0, 100_000.0, 1_000_000.0, 10_000_000.0],

        /// Requests that are not finished
        ///
        /// A request whose endpoint is not known yet counts as `unmatched`.
        pub active_requests: UpDownGaugeFamily<Open<HttpEndpoint>> = "http_active_requests",

        /// Time from the request to the response head
        ///
        /// Requests that got no head are no samples.
        pub time_to_first_byte: HistogramFamily<Open<HttpRoute>> =
            "http_time_to_first_byte_seconds" in buckets::REQUEST,

        /// Requests dropped before the end of the response: by the client or a timeout further out
        ///
        /// They have the status 499. A timeout inside of the layer counts with the status that it answers.
        pub requests_cancelled: CounterFamily<Open<HttpRoute>> = "http_requests_cancelled_total",

        /// Requests whose handler or response body panicked
        pub panics: CounterFamily<Open<HttpEndpoint>> = "http_panics_total",
    }
}

open_labels! {
    /// The route template of a request, such as `/orders/{id}`; `unmatched` where no route fits.
    pub struct HttpEndpoint(endpoint);
}

/// A method of an endpoint.
///
/// The labels `method` and `endpoint`; series appear as they are used.
#[derive(Clone, Copy, Debug)]
pub enum HttpRoute {}

/// A status of a method of an endpoint.
///
/// The labels `method`, `endpoint` and `status`; series appear as they are used.
#[derive(Clone, Copy, Debug)]
pub enum HttpResponse {}

impl OpenLabels for HttpRoute {
    const NAMES: &'static [&'static str] = &["method", "endpoint"];
    const LIST: Labels = Labels::new(&[HttpMethod::LABEL]).join(&HttpEndpoint::LIST);
}

impl NestedLabels for HttpRoute {
    type Parent = HttpEndpoint;
    const NEST: Nest = HttpMethod::nest(true);
}

impl OpenLabels for HttpResponse {
    const NAMES: &'static [&'static str] = &["method", "endpoint", "status"];
    const LIST: Labels =
        HttpRoute::LIST.join(&Labels::new(&[Label::new("status", ValueSet::Status(&["other"]))]));
}

impl NestedLabels for HttpResponse {
    type Parent = HttpRoute;
    const NEST: Nest = Answer::OF_SERVER;
}

/// The endpoint of requests that no route fits.
pub const UNMATCHED: &str = "unmatched";

/// The status of a request that was dropped from outside: 499, as proxies have it.
fn client_closed_request() -> StatusCode {
    StatusCode::from_u16(499).unwrap_or(StatusCode::REQUEST_TIMEOUT)
}

impl HttpMetrics {
    /// The place of a method of an endpoint.
    #[inline]
    #[must_use]
    pub fn route(&self, endpoint: Open<HttpEndpoint>, method: HttpMethod) -> Open<HttpRoute> {
        self.routes.get(endpoint, method as u16, || method.as_str().to_owned())
    }

    /// The place of a status of a route.
    #[inline]
    #[must_use]
    pub fn response(&self, route: Open<HttpRoute>, status: StatusCode) -> Open<HttpResponse> {
        let answer = Answer::from(status);
        self.responses.get(route, answer.position(), || answer.text())
    }

    /// What a request counts under that was answered with this status: a method that no handler takes (405, 501)
    /// makes no series of the endpoint.
    #[inline]
    fn answered(
        &self,
        endpoint: Open<HttpEndpoint>,
        method: HttpMethod,
        status: StatusCode,
    ) -> Open<HttpEndpoint> {
        match status {
            StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => {
                self.refused(endpoint, method)
            }
            _ => endpoint,
        }
    }

    #[cold]
    #[inline(never)]
    fn refused(&self, endpoint: Open<HttpEndpoint>, method: HttpMethod) -> Open<HttpEndpoint> {
        if self.routes.find(endpoint, method as u16).is_some() {
            endpoint
        } else {
            self.paths.unmatched()
        }
    }
}

/// The paths that stand in for route templates where nothing names these, and the endpoint of requests that have
/// neither.
///
/// A path is a guess that a stranger can make as often as they like. So the paths have a budget of their own, and
/// there are none in a service that names its endpoints.
#[derive(Debug)]
pub(crate) struct Paths {
    endpoints: Domain<HttpEndpoint>,
    unmatched: OnceLock<Open<HttpEndpoint>>,
    /// Whether any may become an endpoint.
    are_on: bool,
    /// Whether the service has named an endpoint.
    endpoint_was_named: AtomicBool,
}

impl Part for Paths {
    fn register(registrar: &mut Registrar) -> Self {
        let endpoints = Domain::register(registrar);
        let cap = registrar.path_cap();
        endpoints.keep(UNMATCHED);
        endpoints.expect_guesses(cap);
        Self {
            endpoints,
            unmatched: OnceLock::new(),
            are_on: cap > 0 && registrar.is_exposed(),
            endpoint_was_named: AtomicBool::new(false),
        }
    }
}

impl Paths {
    /// The endpoint `unmatched`, which does not count against the cap.
    #[inline]
    pub(crate) fn unmatched(&self) -> Open<HttpEndpoint> {
        *self.unmatched.get_or_init(|| self.endpoints.reserve(UNMATCHED))
    }

    /// The service named an endpoint: paths become none from now on.
    #[inline]
    pub(crate) fn endpoint_was_named(&self) {
        if !self.endpoint_was_named.load(Relaxed) {
            self.endpoint_was_named.store(true, Relaxed);
        }
    }

    /// Whether a path may become an endpoint.
    pub(crate) fn may_be_learned(&self) -> bool {
        self.are_on && !self.endpoint_was_named.load(Relaxed)
    }

    /// The endpoint of a path, made known if there is room for it, else `unmatched`.
    pub(crate) fn learn(&self, path: &str) -> Open<HttpEndpoint> {
        self.endpoints.guess(path).unwrap_or_else(|| self.unmatched())
    }
}

helpers! {
    /// Counts a request that was answered to its end, for a server that measures by itself.
    ///
    /// Moves all HTTP families of a request but `http_active_requests`; the time to the first byte is not
    /// known and no sample. `sizes` are the bytes of the request's and the response's body.
    pub fn track_http_request(
        self,
        method: &Method,
        endpoint: &str,
        status: StatusCode,
        duration: Duration,
        sizes: (u64, u64),
    ) {
        let http = &self.http;
        let (endpoint, method) = (http.endpoints.get(endpoint), HttpMethod::from(method));
        let route = http.route(http.answered(endpoint, method, status), method);
        http.requests.get(http.response(route, status)).inc();
        let cells = route.cells();
        http.request_duration.get(route).observe_near(cells, duration);
        http.request_size.get(route).observe_near(cells, sizes.0);
        http.response_size.get(route).observe_near(cells, sizes.1);
    }

    /// Starts a request; the guard records how it ended.
    ///
    /// `endpoint` is the route template, not the path.
    pub fn start_http_request(self, method: &Method, endpoint: &str) -> HttpRequestGuard {
        let endpoint = self.http.endpoints.get(endpoint);
        let mut guard = HttpRequestGuard::new(self.stopwatch(), method.into(), endpoint, None);
        guard.minds_panics = true;
        guard
    }
}

/// A request that is under way. Dropped before its end it counts as cancelled, with the status 499; dropped by a panic
/// as [`panicked`](Self::panicked).
#[derive(Debug)]
#[must_use = "a guard dropped at once records a request that was dropped before its head"]
#[expect(
    clippy::struct_excessive_bools,
    reason = "any of them can be true, whatever the others are"
)]
pub struct HttpRequestGuard {
    watch: Stopwatch,
    method: HttpMethod,
    /// That of the head, or how the request ended without one.
    status: StatusCode,
    /// What the record goes under.
    endpoint: Open<HttpEndpoint>,
    /// What the active gauge was raised under.
    raised: Open<HttpEndpoint>,
    /// Nanoseconds to the head, or [`UNKNOWN`].
    first_byte: u64,
    /// Of the request's body, or [`UNKNOWN`].
    received: u64,
    sent: u64,
    /// Whether the time ends with the head.
    ends_with_head: bool,
    /// Whether the connection was handed over.
    upgraded: bool,
    /// Whether it is known how the request ended.
    ended: bool,
    /// Whether a panic that drops it is that of its handler. The layer sees panics itself: what it follows may be
    /// unwound with a neighbour.
    minds_panics: bool,
}

/// A size that the request does not say, or the time to a head that is not there.
const UNKNOWN: u64 = u64::MAX;

impl HttpRequestGuard {
    #[inline]
    pub(crate) fn new(
        watch: Stopwatch,
        method: HttpMethod,
        endpoint: Open<HttpEndpoint>,
        received: Option<u64>,
    ) -> Self {
        watch.metrics().http.active_requests.get(endpoint).inc();
        Self {
            watch,
            method,
            status: client_closed_request(),
            endpoint,
            raised: endpoint,
            first_byte: UNKNOWN,
            received: received.unwrap_or(UNKNOWN),
            sent: 0,
            ends_with_head: false,
            upgraded: false,
            ended: false,
            minds_panics: false,
        }
    }

    /// The instance it records into.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.watch.metrics()
    }

    #[inline]
    pub(crate) fn method(&self) -> HttpMethod {
        self.method
    }

    /// The status of the head, or 499 before it.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Changes what the record goes under. The active gauge stays where it was raised.
    pub fn set_endpoint(&mut self, endpoint: Open<HttpEndpoint>) {
        // The head may be there already.
        self.endpoint = self.metrics().http.answered(endpoint, self.method, self.status);
    }

    /// The size of the request's body in bytes.
    #[inline]
    pub fn received(&mut self, bytes: u64) {
        self.received = bytes;
    }

    /// The response head is there.
    #[inline]
    pub fn head(&mut self, status: StatusCode) {
        self.status = status;
        self.endpoint = self.metrics().http.answered(self.endpoint, self.method, status);
        self.first_byte = self.watch.nanos().min(UNKNOWN - 1);
    }

    #[inline]
    fn has_head(&self) -> bool {
        self.first_byte != UNKNOWN
    }

    /// Some bytes of the response's body were handed over.
    #[inline]
    pub fn sent(&mut self, bytes: u64) {
        self.sent = self.sent.saturating_add(bytes);
    }

    /// The response was handed over to its end.
    #[inline]
    pub fn end(mut self) {
        self.complete();
    }

    /// The connection was handed over by an upgrade: the request's time ended with the head.
    pub fn upgraded(mut self) {
        self.hand_over();
    }

    /// The response, whose head is there, is a stream of events without an end of its own.
    ///
    /// Its time ended with the head. It is active until the guard is dropped, and counts with its status
    /// then: a client that leaves it has not cancelled it.
    pub fn streaming(&mut self) {
        self.ends_with_head = true;
    }

    /// The handler failed: 500, unless the head was sent.
    pub fn failed(mut self) {
        self.fail();
    }

    /// The handler or the body panicked: 500, unless the head was sent.
    pub fn panicked(mut self) {
        self.panic();
    }

    // The ends, for a guard that is dropped where it is.

    #[inline]
    pub(crate) fn complete(&mut self) {
        self.ended = true;
    }

    /// The response was at its end with its head.
    pub(crate) fn end_with_head(&mut self) {
        self.ends_with_head = true;
        self.ended = true;
    }

    pub(crate) fn hand_over(&mut self) {
        self.upgraded = true;
        self.end_with_head();
    }

    pub(crate) fn fail(&mut self) {
        if !self.has_head() {
            self.status = StatusCode::INTERNAL_SERVER_ERROR;
        }
        self.ended = true;
    }

    pub(crate) fn panic(&mut self) {
        self.metrics().http.panics.get(self.endpoint).inc();
        self.fail();
    }

    /// Takes the request back: it is not active, and not recorded.
    pub(crate) fn take_back(self) -> Stopwatch {
        let watch = self.watch;
        watch.metrics().http.active_requests.get(self.raised).dec();
        mem::forget(self);
        watch
    }
}

impl Drop for HttpRequestGuard {
    /// Makes the record.
    fn drop(&mut self) {
        // First, so that the time is without that of the record.
        let ended_before = self.ends_with_head && self.has_head();
        let duration = if ended_before { self.first_byte } else { self.watch.nanos() };
        let http = &self.watch.metrics().http;
        let route = http.route(self.endpoint, self.method);
        if !self.ended {
            if self.minds_panics && std::thread::panicking() {
                self.panic();
            } else if !ended_before {
                self.status = client_closed_request();
                http.requests_cancelled.get(route).inc();
            }
        }
        http.requests.get(http.response(route, self.status)).inc();
        let cells = route.cells();
        http.request_duration.get(route).observe_units_near(cells, duration);
        if self.has_head() {
            http.time_to_first_byte.get(route).observe_units_near(cells, self.first_byte);
            if !self.upgraded {
                http.response_size.get(route).observe_near(cells, self.sent);
            }
        }
        if self.received != UNKNOWN {
            http.request_size.get(route).observe_near(cells, self.received);
        }
        http.active_requests.get(self.raised).dec();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{Method, StatusCode};

    use crate::testing::Fixture;

    #[test]
    fn a_request_is_recorded_once_at_its_end() {
        let test = Fixture::new();
        let mut request = test.metrics.start_http_request(&Method::POST, "/orders");
        test.assert_series(&[(r#"http_active_requests{endpoint="/orders"}"#, 1.0)]);
        request.received(2_000);
        test.clock.advance(Duration::from_millis(30));
        request.head(StatusCode::CREATED);
        test.clock.advance(Duration::from_millis(20));
        request.sent(40);
        request.sent(60);
        request.end();
        test.assert_series(&[
            (r#"http_active_requests{endpoint="/orders"}"#, 0.0),
            (r#"http_panics_total{endpoint="/orders"}"#, 0.0),
            (r#"http_requests_total{method="POST",endpoint="/orders",status="201"}"#, 1.0),
            (r#"http_requests_cancelled_total{method="POST",endpoint="/orders"}"#, 0.0),
            (r#"http_request_duration_seconds_sum{method="POST",endpoint="/orders"}"#, 0.05),
            (r#"http_time_to_first_byte_seconds_sum{method="POST",endpoint="/orders"}"#, 0.03),
            (r#"http_request_size_bytes_sum{method="POST",endpoint="/orders"}"#, 2_000.0),
            (r#"http_response_size_bytes_sum{method="POST",endpoint="/orders"}"#, 100.0),
        ]);
    }

    #[test]
    fn a_dropped_request_is_cancelled_before_and_after_its_head() {
        let test = Fixture::new();
        drop(test.metrics.start_http_request(&Method::GET, "/a"));
        let mut request = test.metrics.start_http_request(&Method::GET, "/a");
        request.head(StatusCode::OK);
        request.sent(7);
        drop(request);
        test.assert_series(&[
            (r#"http_requests_total{method="GET",endpoint="/a",status="499"}"#, 2.0),
            (r#"http_requests_cancelled_total{method="GET",endpoint="/a"}"#, 2.0),
            (r#"http_time_to_first_byte_seconds_count{method="GET",endpoint="/a"}"#, 1.0),
            (r#"http_response_size_bytes_sum{method="GET",endpoint="/a"}"#, 7.0),
            (r#"http_active_requests{endpoint="/a"}"#, 0.0),
        ]);
    }

    #[test]
    fn a_panic_is_500_before_the_head_and_the_heads_status_after_it() {
        let test = Fixture::new();
        test.metrics.start_http_request(&Method::GET, "/a").panicked();
        let mut request = test.metrics.start_http_request(&Method::GET, "/a");
        request.head(StatusCode::OK);
        request.panicked();
        test.assert_series(&[
            (r#"http_requests_total{method="GET",endpoint="/a",status="500"}"#, 1.0),
            (r#"http_requests_total{method="GET",endpoint="/a",status="200"}"#, 1.0),
            (r#"http_panics_total{endpoint="/a"}"#, 2.0),
        ]);
    }

    #[test]
    fn a_stream_of_events_takes_the_time_to_its_head_and_is_recorded_at_its_end() {
        let test = Fixture::new();
        let mut request = test.metrics.start_http_request(&Method::GET, "/events");
        test.clock.advance(Duration::from_millis(4));
        request.head(StatusCode::OK);
        request.streaming();
        test.clock.advance(Duration::from_hours(1));
        let count = r#"http_requests_total{method="GET",endpoint="/events",status="200"}"#;
        assert_eq!(test.series(count), None);
        test.assert_series(&[(r#"http_active_requests{endpoint="/events"}"#, 1.0)]);
        drop(request);
        test.assert_series(&[
            (count, 1.0),
            (r#"http_request_duration_seconds_sum{method="GET",endpoint="/events"}"#, 0.004),
            (r#"http_requests_cancelled_total{method="GET",endpoint="/events"}"#, 0.0),
            (r#"http_active_requests{endpoint="/events"}"#, 0.0),
        ]);
    }

    #[test]
    fn a_request_can_change_its_endpoint_after_it_was_raised() {
        let test = Fixture::new();
        let unmatched = test.metrics.http.paths.unmatched();
        let watch = test.metrics.stopwatch();
        let mut request =
            super::HttpRequestGuard::new(watch, (&Method::GET).into(), unmatched, None);
        test.assert_series(&[(r#"http_active_requests{endpoint="unmatched"}"#, 1.0)]);
        request.set_endpoint(test.metrics.http.endpoints.get("/late"));
        request.head(StatusCode::OK);
        request.end();
        test.assert_series(&[
            (r#"http_requests_total{method="GET",endpoint="/late",status="200"}"#, 1.0),
            (r#"http_active_requests{endpoint="unmatched"}"#, 0.0),
            (r#"http_active_requests{endpoint="/late"}"#, 0.0),
        ]);
    }

    #[test]
    fn a_method_out_of_the_ordinary_is_other() {
        let test = Fixture::new();
        let method = Method::from_bytes(b"BREW").unwrap();
        test.metrics.track_http_request(
            &method,
            "/tea",
            StatusCode::IM_A_TEAPOT,
            Duration::ZERO,
            (0, 0),
        );
        test.assert_series(&[(
            r#"http_requests_total{method="OTHER",endpoint="/tea",status="418"}"#,
            1.0,
        )]);
    }
}
