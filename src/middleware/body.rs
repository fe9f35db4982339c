//! The body of a response whose request is followed.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Buf;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::{End, Exchange};

pin_project! {
    /// A response body that counts its bytes and notes its end.
    #[derive(Debug)]
    pub struct ResponseBody<B, X> {
        #[pin]
        inner: B,
        exchange: Option<X>,
        // Bytes that are still to come, if that is known.
        left: Option<u64>,
    }
}

impl<B: Body, X: Exchange> ResponseBody<B, X> {
    /// Follows `inner`; `announced` is the length that its head gives.
    pub(super) fn new(inner: B, exchange: Option<X>, announced: Option<u64>) -> Self {
        let left = announced.or_else(|| inner.size_hint().exact());
        let mut this = Self { inner, exchange, left };
        if this.inner.is_end_stream() || this.left == Some(0) {
            finish(&mut this.exchange, End::Complete);
        }
        this
    }
}

fn finish<X: Exchange>(exchange: &mut Option<X>, end: End) {
    if let Some(exchange) = exchange.take() {
        exchange.end(end);
    }
}

impl<B: Body, X: Exchange> Body for ResponseBody<B, X> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let inner = this.inner.as_mut();
        let polled = match catch_unwind(AssertUnwindSafe(|| inner.poll_frame(context))) {
            Ok(polled) => polled,
            Err(panic) => {
                finish(this.exchange, End::Panic);
                resume_unwind(panic)
            }
        };
        let frame = ready!(polled);
        match &frame {
            None => finish(this.exchange, End::Complete),
            Some(Err(_)) => finish(this.exchange, End::BodyError),
            Some(Ok(frame)) => {
                if let (Some(data), Some(exchange)) = (frame.data_ref(), this.exchange.as_mut()) {
                    // A server cuts off what goes beyond the announced length.
                    let bytes = (data.remaining() as u64).min(this.left.unwrap_or(u64::MAX));
                    exchange.data(bytes);
                    *this.left = this.left.map(|left| left - bytes);
                }
                // A server drops a finished body without polling it again.
                if frame.is_trailers() || *this.left == Some(0) || this.inner.is_end_stream() {
                    finish(this.exchange, End::Complete);
                }
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<B: Default, X> Default for ResponseBody<B, X> {
    /// A body that nothing follows.
    fn default() -> Self {
        Self { inner: B::default(), exchange: None, left: None }
    }
}
