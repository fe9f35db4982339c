//! The layer in a hyper server, HTTP/2 over a socket.

use http::{Request, StatusCode, header::CONTENT_LENGTH};
use http_body_util::{BodyExt, Empty};
use hyper::{
    body::{Bytes, Incoming},
    client::conn::http2::{SendRequest, handshake},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use crate::{
    exposed::Test,
    scripted::{Plan, Step::*},
    server::{Server, Tasks},
};

async fn connect(server: &Server) -> SendRequest<Empty<Bytes>> {
    let stream = TcpStream::connect(server.address).await.unwrap();
    let (client, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    client
}

fn plan(request: &Request<Incoming>) -> Plan {
    match request.uri().path() {
        "/empty" => Plan::ok().sized(),
        "/sized" => Plan::ok().body([Data(10), Yields, Data(5)]).sized(),
        "/announced" => Plan::ok().body([Data(10), Data(5)]).header(CONTENT_LENGTH, "15"),
        "/streaming" => Plan::ok().body([Data(10), Yields, Data(5)]),
        "/tells-end" => Plan::ok().body([Data(10), Data(5)]).tells_end(),
        "/trailers" => Plan::ok().body([Data(10), Data(5), Trailers]),
        "/hangs" => Plan::ok().body([Data(10), Hangs]),
        "/hangs-before" => Plan::ok().before([Hangs]),
        "/fails" => Plan::ok().body([Data(10), Yields, Fails]),
        "/fails-before" => Plan::ok().before([Fails]),
        path => panic!("{path} has no plan"),
    }
}

fn get(path: &str) -> Request<Empty<Bytes>> {
    Request::get(format!("http://server{path}")).body(Empty::new()).unwrap()
}

/// What the requests for a path come to, without what they have beside that.
fn records(path: &str, status: u16, count: usize, bytes: usize) -> String {
    let sum = match count * bytes {
        0 => String::new(),
        bytes => {
            format!(r#"http_response_size_bytes_sum{{method="GET",endpoint="{path}"}} {bytes}"#)
        }
    };
    format!(
        r#"
        http_requests_total{{method="GET",endpoint="{path}",status="{status}"}} {count}
        http_request_duration_seconds_count{{method="GET",endpoint="{path}"}} {count}
        http_request_size_bytes_count{{method="GET",endpoint="{path}"}} {count}
        http_time_to_first_byte_seconds_count{{method="GET",endpoint="{path}"}} {count}
        http_response_size_bytes_count{{method="GET",endpoint="{path}"}} {count}
        {sum}
        "#
    )
}

#[tokio::test]
async fn bodies_of_every_kind_are_complete_over_one_connection() {
    let test = Test::new();
    let server = Server::planned_http2(&test, plan).await;
    let client = connect(&server).await;
    let paths = ["/empty", "/sized", "/announced", "/streaming", "/tells-end", "/trailers"];
    let requests = (0..20).flat_map(|_| paths).map(|path| {
        let mut client = client.clone();
        tokio::spawn(async move {
            let response = client.send_request(get(path)).await.unwrap();
            assert_eq!(response.status(), StatusCode::OK);
            let body = response.into_body().collect().await.unwrap();
            assert_eq!(body.trailers().is_some(), path == "/trailers");
            assert_eq!(body.to_bytes().len(), if path == "/empty" { 0 } else { 15 });
        })
    });
    for request in requests.collect::<Vec<_>>() {
        request.await.unwrap();
    }
    drop(client);
    server.ended().await;
    let expected = paths.map(|path| records(path, 200, 20, if path == "/empty" { 0 } else { 15 }));
    test.assert_moved(&expected.concat());
}

#[tokio::test]
async fn a_stream_that_the_client_resets_is_499() {
    let test = Test::new();
    let server = Server::planned_http2(&test, plan).await;
    let mut client = connect(&server).await;
    let mut response = client.send_request(get("/hangs")).await.unwrap();
    let frame = response.body_mut().frame().await.unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap().len(), 10);
    drop(response);
    // The connection goes on.
    client.send_request(get("/sized")).await.unwrap().into_body().collect().await.unwrap();
    drop(client);
    server.ended().await;
    test.assert_moved(&format!(
        r#"{}{}
        http_requests_cancelled_total{{method="GET",endpoint="/hangs"}} 1
        "#,
        records("/hangs", 499, 1, 10),
        records("/sized", 200, 1, 15),
    ));
}

#[tokio::test]
async fn a_connection_that_breaks_off_cancels_its_streams() {
    let test = Test::new();
    let server = Server::planned_http2(&test, plan).await;
    let tasks = Tasks::default();
    let stream = TcpStream::connect(server.address).await.unwrap();
    let (mut client, connection) =
        handshake::<_, _, Empty<Bytes>>(tasks.clone(), TokioIo::new(stream)).await.unwrap();
    tasks.spawn(async move { connection.await.unwrap() });
    let waiting = tokio::spawn(client.send_request(get("/hangs-before")));
    let mut response = client.send_request(get("/hangs")).await.unwrap();
    response.body_mut().frame().await.unwrap().unwrap();
    tasks.abort().await;
    waiting.await.unwrap().unwrap_err();
    server.ended().await;
    test.assert_moved(&format!(
        r#"{}
        http_requests_cancelled_total{{method="GET",endpoint="/hangs"}} 1
        http_requests_total{{method="GET",endpoint="unmatched",status="499"}} 1
        http_request_duration_seconds_count{{method="GET",endpoint="unmatched"}} 1
        http_request_size_bytes_count{{method="GET",endpoint="unmatched"}} 1
        http_requests_cancelled_total{{method="GET",endpoint="unmatched"}} 1
        "#,
        records("/hangs", 499, 1, 10),
    ));
}

#[tokio::test]
async fn a_handler_or_a_body_that_fails_says_so() {
    let test = Test::new();
    let server = Server::planned_http2(&test, plan).await;
    let mut client = connect(&server).await;
    client.send_request(get("/fails-before")).await.unwrap_err();
    let response = client.send_request(get("/fails")).await.unwrap();
    response.into_body().collect().await.unwrap_err();
    drop(client);
    server.ended().await;
    test.assert_moved(&format!(
        r#"{}
        application_errors_total{{error_type="response_body_error",severity="error"}} 1
        http_requests_total{{method="GET",endpoint="unmatched",status="500"}} 1
        http_request_duration_seconds_count{{method="GET",endpoint="unmatched"}} 1
        http_request_size_bytes_count{{method="GET",endpoint="unmatched"}} 1
        application_errors_total{{error_type="handler_error",severity="error"}} 1
        "#,
        records("/fails", 200, 1, 10),
    ));
}
