//! The endpoint of a request: a route template, or a normalised path.

use std::borrow::Cow;

use http::{Extensions, HeaderMap, Method, Request, Uri};

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
}

/// Finds the endpoint of a request.
pub(super) type Extractor = for<'a> fn(RequestHead<'a>) -> Option<Cow<'a, str>>;

/// What is known of a request's endpoint when it starts.
#[derive(Debug)]
pub(super) enum Found {
    /// A route template.
    Route(Open<HttpEndpoint>),
    /// A normalised path that was answered before, or none; the response can know better.
    Path(Open<HttpEndpoint>),
    /// A normalised path that was not.
    Unknown(Box<str>),
}

pub(super) fn find(metrics: Metrics, head: RequestHead<'_>, extractor: Option<Extractor>) -> Found {
    let endpoints = &metrics.http.endpoints;
    if let Some(template) = extractor.and_then(|extractor| extractor(head)) {
        return Found::Route(endpoints.get(&template));
    }
    #[cfg(feature = "axum")]
    if let Some(path) = head.extensions.get::<axum::extract::MatchedPath>() {
        return Found::Route(endpoints.get(path.as_str()));
    }
    if let Some(endpoint) = head.extensions.get::<Endpoint>() {
        return Found::Route(endpoints.get(endpoint.as_str()));
    }
    if head.uri.path().is_empty() {
        return Found::Path(metrics.http.unmatched());
    }
    let path = NormalisedPath::new(head.uri.path());
    match endpoints.find(path.as_str()) {
        Some(endpoint) => Found::Path(endpoint),
        None => Found::Unknown(path.as_str().into()),
    }
}
