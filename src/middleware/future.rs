//! The future of a response whose request is followed.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;

use super::{End, Exchange, ResponseBody};

pin_project! {
    /// The future of [`MetricsService`](super::MetricsService) and [`ClientService`](super::ClientService).
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F, X> {
        #[pin]
        inner: F,
        exchange: Option<X>,
    }
}

impl<F, X> ResponseFuture<F, X> {
    pub(super) fn new(inner: F, exchange: Option<X>) -> Self {
        Self { inner, exchange }
    }
}

impl<F, X, B, E> Future for ResponseFuture<F, X>
where
    F: Future<Output = Result<Response<B>, E>>,
    X: Exchange,
    B: Body,
{
    type Output = Result<Response<ResponseBody<B, X>>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let inner = this.inner;
        let polled = match catch_unwind(AssertUnwindSafe(|| inner.poll(context))) {
            Ok(polled) => polled,
            Err(panic) => {
                if let Some(exchange) = this.exchange.take() {
                    exchange.end(End::Panic);
                }
                resume_unwind(panic)
            }
        };
        match ready!(polled) {
            Ok(response) => {
                let exchange = this.exchange.take().and_then(|exchange| exchange.head(&response));
                let announced = announced_length(response.headers());
                Poll::Ready(Ok(response.map(|body| ResponseBody::new(body, exchange, announced))))
            }
            Err(error) => {
                if let Some(exchange) = this.exchange.take() {
                    exchange.end(End::ServiceError);
                }
                Poll::Ready(Err(error))
            }
        }
    }
}

/// The length in the head, if it is a number.
fn announced_length(headers: &http::HeaderMap) -> Option<u64> {
    headers.get(http::header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
