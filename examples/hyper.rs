//! Orders over HTTP, measured: a plain hyper server with the layer, a few events and `/metrics`.
//!
//! ```text
//! cargo run --release --example hyper
//! curl http://127.0.0.1:8081/orders/7
//! curl -X POST -d 'NIFTY 50' http://127.0.0.1:8081/orders
//! curl http://127.0.0.1:8081/metrics
//! ```
//!
//! Another address is given as the first argument. Ctrl-C ends the server.

use std::{
    collections::HashMap, convert::Infallible, env, error::Error, pin::pin, sync::LazyLock,
    time::Duration,
};

use backend_metrics::{
    Exporter, Metrics, exporter,
    labels::{CacheLayer, CacheOperation, OrderSide, OrderType, QueryType},
    middleware::{Endpoint, MetricsLayer},
};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Either, Full};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{rt::TokioIo, server::graceful::GracefulShutdown, service::TowerToHyperService};
use parking_lot::Mutex;
use tokio::{net::TcpListener, signal, time};
use tower::{ServiceBuilder, service_fn};

/// What is answered: an answer of this program, or a scrape.
type Body = Either<Full<Bytes>, exporter::ResponseBody>;

/// Orders that were looked up before.
static CACHE: LazyLock<Mutex<HashMap<String, Bytes>>> = LazyLock::new(Mutex::default);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // One instance for the program. Installed, it is what the free functions below record into.
    let metrics =
        Metrics::builder().service(env!("CARGO_PKG_VERSION"), "orders-example").build()?;
    metrics.install()?;
    backend_metrics::install_panic_hook(metrics)?;

    let exporter = Exporter::new(metrics);
    let service = ServiceBuilder::new()
        // Outside of the layer, so that it knows the endpoint when a request starts. The documentation of
        // `middleware` has the order of layers.
        .map_request(route)
        .layer(MetricsLayer::new(metrics).exclude(["/metrics"]))
        .service(service_fn(move |request| answer(request, exporter.clone())));

    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8081".to_owned());
    let listener = TcpListener::bind(&address).await?;
    println!("http://{}/metrics", listener.local_addr()?);

    let connections = GracefulShutdown::new();
    let mut stop = pin!(signal::ctrl_c());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = &mut stop => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // The client is gone, or the process has no descriptors left until some are closed.
                eprintln!("no connection is accepted: {error}");
                time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let service = TowerToHyperService::new(service.clone());
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        // A client that goes away is recorded by the layer; there is no more to do about it.
        tokio::spawn(connections.watch(connection));
    }
    // No more connections; the requests under way may end.
    drop(listener);
    time::timeout(Duration::from_secs(10), connections.shutdown()).await?;
    Ok(())
}

/// Names the endpoint of a request: the template of its route, never its path.
fn route(mut request: Request<Incoming>) -> Request<Incoming> {
    let template = match request.uri().path() {
        "/orders" => "/orders",
        path if path.starts_with("/orders/") => "/orders/{id}",
        // What is left is `unmatched`.
        _ => return request,
    };
    request.extensions_mut().insert(Endpoint::from_static(template));
    request
}

async fn answer(
    request: Request<Incoming>,
    exporter: Exporter,
) -> Result<Response<Body>, Infallible> {
    let path = request.uri().path().to_owned();
    let endpoint = request.extensions().get().map(Endpoint::as_str);
    let (status, text) = match (request.method(), endpoint) {
        _ if path == "/metrics" => return Ok(exporter.respond(&request).await?.map(Either::Right)),
        (&Method::POST, Some("/orders")) => place(request).await,
        (&Method::GET, Some("/orders/{id}")) => show(path.trim_start_matches("/orders/")).await,
        (_, Some(_)) => (StatusCode::METHOD_NOT_ALLOWED, "no such method\n".into()),
        (_, None) => (StatusCode::NOT_FOUND, "no such page\n".into()),
    };
    let mut response = Response::new(Either::Left(Full::new(text)));
    *response.status_mut() = status;
    Ok(response)
}

/// Places an order for what the body names.
async fn place(request: Request<Incoming>) -> (StatusCode, Bytes) {
    // If the client goes away now, the guard is dropped and the order counts as cancelled.
    let order = backend_metrics::start_order(OrderType::Limit, OrderSide::Buy);
    let Ok(body) = request.into_body().collect().await else {
        order.failed();
        return (StatusCode::BAD_REQUEST, "the body broke off\n".into());
    };
    let instrument = body.to_bytes();
    if instrument.is_empty() {
        order.rejected();
        return (StatusCode::UNPROCESSABLE_ENTITY, "an order of nothing\n".into());
    }
    order.accepted();
    (StatusCode::CREATED, instrument)
}

/// Shows an order, from the cache or from the database.
async fn show(id: &str) -> (StatusCode, Bytes) {
    // The guard measures until it is told how the look-up ended.
    let look_up = backend_metrics::start_cache_operation(CacheOperation::Get, CacheLayer::Memory);
    let cached = CACHE.lock().get(id).cloned();
    if let Some(order) = cached {
        look_up.bytes(order.len() as u64).hit();
        return (StatusCode::OK, order);
    }
    look_up.miss();

    let query = backend_metrics::start_database_query(QueryType::Select);
    // In place of a database, which has the orders up to 100.
    time::sleep(Duration::from_millis(5)).await;
    let order = id.parse().ok().filter(|id| (1..=100).contains(id));
    query.rows(order.is_some().into()).success();
    let Some(order) = order.map(|id: u32| Bytes::from(format!("order {id}\n"))) else {
        return (StatusCode::NOT_FOUND, "no such order\n".into());
    };
    CACHE.lock().insert(id.to_owned(), order.clone());
    (StatusCode::OK, order)
}
