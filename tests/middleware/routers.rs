//! The layer in an axum router, and around one.

use std::convert::Infallible;

use axum::{
    Extension, Router,
    body::Body,
    extract::Path,
    response::{Sse, sse::Event},
    routing::{any, get, post},
};
use backend_metrics::middleware::Endpoint;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use tower::{Layer, ServiceExt};

use crate::{
    exposed::{Scrape, Test},
    scripted::{self, Failure},
    server::Server,
};

/// A router of every shape, without the layer.
fn router() -> Router {
    let users = Router::new()
        .route("/users/{user}", get(async |Path(user): Path<String>| user))
        .route("/users/{user}/orders/{order}", get(async || "an order"));
    let admin = Router::new()
        .route("/jobs/{job}", post(async || StatusCode::ACCEPTED))
        .fallback(async || (StatusCode::NOT_FOUND, "no such job"));
    Router::new()
        .route("/orders/{id}", get(async || "an order").delete(async || StatusCode::NO_CONTENT))
        .route("/teapot", any(async || StatusCode::IM_A_TEAPOT))
        .route("/files/{*path}", get(async || "a file"))
        .route("/stream", get(async || Body::from_stream(chunks())))
        .route("/endless", get(async || Body::from_stream(chunks().chain(stream::pending()))))
        .route("/events", get(async || Sse::new(events())))
        .route(
            "/breaks-off",
            get(async || Body::from_stream(stream::iter([Err::<Bytes, _>(Failure)]))),
        )
        .route("/panics", get(async || -> StatusCode { scripted::panic() }))
        .nest("/api", Router::new().nest("/v1", users))
        .nest("/admin", admin)
}

fn chunks() -> impl futures_util::Stream<Item = Result<Bytes, Infallible>> + Send {
    stream::iter([Ok(Bytes::from("0123456789")), Ok(Bytes::from("01234"))])
}

fn events() -> impl futures_util::Stream<Item = Result<Event, Infallible>> + Send {
    stream::iter(["a", "b"]).map(|data| Ok(Event::default().data(data)))
}

/// What the router answers.
async fn send(router: &Router, method: &str, path: &str) -> Response<Body> {
    let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    router.clone().oneshot(request).await.unwrap()
}

/// Sends a request and reads the whole answer.
async fn exchange(router: &Router, method: &str, path: &str) -> (StatusCode, Bytes) {
    let response = send(router, method, path).await;
    (response.status(), response.into_body().collect().await.unwrap().to_bytes())
}

/// What a request comes to that was answered with a head and so many bytes.
fn record(method: &str, endpoint: &str, status: u16, bytes: usize) -> String {
    let sum = match bytes {
        0 => String::new(),
        _ => format!(
            r#"http_response_size_bytes_sum{{method="{method}",endpoint="{endpoint}"}} {bytes}"#
        ),
    };
    format!(
        r#"
        http_requests_total{{method="{method}",endpoint="{endpoint}",status="{status}"}} 1
        http_request_duration_seconds_count{{method="{method}",endpoint="{endpoint}"}} 1
        http_time_to_first_byte_seconds_count{{method="{method}",endpoint="{endpoint}"}} 1
        http_request_size_bytes_count{{method="{method}",endpoint="{endpoint}"}} 1
        http_response_size_bytes_count{{method="{method}",endpoint="{endpoint}"}} 1
        {sum}
        "#
    )
}

