//! The body of a response whose request is followed.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Buf;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::{End, Exchange, exchange::Running};

pin_project! {
    /// A response body that counts its bytes and notes its end.
    #[derive(Debug)]
    pub struct ResponseBody<B, X> {
        #[pin]
        inner: B,
        exchange: Running<X>,
        // Bytes that are still to come at most.
        left: u64,
    }
}

impl<B, X> ResponseBody<B, X> {
    pub(super) fn new(inner: B, exchange: Running<X>, left: u64) -> Self {
        Self { inner, exchange, left }
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
        let polled = this.exchange.run(|| inner.poll_frame(context));
        match &polled {
            Poll::Pending => {}
            Poll::Ready(None) => this.exchange.end(End::Complete),
            Poll::Ready(Some(Err(_))) => this.exchange.end(End::BodyError),
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(data) = frame.data_ref() {
                    // A server cuts off what goes beyond the announced length.
                    let bytes = this.exchange.run(|| data.remaining()) as u64;
                    let bytes = bytes.min(*this.left);
                    this.exchange.data(bytes);
                    *this.left -= bytes;
                }
                // A server drops a finished body without polling it again.
                if frame.is_trailers()
                    || *this.left == 0
                    || this.exchange.run(|| this.inner.is_end_stream())
                {
                    this.exchange.end(End::Complete);
                }
            }
        }
        polled
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
        Self { inner: B::default(), exchange: Running(None), left: u64::MAX }
    }
}
