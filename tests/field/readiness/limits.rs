//! Limits, buffers and balancers of tower around and inside of the layer, most of them through plain hyper.

use std::{
    convert::Infallible,
    future::ready,
    task::{Context, Poll},
    time::Duration,
};

use axum::{Router, routing::get};
use backend_metrics::Clock;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use hyper::{client, server};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::{
    io::duplex,
    task::{JoinHandle, yield_now},
    time::{Instant, advance, sleep},
};
use tower::{
    BoxError, Layer, Service, ServiceBuilder, ServiceExt, balance::p2c::Balance,
    discover::ServiceList, limit::GlobalConcurrencyLimitLayer, load::Constant, service_fn,
};

use super::Test;

/// Moves the clocks of tokio and of the instance together. Everything that happens in between is due at a hundredth
/// of a second.
async fn pass(clock: &Clock, milliseconds: u64) {
    settle().await;
    for _ in 0..milliseconds / 10 {
        let step = Duration::from_millis(10);
        clock.advance(step);
        advance(step).await;
        settle().await;
    }
}

/// Lets all tasks go as far as they can.
async fn settle() {
    for _ in 0..50 {
        yield_now().await;
    }
}

/// A service that takes 200 ms.
fn slow<B: Send + 'static>()
-> impl Service<Request<B>, Response = Response<Full<Bytes>>, Error = Infallible, Future: Send>
+ Clone
+ Send {
    service_fn(async |_| {
        sleep(Duration::from_millis(200)).await;
        Ok(Response::new(Full::default()))
    })
}

/// A request over a connection of its own, through hyper: the status, if there is one, and how long it took.
fn send<S, B>(service: &S) -> JoinHandle<(Option<u16>, Duration)>
where
    S: Service<
            Request<hyper::body::Incoming>,
            Response = Response<B>,
            Error: Into<BoxError>,
            Future: Send,
        > + Clone
        + Send
        + 'static,
    B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    let (near, far) = duplex(1 << 16);
    let service = TowerToHyperService::new(service.clone());
    tokio::spawn(server::conn::http1::Builder::new().serve_connection(TokioIo::new(far), service));
    tokio::spawn(async move {
        let begun = Instant::now();
        let (mut sender, connection) =
            client::conn::http1::handshake(TokioIo::new(near)).await.unwrap();
        let request = Request::get("/orders").body(Full::<Bytes>::default()).unwrap();
        let receive = async {
            let response = sender.send_request(request).await.ok()?;
            let status = response.status().as_u16();
            response.into_body().collect().await.ok()?;
            Some(status)
        };
        // The connection is of this task: it is closed if the task ends.
        let status = tokio::select! {
            status = receive => status,
            _ = connection => None,
        };
        (status, begun.elapsed())
    })
}

/// What the clients saw: how many got each status, and how long it took them in all.
async fn seen(clients: Vec<JoinHandle<(Option<u16>, Duration)>>) -> (Vec<Option<u16>>, Duration) {
    let (mut statuses, mut took) = (Vec::new(), Duration::ZERO);
    for client in clients {
        let (status, duration) = client.await.unwrap();
        statuses.push(status);
        took += duration;
    }
    statuses.sort_unstable();
    (statuses, took)
}

/// Ten clients come at once to a service with a limit.
async fn limited<S, B>(test: &Test, service: &S, limit: usize, took: &str)
where
    S: Service<
            Request<hyper::body::Incoming>,
            Response = Response<B>,
            Error: Into<BoxError>,
            Future: Send,
        > + Clone
        + Send
        + 'static,
    B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    let clients = (0..10).map(|_| send(service)).collect();
    pass(&test.clock, 100).await;
    test.assert_exposed(&format!(
        r#"
        http_active_requests{{endpoint="unmatched"}} {}
        http_active_requests{{endpoint="/orders"}} {limit}
        "#,
        10 - limit
    ));
    pass(&test.clock, 2_000).await;
    test.assert_exposed(&format!(
        r#"
        http_requests_total{{method="GET",endpoint="/orders",status="200"}} 10
        http_request_duration_seconds_sum{{method="GET",endpoint="/orders"}} {took}
        http_request_duration_seconds_count{{method="GET",endpoint="/orders"}} 10
        http_request_size_bytes_count{{method="GET",endpoint="/orders"}} 10
        http_response_size_bytes_count{{method="GET",endpoint="/orders"}} 10
        http_time_to_first_byte_seconds_sum{{method="GET",endpoint="/orders"}} {took}
        http_time_to_first_byte_seconds_count{{method="GET",endpoint="/orders"}} 10
        "#
    ));
    let (statuses, seen) = seen(clients).await;
    assert_eq!(statuses, [Some(200); 10]);
    assert_eq!(seen.as_secs_f64().to_string(), took);
}

