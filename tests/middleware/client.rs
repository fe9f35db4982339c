//! The layer around a client.

use std::task::Poll;

use backend_metrics::middleware::ClientLayer;
use http::header::CONTENT_LENGTH;
use tower::{Layer, Service};

use crate::{
    exposed::Test,
    scripted::{
        Answers, Failure, Plan, Step::*, answer, frame, panics, poll, poll_frame, read, request,
    },
};

/// Asserts that one request was counted with a status, and took so long.
#[track_caller]
fn assert_counted(test: &Test, method: &str, status: &str, took: f64) {
    let sum = match took {
        0.0 => String::new(),
        _ => format!(
            r#"http_client_request_duration_seconds_sum{{upstream="ticker",method="{method}"}} {took}"#
        ),
    };
    test.assert_moved(&format!(
        r#"
        http_client_requests_total{{upstream="ticker",method="{method}",status="{status}"}} 1
        http_client_request_duration_seconds_count{{upstream="ticker",method="{method}"}} 1
        {sum}
        "#
    ));
}

#[test]
fn a_response_that_is_read_counts_with_its_status_at_its_end() {
    for status in [200, 404, 503] {
        let test = Test::new();
        let plan = Plan::status(status).before([Takes(30)]).body([Data(10), Takes(20), Data(5)]);
        let mut response = test.receive("POST", plan).unwrap();
        frame(&mut response);
        test.assert_moved(r#"http_client_active_requests{upstream="ticker"} 1"#);
        assert_eq!(read(response), 1);
        assert_counted(&test, "POST", &status.to_string(), 0.05);
    }
}

#[test]
fn a_request_without_a_response_is_an_error() {
    let test = Test::new();
    let plan = Plan::ok().before([Takes(30), Fails]);
    assert_eq!(test.receive("GET", plan).unwrap_err(), Failure);
    assert_counted(&test, "GET", "error", 0.03);
}

#[test]
fn a_request_that_is_given_up_before_its_response_is_an_error() {
    let test = Test::new();
    let mut future = test.client().call(request::<()>("GET", "/", Plan::ok().before([Hangs])));
    assert!(poll(&mut future).is_pending());
    test.assert_moved(r#"http_client_active_requests{upstream="ticker"} 1"#);
    test.advance(30);
    drop(future);
    assert_counted(&test, "GET", "error", 0.03);
}

#[test]
fn a_response_that_breaks_off_is_an_error() {
    let test = Test::new();
    let mut response = test.receive("GET", Plan::ok().body([Data(10), Takes(20), Fails])).unwrap();
    frame(&mut response);
    assert!(matches!(poll_frame(response.body_mut()), Poll::Ready(Some(Err(Failure)))));
    assert_counted(&test, "GET", "error", 0.02);
}

#[test]
fn a_response_whose_body_is_not_read_counts_with_its_status() {
    for frames in [0, 1] {
        let test = Test::new();
        let mut response = test.receive("GET", Plan::ok().body([Data(10), Data(5)])).unwrap();
        for _ in 0..frames {
            frame(&mut response);
        }
        test.advance(20);
        drop(response);
        assert_counted(&test, "GET", "200", 0.02);
    }
}

#[test]
fn a_response_is_over_with_its_last_byte_whoever_keeps_it() {
    for plan in [
        Plan::ok().body([Data(10)]).sized(),
        Plan::ok().body([Data(10)]).tells_end(),
        Plan::ok().body([Data(10)]).header(CONTENT_LENGTH, "10"),
        Plan::ok().body([Trailers]),
    ] {
        let test = Test::new();
        let mut response = test.receive("GET", plan).unwrap();
        frame(&mut response);
        test.advance(20);
        assert_counted(&test, "GET", "200", 0.0);
        drop(response);
        assert_counted(&test, "GET", "200", 0.0);
    }
}

#[test]
fn a_response_without_a_body_is_over_with_its_head() {
    for (method, status) in
        [("HEAD", 200), ("GET", 204), ("GET", 304), ("GET", 101), ("GET", 103), ("CONNECT", 200)]
    {
        let test = Test::new();
        // The length is that of the body that a GET would get.
        let plan = Plan::status(status).before([Takes(30)]).header(CONTENT_LENGTH, "1000");
        let response = test.receive(method, plan).unwrap();
        test.advance(20);
        assert_counted(&test, method, &status.to_string(), 0.03);
        drop(response);
        assert_counted(&test, method, &status.to_string(), 0.03);
    }
}

#[test]
fn a_panic_is_an_error() {
    let test = Test::new();
    panics(|| test.receive("GET", Plan::panics_in_call()));
    assert_counted(&test, "GET", "error", 0.0);

    let test = Test::new();
    panics(|| test.receive("GET", Plan::ok().before([Takes(30), Panics])));
    assert_counted(&test, "GET", "error", 0.03);

    let test = Test::new();
    let mut response = test.receive("GET", Plan::ok().body([Takes(30), Panics])).unwrap();
    panics(|| poll_frame(response.body_mut()));
    assert_counted(&test, "GET", "error", 0.03);
}

#[test]
fn requests_count_under_their_hosts_where_that_is_asked_for() {
    let test = Test::new();
    let layer = ClientLayer::by_host(test.metrics);
    let client = layer.layer(Answers { clock: test.clock.clone() });
    for target in ["http://ticker:80/", "https://ticker/a", "http://[::1]:9/", "/", "ticker:443"] {
        let request = request::<()>("PUT", target, Plan::status(204));
        drop(answer(client.clone(), request).unwrap());
    }
    test.assert_moved(
        r#"
        http_client_requests_total{upstream="ticker",method="PUT",status="204"} 3
        http_client_requests_total{upstream="[::1]",method="PUT",status="204"} 1
        http_client_requests_total{upstream="unknown",method="PUT",status="204"} 1
        http_client_request_duration_seconds_count{upstream="ticker",method="PUT"} 3
        http_client_request_duration_seconds_count{upstream="[::1]",method="PUT"} 1
        http_client_request_duration_seconds_count{upstream="unknown",method="PUT"} 1
        "#,
    );
}

#[test]
fn hosts_without_end_stay_below_the_cap() {
    let test = Test::with_cap(20);
    let layer = ClientLayer::by_host(test.metrics);
    let client = layer.layer(Answers { clock: test.clock.clone() });
    for host in 0..1_000 {
        let target = format!("http://host{host}.example/");
        drop(answer(client.clone(), request::<()>("GET", &target, Plan::status(204))).unwrap());
    }
    let scrape = crate::exposed::Scrape::of(test.metrics);
    // Each with its failures, at zero.
    assert_eq!(scrape.count("http_client_requests_total"), 2 * 21);
    assert_eq!(scrape.sum("http_client_requests_total"), 1_000.0);
    let overflows = r#"metrics_label_overflows_total{family="http_client_requests_total"}"#;
    assert_eq!(scrape.series[overflows], 980.0);
}

#[test]
fn a_method_that_is_not_a_standard_one_is_other() {
    let test = Test::new();
    drop(test.receive("BREW", Plan::status(204)).unwrap());
    assert_counted(&test, "OTHER", "204", 0.0);
}
