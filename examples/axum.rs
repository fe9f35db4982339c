//! Orders over axum, measured: nested routers, a cache before a database, `/metrics` as a route.
//!
//! ```text
//! cargo run --release --example axum --features axum
//! curl -H 'x-api-key: demo' http://127.0.0.1:8082/api/v1/accounts/A-1/orders/7
//! curl -H 'x-api-key: demo' http://127.0.0.1:8082/api/v1/instruments/NIFTY
//! curl http://127.0.0.1:8082/api/v1/instruments/NIFTY
//! curl http://127.0.0.1:8082/metrics
//! ```
//!
//! Another address is given as the first argument. Ctrl-C ends the server.

use std::{collections::HashMap, env, error::Error, io, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Path, Request, State},
    http::StatusCode,
    middleware::{Next, from_fn_with_state},
    response::Response,
    routing::{get, get_service},
};
use backend_metrics::{
    Exporter, Metrics,
    labels::{ApiKeyStatus, CacheLayer, CacheOperation, QueryType},
    middleware::MetricsLayer,
};
use parking_lot::Mutex;
use tokio::{net::TcpListener, signal, time};
use tower::ServiceBuilder;
use tower_http::{timeout::TimeoutLayer, trace::TraceLayer};

/// How long a request may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What the handlers share. The instance is one pointer.
#[derive(Clone)]
struct App {
    metrics: Metrics,
    /// Orders that were looked up before, by account and number.
    cache: Arc<Mutex<HashMap<(String, u32), String>>>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let metrics =
        Metrics::builder().service(env!("CARGO_PKG_VERSION"), "orders-example").build()?;
    backend_metrics::install_panic_hook(metrics)?;

    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8082".to_owned());
    let listener = TcpListener::bind(&address).await?;
    println!("http://{}/metrics", listener.local_addr()?);
    // From then on no more connections; the requests under way may end.
    let stop = async { _ = signal::ctrl_c().await };
    axum::serve(listener, router(metrics)).with_graceful_shutdown(stop).await?;
    Ok(())
}

fn router(metrics: Metrics) -> Router {
    // However deep a route is nested, its endpoint is the whole template:
    // `/api/v1/accounts/{account}/orders/{order}`.
    let account = Router::new().route("/orders/{order}", get(show));
    let instruments =
        Router::new().route("/{symbol}", get(async |Path(symbol): Path<String>| symbol));
    let api = Router::new().nest("/accounts/{account}", account).nest("/instruments", instruments);
    Router::new()
        .nest("/api/v1", api)
        .route_layer(from_fn_with_state(metrics, authenticate))
        // The order of layers, from the outside to the inside: the documentation of `middleware` has the reasons. By
        // `layer`, as `route_layer` would miss what no route fits; around the router as a whole they would not
        // know the route.
        .layer(
            ServiceBuilder::new()
                // The span: a request is recorded within it.
                .layer(TraceLayer::new_for_http())
                // Around what answers by itself: the 504 of the timeout, the 401 of `authenticate`.
                .layer(MetricsLayer::new(metrics))
                .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, TIMEOUT)),
        )
        // A route that comes after the layers is outside of them: nobody counts scrapes as requests.
        .route("/metrics", get_service(Exporter::new(metrics)))
        .with_state(App { metrics, cache: Arc::default() })
}

/// Lets in who has the key.
async fn authenticate(
    State(metrics): State<Metrics>,
    request: Request,
    next: Next,
) -> Result<Response, StatusCode> {
    if request.headers().get("x-api-key").is_some_and(|key| key == "demo") {
        metrics.track_api_key_validation(ApiKeyStatus::Valid);
        Ok(next.run(request).await)
    } else {
        metrics.track_api_key_validation(ApiKeyStatus::Invalid);
        Err(StatusCode::UNAUTHORIZED)
    }
}

/// Shows an order, from the cache or from the database.
async fn show(
    State(app): State<App>,
    Path(key): Path<(String, u32)>,
) -> Result<String, StatusCode> {
    // The guard measures until it is told how the look-up ended.
    let look_up = app.metrics.start_cache_operation(CacheOperation::Get, CacheLayer::Memory);
    let cached = app.cache.lock().get(&key).cloned();
    if let Some(order) = cached {
        look_up.bytes(order.len() as u64).hit();
        return Ok(order);
    }
    look_up.miss();

    // If the client goes away now, the guard is dropped and the query counts as cancelled.
    let query = app.metrics.start_database_query(QueryType::Select);
    let found = select(&key.0, key.1).await;
    query.finish(&found);
    let order = found.map_err(|_| StatusCode::BAD_GATEWAY)?.ok_or(StatusCode::NOT_FOUND)?;
    app.cache.lock().insert(key, order.clone());
    Ok(order)
}

/// In place of a database, which has the orders up to 100 and breaks down over number 0.
async fn select(account: &str, id: u32) -> io::Result<Option<String>> {
    time::sleep(Duration::from_millis(5)).await;
    match id {
        0 => Err(io::ErrorKind::ConnectionReset.into()),
        1..=100 => Ok(Some(format!("order {id} of {account}\n"))),
        _ => Ok(None),
    }
}
