//! Services that say by a script whether they are ready.

use backend_metrics::middleware::ClientLayer;
use http::Request;
use tower::{Layer, Service};

use super::{
    Test,
    scripted::{
        Failure, Plan, Scripted,
        Step::{Hangs, Takes},
        answer, panics, poll, read, request,
    },
    unready::{
        Asked::{self, *},
        Unready, ask,
    },
};

fn get(plan: Plan) -> Request<Scripted> {
    request("GET", "/orders", plan)
}

impl Test {
    fn unready(&self, asked: &[Asked]) -> Unready {
        Unready::new(&self.clock, asked.iter().copied())
    }
}

const WAITED: &str = r#"
    http_requests_total{method="GET",endpoint="/orders",status="200"} 1
    http_request_duration_seconds_sum{method="GET",endpoint="/orders"} 0.25
    http_request_duration_seconds_count{method="GET",endpoint="/orders"} 1
    http_response_size_bytes_count{method="GET",endpoint="/orders"} 1
    http_time_to_first_byte_seconds_sum{method="GET",endpoint="/orders"} 0.23
    http_time_to_first_byte_seconds_count{method="GET",endpoint="/orders"} 1
"#;

/// Answered after 30 ms, read after 20 more.
fn plan() -> Plan {
    Plan::ok().before([Takes(30)]).body([Takes(20)])
}

