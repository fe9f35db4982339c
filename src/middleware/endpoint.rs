//! The endpoint of a request: a route template, or a normalised path.

use std::borrow::Cow;

#[cfg(feature = "axum")]
use axum::extract::OriginalUri;
use http::{Extensions, HeaderMap, Method, Request, StatusCode, Uri, header};

use super::path::NormalisedPath;
use crate::{Metrics, Open, subsystems::http::HttpEndpoint};

/// The route template of a request, put into the extensions of the request or of its response.
///
/// ```
/// use backend_metrics::middleware::Endpoint;
///
/// let mut request = http::Request::get("/orders/17").body(()).unwrap();
/// request.extensions_mut().insert(Endpoint::from_static("/orders/{id}"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint(Cow<'static, str>);

impl Endpoint {
    /// A template out of the code.
    #[must_use]
    pub const fn from_static(template: &'static str) -> Self {
        Self(Cow::Borrowed(template))
    }

    /// A template made at run time.
    #[must_use]
    pub fn new(template: impl Into<Cow<'static, str>>) -> Self {
        Self(template.into())
    }

    /// The template.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a function that finds the endpoint of a request can look at.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RequestHead<'a> {
    /// The method.
    pub method: &'a Method,
    /// The target.
    pub uri: &'a Uri,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// What layers and routers have put in.
    pub extensions: &'a Extensions,
}

impl<'a> RequestHead<'a> {
    pub(super) fn of<B>(request: &'a Request<B>) -> Self {
        Self {
            method: request.method(),
            uri: request.uri(),
            headers: request.headers(),
            extensions: request.extensions(),
        }
    }

    /// The path as the client sent it, where nested routers of axum have cut off their prefixes.
    pub(super) fn whole_path(&self) -> &'a str {
        #[cfg(feature = "axum")]
        if let Some(OriginalUri(uri)) = self.extensions.get() {
            return uri.path();
        }
        self.uri.path()
    }
}

/// Finds the endpoint of a request.
pub(super) type Extractor = for<'a> fn(RequestHead<'a>) -> Option<Cow<'a, str>>;

/// What is known of a request's endpoint when it starts.
#[derive(Debug)]
pub(super) enum Found {
    /// The service named it.
    Named(Open<HttpEndpoint>),
    /// A path that was learned before, or `unmatched`; the response can name it.
    Guessed(Open<HttpEndpoint>),
    /// A path that the response can make an endpoint.
    Unknown(Box<str>),
}

#[inline]
pub(super) fn find(metrics: Metrics, head: RequestHead<'_>, extractor: Option<Extractor>) -> Found {
    let http = &metrics.http;
    let named = |template: &str| {
        http.paths.endpoint_was_named();
        Found::Named(http.endpoints.get(template))
    };
    if let Some(template) = extractor.and_then(|extractor| extractor(head)) {
        return named(&template);
    }
    #[cfg(feature = "axum")]
    if let Some(path) = head.extensions.get::<axum::extract::MatchedPath>() {
        return named(path.as_str());
    }
    if let Some(endpoint) = head.extensions.get::<Endpoint>() {
        return named(endpoint.as_str());
    }
    #[cfg(feature = "axum")]
    if head.extensions.get::<OriginalUri>().is_some() {
        // The request is in a router, none of whose routes matched.
        return Found::Guessed(http.paths.unmatched());
    }
    if head.uri.path().is_empty() {
        return Found::Guessed(http.paths.unmatched());
    }
    let path = NormalisedPath::new(head.uri.path());
    match http.endpoints.find(path.as_str()) {
        Some(endpoint) => Found::Guessed(endpoint),
        None if http.paths.may_be_learned() && is_evidence(head) => {
            Found::Unknown(path.as_str().into())
        }
        None => Found::Guessed(http.paths.unmatched()),
    }
}

/// Whether a path can be learned from the request: servers answer a preflight for any path.
fn is_evidence(head: RequestHead<'_>) -> bool {
    *head.method != Method::OPTIONS && !is_grpc(head.headers)
}

/// Whether a path can be learned from the response: servers of gRPC answer 200 for any path, and say in a header or
/// a trailer what became of it.
pub(super) fn is_answered(status: StatusCode, headers: &HeaderMap) -> bool {
    status.is_success() && !is_grpc(headers)
}

/// `application/grpc`, whatever follows: `+proto`, or `-web`.
fn is_grpc(headers: &HeaderMap) -> bool {
    const GRPC: &[u8] = b"application/grpc";
    headers.get(header::CONTENT_TYPE).is_some_and(|content_type| {
        let start = content_type.as_bytes().get(..GRPC.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(GRPC))
    })
}
