//! What the documentation says of bodies, allocation and limits.

use std::{convert::Infallible, future::ready, time::Duration};

use backend_metrics::{Clock, Metrics, middleware::MetricsLayer};
use bytes::Bytes;
use futures_util::stream;
use http::{Method, Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{Full, StreamBody};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower::{Layer, service_fn};

const SIZE: usize = 20_000_000;

/// The samples of the HTTP families, without buckets and zeros, after a client of hyper has taken a thousand bytes of
/// the body, waited a second and left.
async fn leaves_early<B>(body: fn() -> B) -> Vec<String>
where
    B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    let clock = Clock::manual();
    let metrics = Metrics::builder().clock(clock.clone()).build().unwrap();
    let answer = service_fn(move |_: Request<Incoming>| {
        ready(Ok::<_, Infallible>(Response::new(Box::pin(body()))))
    });
    let layer = MetricsLayer::new(metrics).endpoint(|_| Some("/orders".into()));
    let service = TowerToHyperService::new(layer.layer(answer));
    let (mut client, server) = tokio::io::duplex(1_000);
    let connection = http1::Builder::new().serve_connection(TokioIo::new(server), service);
    let connection = tokio::spawn(connection);
    client.write_all(b"GET /orders HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    client.read_exact(&mut [0; 1_000]).await.unwrap();
    tokio::task::yield_now().await;
    clock.advance(Duration::from_secs(1));
    drop(client);
    connection.await.unwrap().unwrap_err();
    let text = metrics.to_text();
    let is_recorded = |line: &&str| {
        line.starts_with("http_") && !line.contains("_bucket{") && !line.ends_with(" 0")
    };
    text.lines().filter(is_recorded).map(str::to_owned).collect()
}

#[tokio::test]
async fn a_body_of_one_frame_is_over_when_the_server_has_it() {
    let whole = || Full::new(Bytes::from(vec![0; SIZE]));
    assert_eq!(
        leaves_early(whole).await,
        [
            r#"http_requests_total{method="GET",endpoint="/orders",status="200"} 1"#,
            r#"http_request_duration_seconds_count{method="GET",endpoint="/orders"} 1"#,
            r#"http_request_size_bytes_count{method="GET",endpoint="/orders"} 1"#,
            r#"http_response_size_bytes_sum{method="GET",endpoint="/orders"} 20000000"#,
            r#"http_response_size_bytes_count{method="GET",endpoint="/orders"} 1"#,
            r#"http_time_to_first_byte_seconds_count{method="GET",endpoint="/orders"} 1"#,
        ]
    );
}

#[tokio::test]
async fn a_body_of_many_frames_is_followed_until_the_client_leaves() {
    let frames = || {
        let frame = || Ok(Frame::data(Bytes::from(vec![0; SIZE / 2_000])));
        StreamBody::new(stream::iter((0..2_000).map(move |_| frame())))
    };
    assert_eq!(
        leaves_early(frames).await,
        [
            r#"http_requests_total{method="GET",endpoint="/orders",status="499"} 1"#,
            r#"http_request_duration_seconds_sum{method="GET",endpoint="/orders"} 1"#,
            r#"http_request_duration_seconds_count{method="GET",endpoint="/orders"} 1"#,
            r#"http_request_size_bytes_count{method="GET",endpoint="/orders"} 1"#,
            // The client had a thousand: hyper takes 16 frames before it waits.
            r#"http_response_size_bytes_sum{method="GET",endpoint="/orders"} 160000"#,
            r#"http_response_size_bytes_count{method="GET",endpoint="/orders"} 1"#,
            r#"http_time_to_first_byte_seconds_count{method="GET",endpoint="/orders"} 1"#,
            r#"http_requests_cancelled_total{method="GET",endpoint="/orders"} 1"#,
        ]
    );
}

#[test]
fn the_help_says_what_of_a_body_is_counted() {
    let metrics = Metrics::new();
    metrics.track_http_request(&Method::GET, "/", StatusCode::OK, Duration::ZERO, (0, 0));
    let text = metrics.to_text();
    for help in [
        "# HELP http_request_duration_seconds Time from the request until the server has taken the whole response\n",
        "# HELP http_response_size_bytes Size of response bodies as far as the server has taken them\n",
    ] {
        assert!(text.contains(help), "{help}");
    }
}

/// `Builder::label_cap` says so.
#[test]
fn an_endpoint_is_2_lines_a_method_of_it_47_and_a_status_of_that_one() {
    let metrics = Metrics::new();
    let mut lines = Vec::new();
    let (get, post) = (&Method::GET, &Method::POST);
    for (method, status) in
        [(get, StatusCode::OK), (get, StatusCode::NOT_FOUND), (post, StatusCode::OK)]
    {
        metrics.track_http_request(method, "/orders", status, Duration::ZERO, (1, 1));
        let mut request = metrics.start_http_request(method, "/orders");
        request.head(status);
        request.end();
        lines.push(metrics.to_text().lines().filter(|line| line.contains("\"/orders\"")).count());
    }
    assert_eq!(lines, [2 + 47 + 1, 2 + 47 + 2, 2 + 2 * 47 + 3]);
}
