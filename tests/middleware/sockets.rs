//! The layer in a hyper server, HTTP/1 over a socket.

use std::convert::Infallible;

use http::{
    Method, Request, Response, StatusCode,
    header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, TRAILER, UPGRADE},
};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower::{Layer, service_fn};

use crate::{
    exposed::{Scrape, Test},
    scripted::{Plan, Scripted, Step::*},
    server::{Server, read_to_end, read_until},
};

/// What a request without a body comes to, as far as all outcomes go alike.
fn record(method: &str, endpoint: &str, status: u16) -> String {
    format!(
        r#"
        http_requests_total{{method="{method}",endpoint="{endpoint}",status="{status}"}} 1
        http_request_duration_seconds_count{{method="{method}",endpoint="{endpoint}"}} 1
        http_request_size_bytes_count{{method="{method}",endpoint="{endpoint}"}} 1
        "#
    )
}

/// What its response comes to: the head, and so many bytes.
fn response(method: &str, endpoint: &str, bytes: usize) -> String {
    let sum = match bytes {
        0 => String::new(),
        _ => format!(
            r#"http_response_size_bytes_sum{{method="{method}",endpoint="{endpoint}"}} {bytes}"#
        ),
    };
    format!(
        r#"
        http_time_to_first_byte_seconds_count{{method="{method}",endpoint="{endpoint}"}} 1
        http_response_size_bytes_count{{method="{method}",endpoint="{endpoint}"}} 1
        {sum}
        "#
    )
}

#[tokio::test]
async fn a_body_that_hyper_drops_after_its_last_byte_is_complete() {
    for (plan, bytes) in [
        (Plan::ok(), 0),
        (Plan::ok().sized(), 0),
        (Plan::ok().tells_end(), 0),
        (Plan::ok().body([Data(10), Data(5)]), 15),
        (Plan::ok().body([Data(10), Yields, Data(5)]).sized(), 15),
        (Plan::ok().body([Data(10), Yields, Data(5)]).header(CONTENT_LENGTH, "15"), 15),
        (Plan::ok().body([Data(10), Data(5)]).tells_end(), 15),
        (Plan::ok().body([Data(10), Trailers]), 10),
        (Plan::ok().body([Data(10), Trailers]).header(TRAILER, "checksum"), 10),
        (Plan::ok().body([Data(10), Trailers]).tells_end(), 10),
        (Plan::ok().body([Data(10), Trailers]).sized(), 10),
        (Plan::ok().body([Data(1_000_000), Data(1_000_000)]).sized(), 2_000_000),
    ] {
        for version in ["1.0", "1.1"] {
            let test = Test::new();
            let answers = crate::scripted::Answers { clock: test.clock.clone() };
            let plan = plan.clone();
            let answering = service_fn(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(plan.clone());
                tower::Service::call(&mut answers.clone(), request)
            });
            let server = Server::http1(test.layer().layer(answering)).await;
            let text = format!(
                "GET /a HTTP/{version}\r\nHost: a\r\nTE: trailers\r\nConnection: close\r\n\r\n"
            );
            let answer = server.exchange(&text).await;
            assert!(answer.starts_with(&format!("HTTP/{version} 200 OK\r\n")), "{answer}");
            // The last byte has been read: the record was made before.
            test.assert_moved(&(record("GET", "/a", 200) + &response("GET", "/a", bytes)));
            server.ended().await;
            test.assert_moved(&(record("GET", "/a", 200) + &response("GET", "/a", bytes)));
        }
    }
}

