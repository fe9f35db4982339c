//! The service of the layer around a service.

use std::{
    mem,
    task::{Context, Poll},
};

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::{
    MetricsLayer, RequestHead, ResponseBody, ResponseFuture, ServerExchange, readiness::Readiness,
    server::Starting,
};

/// A service whose requests are recorded; made by [`MetricsLayer`].
///
/// A request starts when this clone is first not ready; see [readiness](crate::middleware#readiness). A clone of it has
/// not waited.
#[derive(Clone, Debug)]
pub struct MetricsService<S> {
    inner: S,
    layer: MetricsLayer,
    readiness: Readiness<ServerExchange>,
}

impl<S> MetricsService<S> {
    pub(super) fn new(inner: S, layer: MetricsLayer) -> Self {
        Self { inner, layer, readiness: Readiness::new() }
    }
}

impl<S, A, B> Service<Request<A>> for MetricsService<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    A: Body,
    B: Body,
{
    type Response = Response<ResponseBody<B, ServerExchange>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, ServerExchange>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.readiness.poll(&self.layer, || self.inner.poll_ready(context))
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let watch = self.readiness.start(&self.layer);
        let head = RequestHead::of(&request);
        let starting = Starting(&self.layer, head, watch);
        let size = request.body().size_hint().exact();
        let mut exchange = ServerExchange::start(&self.layer, head, size, watch);
        mem::forget(starting);
        let future = exchange.run(|| self.inner.call(request));
        ResponseFuture::new(future, exchange)
    }
}