#[tokio::test]
async fn the_endpoint_is_the_template_of_the_route() {
    for (method, path, endpoint, status, bytes) in [
        ("GET", "/orders/17", "/orders/{id}", 200, 8),
        ("GET", "/orders/not-a-number", "/orders/{id}", 200, 8),
        ("DELETE", "/orders/17", "/orders/{id}", 204, 0),
        ("HEAD", "/orders/17", "/orders/{id}", 200, 0),
        ("GET", "/files/a/b/c.css", "/files/{*path}", 200, 6),
        ("GET", "/api/v1/users/anna", "/api/v1/users/{user}", 200, 4),
        ("GET", "/api/v1/users/a/orders/b", "/api/v1/users/{user}/orders/{order}", 200, 8),
        ("POST", "/admin/jobs/7", "/admin/jobs/{job}", 202, 0),
        ("PUT", "/teapot", "/teapot", 418, 0),
        // The route is there, the method is not.
        ("POST", "/orders/17", "unmatched", 405, 0),
        ("GET", "/admin/jobs/7", "unmatched", 405, 0),
        ("HEAD", "/api/v1/users/anna", "/api/v1/users/{user}", 200, 0),
    ] {
        let test = Test::new();
        let router = router().layer(test.layer());
        let (answered, body) = exchange(&router, method, path).await;
        assert_eq!((answered.as_u16(), body.len()), (status, bytes), "{method} {path}");
        test.assert_moved(&record(method, endpoint, status, bytes));
    }
}

#[tokio::test]
async fn what_no_route_fits_is_unmatched() {
    for (path, bytes) in [
        ("/nothing", 0),
        ("/", 0),
        ("/api/v1/nothing", 0),
        ("/api", 0),
        // Answered by the fallback of the nested router.
        ("/admin/nothing", 11),
    ] {
        let test = Test::new();
        let router = router().layer(test.layer());
        assert_eq!(exchange(&router, "GET", path).await.0, StatusCode::NOT_FOUND);
        test.assert_moved(&record("GET", "unmatched", 404, bytes));
        assert!(!test.metrics.to_text().contains("nothing"));
    }
}

#[tokio::test]
async fn a_layer_on_a_nested_router_knows_the_whole_template() {
    let test = Test::new();
    let users = Router::new().route("/users/{user}", get(async || "anna")).layer(test.layer());
    let router = Router::new().nest("/api", users);
    exchange(&router, "GET", "/api/users/anna").await;
    test.assert_moved(&record("GET", "/api/users/{user}", 200, 4));
}

#[tokio::test]
async fn a_request_is_recorded_once_though_the_layer_is_on_every_route() {
    let test = Test::new();
    let router = router().layer(test.layer());
    let merged = Router::new()
        .route("/merged", get(async || "merged"))
        .route_layer(test.layer())
        .merge(router);
    for _ in 0..3 {
        for path in ["/orders/1", "/api/v1/users/anna", "/nothing", "/merged", "/teapot"] {
            exchange(&merged, "GET", path).await;
        }
    }
    let scrape = Scrape::of(test.metrics);
    assert_eq!(scrape.sum("http_requests_total"), 15.0);
    assert_eq!(scrape.sum("http_active_requests"), 0.0);
}

