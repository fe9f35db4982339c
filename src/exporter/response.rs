//! The response, the future that it comes from, and its body.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Response, StatusCode,
    header::{
        ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, VARY,
        WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
    },
};
use http_body::{Body, Frame, SizeHint};

use super::scrape::{Pending, Wanted};

/// The body of a response: bytes that are all there.
#[derive(Clone, Debug, Default)]
pub struct ResponseBody(Bytes);

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = std::mem::take(&mut self.0);
        Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.len() as u64)
    }
}

/// The future of a response. It never fails; dropped, it leaves nothing behind.
#[derive(Debug)]
#[must_use = "a future does nothing until it is polled"]
pub struct ResponseFuture {
    state: State,
    /// Whether the body is left out.
    head: bool,
}

#[derive(Debug)]
enum State {
    Refused(Refusal),
    Scraping { pending: Pending, wanted: Wanted },
}

/// Why a request gets no metrics.
#[derive(Clone, Copy, Debug)]
pub(super) enum Refusal {
    Unauthorized,
    Method,
    #[cfg(feature = "server")]
    Path,
    Failed,
}

impl ResponseFuture {
    pub(super) fn refused(refusal: Refusal, head: bool) -> Self {
        Self { state: State::Refused(refusal), head }
    }

    pub(super) fn scraping(pending: Pending, wanted: Wanted, head: bool) -> Self {
        Self { state: State::Scraping { pending, wanted }, head }
    }
}

impl Future for ResponseFuture {
    type Output = Result<Response<ResponseBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut response = match &self.state {
            State::Refused(refusal) => refused(*refusal),
            State::Scraping { pending, wanted } => match pending.poll(context) {
                Poll::Ready(Some(bytes)) => scraped(*wanted, bytes),
                Poll::Ready(None) => refused(Refusal::Failed),
                Poll::Pending => return Poll::Pending,
            },
        };
        if self.head {
            *response.body_mut() = ResponseBody::default();
        }
        Poll::Ready(Ok(response))
    }
}

fn scraped(wanted: Wanted, bytes: Bytes) -> Response<ResponseBody> {
    let mut response = response(StatusCode::OK, wanted.format.content_type(), bytes);
    set(&mut response, VARY, "Accept, Accept-Encoding");
    if wanted.gzip {
        set(&mut response, CONTENT_ENCODING, "gzip");
    }
    response
}

/// The texts are fixed: what went wrong inside is nobody's business outside.
fn refused(refusal: Refusal) -> Response<ResponseBody> {
    let (status, text, header) = match refusal {
        Refusal::Unauthorized => (
            StatusCode::UNAUTHORIZED,
            "a bearer token is required\n",
            Some((WWW_AUTHENTICATE, "Bearer")),
        ),
        Refusal::Method => (
            StatusCode::METHOD_NOT_ALLOWED,
            "only GET and HEAD are allowed\n",
            Some((ALLOW, "GET, HEAD")),
        ),
        #[cfg(feature = "server")]
        Refusal::Path => (StatusCode::NOT_FOUND, "metrics are at /metrics\n", None),
        Refusal::Failed => {
            (StatusCode::INTERNAL_SERVER_ERROR, "the metrics could not be encoded\n", None)
        }
    };
    let text = Bytes::from_static(text.as_bytes());
    let mut response = response(status, "text/plain; charset=utf-8", text);
    if let Some((name, value)) = header {
        set(&mut response, name, value);
    }
    response
}

fn response(status: StatusCode, kind: &'static str, bytes: Bytes) -> Response<ResponseBody> {
    let length = bytes.len();
    let mut response = Response::new(ResponseBody(bytes));
    *response.status_mut() = status;
    set(&mut response, CONTENT_TYPE, kind);
    response.headers_mut().insert(CONTENT_LENGTH, length.into());
    set(&mut response, CACHE_CONTROL, "no-store");
    set(&mut response, X_CONTENT_TYPE_OPTIONS, "nosniff");
    response
}

fn set(response: &mut Response<ResponseBody>, name: HeaderName, value: &'static str) {
    response.headers_mut().insert(name, HeaderValue::from_static(value));
}
