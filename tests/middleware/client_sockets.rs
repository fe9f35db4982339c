//! The layer around hyper-util's client, over a socket.

use backend_metrics::middleware::{ClientLayer, ClientService};
use http::{Request, StatusCode, header::CONTENT_LENGTH};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::net::TcpListener;
use tower::{Layer, ServiceExt};

use crate::{
    exposed::Test,
    scripted::{Plan, Step::*},
    server::Server,
};

type Connecting = ClientService<Client<HttpConnector, Empty<Bytes>>>;

fn client(test: &Test) -> Connecting {
    let client = Client::builder(TokioExecutor::new()).build_http();
    ClientLayer::new(test.metrics, "exchange").layer(client)
}

fn request(method: &str, server: &Server, path: &str) -> Request<Empty<Bytes>> {
    let target = format!("http://{}{path}", server.address);
    Request::builder().method(method).uri(target).body(Empty::new()).unwrap()
}

fn plan(request: &Request<Incoming>) -> Plan {
    match request.uri().path() {
        "/chunked" => Plan::ok().body([Data(10), Yields, Data(5)]),
        "/missing" => Plan::status(404).body([Data(10)]).sized(),
        "/sized" => Plan::ok().body([Data(10)]).sized(),
        "/head" => Plan::ok().header(CONTENT_LENGTH, "1000"),
        "/breaks-off" => Plan::ok().body([Data(10), Yields, Fails]),
        "/hangs" => Plan::ok().body([Data(10), Hangs]),
        _ => Plan::ok().before([Fails]),
    }
}

/// Asserts what the client counted: by status, and the requests under way.
#[track_caller]
fn assert_counted(test: &Test, method: &str, counts: &[(&str, u32)], active: u32) {
    let route = format!(r#"upstream="exchange",method="{method}""#);
    let mut expected = String::new();
    for (status, count) in counts {
        expected += &format!("http_client_requests_total{{{route},status=\"{status}\"}} {count}\n");
    }
    let count: u32 = counts.iter().map(|(_, count)| count).sum();
    if count > 0 {
        expected += &format!("http_client_request_duration_seconds_count{{{route}}} {count}\n");
    }
    if active > 0 {
        expected += &format!("http_client_active_requests{{upstream=\"exchange\"}} {active}\n");
    }
    test.assert_moved(&expected);
}

#[tokio::test]
async fn responses_that_are_read_count_with_their_status() {
    let (test, of_server) = (Test::new(), Test::new());
    let server = Server::planned(&of_server, plan).await;
    let client = client(&test);
    for (path, bytes) in [("/chunked", 15), ("/missing", 10), ("/sized", 10), ("/sized", 10)] {
        let response = client.clone().oneshot(request("GET", &server, path)).await.unwrap();
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes().len(), bytes);
    }
    assert_counted(&test, "GET", &[("200", 3), ("404", 1)], 0);
    drop(client);
    server.ended().await;
}

#[tokio::test]
async fn a_response_to_head_is_over_with_its_head() {
    let (test, of_server) = (Test::new(), Test::new());
    let server = Server::planned(&of_server, plan).await;
    let client = client(&test);
    let response = client.clone().oneshot(request("HEAD", &server, "/head")).await.unwrap();
    assert_eq!(response.headers()[CONTENT_LENGTH], "1000");
    assert_counted(&test, "HEAD", &[("200", 1)], 0);
    drop(response);
    drop(client);
    server.ended().await;
}

#[tokio::test]
async fn a_response_that_breaks_off_or_never_comes_is_an_error() {
    let (test, of_server) = (Test::new(), Test::new());
    let server = Server::planned(&of_server, plan).await;
    let client = client(&test);
    let response = client.clone().oneshot(request("GET", &server, "/breaks-off")).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    response.into_body().collect().await.unwrap_err();
    assert_counted(&test, "GET", &[("error", 1)], 0);
    client.clone().oneshot(request("GET", &server, "/fails")).await.unwrap_err();
    assert_counted(&test, "GET", &[("error", 2)], 0);
    drop(client);
    server.ended().await;
}

#[tokio::test]
async fn a_connection_that_is_refused_is_an_error() {
    let test = Test::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let request = Request::post(target).body(Empty::new()).unwrap();
    client(&test).oneshot(request).await.unwrap_err();
    assert_counted(&test, "POST", &[("error", 1)], 0);
}

#[tokio::test]
async fn a_body_that_is_not_read_counts_with_the_status() {
    let (test, of_server) = (Test::new(), Test::new());
    let server = Server::planned(&of_server, plan).await;
    let client = client(&test);
    let mut response = client.clone().oneshot(request("GET", &server, "/hangs")).await.unwrap();
    assert_counted(&test, "GET", &[], 1);
    response.body_mut().frame().await.unwrap().unwrap();
    assert_counted(&test, "GET", &[], 1);
    drop(response);
    assert_counted(&test, "GET", &[("200", 1)], 0);
    drop(client);
    server.ended().await;
}

#[tokio::test]
async fn a_layer_on_each_side_of_a_socket_sees_the_same() {
    let (test, of_server) = (Test::new(), Test::new());
    let server = Server::planned(&of_server, plan).await;
    let by_host = ClientLayer::by_host(test.metrics);
    let client = by_host.layer(Client::builder(TokioExecutor::new()).build_http());
    let response = client.clone().oneshot(request("GET", &server, "/chunked")).await.unwrap();
    response.into_body().collect().await.unwrap();
    drop(client);
    server.ended().await;
    let of_client = r#"http_client_requests_total{upstream="127.0.0.1",method="GET",status="200"}"#;
    assert_eq!(test.series(of_client), Some(1.0));
    let of_service = r#"http_requests_total{method="GET",endpoint="/chunked",status="200"}"#;
    assert_eq!(of_server.series(of_service), Some(1.0));
}
