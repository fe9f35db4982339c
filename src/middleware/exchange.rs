//! What the future and the body of both sides tell of a request's progress.

use http::Response;
use http_body::Body;

/// A request that a layer follows from its head to the end of the response.
///
/// Dropped before it has ended, it records that the caller went away.
pub trait Exchange: Sized {
    /// The response head is there. `None` if the exchange is over with it.
    #[must_use]
    fn head<B: Body>(self, response: &Response<B>) -> Option<Self>;

    /// Some bytes of the body passed.
    fn data(&mut self, bytes: usize);

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
