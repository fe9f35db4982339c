//! A request that is dropped from outside is 499, whoever dropped it.

use std::{
    convert::Infallible,
    future::pending,
    task::{Context, Poll},
    time::Duration,
};

use backend_metrics::{
    Metrics,
    middleware::{ClientLayer, MetricsLayer},
};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{Method, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper_util::rt::TokioIo;
use tonic::{
    Code, Status,
    body::Body as GrpcBody,
    server::NamedService,
    transport::{Channel, Endpoint, Server},
};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_http::timeout::{ResponseBodyTimeoutLayer, TimeoutLayer};

const TIMEOUT: Duration = Duration::from_secs(1);

/// The samples of these families that are not 0, in the order of exposition.
fn counted(metrics: Metrics, families: &[&str]) -> Vec<String> {
    let text = metrics.to_text();
    let is_counted = |line: &&str| {
        let family = line.split(['{', ' ']).next().unwrap_or_default();
        families.contains(&family) && !line.ends_with(" 0")
    };
    text.lines().filter(is_counted).map(str::to_owned).collect()
}

fn served(metrics: Metrics) -> Vec<String> {
    let families = [
        "http_requests_total",
        "http_active_requests",
        "http_requests_cancelled_total",
        "application_errors_total",
    ];
    counted(metrics, &families)
}

fn called(metrics: Metrics) -> Vec<String> {
    counted(metrics, &["http_client_requests_total", "http_client_active_requests"])
}

/// Takes the path for the endpoint.
fn layer(metrics: Metrics) -> MetricsLayer {
    MetricsLayer::new(metrics).endpoint(|request| Some(request.uri.path().into()))
}

/// A service that never answers.
#[derive(Clone)]
struct Hangs;

impl NamedService for Hangs {
    const NAME: &'static str = "orders.Orders";
}

impl<B> Service<Request<B>> for Hangs {
    type Response = Response<GrpcBody>;
    type Error = Infallible;
    type Future = std::future::Pending<Result<Response<GrpcBody>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        pending()
    }
}

/// A client of a server of tonic, with the layer where tonic puts it, in memory.
async fn grpc(metrics: Metrics, timeout: Option<Duration>, endpoint: Endpoint) -> Channel {
    let (client, server) = tokio::io::duplex(64 * 1024);
    let mut builder = Server::builder().layer(layer(metrics));
    if let Some(timeout) = timeout {
        builder = builder.timeout(timeout);
    }
    let incoming = stream::iter([Ok::<_, Infallible>(server)]).chain(stream::pending());
    tokio::spawn(builder.add_service(Hangs).serve_with_incoming(incoming));
    let mut client = Some(TokioIo::new(client));
    let connect = service_fn(move |_| std::future::ready(client.take().ok_or("connected before")));
    endpoint.connect_with_connector(connect).await.unwrap()
}

fn call() -> Request<GrpcBody> {
    Request::post("http://orders/orders.Orders/Get")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(GrpcBody::empty())
        .unwrap()
}

fn endpoint() -> Endpoint {
    Endpoint::from_static("http://orders")
}

fn order() -> Request<Full<Bytes>> {
    Request::get("/orders").body(Full::default()).unwrap()
}

/// What is counted of a call of [`Hangs`] that was dropped.
const DROPPED_CALL: [&str; 2] = [
    r#"http_requests_total{method="POST",endpoint="/orders.Orders/Get",status="499"} 1"#,
    r#"http_requests_cancelled_total{method="POST",endpoint="/orders.Orders/Get"} 1"#,
];

#[tokio::test(start_paused = true)]
async fn a_timeout_of_a_tonic_server_is_499() {
    let metrics = Metrics::new();
    let channel = grpc(metrics, Some(TIMEOUT), endpoint()).await;
    let response = channel.oneshot(call()).await.unwrap();
    let status = Status::from_header_map(response.headers()).unwrap();
    assert_eq!((status.code(), status.message()), (Code::Cancelled, "Timeout expired"));
    assert_eq!(served(metrics), DROPPED_CALL);
}

#[tokio::test(start_paused = true)]
async fn so_is_the_deadline_that_a_client_of_it_sends() {
    let metrics = Metrics::new();
    let channel = grpc(metrics, None, endpoint()).await;
    let mut call = call();
    call.headers_mut().insert("grpc-timeout", "500m".parse().unwrap());
    // The client has the same deadline, and a request that it gives up.
    drop(channel.oneshot(call).await);
    tokio::time::sleep(TIMEOUT).await;
    assert_eq!(served(metrics), DROPPED_CALL);
}