#[tokio::test]
async fn requests_one_after_the_other_on_a_connection_are_all_recorded() {
    let test = Test::new();
    let server = Server::planned(&test, |_| Plan::ok().body([Data(10)]).sized()).await;
    let one = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n";
    let last = "GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    server.exchange(&(one.repeat(9) + last)).await;
    server.ended().await;
    test.assert_moved(
        r#"
        http_requests_total{method="GET",endpoint="/a",status="200"} 10
        http_request_duration_seconds_count{method="GET",endpoint="/a"} 10
        http_request_size_bytes_count{method="GET",endpoint="/a"} 10
        http_time_to_first_byte_seconds_count{method="GET",endpoint="/a"} 10
        http_response_size_bytes_count{method="GET",endpoint="/a"} 10
        http_response_size_bytes_sum{method="GET",endpoint="/a"} 100
        "#,
    );
}

#[tokio::test]
async fn responses_that_have_no_body_are_complete() {
    for (method, status) in [("HEAD", 200), ("GET", 204), ("GET", 304), ("DELETE", 204)] {
        let test = Test::new();
        let server = Server::planned(&test, |request| match request.uri().path() {
            "/200" => Plan::ok().body([Data(10), Hangs]).header(CONTENT_LENGTH, "10"),
            "/204" => Plan::status(204).body([Hangs]),
            _ => Plan::status(304).body([Data(10), Hangs]).header(CONTENT_LENGTH, "10"),
        })
        .await;
        let text = format!("{method} /{status} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let answer = server.exchange(&text).await;
        assert!(answer.ends_with("\r\n\r\n"), "{answer}");
        server.ended().await;
        // Known by the first segment, which is a number.
        let endpoint = if status == 304 { "unmatched" } else { "/{id}" };
        test.assert_moved(&(record(method, endpoint, status) + &response(method, endpoint, 0)));
    }
}

#[tokio::test]
async fn a_handler_that_fails_or_panics_is_500() {
    let test = Test::new();
    let server = Server::planned(&test, |request| match request.uri().path() {
        "/fails" => Plan::ok().before([Yields, Fails]),
        "/panics" => Plan::ok().before([Yields, Panics]),
        _ => Plan::panics_in_call(),
    })
    .await;
    for path in ["/fails", "/panics", "/panics-at-once"] {
        assert_eq!(server.exchange(&format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await, "");
    }
    server.ended().await;
    test.assert_moved(
        r#"
        http_requests_total{method="GET",endpoint="unmatched",status="500"} 3
        http_request_duration_seconds_count{method="GET",endpoint="unmatched"} 3
        http_request_size_bytes_count{method="GET",endpoint="unmatched"} 3
        application_errors_total{error_type="handler_error",severity="error"} 1
        http_panics_total{endpoint="unmatched"} 2
        "#,
    );
}

#[tokio::test]
async fn a_body_that_fails_or_panics_keeps_its_status() {
    let test = Test::new();
    let server = Server::planned(&test, |request| match request.uri().path() {
        "/fails" => Plan::ok().body([Data(10), Yields, Fails]),
        _ => Plan::ok().body([Data(10), Yields, Panics]),
    })
    .await;
    for path in ["/fails", "/panics"] {
        let answer = server.exchange(&format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        assert!(!answer.ends_with("\r\n0\r\n\r\n"), "{answer}");
    }
    server.ended().await;
    let records =
        ["/fails", "/panics"].map(|path| record("GET", path, 200) + &response("GET", path, 10));
    test.assert_moved(&format!(
        r#"{}
        application_errors_total{{error_type="response_body_error",severity="error"}} 1
        http_panics_total{{endpoint="/panics"}} 1
        "#,
        records.concat()
    ));
}

#[tokio::test]
async fn a_client_that_goes_away_is_499() {
    let test = Test::new();
    let server = Server::planned(&test, |request| match request.uri().path() {
        "/before-the-head" => Plan::ok().before([Hangs]),
        "/before-the-body" => Plan::ok().body([Hangs]),
        "/sized" => Plan::ok().body([Data(10), Hangs, Data(10)]).sized(),
        _ => Plan::ok().body([Data(10), Hangs]),
    })
    .await;
    let stream = server.send("GET /before-the-head HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let active = r#"http_active_requests{endpoint="unmatched"}"#;
    while test.series(active) != Some(1.0) {
        tokio::task::yield_now().await;
    }
    drop(stream);
    let mut stream = server.send("GET /before-the-body HTTP/1.1\r\nHost: a\r\n\r\n").await;
    read_until(&mut stream, "\r\n\r\n").await;
    drop(stream);
    for path in ["/sized", "/chunked"] {
        let mut stream = server.send(&format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        read_until(&mut stream, "xxxxxxxxxx").await;
        assert!(test.series(active) >= Some(1.0));
    }
    server.ended().await;
    let mut expected = record("GET", "unmatched", 499)
        + r#"http_requests_cancelled_total{method="GET",endpoint="unmatched"} 1"#;
    for (path, bytes) in [("/before-the-body", 0), ("/sized", 10), ("/chunked", 10)] {
        expected += &record("GET", path, 499);
        expected += &response("GET", path, bytes);
        expected +=
            &format!(r#"http_requests_cancelled_total{{method="GET",endpoint="{path}"}} 1"#);
    }
    test.assert_moved(&expected);
}

/// Hands the connection over, and gives back what comes.
async fn upgrade(mut request: Request<Incoming>) -> Result<Response<Empty<Bytes>>, Infallible> {
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let mut stream = TokioIo::new(upgraded.await.unwrap());
        let mut bytes = [0; 4];
        while stream.read_exact(&mut bytes).await.is_ok() {
            stream.write_all(&bytes).await.unwrap();
        }
    });
    let mut response = Response::new(Empty::new());
    if request.method() != Method::CONNECT {
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        response.headers_mut().insert(CONNECTION, "upgrade".parse().unwrap());
        response.headers_mut().insert(UPGRADE, "echo".parse().unwrap());
    }
    Ok(response)
}

#[tokio::test]
async fn an_upgrade_ends_with_its_head_while_the_session_goes_on() {
    for (text, method, endpoint, status) in [
        (
            "GET /session HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n",
            "GET",
            "unmatched",
            101,
        ),
        ("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", "CONNECT", "unmatched", 200),
    ] {
        let test = Test::new();
        let server = Server::http1(test.layer().layer(service_fn(upgrade))).await;
        let mut stream = server.send(text).await;
        read_until(&mut stream, "\r\n\r\n").await;
        let head = format!(
            r#"http_time_to_first_byte_seconds_count{{method="{method}",endpoint="{endpoint}"}} 1"#
        );
        let expected = record(method, endpoint, status) + &head;
        test.assert_moved(&expected);
        for _ in 0..3 {
            stream.write_all(b"ping").await.unwrap();
            read_until(&mut stream, "ping").await;
        }
        drop(stream);
        server.ended().await;
        test.assert_moved(&expected);
    }
}

#[tokio::test]
async fn a_stream_of_events_is_in_flight_until_its_client_leaves() {
    let test = Test::new();
    let server = Server::planned(&test, |_| {
        Plan::ok()
            .before([Takes(30)])
            .body([Data(10), Hangs])
            .header(CONTENT_TYPE, "text/event-stream")
    })
    .await;
    let mut stream = server.send("GET /events HTTP/1.1\r\nHost: a\r\n\r\n").await;
    read_until(&mut stream, "xxxxxxxxxx").await;
    test.advance(3_600_000);
    test.assert_moved(r#"http_active_requests{endpoint="unmatched"} 1"#);
    drop(stream);
    server.ended().await;
    test.assert_moved(&format!(
        r#"{}{}
        http_request_duration_seconds_sum{{method="GET",endpoint="/events"}} 0.03
        http_time_to_first_byte_seconds_sum{{method="GET",endpoint="/events"}} 0.03
        "#,
        record("GET", "/events", 200),
        response("GET", "/events", 10),
    ));
}

#[tokio::test]
async fn a_content_length_of_a_response_that_lies_makes_one_record() {
    let test = Test::new();
    let server = Server::planned(&test, |request| match request.uri().path() {
        "/long" => Plan::ok().body([Data(10), Yields]).header(CONTENT_LENGTH, "1000"),
        _ => Plan::ok().body([Data(10), Data(10), Data(10)]).header(CONTENT_LENGTH, "15"),
    })
    .await;
    for (path, bytes) in [("/long", 10), ("/short", 15)] {
        let answer = server
            .exchange(&format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))
            .await;
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        assert_eq!(body.len(), bytes);
    }
    server.ended().await;
    let records = [("/long", 10), ("/short", 15)]
        .map(|(path, bytes)| record("GET", path, 200) + &response("GET", path, bytes));
    test.assert_moved(&records.concat());
}

/// Reads the request to its end before it answers.
async fn upload(request: Request<Incoming>) -> Result<Response<Scripted>, hyper::Error> {
    request.into_body().collect().await?;
    Ok(Response::new(Scripted::sized(10)))
}

#[tokio::test]
async fn the_size_of_a_request_is_what_its_head_announces() {
    let test = Test::new();
    let server = Server::http1(test.layer().layer(service_fn(upload))).await;
    for text in [
        "POST /sized HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
        "POST /chunked HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
         5\r\nhello\r\n0\r\n\r\n",
        "POST /empty HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    ] {
        assert!(server.exchange(text).await.starts_with("HTTP/1.1 200 OK\r\n"));
    }
    server.ended().await;
    let size = |path: &str, of: &str| {
        test.series(&format!(r#"http_request_size_bytes_{of}{{method="POST",endpoint="{path}"}}"#))
    };
    assert_eq!((size("/sized", "count"), size("/sized", "sum")), (Some(1.0), Some(5.0)));
    assert_eq!((size("/chunked", "count"), size("/chunked", "sum")), (None, None));
    assert_eq!((size("/empty", "count"), size("/empty", "sum")), (Some(1.0), Some(0.0)));
    assert_eq!(Scrape::of(test.metrics).sum("http_requests_total"), 3.0);
}

#[tokio::test]
async fn a_content_length_of_a_request_that_lies_makes_one_record() {
    for text in [
        // More is announced than comes.
        "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nhello",
        // Less is: what remains is no request.
        "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello, world\r\n\r\n",
        // A chunk is longer than it says.
        "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n0\r\n\r\n",
    ] {
        let test = Test::new();
        let server = Server::http1(test.layer().layer(service_fn(upload))).await;
        let mut stream = server.send(text).await;
        stream.shutdown().await.unwrap();
        read_to_end(&mut stream).await;
        drop(stream);
        server.ended().await;
        let scrape = Scrape::of(test.metrics);
        assert_eq!(scrape.sum("http_requests_total"), 1.0);
        assert_eq!(scrape.sum("http_request_duration_seconds_count"), 1.0);
        assert_eq!(scrape.sum("http_active_requests"), 0.0);
    }
}

#[tokio::test]
async fn what_hyper_refuses_is_no_request() {
    let test = Test::new();
    let server = Server::http1(test.layer().layer(service_fn(upload))).await;
    for text in [
        "hello\r\n\r\n",
        "\0\u{1}\u{2}\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: ten\r\n\r\n",
        "G\u{e9}T / HTTP/1.1\r\n\r\n",
        "GET /unfinished HTTP/1.1\r\n",
        "",
    ] {
        let mut stream = server.send(text).await;
        stream.shutdown().await.unwrap();
        read_to_end(&mut stream).await;
    }
    server.ended().await;
    test.assert_moved("");
}

#[tokio::test]
async fn an_unknown_method_and_a_long_path_are_bounded() {
    let test = Test::new();
    let server = Server::planned(&test, |_| Plan::status(204)).await;
    let long = format!("/{}", "x".repeat(10_000));
    server
        .exchange(&format!("BREW-42 {long} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))
        .await;
    server.ended().await;
    let endpoint = &long[..128];
    test.assert_moved(&(record("OTHER", endpoint, 204) + &response("OTHER", endpoint, 0)));
}
