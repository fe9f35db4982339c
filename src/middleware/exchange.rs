//! What the future and the body of both sides tell of a request's progress.

use std::mem;

use http::{HeaderMap, Response, StatusCode, header};
use http_body::Body;

use super::{ClientExchange, ServerExchange};
use crate::labels::HttpMethod;

/// A request that a layer follows from its head to the end of the response.
///
/// It makes its record when it is dropped: that the caller went away, unless it was told another end. No other crate
/// can implement it.
pub trait Exchange: Sealed {
    /// The method of the request.
    fn method(&self) -> HttpMethod;

    /// The response head is there. The exchange is over with it if no body follows.
    fn head<B>(&mut self, response: &Response<B>, follows: Follows);

    /// Some bytes of the body passed.
    fn data(&mut self, bytes: u64);

    /// The exchange is over.
    fn end(&mut self, end: End);
}

/// The types of the two sides.
#[expect(unnameable_types, reason = "what nobody can name, nobody can implement")]
pub trait Sealed {}

impl Sealed for ServerExchange {}
impl Sealed for ClientExchange {}

/// An exchange until its end, where it is; none for a request that is left out.
#[derive(Debug)]
pub(super) struct Running<X>(pub(super) Option<X>);

impl<X: Exchange> Running<X> {
    /// What is left of the exchange; from now on there is none here.
    pub(super) fn take(&mut self) -> Self {
        Self(self.0.take())
    }

    /// Tells of the response head; gives the bytes of the body that are to come at most.
    pub(super) fn head<B: Body>(&mut self, response: &Response<B>) -> u64 {
        let Some(exchange) = &self.0 else { return u64::MAX };
        let method = exchange.method();
        let (left, follows) = self.run(|| {
            let hint = response.body().size_hint().exact();
            let left = hint.or_else(|| announced_length(response.headers()));
            (left, Follows::of(method, response, left))
        });
        if let Some(exchange) = &mut self.0 {
            exchange.head(response, follows);
        }
        if matches!(follows, Follows::Nothing | Follows::AnotherProtocol) {
            self.0 = None;
        }
        left.unwrap_or(u64::MAX)
    }

    /// Tells of some bytes of the body.
    pub(super) fn data(&mut self, bytes: u64) {
        if let Some(exchange) = &mut self.0 {
            exchange.data(bytes);
        }
    }

    /// Ends the exchange, if it has not ended.
    pub(super) fn end(&mut self, end: End) {
        if let Some(exchange) = &mut self.0 {
            exchange.end(end);
            self.0 = None;
        }
    }

    /// Runs a part of the service. A panic in it ends the exchange, and takes its usual way.
    #[inline]
    pub(super) fn run<T>(&mut self, part: impl FnOnce() -> T) -> T {
        let unwinding = Unwinding(self);
        let done = part();
        mem::forget(unwinding);
        done
    }
}

/// Dropped only where the code that it stands before panics. `thread::panicking` would also be true for a
/// neighbour that is unwound with it.
struct Unwinding<'a, X: Exchange>(&'a mut Running<X>);

impl<X: Exchange> Drop for Unwinding<'_, X> {
    fn drop(&mut self) {
        self.0.end(End::Panic);
    }
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// The body gave its last frame.
    Complete,
    /// The service gave an error instead of a response.
    ServiceError,
    /// The body gave an error.
    BodyError,
    /// The service or the body panicked.
    Panic,
}

/// What comes after the head of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Follows {
    /// No body, or an empty one.
    Nothing,
    /// What the two sides speak after an upgrade.
    AnotherProtocol,
    /// A body with an end of its own.
    Body,
    /// A stream of events, which has none.
    Events,
}

impl Follows {
    #[inline]
    fn of<B: Body>(method: HttpMethod, response: &Response<B>, left: Option<u64>) -> Self {
        let status = response.status();
        if status == StatusCode::SWITCHING_PROTOCOLS
            || (method == HttpMethod::Connect && status.is_success())
        {
            Self::AnotherProtocol
        } else if method == HttpMethod::Head
            || status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
            || left == Some(0)
            || response.body().is_end_stream()
        {
            Self::Nothing
        } else if left.is_none() && is_event_stream(response.headers()) {
            Self::Events
        } else {
            Self::Body
        }
    }
}

/// The length in the head, if it is a number.
fn announced_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|value| {
        let parameters = value.as_bytes().iter().position(|byte| *byte == b';');
        let media_type = &value.as_bytes()[..parameters.unwrap_or(value.len())];
        media_type.trim_ascii().eq_ignore_ascii_case(b"text/event-stream")
    })
}