#[tokio::test(start_paused = true)]
async fn the_time_behind_a_limit_of_one_is_what_the_clients_see() {
    let test = Test::new();
    let service = ServiceBuilder::new().layer(test.layer()).concurrency_limit(1).service(slow());
    limited(&test, &service, 1, "11").await;
}

#[tokio::test(start_paused = true)]
async fn the_time_behind_a_limit_of_three_is_what_the_clients_see() {
    let test = Test::new();
    let service = ServiceBuilder::new().layer(test.layer()).concurrency_limit(3).service(slow());
    limited(&test, &service, 3, "4.4").await;
}

#[tokio::test(start_paused = true)]
async fn the_time_behind_a_limit_is_what_the_clients_see_in_a_router_of_axum() {
    let test = Test::new();
    let router = Router::new()
        .route("/orders", get(async || sleep(Duration::from_millis(200)).await))
        // A global one: axum applies the layers anew for each request.
        .layer((test.layer(), GlobalConcurrencyLimitLayer::new(1)));
    limited(&test, &router, 1, "11").await;
}

#[tokio::test(start_paused = true)]
async fn clients_that_leave_while_they_wait_are_all_recorded() {
    let test = Test::new();
    let service = ServiceBuilder::new().layer(test.layer()).concurrency_limit(1).service(slow());
    let clients: Vec<_> = (0..10).map(|_| send(&service)).collect();
    pass(&test.clock, 300).await;
    clients.iter().for_each(JoinHandle::abort);
    settle().await;
    // The first was answered, and the second was called.
    test.assert_exposed(
        r#"
        http_requests_total{method="OTHER",endpoint="unmatched",status="499"} 8
        http_requests_total{method="GET",endpoint="/orders",status="200"} 1
        http_requests_total{method="GET",endpoint="/orders",status="499"} 1
        http_request_duration_seconds_sum{method="OTHER",endpoint="unmatched"} 2.4
        http_request_duration_seconds_count{method="OTHER",endpoint="unmatched"} 8
        http_request_duration_seconds_sum{method="GET",endpoint="/orders"} 0.5
        http_request_duration_seconds_count{method="GET",endpoint="/orders"} 2
        http_request_size_bytes_count{method="GET",endpoint="/orders"} 2
        http_response_size_bytes_count{method="GET",endpoint="/orders"} 1
        http_time_to_first_byte_seconds_sum{method="GET",endpoint="/orders"} 0.2
        http_time_to_first_byte_seconds_count{method="GET",endpoint="/orders"} 1
        http_requests_cancelled_total{method="OTHER",endpoint="unmatched"} 8
        http_requests_cancelled_total{method="GET",endpoint="/orders"} 1
        "#,
    );
}

