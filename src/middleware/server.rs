//! The server's side of a request.

use http::{Request, Response, StatusCode};
use http_body::Body;

use super::{
    End, Exchange,
    endpoint::{self, Endpoint, Extractor, Found, RequestHead},
    exchange::{Asked, is_event_stream},
};
use crate::{Metrics, labels::ErrorSeverity, subsystems::http::HttpRequestGuard};

/// A request that the service answers.
#[derive(Debug)]
pub struct ServerExchange {
    guard: HttpRequestGuard,
    /// A path that is not known as an endpoint yet.
    path: Option<Box<str>>,
    /// Whether the response may name the endpoint.
    ask_response: bool,
    asked: Asked,
}

impl ServerExchange {
    pub(super) fn start<B: Body>(
        metrics: Metrics,
        request: &Request<B>,
        extractor: Option<Extractor>,
    ) -> Self {
        let (endpoint, path, ask_response) =
            match endpoint::find(metrics, RequestHead::of(request), extractor) {
                Found::Route(endpoint) => (endpoint, None, false),
                Found::Path(endpoint) => (endpoint, None, true),
                Found::Unknown(path) => (metrics.http.unmatched(), Some(path), true),
            };
        let mut guard = HttpRequestGuard::new(metrics, request.method(), endpoint);
        if let Some(bytes) = request.body().size_hint().exact() {
            guard.received(bytes);
        }
        Self { guard, path, ask_response, asked: Asked::by(request.method()) }
    }

    /// Makes a path known as an endpoint, unless the client asked for what is not there.
    fn settle_path(&mut self, status: StatusCode) {
        if let Some(path) = self.path.take()
            && !status.is_client_error()
        {
            self.guard.set_endpoint(self.guard.metrics().http.endpoints.get(&path));
        }
    }
}

impl Exchange for ServerExchange {
    fn head<B>(&mut self, response: &Response<B>, nothing_follows: bool) -> bool {
        let status = response.status();
        if self.ask_response
            && let Some(endpoint) = response.extensions().get::<Endpoint>()
        {
            self.path = None;
            self.guard.set_endpoint(self.guard.metrics().http.endpoints.get(endpoint.as_str()));
        }
        self.settle_path(status);
        self.guard.head(status);
        if self.asked.is_upgrade(status) {
            self.guard.hand_over();
            return true;
        }
        if nothing_follows || self.asked.ends_with_head(status) {
            self.guard.end_with_head();
            return true;
        }
        if is_event_stream(response) {
            self.guard.streaming();
        }
        false
    }

    fn data(&mut self, bytes: u64) {
        self.guard.sent(bytes);
    }

    fn end(&mut self, end: End) {
        if matches!(end, End::ServiceError | End::Panic) {
            self.settle_path(StatusCode::INTERNAL_SERVER_ERROR);
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
