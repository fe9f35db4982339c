//! The HTTP server: connections, layers, and the way to a handler.

use std::{
    convert::Infallible,
    error::Error,
    io, mem,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use backend_metrics::{
    Exporter,
    middleware::{Endpoint, MetricsLayer},
};
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpSocket},
    time,
};
use tokio_util::sync::CancellationToken;
use tower::{Service, ServiceBuilder, service_fn};
use tower_http::{catch_panic::CatchPanicLayer, trace::TraceLayer};
use tracing::Span;
use uuid::Uuid;

use crate::{
    app::App,
    faults::Fault,
    reply::{Problem, Reply},
    routes::{self, Call, Matched},
};

/// How long a client may take to send the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// What the system keeps of what a client has not read yet, in bytes.
///
/// By itself it would keep megabytes: a WebSocket client that reads slowly would get ticks of minutes ago, and
/// its queue, where that is counted, would look empty.
const SEND_BUFFER: u32 = 32 * 1024;
/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1024;

/// Takes the address.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // So that the address is not taken by connections of a backend that has just ended.
    socket.set_reuseaddr(true)?;
    // What is accepted inherits it.
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves until the backend stops, then lets what is under way end. Without an exporter there is no metrics layer
/// either.
pub async fn serve(app: Arc<App>, listener: TcpListener, exporter: Option<Exporter>) {
    let (metrics, stop, measured) = (app.metrics, app.stop.clone(), exporter.is_some());
    let handlers = service_fn(move |request| answer(app.clone(), exporter.clone(), request));
    // The order that the documentation of `backend_metrics::middleware` explains.
    let layers = ServiceBuilder::new()
        .map_request(routes::match_route)
        .layer(
            TraceLayer::new_for_http()
                .make_span_with(span)
                .on_request(())
                .on_response(())
                .on_failure(()),
        )
        .layer(CatchPanicLayer::new());
    if measured {
        let layers = layers.layer(MetricsLayer::new(metrics).exclude(["/metrics", "/health"]));
        accept(listener, layers.service(handlers), stop).await;
    } else {
        accept(listener, layers.service(handlers), stop).await;
    }
}

/// Gives every connection the service.
async fn accept<S, B>(listener: TcpListener, service: S, stop: CancellationToken)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    let mut http = auto::Builder::new(TokioExecutor::new()).http1_only();
    http.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    let connections = GracefulShutdown::new();
    loop {
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, say. The connections that are open go on.
                    tracing::error!(%error, "cannot accept a connection");
                    time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
            () = stop.cancelled() => break,
        };
        // A tick shall not wait for the next one to be sent with it.
        drop(stream.set_nodelay(true));
        let peer = Peer(limited_as(peer.ip()).into());
        let service = ServiceBuilder::new()
            .map_request(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(peer.clone());
                request
            })
            .service(service.clone());
        let service = TowerToHyperService::new(service);
        let connection = http.serve_connection_with_upgrades(TokioIo::new(stream), service);
        let connection = connections.watch(connection.into_owned());
        // A client that goes away is recorded by the layer; there is no more to do about it.
        tokio::spawn(connection);
    }
    drop(listener);
    connections.shutdown().await;
}

/// Where a connection comes from.
#[derive(Clone)]
struct Peer(Arc<str>);

/// The address that has a limit of its own: with IPv6 a network, in which anyone may have any address.
fn limited_as(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).to_string(),
    }
}

/// The span of a request: its trace is the caller's, if the request says so.
fn span<B>(request: &Request<B>) -> Span {
    let endpoint = request.extensions().get().map_or("unmatched", Endpoint::as_str);
    let parent = request.headers().get("traceparent").and_then(|value| value.to_str().ok());
    let trace_id = parent
        .and_then(|value| value.split('-').nth(1))
        .filter(|id| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .map_or_else(|| Uuid::new_v4().simple().to_string(), str::to_owned);
    tracing::info_span!("request", method = %request.method(), endpoint, trace_id)
}

async fn answer(
    app: Arc<App>,
    exporter: Option<Exporter>,
    request: Request<Incoming>,
) -> Result<Reply, Infallible> {
    if request.uri().path() == "/metrics"
        && let Some(exporter) = exporter
    {
        return Ok(exporter
            .respond(&request)
            .await?
            .map(|body| body.map_err(Into::into).boxed_unsync()));
    }
    let metrics = app.metrics;
    let unanswered = Unanswered;
    let reply = handle(app, request).await.unwrap_or_else(|problem| problem.answer(metrics));
    tracing::info!(status = reply.status().as_u16(), "answered");
    mem::forget(unanswered);
    Ok(reply)
}

/// Says that a request was begun and not answered: its client is gone, or its handler panicked.
struct Unanswered;

impl Drop for Unanswered {
    fn drop(&mut self) {
        tracing::info!("not answered");
    }
}

/// Passes a request on to its handler, if the caller may.
async fn handle(app: Arc<App>, mut request: Request<Incoming>) -> Result<Reply, Problem> {
    let endpoint = request.extensions().get::<Endpoint>().cloned();
    let Some(matched) = request.extensions_mut().remove::<Matched>() else {
        return Err(endpoint.map_or(Problem::NotFound("page"), |_| Problem::MethodNotAllowed));
    };
    let peer = request
        .extensions_mut()
        .remove::<Peer>()
        .ok_or_else(|| Problem::Internal("a request from nowhere".into()))?;
    let attempt = || app.limits.allow(&peer.0, matched.template);
    let account = app.auth.account(request.headers(), matched.access, attempt).await?;
    let caller = if account.is_empty() { &*peer.0 } else { &account };
    app.limits.allow(caller, matched.template)?;
    trouble(&app)?;
    (matched.handler)(Call { app, request, account, matched }).await
}

/// Fails requests while the faults are on.
fn trouble(app: &App) -> Result<(), Problem> {
    assert!(!app.faults.strikes(Fault::Panics), "a panic on purpose");
    if app.faults.strikes(Fault::Errors) {
        return Err(Problem::Internal("an error on purpose".into()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::limited_as;

    #[test]
    fn a_network_has_one_limit_and_an_address_of_version_4_is_one_however_it_is_written() {
        for (address, limited) in [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("::1", "::"),
        ] {
            assert_eq!(limited_as(address.parse().unwrap()), limited);
        }
    }
}
