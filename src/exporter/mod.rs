//! The endpoint that a scraper reads.
//!
//! [`Exporter`] is a tower service, and [`Exporter::respond`] answers a request anywhere else. It speaks
//! `OpenMetrics` 1.0.0 and text 0.0.4, chosen by `Accept` ([`Format::negotiate`](crate::Format::negotiate)),
//! and with the feature `gzip` compresses by `Accept-Encoding`. With the feature `server`, `Server` is a
//! listener of its own.
//!
//! - `GET` and `HEAD` are answered, other methods with 405. The path is the router's business.
//! - A scrape is encoded on a thread of its own, so a large one does not hold up the executor. Scrapes that
//!   arrive while one is encoded wait and share the next: however many come at once, two are encoded at
//!   most, and none is older than the request it answers. Scrapers that give callbacks less time than the service
//!   does share one of their own, with the time of the one that gives least: they shorten it for no others.
//! - Callbacks into the service run at the same time, on threads of their own, and have the
//!   [`Builder::collect_timeout`](crate::Builder::collect_timeout) together, or half a second less than
//!   `X-Prometheus-Scrape-Timeout-Seconds` if that is less. One that panics, fails or is late loses only its own
//!   metrics, and counts in `metrics_callback_failures_total`.
//!
//! In tests with a paused clock of tokio (`start_paused`), await a scrape without a timeout: the runtime has nothing to do
//! while the thread encodes, so tokio moves its clock on to the next timer, and the timeout is over at once.
//! [`Metrics::value`](crate::Metrics::value) and [`Metrics::to_text`](crate::Metrics::to_text) need no runtime.
//!
//! In a router of the service, connections are the server's to limit: how many there are, how large a head is, how
//! long a client may take. A client that reads slowly holds its connection and its answer, which is one block of
//! bytes that the scrapes of the same moment share; one that hangs up frees both. The `Server` has these limits.
//!
//! With plain hyper:
//!
//! ```
//! use backend_metrics::{Exporter, Metrics};
//! use hyper::service::service_fn;
//!
//! let exporter = Exporter::new(Metrics::new()).bearer_token("tWq7bXm2")?;
//! let service = service_fn(move |request| exporter.respond(&request));
//! # fn check(_: &impl hyper::service::Service<http::Request<hyper::body::Incoming>>) {}
//! # check(&service);
//! # Ok::<(), backend_metrics::exporter::TokenError>(())
//! ```
//!
//! With axum:
//!
//! ```
//! use axum::{Router, routing::get_service};
//! use backend_metrics::{Exporter, Metrics};
//!
//! let exporter = Exporter::new(Metrics::new());
//! let router: Router = Router::new().route("/metrics", get_service(exporter));
//! ```

mod allowance;
mod response;
mod scrape;
#[cfg(feature = "server")]
mod server;
mod token;

use std::{
    convert::Infallible,
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Method, Request, Response};
use tower_service::Service;

#[cfg(feature = "server")]
pub use self::server::{Server, ServerError};
use self::{
    response::Refusal,
    scrape::{Scraper, Wanted},
    token::Token,
};
pub use self::{
    response::{ResponseBody, ResponseFuture},
    token::TokenError,
};
use crate::{Format, Metrics};

/// Answers scrapes of an instance.
///
/// Cheap to clone; clones share what they encode.
#[derive(Clone)]
pub struct Exporter {
    scraper: Arc<Scraper>,
    token: Option<Token>,
}

impl Exporter {
    /// An exporter of an instance, open to everybody who reaches it.
    #[must_use]
    pub fn new(metrics: Metrics) -> Self {
        Self { scraper: Arc::new(Scraper::new(metrics)), token: None }
    }

    /// Answers only requests with this bearer token in `Authorization`, others with 401. Default: none is
    /// asked for.
    ///
    /// It is compared in a time that does not depend on how much of it is right.
    ///
    /// # Errors
    ///
    /// When the token is empty or has characters that are not visible ASCII.
    pub fn bearer_token(mut self, token: impl AsRef<str>) -> Result<Self, TokenError> {
        self.token = Some(Token::new(token.as_ref())?);
        Ok(self)
    }

    /// Answers a request, whatever its path.
    pub fn respond<B>(&self, request: &Request<B>) -> ResponseFuture {
        let headers = request.headers();
        let head = request.method() == Method::HEAD;
        if !self.token.as_ref().is_none_or(|token| token.is_in(headers)) {
            ResponseFuture::refused(Refusal::Unauthorized, head)
        } else if head || request.method() == Method::GET {
            let wanted = Wanted { format: Format::negotiate(headers), gzip: wants_gzip(headers) };
            let allowance = allowance::of(headers, self.scraper.metrics().collect_timeout());
            ResponseFuture::scraping(self.scraper.request(wanted, allowance), wanted, head)
        } else {
            ResponseFuture::refused(Refusal::Method, head)
        }
    }
}

#[cfg(feature = "gzip")]
use crate::exposition::negotiate::accepts_gzip as wants_gzip;

#[cfg(not(feature = "gzip"))]
fn wants_gzip(_: &http::HeaderMap) -> bool {
    false
}

impl<B> Service<Request<B>> for Exporter {
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture {
        self.respond(&request)
    }
}

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exporter")
            .field("metrics", &self.scraper.metrics())
            .field("asks_for_token", &self.token.is_some())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use http::{StatusCode, header::CONTENT_TYPE};

    use super::*;

    #[tokio::test]
    async fn a_fault_of_ours_is_500_and_tells_nothing() {
        let scraper =
            Scraper::encoding_by(Metrics::new(), |_, _| panic!("secret: as the test wants"));
        let exporter = Exporter { scraper: Arc::new(scraper), token: None };
        let (head, body) = exporter.respond(&Request::new(())).await.unwrap().into_parts();
        assert_eq!(head.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(head.headers[CONTENT_TYPE], "text/plain; charset=utf-8");
        let body = http_body_util::BodyExt::collect(body).await.unwrap().to_bytes();
        assert_eq!(body, "the metrics could not be encoded\n");
    }
}