#[tokio::test(start_paused = true)]
async fn shed_load_inside_of_the_layer_is_what_it_is_answered_with() {
    let test = Test::new();
    let service = ServiceBuilder::new()
        .layer(test.layer())
        .map_result(|result: Result<_, BoxError>| {
            let refused = Response::builder().status(503);
            Ok::<_, BoxError>(result.unwrap_or_else(|_| refused.body(Full::default()).unwrap()))
        })
        .load_shed()
        .concurrency_limit(1)
        .service(slow());
    let clients = (0..10).map(|_| send(&service)).collect();
    pass(&test.clock, 300).await;
    let (statuses, _) = seen(clients).await;
    assert_eq!(statuses[..], [vec![Some(200)], vec![Some(503); 9]].concat());
    test.assert_exposed(
        r#"
        http_requests_total{method="GET",endpoint="/orders",status="200"} 1
        http_requests_total{method="GET",endpoint="/orders",status="503"} 9
        http_request_duration_seconds_sum{method="GET",endpoint="/orders"} 0.2
        http_request_duration_seconds_count{method="GET",endpoint="/orders"} 10
        http_request_size_bytes_count{method="GET",endpoint="/orders"} 10
        http_response_size_bytes_count{method="GET",endpoint="/orders"} 10
        http_time_to_first_byte_seconds_sum{method="GET",endpoint="/orders"} 0.2
        http_time_to_first_byte_seconds_count{method="GET",endpoint="/orders"} 10
        "#,
    );
}

#[tokio::test(start_paused = true)]
async fn load_is_shed_outside_of_the_layer_and_looks_like_clients_that_left() {
    let test = Test::new();
    let service =
        ServiceBuilder::new().load_shed().layer(test.layer()).concurrency_limit(1).service(slow());
    let clients = (0..10).map(|_| send(&service)).collect();
    pass(&test.clock, 300).await;
    let (statuses, _) = seen(clients).await;
    assert_eq!(statuses[..], [vec![None; 9], vec![Some(200)]].concat());
    test.assert_exposed(
        r#"
        http_requests_total{method="OTHER",endpoint="unmatched",status="499"} 9
        http_requests_total{method="GET",endpoint="/orders",status="200"} 1
        http_request_duration_seconds_count{method="OTHER",endpoint="unmatched"} 9
        http_request_duration_seconds_sum{method="GET",endpoint="/orders"} 0.2
        http_request_duration_seconds_count{method="GET",endpoint="/orders"} 1
        http_request_size_bytes_count{method="GET",endpoint="/orders"} 1
        http_response_size_bytes_count{method="GET",endpoint="/orders"} 1
        http_time_to_first_byte_seconds_sum{method="GET",endpoint="/orders"} 0.2
        http_time_to_first_byte_seconds_count{method="GET",endpoint="/orders"} 1
        http_requests_cancelled_total{method="OTHER",endpoint="unmatched"} 9
        "#,
    );
}

/// A service whose database is gone, say.
#[derive(Clone)]
struct Gone;

