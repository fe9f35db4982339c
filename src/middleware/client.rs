//! The layer around a client.

use std::task::{Context, Poll};

use http::{Request, Response};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use super::{
    End, Exchange, ResponseBody, ResponseFuture,
    exchange::{Follows, Running},
    readiness::{Readiness, Waits},
};
use crate::{
    Metrics, Open, Stopwatch,
    labels::HttpMethod,
    storage::intern::MAX_VALUE_BYTES,
    subsystems::http_client::{Upstream, UpstreamRequestGuard},
};

/// Records every request that a client makes, in the families of
/// [`http_client`](crate::subsystems::http_client).
///
/// ```
/// use std::convert::Infallible;
///
/// use backend_metrics::{Metrics, middleware::ClientLayer};
/// use http::{Request, Response};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let metrics = Metrics::new();
/// let client = ServiceBuilder::new()
///     .layer(ClientLayer::new(metrics, "ticker"))
///     .service(service_fn(async |_: Request<String>| {
///         Ok::<_, Infallible>(Response::new(String::new()))
///     }));
/// let request = Request::get("http://127.0.0.1:9/quotes").body(String::new()).unwrap();
/// drop(client.oneshot(request).await);
/// assert!(metrics.to_text().contains(
///     "http_client_requests_total{upstream=\"ticker\",method=\"GET\",status=\"200\"} 1\n"
/// ));
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ClientLayer {
    metrics: Metrics,
    /// `None`: the host of each request.
    upstream: Option<Open<Upstream>>,
}

impl ClientLayer {
    /// Records into `metrics`, all requests under the name of one upstream.
    #[must_use]
    pub fn new(metrics: Metrics, upstream: &str) -> Self {
        Self { metrics, upstream: Some(metrics.http_client.upstreams.get(upstream)) }
    }

    /// Records into `metrics`, each request under its host in lower case, without a dot at its end and without the
    /// port (an IPv6 address keeps its brackets), or under `unknown` if its target has none.
    ///
    /// Around a `Channel` of tonic all requests are `unknown`: it adds the host further in. Make the client with
    /// `with_origin`, which adds it before, or use [`new`](Self::new).
    #[must_use]
    pub fn by_host(metrics: Metrics) -> Self {
        Self { metrics, upstream: None }
    }

    /// The upstream of a request to this host.
    fn upstream(&self, host: Option<&str>) -> Open<Upstream> {
        self.upstream.unwrap_or_else(|| of_host(self.metrics, host))
    }
}

impl<S> Layer<S> for ClientLayer {
    type Service = ClientService<S>;

    fn layer(&self, inner: S) -> ClientService<S> {
        ClientService { inner, layer: *self, readiness: Readiness::new() }
    }
}

/// The upstream of a host. Hosts are equal in upper and lower case, and with the dot of a full name.
fn of_host(metrics: Metrics, host: Option<&str>) -> Open<Upstream> {
    let upstreams = &metrics.http_client.upstreams;
    let host = host.map(|host| host.strip_suffix('.').unwrap_or(host));
    match host.filter(|host| !host.is_empty()) {
        None => upstreams.get("unknown"),
        Some(host) if host.bytes().any(|byte| byte.is_ascii_uppercase()) => {
            // As much of it as a label value has, so that nothing is allocated.
            let mut lower = [0; MAX_VALUE_BYTES];
            let len = host.floor_char_boundary(lower.len());
            let lower = &mut lower[..len];
            lower.copy_from_slice(&host.as_bytes()[..len]);
            lower.make_ascii_lowercase();
            upstreams.get(str::from_utf8(lower).unwrap_or_default())
        }
        Some(host) => upstreams.get(host),
    }
}

/// A client whose requests are recorded; made by [`ClientLayer`].
///
/// A request starts when this clone is first not ready; see [readiness](crate::middleware#readiness). A clone of it has
/// not waited.
#[derive(Clone, Debug)]
pub struct ClientService<S> {
    inner: S,
    layer: ClientLayer,
    readiness: Readiness<ClientExchange>,
}

impl<S, A, B> Service<Request<A>> for ClientService<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    B: Body,
{
    type Response = Response<ResponseBody<B, ClientExchange>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, ClientExchange>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.readiness.poll(&self.layer, || self.inner.poll_ready(context))
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let watch = self.readiness.start(&self.layer);
        let upstream = self.layer.upstream(request.uri().host());
        let guard = UpstreamRequestGuard::new(watch, upstream, request.method().into());
        let mut exchange = Running(Some(ClientExchange { guard }));
        let future = exchange.run(|| self.inner.call(request));
        ResponseFuture::new(future, exchange)
    }
}

/// A request that the client makes.
#[derive(Debug)]
pub struct ClientExchange {
    guard: UpstreamRequestGuard,
}

impl Waits for ClientExchange {
    type Layer = ClientLayer;

    fn metrics(layer: &ClientLayer) -> Metrics {
        layer.metrics
    }

    fn wait(layer: &ClientLayer, watch: Stopwatch) -> Self {
        let guard = UpstreamRequestGuard::new(watch, layer.upstream(None), HttpMethod::Other);
        Self { guard }
    }

    fn take_back(self) -> Stopwatch {
        self.guard.take_back()
    }
}

impl Exchange for ClientExchange {
    fn method(&self) -> HttpMethod {
        self.guard.method()
    }

    fn head<B>(&mut self, response: &Response<B>, follows: Follows) {
        // Dropped from now on it counts with its status: a caller need not read the body.
        self.guard.head(response.status());
        if follows == Follows::Events {
            self.guard.streaming();
        }
    }

    fn data(&mut self, _: u64) {}

    fn end(&mut self, end: End) {
        match end {
            End::Complete => {}
            End::ServiceError | End::BodyError | End::Panic => self.guard.fail(),
        }
    }
}
