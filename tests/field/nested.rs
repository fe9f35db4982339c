//! Nested routers of axum, and what is excluded there.
#![cfg(feature = "axum")]

use std::collections::BTreeSet;

use axum::{Extension, Router, body::Body, routing::get};
use backend_metrics::{
    Metrics,
    middleware::{Endpoint, MatchedPathLayer, MetricsLayer},
};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use tower::{Layer, Service, ServiceExt};

/// Sends GET requests for these paths and reads the answers; gives the lines of `http_requests_total` that have moved.
async fn requests<S, B>(metrics: Metrics, service: &S, paths: &[&str]) -> BTreeSet<String>
where
    S: Service<Request<Body>, Response = Response<B>> + Clone,
    S::Error: std::fmt::Debug,
    B: http_body::Body<Error: std::fmt::Debug>,
{
    for path in paths {
        let request = Request::get(*path).body(Body::empty()).unwrap();
        let response = service.clone().oneshot(request).await.unwrap();
        response.into_body().collect().await.unwrap();
    }
    requests_total(metrics)
}

fn requests_total(metrics: Metrics) -> BTreeSet<String> {
    let text = metrics.to_text();
    let lines = text.lines().filter_map(|line| line.strip_prefix("http_requests_total{"));
    lines.filter(|line| !line.ends_with(" 0")).map(str::to_owned).collect()
}

fn lines<const N: usize>(lines: [&str; N]) -> BTreeSet<String> {
    lines.map(str::to_owned).into()
}

/// `/users/{name}`, which a router of its own has.
fn users() -> Router {
    Router::new().route("/users/{name}", get(async || "a user"))
}

