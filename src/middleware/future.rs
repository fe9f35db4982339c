//! The future of a response whose request is followed.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;

use super::{End, Exchange, ResponseBody, exchange::Running};

pin_project! {
    /// The future of [`MetricsService`](super::MetricsService) and [`ClientService`](super::ClientService).
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F, X> {
        #[pin]
        inner: F,
        exchange: Running<X>,
    }
}

impl<F, X> ResponseFuture<F, X> {
    pub(super) fn new(inner: F, exchange: Running<X>) -> Self {
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
        match ready!(this.exchange.run(|| this.inner.poll(context))) {
            Ok(response) => {
                let mut exchange = this.exchange.take();
                let left = exchange.head(&response);
                Poll::Ready(Ok(response.map(|body| ResponseBody::new(body, exchange, left))))
            }
            Err(error) => {
                this.exchange.end(End::ServiceError);
                Poll::Ready(Err(error))
            }
        }
    }
}
