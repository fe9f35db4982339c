//! The least that a layer can do which follows a request to the end of its body.

use std::{
    hint::black_box,
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

/// Wraps the future and the body, and reads the clock when the request, the head and the end are there, or not.
#[derive(Clone, Copy)]
pub(crate) struct Wrapping {
    pub(crate) reads_clock: bool,
}

/// Made by [`Wrapping`].
#[derive(Clone, Copy)]
pub(crate) struct WrappingService<S> {
    inner: S,
    layer: Wrapping,
}

impl<S> Layer<S> for Wrapping {
    type Service = WrappingService<S>;

    fn layer(&self, inner: S) -> WrappingService<S> {
        WrappingService { inner, layer: *self }
    }
}

impl<S, A, B> Service<Request<A>> for WrappingService<S>
where
    S: Service<Request<A>, Response = Response<B>>,
{
    type Response = Response<Wrapped<B>>;
    type Error = S::Error;
    type Future = Wrapped<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let started = self.layer.reads_clock.then(Instant::now);
        Wrapped { inner: self.inner.call(request), started }
    }
}

pin_project! {
    /// A future or a body.
    pub(crate) struct Wrapped<T> {
        #[pin]
        inner: T,
        started: Option<Instant>,
    }
}

impl<F, B, E> Future for Wrapped<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<Wrapped<B>>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let started = *this.started;
        this.inner.poll(context).map_ok(|response| {
            black_box(started.map(|started| started.elapsed()));
            response.map(|inner| Wrapped { inner, started })
        })
    }
}

impl<B: Body> Body for Wrapped<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let polled = this.inner.poll_frame(context);
        black_box(this.started.take().map(|started| started.elapsed()));
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<B: Default> Default for Wrapped<B> {
    fn default() -> Self {
        Self { inner: B::default(), started: None }
    }
}