#[tokio::test]
async fn a_streaming_body_is_counted_as_it_is_sent() {
    let test = Test::new();
    let router = router().layer(test.layer());
    let response = send(&router, "GET", "/stream").await;
    test.assert_moved(r#"http_active_requests{endpoint="/stream"} 1"#);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes().len(), 15);
    test.assert_moved(&record("GET", "/stream", 200, 15));
}

#[tokio::test]
async fn a_stream_of_events_is_in_flight_until_its_end() {
    let test = Test::new();
    let router = router().layer(test.layer());
    let response = send(&router, "GET", "/events").await;
    test.advance(3_600_000);
    test.assert_moved(r#"http_active_requests{endpoint="/events"} 1"#);
    let events = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(events, "data: a\n\ndata: b\n\n");
    test.assert_moved(&record("GET", "/events", 200, 18));
}

#[tokio::test]
async fn a_body_that_breaks_off_is_an_error_of_the_application() {
    let test = Test::new();
    let router = router().layer(test.layer());
    let response = send(&router, "GET", "/breaks-off").await;
    response.into_body().collect().await.unwrap_err();
    let error = r#"application_errors_total{error_type="response_body_error",severity="error"} 1"#;
    test.assert_moved(&(record("GET", "/breaks-off", 200, 0) + error));
}

#[tokio::test]
async fn a_body_that_is_dropped_is_499() {
    let test = Test::new();
    let router = router().layer(test.layer());
    let mut response = send(&router, "GET", "/endless").await;
    response.body_mut().frame().await.unwrap().unwrap();
    drop(response);
    let cancelled = r#"http_requests_cancelled_total{method="GET",endpoint="/endless"} 1"#;
    test.assert_moved(&(record("GET", "/endless", 499, 10) + cancelled));
}

#[tokio::test]
async fn a_handler_that_panics_is_500_and_the_panic_comes_through() {
    let test = Test::new();
    let router = router().layer(test.layer());
    let request = tokio::spawn(async move { send(&router, "GET", "/panics").await });
    let panic = request.await.unwrap_err().into_panic();
    assert_eq!(panic.downcast_ref(), Some(&Failure));
    test.assert_moved(
        r#"
        http_requests_total{method="GET",endpoint="/panics",status="500"} 1
        http_request_duration_seconds_count{method="GET",endpoint="/panics"} 1
        http_request_size_bytes_count{method="GET",endpoint="/panics"} 1
        http_panics_total{endpoint="/panics"} 1
        "#,
    );
}

#[tokio::test]
async fn paths_can_be_left_out() {
    let test = Test::new();
    let router = router()
        .route("/metrics", get(async || "figures"))
        .layer(test.layer().exclude(["/metrics"]));
    assert_eq!(exchange(&router, "GET", "/metrics").await, (StatusCode::OK, "figures".into()));
    test.assert_moved("");
}

#[tokio::test]
async fn around_a_router_the_response_can_name_the_endpoint() {
    let test = Test::new();
    let named = Router::new()
        .route("/named/{id}", get(async || (Extension(Endpoint::from_static("/named/{id}")), "a")))
        .route("/plain/{id}", get(async || "a"));
    let service = test.layer().layer(named);
    for path in ["/plain/17", "/named/x", "/nothing"] {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = service.clone().oneshot(request).await.unwrap();
        response.into_body().collect().await.unwrap();
    }
    let records = [
        record("GET", "/named/{id}", 200, 1),
        record("GET", "/plain/{id}", 200, 1),
        record("GET", "unmatched", 404, 0),
    ];
    test.assert_moved(&records.concat());
}

#[tokio::test]
async fn a_function_is_asked_before_the_router() {
    let test = Test::new();
    let router = router().layer(test.layer().endpoint(|request| {
        let matched = request.extensions.get::<axum::extract::MatchedPath>()?;
        (matched.as_str() == "/orders/{id}").then_some("/orders/{order}".into())
    }));
    exchange(&router, "GET", "/orders/17").await;
    exchange(&router, "GET", "/teapot").await;
    let records = [record("GET", "/orders/{order}", 200, 8), record("GET", "/teapot", 418, 0)];
    test.assert_moved(&records.concat());
}

#[tokio::test]
async fn a_router_in_a_server_is_recorded_over_a_socket() {
    let test = Test::new();
    let server = Server::http1(router().layer(test.layer())).await;
    for (method, path) in [
        ("GET", "/orders/17"),
        ("HEAD", "/orders/17"),
        ("GET", "/stream"),
        ("GET", "/events"),
        ("GET", "/nothing"),
        ("POST", "/stream"),
    ] {
        let text = format!("{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        assert!(server.exchange(&text).await.starts_with("HTTP/1.1 "));
    }
    server.ended().await;
    let records = [
        record("GET", "/orders/{id}", 200, 8),
        record("HEAD", "/orders/{id}", 200, 0),
        record("GET", "/stream", 200, 15),
        record("GET", "/events", 200, 18),
        record("GET", "unmatched", 404, 0),
        record("POST", "unmatched", 405, 0),
    ];
    test.assert_moved(&records.concat());
}
