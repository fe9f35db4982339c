//! The floor of a layer's design: it follows a request to the end of its body, and records nothing.

use std::{
    hint::black_box,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Instant,
};

use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

/// Reads the clock at the beginning, at the head and at the end, as what measures both times must.
#[derive(Clone, Copy)]
pub struct ClockLayer;

impl<S> Layer<S> for ClockLayer {
    type Service = ClockService<S>;

    fn layer(&self, inner: S) -> ClockService<S> {
        ClockService(inner)
    }
}

#[derive(Clone, Copy)]
pub struct ClockService<S>(S);

impl<S, A, B> Service<Request<A>> for ClockService<S>
where
    S: Service<Request<A>, Response = Response<B>>,
{
    type Response = Response<ClockBody<B>>;
    type Error = S::Error;
    type Future = ClockFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let started = Instant::now();
        ClockFuture { inner: self.0.call(request), started }
    }
}

pin_project! {
    pub struct ClockFuture<F> {
        #[pin]
        inner: F,
        started: Instant,
    }
}

impl<F, B, E> Future for ClockFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<ClockBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let started = *this.started;
        let response = ready!(this.inner.poll(context))?;
        black_box(started.elapsed());
        Poll::Ready(Ok(response.map(|inner| ClockBody { inner, started: Some(started) })))
    }
}

pin_project! {
    #[derive(Default)]
    pub struct ClockBody<B> {
        #[pin]
        inner: B,
        started: Option<Instant>,
    }
}

impl<B: Body> Body for ClockBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let frame = ready!(this.inner.poll_frame(context));
        // The body of this bench is one frame.
        if let Some(started) = this.started.take() {
            black_box(started.elapsed());
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
