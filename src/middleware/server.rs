//! The server's side of a request.

use http::{Response, StatusCode};

use super::{
    End, Exchange, MetricsLayer,
    endpoint::{self, Endpoint, Found, RequestHead},
    exchange::{Follows, Running},
};
use crate::{
    labels::{ErrorSeverity, HttpMethod},
    subsystems::http::HttpRequestGuard,
};

/// A request that the service answers.
#[derive(Debug)]
pub struct ServerExchange {
    guard: HttpRequestGuard,
    /// Where there is no route template and the response may know better: a path that is not known as an
    /// endpoint yet, or nothing.
    path: Option<Box<str>>,
}

impl ServerExchange {
    /// None if the layer leaves the request out. `size` is that of its body, if it is known.
    pub(super) fn start(
        layer: &MetricsLayer,
        head: RequestHead<'_>,
        size: Option<u64>,
    ) -> Running<Self> {
        if layer.excludes(&head) {
            return Running(None);
        }
        let metrics = layer.metrics;
        let (endpoint, path) = match endpoint::find(metrics, head, layer.extractor) {
            Found::Route(endpoint) => (endpoint, None),
            Found::Path(endpoint) => (endpoint, Some(Box::default())),
            Found::Unknown(path) => (metrics.http.unmatched(), Some(path)),
        };
        let guard = HttpRequestGuard::new(metrics, head.method, endpoint, size);
        Running(Some(Self { guard, path }))
    }

    /// Takes the endpoint that the response names, else makes the path known as one, unless the client asked
    /// for what is not there.
    fn settle(&mut self, path: &str, named: Option<&Endpoint>, status: StatusCode) {
        let endpoints = &self.guard.metrics().http.endpoints;
        if let Some(endpoint) = named {
            self.guard.set_endpoint(endpoints.get(endpoint.as_str()));
        } else if !path.is_empty() && !status.is_client_error() {
            self.guard.set_endpoint(endpoints.get(path));
        }
    }
}

/// Dropped only where code of the service panics before the exchange is started.
pub(super) struct Starting<'a>(pub(super) &'a MetricsLayer, pub(super) RequestHead<'a>);

impl Drop for Starting<'_> {
    fn drop(&mut self) {
        let Self(layer, head) = *self;
        if !layer.excludes(&head) {
            let unmatched = layer.metrics.http.unmatched();
            HttpRequestGuard::new(layer.metrics, head.method, unmatched, None).panicked();
        }
    }
}

impl Exchange for ServerExchange {
    fn method(&self) -> HttpMethod {
        self.guard.method()
    }

    fn head<B>(&mut self, response: &Response<B>, follows: Follows) {
        let status = response.status();
        if let Some(path) = self.path.take() {
            self.settle(&path, response.extensions().get(), status);
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
        if matches!(end, End::ServiceError | End::Panic)
            && let Some(path) = self.path.take()
        {
            self.settle(&path, None, StatusCode::INTERNAL_SERVER_ERROR);
        }
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
