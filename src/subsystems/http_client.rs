//! Requests to other services.
//!
//! The layer [`ClientLayer`](crate::middleware::ClientLayer) records all of them for a tower client; other
//! clients call [`Metrics::start_upstream_request`](crate::Metrics::start_upstream_request).
//!
//! | family | labels | recorded |
//! | --- | --- | --- |
//! | `http_client_requests_total` | `upstream`, `method`, `status` | at the end of the response |
//! | `http_client_request_duration_seconds` | `upstream`, `method` | at the end of the response |
//! | `http_client_active_requests` | `upstream` | up with the request, down at its end |

use std::{mem, time::Duration};

use http::{Method, StatusCode};

use crate::{
    CounterFamily, Domain, HistogramFamily, Label, Labels, Open, OpenLabels, Stopwatch,
    UpDownGauge, UpDownGaugeFamily, ValueSet, buckets,
    family::{Nested, NestedLabels},
    storage::intern::Nest,
};

use super::{
    helpers::helpers,
    shared::{Answer, HttpMethod},
};

families! {
    /// Requests to other services.
    pub struct HttpClientMetrics = "http_client" {
        with {
            /// The services that are called.
            pub upstreams: Domain<Upstream>,
            pub(crate) routes: Nested<UpstreamRoute>,
            pub(crate) responses: Nested<UpstreamResponse>,
        }

        /// Requests to other services by how they were answered
        ///
        /// The status is `error` where no response came, it broke off, or the request was dropped before the head: by
        /// its caller, or by a timeout around the client layer.
        pub requests: CounterFamily<Open<UpstreamResponse>> = "http_client_requests_total",

        /// Time from the request to the end of the response
        ///
        /// For a stream of events: to the response head. Requests without a response are included, and so is the
        /// time that a request waits until the client is ready for it.
        pub request_duration: HistogramFamily<Open<UpstreamRoute>> =
            "http_client_request_duration_seconds" in buckets::REQUEST,

        /// Requests to other services that are not finished
        pub active_requests: UpDownGaugeFamily<Open<Upstream>> = "http_client_active_requests",
    }
}

open_labels! {
    /// The service that is called: a name out of the code or the configuration, or a host.
    pub struct Upstream(upstream);
}

/// A method towards an upstream.
///
/// The labels `upstream` and `method`; series appear as they are used.
#[derive(Clone, Copy, Debug)]
pub enum UpstreamRoute {}

/// A status of a method towards an upstream.
///
/// The labels `upstream`, `method` and `status`; series appear as they are used.
#[derive(Clone, Copy, Debug)]
pub enum UpstreamResponse {}

impl OpenLabels for UpstreamRoute {
    const NAMES: &'static [&'static str] = &["upstream", "method"];
    const LIST: Labels = Upstream::LIST.join(&Labels::new(&[HttpMethod::LABEL]));
}

impl NestedLabels for UpstreamRoute {
    type Parent = Upstream;
    const NEST: Nest = HttpMethod::nest(false);
}

impl OpenLabels for UpstreamResponse {
    const NAMES: &'static [&'static str] = &["upstream", "method", "status"];
    const LIST: Labels = UpstreamRoute::LIST
        .join(&Labels::new(&[Label::new("status", ValueSet::Status(Answer::WORDS))]));
}

impl NestedLabels for UpstreamResponse {
    type Parent = UpstreamRoute;
    const NEST: Nest = Answer::OF_CLIENT;
}

helpers! {
    /// Counts a request to another service that ended, and observes how long it took.
    ///
    /// No status means that no response came.
    pub fn track_upstream_request(
        self,
        upstream: &str,
        method: &Method,
        status: Option<StatusCode>,
        duration: Duration,
    ) {
        let client = &self.http_client;
        client.record(client.upstreams.get(upstream), method.into(), status, duration);
    }

    /// Starts a request to another service; the guard records how it ended.
    pub fn start_upstream_request(self, upstream: &str, method: &Method) -> UpstreamRequestGuard {
        let upstream = self.http_client.upstreams.get(upstream);
        UpstreamRequestGuard::new(self.stopwatch(), upstream, method.into())
    }
}

impl HttpClientMetrics {
    fn record(
        &self,
        upstream: Open<Upstream>,
        method: HttpMethod,
        status: Option<StatusCode>,
        duration: Duration,
    ) {
        let route = self.routes.get(upstream, method as u16, || method.as_str().to_owned());
        let answer = status.map_or(Answer::ERROR, Answer::from);
        let response = self.responses.get(route, answer.position(), || answer.text());
        let requests = self.requests.get(response);
        self.request_duration.get(route).observe_counted(duration, requests);
    }
}

