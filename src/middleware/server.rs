//! The server's side of a request.

use http::Response;

use super::{
    End, Exchange, MetricsLayer,
    endpoint::{self, Endpoint, Found, RequestHead},
    exchange::{Follows, Running},
    readiness::Waits,
};
use crate::{
    Metrics, Stopwatch,
    labels::{ErrorSeverity, HttpMethod},
    subsystems::http::HttpRequestGuard,
};

/// A request that the service answers.
#[derive(Debug)]
pub struct ServerExchange {
    guard: HttpRequestGuard,
    /// Where the service has not named the endpoint, and the response can: a path that the response can make an
    /// endpoint, or an empty one.
    path: Option<Box<str>>,
}

impl ServerExchange {
    /// None if the layer leaves the request out. `size` is that of its body, if it is known.
    pub(super) fn start(
        layer: &MetricsLayer,
        head: RequestHead<'_>,
        size: Option<u64>,
        watch: Stopwatch,
    ) -> Running<Self> {
        if layer.excludes(&head) {
            return Running(None);
        }
        let metrics = watch.metrics();
        let (endpoint, path) = match endpoint::find(metrics, head, layer.extractor) {
            Found::Named(endpoint) => (endpoint, None),
            Found::Guessed(endpoint) => (endpoint, Some(Box::default())),
            Found::Unknown(path) => (metrics.http.paths.unmatched(), Some(path)),
        };
        let guard = HttpRequestGuard::new(watch, head.method.into(), endpoint, size);
        Running(Some(Self { guard, path }))
    }

    /// Takes the endpoint that the response names, else learns the path if it was answered well.
    fn settle<B>(&mut self, path: &str, response: &Response<B>) {
        let http = &self.guard.metrics().http;
        if let Some(endpoint) = response.extensions().get::<Endpoint>() {
            http.paths.endpoint_was_named();
            self.guard.set_endpoint(http.endpoints.get(endpoint.as_str()));
        } else if !path.is_empty()
            && http.paths.may_be_learned()
            && endpoint::is_answered(response.status(), response.headers())
        {
            self.guard.set_endpoint(http.paths.learn(path));
        }
    }
}

/// Dropped only where code of the service panics before the exchange is started.
pub(super) struct Starting<'a>(
    pub(super) &'a MetricsLayer,
    pub(super) RequestHead<'a>,
    pub(super) Stopwatch,
);

impl Drop for Starting<'_> {
    fn drop(&mut self) {
        let Self(layer, head, watch) = *self;
        if !layer.excludes(&head) {
            let unmatched = layer.metrics.http.paths.unmatched();
            HttpRequestGuard::new(watch, head.method.into(), unmatched, None).panicked();
        }
    }
}

impl Waits for ServerExchange {
    type Layer = MetricsLayer;

    fn metrics(layer: &MetricsLayer) -> Metrics {
        layer.metrics
    }

    fn wait(layer: &MetricsLayer, watch: Stopwatch) -> Self {
        let unmatched = layer.metrics.http.paths.unmatched();
        Self { guard: HttpRequestGuard::new(watch, HttpMethod::Other, unmatched, None), path: None }
    }

    fn take_back(self) -> Stopwatch {
        self.guard.take_back()
    }
}

impl Exchange for ServerExchange {
    fn method(&self) -> HttpMethod {
        self.guard.method()
    }

    fn head<B>(&mut self, response: &Response<B>, follows: Follows) {
        let status = response.status();
        if let Some(path) = self.path.take() {
            self.settle(&path, response);
        }
        self.guard.head(status);
        match follows {
            Follows::Nothing => self.guard.end_with_head(),
            Follows::AnotherProtocol => self.guard.hand_over(),
            Follows::Events => self.guard.streaming(),
            Follows::Body => {}
        }
    }

    fn data(&mut self, bytes: u64) {
        self.guard.sent(bytes);
    }

    fn end(&mut self, end: End) {
        let metrics = self.guard.metrics();
        match end {
            End::Complete => self.guard.complete(),
            End::ServiceError => {
                metrics.track_application_error("handler_error", ErrorSeverity::Error);
                self.guard.fail();
            }
            End::BodyError => {
                metrics.track_application_error("response_body_error", ErrorSeverity::Error);
                self.guard.fail();
            }
            End::Panic => self.guard.panic(),
        }
    }
}
