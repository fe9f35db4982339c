//! What the future and the body of both sides tell of a request's progress.

use http::{Method, Response, StatusCode, header};
use http_body::Body;

/// A request that a layer follows from its head to the end of the response.
///
/// Dropped before it has ended, it records that the caller went away.
pub trait Exchange: Sized {
    /// The response head is there. `None` if the exchange is over with it.
    #[must_use]
    fn head<B: Body>(self, response: &Response<B>) -> Option<Self>;

    /// Some bytes of the body passed.
    fn data(&mut self, bytes: u64);

    /// The exchange is over.
    fn end(self, end: End);
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

/// What the method of a request says about the response to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    is_head: bool,
    is_connect: bool,
}

impl Asked {
    pub(super) fn by(method: &Method) -> Self {
        Self { is_head: method == Method::HEAD, is_connect: method == Method::CONNECT }
    }

    /// Whether the connection is handed over with the head.
    pub(super) fn is_upgrade(self, status: StatusCode) -> bool {
        status == StatusCode::SWITCHING_PROTOCOLS || (self.is_connect && status.is_success())
    }

    /// Whether the response has no body.
    pub(super) fn ends_with_head(self, status: StatusCode) -> bool {
        self.is_head
            || self.is_upgrade(status)
            || status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
    }
}

/// Whether the body is a stream of events, which has no end of its own.
pub(super) fn is_event_stream<B>(response: &Response<B>) -> bool {
    response.headers().get(header::CONTENT_TYPE).is_some_and(|value| {
        let parameters = value.as_bytes().iter().position(|byte| *byte == b';');
        let media_type = &value.as_bytes()[..parameters.unwrap_or(value.len())];
        media_type.trim_ascii().eq_ignore_ascii_case(b"text/event-stream")
    })
}