impl<B> Service<Request<B>> for Gone {
    type Response = Response<Full<Bytes>>;
    type Error = BoxError;
    type Future = std::future::Ready<Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Err("it is gone".into()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        ready(Err("it is gone".into()))
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_behind_a_buffer_is_a_500_for_each_request() {
    let test = Test::new();
    let service = ServiceBuilder::new().layer(test.layer()).buffer(4).service(Gone);
    // Four are in the buffer when its worker fails, and find out by their responses.
    let clients = (0..20).map(|_| send(&service)).collect();
    pass(&test.clock, 100).await;
    let (statuses, _) = seen(clients).await;
    assert_eq!(statuses, [None; 20]);
    test.assert_exposed(
        r#"
        http_requests_total{method="OTHER",endpoint="unmatched",status="500"} 16
        http_requests_total{method="GET",endpoint="/orders",status="500"} 4
        http_request_duration_seconds_count{method="OTHER",endpoint="unmatched"} 16
        http_request_duration_seconds_count{method="GET",endpoint="/orders"} 4
        http_request_size_bytes_count{method="GET",endpoint="/orders"} 4
        application_errors_total{error_type="handler_error",severity="error"} 20
        "#,
    );
}

const HOUR: u64 = 3_600_000;

/// Asserts that two requests, an hour from each other, took 200 ms each.
#[track_caller]
fn assert_idle(test: &Test, series: &str) {
    let text = test.metrics.to_text();
    for expected in [
        format!("{series}_sum{{{}}} 0.4\n", labels(series)),
        format!("{series}_count{{{}}} 2\n", labels(series)),
    ] {
        assert!(text.contains(&expected), "{expected}{text}");
    }
}

fn labels(series: &str) -> &'static str {
    if series.starts_with("http_client") {
        r#"upstream="ticker",method="GET""#
    } else {
        r#"method="GET",endpoint="/orders""#
    }
}

/// Sends a request, lets an hour pass, and sends another.
async fn twice<S, B>(test: &Test, service: &mut S)
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error: std::fmt::Debug>,
{
    for _ in 0..2 {
        let request = Request::get("/orders").body(Full::default()).unwrap();
        let clock = test.clock.clone();
        let passes = async {
            pass(&clock, 200).await;
        };
        let answered = async { drop(service.ready().await.unwrap().call(request).await.unwrap()) };
        tokio::join!(answered, passes);
        test.clock.advance(Duration::from_millis(HOUR));
        advance(Duration::from_millis(HOUR)).await;
        settle().await;
    }
}

#[tokio::test(start_paused = true)]
async fn idleness_between_requests_is_no_latency_in_a_buffer() {
    let test = Test::new();
    let inside = ServiceBuilder::new().layer(test.layer()).buffer(4).concurrency_limit(1);
    twice(&test, &mut inside.service(slow())).await;
    assert_idle(&test, "http_request_duration_seconds");

    let test = Test::new();
    let outside = ServiceBuilder::new().buffer(4).layer(test.layer()).concurrency_limit(1);
    twice(&test, &mut outside.service(slow())).await;
    assert_idle(&test, "http_request_duration_seconds");
}

#[tokio::test(start_paused = true)]
async fn idleness_between_requests_is_no_latency_in_a_balancer() {
    let test = Test::new();
    let endpoints = || [Constant::new(slow(), 0), Constant::new(slow(), 0)];
    let balance = Balance::new(ServiceList::new::<Request<Full<Bytes>>>(endpoints()));
    twice(&test, &mut test.client().layer(balance)).await;
    assert_idle(&test, "http_client_request_duration_seconds");

    let test = Test::new();
    let endpoints =
        [slow(), slow()].map(|endpoint| Constant::new(test.client().layer(endpoint), 0));
    let mut balance = Balance::new(ServiceList::new::<Request<Full<Bytes>>>(endpoints));
    // It asks both whether they are ready, long before there is a request.
    assert!(balance.ready().await.is_ok());
    test.clock.advance(Duration::from_millis(HOUR));
    twice(&test, &mut balance).await;
    assert_idle(&test, "http_client_request_duration_seconds");
}

#[tokio::test(start_paused = true)]
async fn the_time_behind_a_limit_is_that_of_an_upstream_too() {
    let test = Test::new();
    let client = ServiceBuilder::new().layer(test.client()).concurrency_limit(1).service(slow());
    let requests: Vec<_> = (0..10)
        .map(|_| {
            let request = Request::get("/quotes").body(Full::<Bytes>::default()).unwrap();
            let client = client.clone();
            tokio::spawn(async { drop(client.oneshot(request).await.unwrap()) })
        })
        .collect();
    pass(&test.clock, 100).await;
    test.assert_exposed(r#"http_client_active_requests{upstream="ticker"} 10"#);
    pass(&test.clock, 200).await;
    requests.iter().for_each(JoinHandle::abort);
    settle().await;
    test.assert_exposed(
        r#"
        http_client_requests_total{upstream="ticker",method="GET",status="200"} 1
        http_client_requests_total{upstream="ticker",method="GET",status="error"} 1
        http_client_requests_total{upstream="ticker",method="OTHER",status="error"} 8
        http_client_request_duration_seconds_sum{upstream="ticker",method="GET"} 0.5
        http_client_request_duration_seconds_count{upstream="ticker",method="GET"} 2
        http_client_request_duration_seconds_sum{upstream="ticker",method="OTHER"} 2.4
        http_client_request_duration_seconds_count{upstream="ticker",method="OTHER"} 8
        "#,
    );
}
