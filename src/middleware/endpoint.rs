//! The endpoint of a request: a route template, or a normalised path.

use std::borrow::Cow;

#[cfg(feature = "axum")]
use axum::extract::OriginalUri;
use http::{Extensions, HeaderMap, Method, Request, Uri};

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
    /// A route template.
    Route(Open<HttpEndpoint>),
    /// A normalised path that was answered before, or none; the response can know better.
    Path(Open<HttpEndpoint>),
    /// A normalised path that was not.
    Unknown(Box<str>),
}

#[inline]
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
    #[cfg(feature = "axum")]
    if head.extensions.get::<OriginalUri>().is_some() {
        // The request is in a router, none of whose routes matched.
        return Found::Path(metrics.http.unmatched());
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

/// A path with the segments that vary replaced, as far as a label value is long.
pub(crate) struct NormalisedPath {
    text: [u8; Self::LEN],
    len: usize,
    /// Whether it was cut.
    is_cut: bool,
}

impl NormalisedPath {
    /// What a label value is cut at.
    const LEN: usize = crate::storage::intern::MAX_VALUE_BYTES;

    pub(crate) fn new(path: &str) -> Self {
        let mut this = Self { text: [0; Self::LEN], len: 0, is_cut: false };
        for (position, segment) in path.split('/').enumerate() {
            if position > 0 {
                this.push("/");
            }
            this.push(normalised(segment));
        }
        this
    }

    /// Adds as much as there is room for, and nothing after what was cut.
    fn push(&mut self, part: &str) {
        if self.is_cut {
            return;
        }
        let room = &mut self.text[self.len..];
        let fits = part.floor_char_boundary(room.len());
        room[..fits].copy_from_slice(&part.as_bytes()[..fits]);
        self.len += fits;
        self.is_cut = fits < part.len();
    }

    pub(crate) fn as_str(&self) -> &str {
        // It is made of whole characters.
        std::str::from_utf8(&self.text[..self.len]).unwrap_or_default()
    }
}

/// What stands for a segment of a path.
fn normalised(segment: &str) -> &str {
    let bytes = segment.as_bytes();
    let digits = bytes.iter().filter(|byte| byte.is_ascii_digit()).count();
    if digits > 0 && digits == bytes.len() {
        "{id}"
    } else if is_uuid(bytes) {
        "{uuid}"
    } else if digits > 0
        && segment.chars().nth(8).is_some()
        && bytes.iter().any(u8::is_ascii_alphabetic)
    {
        "{id}"
    } else {
        segment
    }
}

fn is_uuid(segment: &[u8]) -> bool {
    segment.len() == 36
        && segment.iter().enumerate().all(|(position, byte)| match position {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::NormalisedPath;

    #[track_caller]
    fn check(path: &str, expected: &str) {
        assert_eq!(NormalisedPath::new(path).as_str(), expected);
    }

    #[test]
    fn segments_that_vary_are_replaced() {
        check("/", "/");
        check("", "");
        check("*", "*");
        check("/orders", "/orders");
        check("/orders/17", "/orders/{id}");
        check("/orders/17/", "/orders/{id}/");
        check("/orders//17", "/orders//{id}");
        check("/a/6ba7b810-9dad-11d1-80b4-00c04fd430c8/b", "/a/{uuid}/b");
        check("/a/6BA7B810-9DAD-11D1-80B4-00C04FD430C8", "/a/{uuid}");
        check("/a/6ba7b810-9dad-11d1-80b4-00c04fd430cg", "/a/{id}");
        check("/tokens/a1b2c3d4e", "/tokens/{id}");
        check("/tokens/a1b2c3d4", "/tokens/a1b2c3d4");
        check("/api/v1/instruments", "/api/v1/instruments");
        check("/NIFTY24DECFUT/quote", "/{id}/quote");
        check("/strategies-of-the-day", "/strategies-of-the-day");
        check("/2026-11-22", "/2026-11-22");
    }

    #[test]
    fn a_long_path_is_cut_between_characters() {
        check(&format!("/{}", "x".repeat(500)), &format!("/{}", "x".repeat(127)));
        check(&format!("/{}", "é".repeat(500)), &format!("/{}", "é".repeat(63)));
        check(&format!("/{}/7", "x".repeat(124)), &format!("/{}/{{i", "x".repeat(124)));
        // A shorter segment would fit where a character did not.
        check(&format!("/{}/é/a", "x".repeat(125)), &format!("/{}/", "x".repeat(125)));
    }
}