/// A request to another service that is under way. Dropped without a status it counts as `error`.
#[derive(Debug)]
#[must_use = "a guard dropped at once records a request without a response"]
pub struct UpstreamRequestGuard {
    watch: Stopwatch,
    upstream: Open<Upstream>,
    method: HttpMethod,
    status: Option<StatusCode>,
    /// The time it took, if that is not the time to the guard's end.
    took: Option<Duration>,
    active: UpDownGauge,
}

impl UpstreamRequestGuard {
    pub(crate) fn new(watch: Stopwatch, upstream: Open<Upstream>, method: HttpMethod) -> Self {
        let active = watch.metrics().http_client.active_requests.get(upstream);
        active.inc();
        Self { watch, upstream, method, status: None, took: None, active }
    }

    pub(crate) fn method(&self) -> HttpMethod {
        self.method
    }

    /// The response head is there. Dropped from now on, the request counts with this status.
    pub fn head(&mut self, status: StatusCode) {
        self.status = Some(status);
    }

    /// The response, whose head is there, is a stream of events without an end of its own: its time ended
    /// with the head. It is active until the guard is dropped.
    pub fn streaming(&mut self) {
        self.took = Some(self.watch.elapsed());
    }

    /// The response was read.
    pub fn finish(mut self, status: StatusCode) {
        self.status = Some(status);
    }

    /// No response came, or it broke off.
    pub fn error(mut self) {
        self.fail();
    }

    pub(crate) fn fail(&mut self) {
        self.status = None;
    }

    /// Takes the request back: it is not active, and not recorded.
    pub(crate) fn take_back(self) -> Stopwatch {
        let watch = self.watch;
        self.active.dec();
        mem::forget(self);
        watch
    }
}

impl Drop for UpstreamRequestGuard {
    fn drop(&mut self) {
        let client = &self.watch.metrics().http_client;
        let took = self.took.unwrap_or_else(|| self.watch.elapsed());
        client.record(self.upstream, self.method, self.status, took);
        self.active.dec();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{Method, StatusCode};

    use crate::testing::Fixture;

    #[test]
    fn a_stream_of_events_takes_the_time_to_its_head() {
        let test = Fixture::new();
        let mut request = test.metrics.start_upstream_request("ticker", &Method::GET);
        test.clock.advance(Duration::from_millis(4));
        request.head(StatusCode::OK);
        request.streaming();
        test.clock.advance(Duration::from_hours(1));
        test.assert_series(&[(r#"http_client_active_requests{upstream="ticker"}"#, 1.0)]);
        drop(request);
        test.assert_series(&[
            (r#"http_client_requests_total{upstream="ticker",method="GET",status="200"}"#, 1.0),
            (r#"http_client_request_duration_seconds_sum{upstream="ticker",method="GET"}"#, 0.004),
            (r#"http_client_active_requests{upstream="ticker"}"#, 0.0),
        ]);
    }

    #[test]
    fn an_upstream_request_counts_by_status_or_as_error() {
        let test = Fixture::new();
        let start = || test.metrics.start_upstream_request("ticker", &Method::GET);
        let request = start();
        test.assert_series(&[(r#"http_client_active_requests{upstream="ticker"}"#, 1.0)]);
        test.clock.advance(Duration::from_millis(10));
        request.finish(StatusCode::OK);
        start().error();
        drop(start());
        let mut request = start();
        request.head(StatusCode::NOT_FOUND);
        drop(request);
        test.metrics.track_upstream_request("ticker", &Method::GET, None, Duration::from_millis(5));
        test.assert_series(&[
            (r#"http_client_requests_total{upstream="ticker",method="GET",status="200"}"#, 1.0),
            (r#"http_client_requests_total{upstream="ticker",method="GET",status="404"}"#, 1.0),
            (r#"http_client_requests_total{upstream="ticker",method="GET",status="error"}"#, 3.0),
            (r#"http_client_request_duration_seconds_count{upstream="ticker",method="GET"}"#, 5.0),
            (r#"http_client_request_duration_seconds_sum{upstream="ticker",method="GET"}"#, 0.015),
            (r#"http_client_active_requests{upstream="ticker"}"#, 0.0),
        ]);
    }
}