#[tokio::test]
async fn what_is_excluded_is_the_whole_path() {
    let metrics = Metrics::new();
    let layer = MetricsLayer::new(metrics).exclude(["/metrics", "/api/health", "/api/v1/live/*"]);
    let probes = Router::new()
        .route("/metrics", get(async || "a report"))
        .route("/health", get(async || "well"));
    let v1 = Router::new().route("/live/{part}", get(async || "alive"));
    let router = Router::new()
        .nest("/reports", probes.clone().layer(layer))
        .nest("/api", probes.nest("/v1", v1).layer(layer))
        .route("/metrics", get(async || "figures").layer(layer));
    let paths = [
        "/metrics?a=b",
        "/reports/metrics",
        "/reports/health",
        "/api/metrics",
        "/api/health",
        "/api/v1/live/database",
    ];
    let expected = lines([
        r#"method="GET",endpoint="/reports/metrics",status="200"} 1"#,
        r#"method="GET",endpoint="/reports/health",status="200"} 1"#,
        r#"method="GET",endpoint="/api/metrics",status="200"} 1"#,
    ]);
    assert_eq!(requests(metrics, &router, &paths).await, expected);

    // So it is in a router that is nested as a service.
    let metrics = Metrics::new();
    let layer = MetricsLayer::new(metrics).exclude(["/api/users/jane"]);
    let router = Router::new().nest_service("/api", users().layer(layer));
    let expected = lines([r#"method="GET",endpoint="/api/users/{name}",status="200"} 1"#]);
    assert_eq!(requests(metrics, &router, &["/api/users/jane", "/api/users/anna"]).await, expected);
}

#[tokio::test]
#[expect(clippy::needless_borrows_for_generic_args, reason = "a borrowed array is taken as well")]
async fn what_is_excluded_can_come_from_the_configuration_and_adds_up() {
    let metrics = Metrics::new();
    let configured = vec!["/health".to_owned(), "/assets/*".to_owned()];
    let layer = MetricsLayer::new(metrics)
        .exclude(&["/metrics"])
        .exclude(&configured)
        .exclude(configured)
        .exclude([String::from("/live")])
        .exclude([""; 0]);
    let router = Router::new().route("/{*path}", get(async |request: Request<Body>| drop(request)));
    let paths = ["/metrics", "/health", "/assets/a.css", "/live", "/orders"];
    assert_eq!(
        requests(metrics, &router.layer(layer), &paths).await,
        lines([r#"method="GET",endpoint="/{*path}",status="200"} 1"#])
    );
}

#[tokio::test]
async fn what_no_route_of_a_router_matched_is_unmatched() {
    let fallback = async || "a page";
    let nested = Router::new().route("/a", get(fallback)).fallback(fallback);
    let services: [fn(MetricsLayer, Router) -> Router; 5] = [
        |layer, nested| Router::new().nest("/reports", nested.layer(layer)),
        |layer, nested| Router::new().nest("/reports", nested).layer(layer),
        |layer, nested| nested.layer(layer),
        // A router as a service: which of its routes matched is not known outside of it.
        |layer, _| Router::new().fallback_service(users()).layer(layer),
        |layer, _| Router::new().nest_service("/reports", users()).layer(layer),
    ];
    for (position, service) in services.into_iter().enumerate() {
        let metrics = Metrics::new();
        let router = service(MetricsLayer::new(metrics), nested.clone());
        let path = if position == 3 { "/users/jane" } else { "/reports/users/jane" };
        let expected = lines([r#"method="GET",endpoint="unmatched",status="200"} 2"#]);
        assert_eq!(requests(metrics, &router, &[path, path]).await, expected, "{position}");
    }
}

#[tokio::test]
async fn the_template_of_a_router_that_is_a_service_can_be_carried_out() {
    let users = || users().route_layer(MatchedPathLayer::new());
    let nested = |router| Router::new().nest("/v1", router);
    let routers: [(Router, &str, &str); 6] = [
        (Router::new().fallback_service(users()), "/users/jane", "/users/{name}"),
        (Router::new().nest_service("/api", users()), "/api/users/jane", "/api/users/{name}"),
        (
            Router::new().nest("/{tenant}", nested(users())),
            "/acme/v1/users/jane",
            "/{tenant}/v1/users/{name}",
        ),
        (
            Router::new().nest("/api", Router::new().fallback_service(nested(users()))),
            "/api/v1/users/jane",
            "/api/v1/users/{name}",
        ),
        (
            Router::new().nest_service("/api", Router::new().nest_service("/v1", users())),
            "/api/v1/users/jane",
            "/api/v1/users/{name}",
        ),
        // Routers that carry their templates out, one in the other.
        (
            Router::new()
                .nest_service("/api", Router::new().fallback_service(users()))
                .route_layer(MatchedPathLayer::new()),
            "/api/users/jane",
            "/api/users/{name}",
        ),
    ];
    for (router, path, endpoint) in routers {
        let expected = [format!(r#"method="GET",endpoint="{endpoint}",status="200"}} 2"#)].into();
        let metrics = Metrics::new();
        let layered = router.clone().layer(MetricsLayer::new(metrics));
        assert_eq!(requests(metrics, &layered, &[path, path]).await, expected);

        // The layer may also be around the router as a whole.
        let metrics = Metrics::new();
        let around = MetricsLayer::new(metrics).layer(router);
        assert_eq!(requests(metrics, &around, &[path, path]).await, expected);
    }
}

#[tokio::test]
async fn an_endpoint_that_the_handler_names_is_kept() {
    let metrics = Metrics::new();
    let named = async || (Extension(Endpoint::from_static("/people/{name}")), "a user");
    let users =
        Router::new().route("/users/{name}", get(named)).route_layer(MatchedPathLayer::new());
    let router = Router::new().fallback_service(users).layer(MetricsLayer::new(metrics));
    assert_eq!(
        requests(metrics, &router, &["/users/jane"]).await,
        lines([r#"method="GET",endpoint="/people/{name}",status="200"} 1"#])
    );
}

#[tokio::test]
async fn without_a_response_of_the_inner_router_there_is_no_template() {
    let users = Router::new()
        .route("/panics", get(async || -> StatusCode { std::panic::resume_unwind(Box::new(())) }))
        .route("/pending", get(std::future::pending::<StatusCode>));
    let metrics = Metrics::new();
    let carried = users.clone().route_layer(MatchedPathLayer::new());
    ends_badly(&Router::new().fallback_service(carried).layer(MetricsLayer::new(metrics))).await;
    assert_eq!(
        requests_total(metrics),
        lines([
            r#"method="GET",endpoint="unmatched",status="499"} 1"#,
            r#"method="GET",endpoint="unmatched",status="500"} 1"#,
        ])
    );

    // A layer on the inner router has it.
    let metrics = Metrics::new();
    let layer = MetricsLayer::new(metrics);
    let outer = Router::new().route("/orders", get(async || "orders"));
    let router = outer.layer(layer).fallback_service(users.layer(layer));
    ends_badly(&router).await;
    assert_eq!(
        requests(metrics, &router, &["/orders"]).await,
        lines([
            r#"method="GET",endpoint="/orders",status="200"} 1"#,
            r#"method="GET",endpoint="/panics",status="500"} 1"#,
            r#"method="GET",endpoint="/pending",status="499"} 1"#,
        ])
    );
}

/// A request whose handler panics, and one that is dropped before its response.
async fn ends_badly(router: &Router) {
    let send = |path| {
        let request = Request::get(path).body(Body::empty()).unwrap();
        tokio::spawn(router.clone().oneshot(request))
    };
    assert!(send("/panics").await.unwrap_err().is_panic());
    let pending = send("/pending");
    tokio::task::yield_now().await;
    pending.abort();
    assert!(pending.await.unwrap_err().is_cancelled());
}