#[test]
fn a_request_begins_when_the_service_is_first_not_ready() {
    let test = Test::new();
    let mut service = test.layer().layer(test.unready(&[Pending, Pending]));
    assert!(ask(&mut service).is_pending());
    test.advance(150);
    assert!(ask(&mut service).is_pending());
    test.assert_exposed(r#"http_active_requests{endpoint="unmatched"} 1"#);
    test.advance(50);
    assert!(ask(&mut service).is_ready());
    read(answer(service, get(plan())).unwrap());
    test.assert_exposed(WAITED);
}

#[test]
fn a_service_that_was_ready_before_its_request_came_adds_nothing() {
    const HOUR: u64 = 3_600_000;
    let test = Test::new();
    // Some ask again before they call.
    let mut service = test.layer().layer(test.unready(&[Ready, Pending, Ready, Ready, Pending]));
    assert!(ask(&mut service).is_ready());
    test.advance(HOUR);
    assert!(ask(&mut service).is_pending());
    test.advance(150);
    for _ in 0..2 {
        assert!(ask(&mut service).is_ready());
        test.assert_exposed("");
        test.advance(HOUR);
    }
    assert!(ask(&mut service).is_pending());
    test.advance(50);
    assert!(ask(&mut service).is_ready());
    test.advance(HOUR);
    read(answer(&mut service, get(plan())).unwrap());
    test.assert_exposed(WAITED);
    // It was for that request.
    assert!(ask(&mut service).is_ready());
    test.advance(HOUR);
    read(answer(&mut service, get(Plan::ok().before([Takes(10)]))).unwrap());
    let sum = r#"http_request_duration_seconds_sum{method="GET",endpoint="/orders"} 0.26"#;
    assert!(test.metrics.to_text().contains(sum));
}

#[test]
fn a_request_that_leaves_while_it_waits_is_499_of_unmatched() {
    let test = Test::new();
    let mut service = test.layer().layer(test.unready(&[Pending]));
    assert!(ask(&mut service).is_pending());
    test.advance(300);
    // A clone has not waited.
    let mut clone = service.clone();
    drop(service);
    let expected = r#"
        http_requests_total{method="OTHER",endpoint="unmatched",status="499"} 1
        http_request_duration_seconds_sum{method="OTHER",endpoint="unmatched"} 0.3
        http_request_duration_seconds_count{method="OTHER",endpoint="unmatched"} 1
        http_requests_cancelled_total{method="OTHER",endpoint="unmatched"} 1
    "#;
    test.assert_exposed(expected);
    assert!(ask(&mut clone).is_ready());
    drop(clone);
    test.assert_exposed(expected);
}

#[test]
fn a_service_that_fails_before_the_call_is_a_500_of_unmatched_for_each_clone() {
    let test = Test::new();
    let service = test.layer().layer(test.unready(&[Fails, Fails, Fails]));
    for _ in 0..2 {
        let mut clone = service.clone();
        for _ in 0..3 {
            assert_eq!(ask(&mut clone), std::task::Poll::Ready(Err(Failure)));
        }
    }
    let mut waits = test.layer().layer(test.unready(&[Pending, Fails]));
    assert!(ask(&mut waits).is_pending());
    test.advance(300);
    assert!(ask(&mut waits).is_ready());
    drop(waits);
    test.assert_exposed(
        r#"
        http_requests_total{method="OTHER",endpoint="unmatched",status="500"} 3
        http_request_duration_seconds_sum{method="OTHER",endpoint="unmatched"} 0.3
        http_request_duration_seconds_count{method="OTHER",endpoint="unmatched"} 3
        application_errors_total{error_type="handler_error",severity="error"} 3
        "#,
    );
}

#[test]
fn a_service_that_fails_again_after_a_wait_or_a_call_is_another_request() {
    let test = Test::new();
    let mut service = test.layer().layer(test.unready(&[Fails, Pending, Fails, Ready, Fails]));
    assert!(ask(&mut service).is_ready());
    assert!(ask(&mut service).is_pending());
    assert!(ask(&mut service).is_ready());
    assert!(ask(&mut service).is_ready());
    read(answer(&mut service, get(Plan::ok())).unwrap());
    assert!(ask(&mut service).is_ready());
    let series = r#"{method="OTHER",endpoint="unmatched",status="500"} 3"#;
    assert!(test.metrics.to_text().contains(series));
}

#[test]
fn a_panic_before_the_call_is_a_500_of_unmatched() {
    let test = Test::new();
    let mut at_once = test.layer().layer(test.unready(&[Panics]));
    panics(|| ask(&mut at_once));
    let mut waits = test.layer().layer(test.unready(&[Pending, Panics]));
    assert!(ask(&mut waits).is_pending());
    test.advance(300);
    panics(|| ask(&mut waits));
    drop((at_once, waits));
    test.assert_exposed(
        r#"
        http_requests_total{method="OTHER",endpoint="unmatched",status="500"} 2
        http_request_duration_seconds_sum{method="OTHER",endpoint="unmatched"} 0.3
        http_request_duration_seconds_count{method="OTHER",endpoint="unmatched"} 2
        http_panics_total{endpoint="unmatched"} 2
        "#,
    );
}

#[test]
fn a_request_that_is_left_out_is_only_active_while_it_waits() {
    let test = Test::new();
    let mut service = test.layer().exclude(["/health"]).layer(test.unready(&[Pending]));
    assert!(ask(&mut service).is_pending());
    test.advance(300);
    test.assert_exposed(r#"http_active_requests{endpoint="unmatched"} 1"#);
    assert!(ask(&mut service).is_ready());
    read(answer(service, request::<Scripted>("GET", "/health", Plan::ok())).unwrap());
    test.assert_exposed("");
}

#[test]
fn a_service_that_is_called_without_being_ready_has_waited_until_then() {
    let test = Test::new();
    let mut service = test.layer().layer(test.unready(&[Pending]));
    assert!(ask(&mut service).is_pending());
    test.advance(200);
    read(answer(service, get(plan())).unwrap());
    test.assert_exposed(WAITED);
}

#[test]
fn a_panic_before_the_endpoint_is_found_has_waited_too() {
    let test = Test::new();
    let layer = test.layer().endpoint(|_| super::scripted::panic());
    let mut service = layer.layer(test.unready(&[Pending]));
    assert!(ask(&mut service).is_pending());
    test.advance(200);
    assert!(ask(&mut service).is_ready());
    panics(|| service.call(get(Plan::ok())));
    test.assert_exposed(
        r#"
        http_requests_total{method="GET",endpoint="unmatched",status="500"} 1
        http_request_duration_seconds_sum{method="GET",endpoint="unmatched"} 0.2
        http_request_duration_seconds_count{method="GET",endpoint="unmatched"} 1
        http_panics_total{endpoint="unmatched"} 1
        "#,
    );
}

#[test]
fn a_request_to_an_upstream_begins_when_the_client_is_first_not_ready() {
    let test = Test::new();
    let mut client = test.client().layer(test.unready(&[Pending]));
    assert!(ask(&mut client).is_pending());
    test.advance(200);
    test.assert_exposed(r#"http_client_active_requests{upstream="ticker"} 1"#);
    assert!(ask(&mut client).is_ready());
    test.assert_exposed("");
    test.advance(3_600_000);
    read(answer(client, get(plan())).unwrap());
    test.assert_exposed(
        r#"
        http_client_requests_total{upstream="ticker",method="GET",status="200"} 1
        http_client_request_duration_seconds_sum{upstream="ticker",method="GET"} 0.25
        http_client_request_duration_seconds_count{upstream="ticker",method="GET"} 1
        "#,
    );
}

#[test]
fn a_request_that_does_not_reach_its_upstream_is_an_error() {
    let test = Test::new();
    for (layer, upstream) in
        [(test.client(), "ticker"), (ClientLayer::by_host(test.metrics), "unknown")]
    {
        let mut leaves = layer.layer(test.unready(&[Pending]));
        assert!(ask(&mut leaves).is_pending());
        test.advance(100);
        drop(leaves);
        let mut fails = layer.layer(test.unready(&[Fails, Fails]));
        assert!(ask(&mut fails).is_ready());
        assert!(ask(&mut fails).is_ready());
        let mut panicking = layer.layer(test.unready(&[Pending, Panics]));
        assert!(ask(&mut panicking).is_pending());
        test.advance(100);
        panics(|| ask(&mut panicking));
        drop(panicking);
        let text = test.metrics.to_text();
        for series in [
            format!(
                r#"http_client_requests_total{{upstream="{upstream}",method="OTHER",status="error"}} 3"#
            ),
            format!(
                r#"http_client_request_duration_seconds_sum{{upstream="{upstream}",method="OTHER"}} 0.2"#
            ),
            format!(r#"http_client_active_requests{{upstream="{upstream}"}} 0"#),
        ] {
            assert!(text.contains(&series), "{series}\n{text}");
        }
    }
}

#[test]
fn a_request_that_waits_and_is_then_given_up_is_cancelled_under_its_endpoint() {
    let test = Test::new();
    let mut service = test.layer().layer(test.unready(&[Pending]));
    assert!(ask(&mut service).is_pending());
    test.advance(200);
    assert!(ask(&mut service).is_ready());
    let mut future = service.call(get(Plan::ok().before([Hangs])));
    assert!(poll(&mut future).is_pending());
    test.advance(100);
    drop((future, service));
    test.assert_exposed(
        r#"
        http_requests_total{method="GET",endpoint="/orders",status="499"} 1
        http_request_duration_seconds_sum{method="GET",endpoint="/orders"} 0.3
        http_request_duration_seconds_count{method="GET",endpoint="/orders"} 1
        http_requests_cancelled_total{method="GET",endpoint="/orders"} 1
        "#,
    );
}