/// A service in the layer that never answers, with a timeout that has a status around it or in it.
#[tokio::test(start_paused = true)]
async fn a_timeout_outside_of_the_layer_is_499_and_one_inside_has_its_status() {
    let timeout = TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, TIMEOUT);

    let metrics = Metrics::new();
    let service = ServiceBuilder::new().layer(timeout).layer(layer(metrics)).service(Hangs);
    let answered = service.oneshot(order()).await.unwrap();
    assert_eq!(answered.status(), StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(
        served(metrics),
        [
            r#"http_requests_total{method="GET",endpoint="/orders",status="499"} 1"#,
            r#"http_requests_cancelled_total{method="GET",endpoint="/orders"} 1"#,
        ]
    );

    let metrics = Metrics::new();
    let service = ServiceBuilder::new().layer(layer(metrics)).layer(timeout).service(Hangs);
    let answered = service.oneshot(order()).await.unwrap();
    assert_eq!(answered.status(), StatusCode::GATEWAY_TIMEOUT);
    answered.into_body().collect().await.unwrap();
    assert_eq!(
        served(metrics),
        [r#"http_requests_total{method="GET",endpoint="/orders",status="504"} 1"#]
    );
}

/// A timeout of tower is an error in place of a response.
#[tokio::test(start_paused = true)]
async fn a_timeout_that_fails_outside_of_the_layer_is_499_and_one_inside_is_500() {
    let timeout = tower::timeout::TimeoutLayer::new(TIMEOUT);

    let metrics = Metrics::new();
    let service = ServiceBuilder::new().layer(timeout.clone()).layer(layer(metrics)).service(Hangs);
    assert!(service.oneshot(order()).await.unwrap_err().is::<tower::timeout::error::Elapsed>());
    assert_eq!(
        served(metrics),
        [
            r#"http_requests_total{method="GET",endpoint="/orders",status="499"} 1"#,
            r#"http_requests_cancelled_total{method="GET",endpoint="/orders"} 1"#,
        ]
    );

    let metrics = Metrics::new();
    let service = ServiceBuilder::new().layer(layer(metrics)).layer(timeout).service(Hangs);
    service.oneshot(order()).await.unwrap_err();
    assert_eq!(
        served(metrics),
        [
            r#"http_requests_total{method="GET",endpoint="/orders",status="500"} 1"#,
            r#"application_errors_total{error_type="handler_error",severity="error"} 1"#,
        ]
    );
}

/// The body has a timeout of its own, after a head of 200.
#[tokio::test(start_paused = true)]
async fn a_body_that_runs_into_a_timeout_outside_is_499_and_inside_an_error() {
    let timeout = ResponseBodyTimeoutLayer::new(TIMEOUT);
    let answers = || {
        service_fn(async |_: Request<Full<Bytes>>| {
            let first = Frame::data(Bytes::from_static(b"an order"));
            let frames = stream::iter([Ok::<_, Infallible>(first)]).chain(stream::pending());
            Ok::<_, Infallible>(Response::new(StreamBody::new(frames)))
        })
    };

    let metrics = Metrics::new();
    let service =
        ServiceBuilder::new().layer(timeout.clone()).layer(layer(metrics)).service(answers());
    let response = service.oneshot(order()).await.unwrap();
    response.into_body().collect().await.unwrap_err();
    assert_eq!(
        served(metrics),
        [
            r#"http_requests_total{method="GET",endpoint="/orders",status="499"} 1"#,
            r#"http_requests_cancelled_total{method="GET",endpoint="/orders"} 1"#,
        ]
    );

    let metrics = Metrics::new();
    let service = ServiceBuilder::new().layer(layer(metrics)).layer(timeout).service(answers());
    let response = service.oneshot(order()).await.unwrap();
    response.into_body().collect().await.unwrap_err();
    assert_eq!(
        served(metrics),
        [
            r#"http_requests_total{method="GET",endpoint="/orders",status="200"} 1"#,
            r#"application_errors_total{error_type="response_body_error",severity="error"} 1"#,
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_timeout_around_the_layer_of_a_client_is_an_error_as_one_inside_is() {
    // tower's, around the layer: the request is dropped.
    let (server, metrics) = (Metrics::new(), Metrics::new());
    let client = ServiceBuilder::new()
        .timeout(TIMEOUT)
        .layer(ClientLayer::new(metrics, "orders"))
        .service(grpc(server, None, endpoint()).await);
    assert!(client.oneshot(call()).await.unwrap_err().is::<tower::timeout::error::Elapsed>());
    let error = [r#"http_client_requests_total{upstream="orders",method="POST",status="error"} 1"#];
    assert_eq!(called(metrics), error);
    // The server sees a client that left.
    tokio::time::sleep(TIMEOUT).await;
    assert_eq!(served(server), DROPPED_CALL);

    // tonic's, inside of the layer: the request fails.
    let (server, metrics) = (Metrics::new(), Metrics::new());
    let channel = grpc(server, None, endpoint().timeout(TIMEOUT)).await;
    ClientLayer::new(metrics, "orders").layer(channel).oneshot(call()).await.unwrap_err();
    assert_eq!(called(metrics), error);
}

#[test]
fn the_help_says_who_drops_a_request() {
    let metrics = Metrics::new();
    drop(metrics.start_http_request(&Method::GET, "/orders"));
    let text = metrics.to_text();
    let help = text.lines().find(|line| line.starts_with("# HELP http_requests_cancelled_total "));
    assert_eq!(
        help.unwrap(),
        "# HELP http_requests_cancelled_total Requests dropped before the end of the response: by the client or a timeout further out"
    );
}
