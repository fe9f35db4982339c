//! One request is one record: each outcome with everything that it moves.

use std::task::Poll;

use http::{
    StatusCode,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
};
use tower::Service;

use crate::{
    exposed::{Test, order},
    scripted::{Failure, Plan, Scripted, Step::*, answer, frame, panics, poll, poll_frame, read},
};

#[test]
fn a_body_sent_to_its_end_is_recorded_with_its_last_byte() {
    let test = Test::new();
    let mut request =
        order("POST", Plan::status(201).before([Takes(30)]).body([Takes(20), Data(40), Data(60)]));
    *request.body_mut() = Scripted::sized(2_000);
    let response = answer(test.service(), request).unwrap();
    test.assert_moved(r#"http_active_requests{endpoint="/orders/{id}"} 1"#);
    assert_eq!(response.status(), StatusCode::CREATED);
    assert_eq!(read(response), 2);
    test.assert_moved(
        r#"
        http_requests_total{method="POST",endpoint="/orders/{id}",status="201"} 1
        http_request_duration_seconds_count{method="POST",endpoint="/orders/{id}"} 1
        http_request_duration_seconds_sum{method="POST",endpoint="/orders/{id}"} 0.05
        http_time_to_first_byte_seconds_count{method="POST",endpoint="/orders/{id}"} 1
        http_time_to_first_byte_seconds_sum{method="POST",endpoint="/orders/{id}"} 0.03
        http_request_size_bytes_count{method="POST",endpoint="/orders/{id}"} 1
        http_request_size_bytes_sum{method="POST",endpoint="/orders/{id}"} 2000
        http_response_size_bytes_count{method="POST",endpoint="/orders/{id}"} 1
        http_response_size_bytes_sum{method="POST",endpoint="/orders/{id}"} 100
        "#,
    );
}

#[test]
fn a_handlers_error_is_500_and_an_error_of_the_application() {
    let test = Test::new();
    let error = test.answer("GET", Plan::ok().before([Takes(30), Fails])).unwrap_err();
    assert_eq!(error, Failure);
    test.assert_moved(
        r#"
        http_requests_total{method="GET",endpoint="/orders/{id}",status="500"} 1
        http_request_duration_seconds_count{method="GET",endpoint="/orders/{id}"} 1
        http_request_duration_seconds_sum{method="GET",endpoint="/orders/{id}"} 0.03
        http_request_size_bytes_count{method="GET",endpoint="/orders/{id}"} 1
        application_errors_total{error_type="handler_error",severity="error"} 1
        "#,
    );
}

#[test]
fn a_panic_before_the_head_is_500_and_counted() {
    for before in [[Takes(30), Panics, Hangs], [Takes(30), Yields, Panics]] {
        let test = Test::new();
        let mut future = test.service().call(order("GET", Plan::ok().before(before)));
        panics(|| while poll(&mut future).is_pending() {});
        // It is over, whoever keeps the future.
        test.assert_moved(
            r#"
            http_requests_total{method="GET",endpoint="/orders/{id}",status="500"} 1
            http_request_duration_seconds_count{method="GET",endpoint="/orders/{id}"} 1
            http_request_duration_seconds_sum{method="GET",endpoint="/orders/{id}"} 0.03
            http_request_size_bytes_count{method="GET",endpoint="/orders/{id}"} 1
            http_panics_total{endpoint="/orders/{id}"} 1
            "#,
        );
    }
}

#[test]
fn a_panic_before_there_is_a_future_is_500_and_counted() {
    let test = Test::new();
    panics(|| test.service().call(order("GET", Plan::panics_in_call())));
    test.assert_moved(
        r#"
        http_requests_total{method="GET",endpoint="/orders/{id}",status="500"} 1
        http_request_duration_seconds_count{method="GET",endpoint="/orders/{id}"} 1
        http_request_size_bytes_count{method="GET",endpoint="/orders/{id}"} 1
        http_panics_total{endpoint="/orders/{id}"} 1
        "#,
    );
}

#[test]
fn a_panic_of_the_body_keeps_the_status_of_the_head() {
    let test = Test::new();
    let plan = Plan::ok().before([Takes(30)]).body([Data(10), Takes(20), Panics]);
    let mut response = test.answer("GET", plan).unwrap();
    frame(&mut response);
    panics(|| poll_frame(response.body_mut()));
    test.assert_moved(
        r#"
        http_requests_total{method="GET",endpoint="/orders/{id}",status="200"} 1
        http_request_duration_seconds_count{method="GET",endpoint="/orders/{id}"} 1
        http_request_duration_seconds_sum{method="GET",endpoint="/orders/{id}"} 0.05
        http_time_to_first_byte_seconds_count{method="GET",endpoint="/orders/{id}"} 1
        http_time_to_first_byte_seconds_sum{method="GET",endpoint="/orders/{id}"} 0.03
        http_request_size_bytes_count{method="GET",endpoint="/orders/{id}"} 1
        http_response_size_bytes_count{method="GET",endpoint="/orders/{id}"} 1
        http_response_size_bytes_sum{method="GET",endpoint="/orders/{id}"} 10
        http_panics_total{endpoint="/orders/{id}"} 1
        "#,
    );
}

#[test]
fn a_client_that_goes_away_before_the_head_is_499() {
    let test = Test::new();
    let mut future = test.service().call(order("GET", Plan::ok().before([Hangs])));
    assert!(poll(&mut future).is_pending());
    test.advance(30);
    test.assert_moved(r#"http_active_requests{endpoint="/orders/{id}"} 1"#);
    drop(future);
    test.assert_moved(
        r#"
        http_requests_total{method="GET",endpoint="/orders/{id}",status="499"} 1
        http_request_duration_seconds_count{method="GET",endpoint="/orders/{id}"} 1
        http_request_duration_seconds_sum{method="GET",endpoint="/orders/{id}"} 0.03
        http_request_size_bytes_count{method="GET",endpoint="/orders/{id}"} 1
        http_requests_cancelled_total{method="GET",endpoint="/orders/{id}"} 1
        "#,
    );
}

#[test]
fn a_client_that_goes_away_before_the_body_is_499() {
    let test = Test::new();
    let response = test.answer("GET", Plan::ok().before([Takes(30)]).body([Data(10)])).unwrap();
    test.advance(20);
    drop(response);
    test.assert_moved(
        r#"
        http_requests_total{method="GET",endpoint="/orders/{id}",status="499"} 1
        http_request_duration_seconds_count{method="GET",endpoint="/orders/{id}"} 1
        http_request_duration_seconds_sum{method="GET",endpoint="/orders/{id}"} 0.05
        http_time_to_first_byte_seconds_count{method="GET",endpoint="/orders/{id}"} 1
        http_time_to_first_byte_seconds_sum{method="GET",endpoint="/orders/{id}"} 0.03
        http_request_size_bytes_count{method="GET",endpoint="/orders/{id}"} 1
        http_response_size_bytes_count{method="GET",endpoint="/orders/{id}"} 1
        http_requests_cancelled_total{method="GET",endpoint="/orders/{id}"} 1
        "#,
    );
}

#[test]
fn a_client_that_goes_away_during_the_body_is_499() {
    for plan in [
        Plan::ok().body([Data(10), Hangs]),
        Plan::ok().body([Data(10), Data(5)]).sized(),
        Plan::ok().body([Data(10), Data(5)]).tells_end(),
        // All bytes were sent, but it did not say so.
        Plan::ok().body([Data(10)]),
    ] {
        let test = Test::new();
        let mut response = test.answer("GET", plan).unwrap();
        frame(&mut response);
        drop(response);
        test.assert_moved(
            r#"
            http_requests_total{method="GET",endpoint="/orders/{id}",status="499"} 1
            http_request_duration_seconds_count{method="GET",endpoint="/orders/{id}"} 1
            http_time_to_first_byte_seconds_count{method="GET",endpoint="/orders/{id}"} 1
            http_request_size_bytes_count{method="GET",endpoint="/orders/{id}"} 1
            http_response_size_bytes_count{method="GET",endpoint="/orders/{id}"} 1
            http_response_size_bytes_sum{method="GET",endpoint="/orders/{id}"} 10
            http_requests_cancelled_total{method="GET",endpoint="/orders/{id}"} 1
            "#,
        );
    }
}

#[test]
fn a_bodys_error_keeps_the_status_and_is_an_error_of_the_application() {
    let test = Test::new();
    let plan = Plan::ok().before([Takes(30)]).body([Data(10), Takes(20), Fails]);
    let mut response = test.answer("GET", plan).unwrap();
    frame(&mut response);
    assert!(matches!(poll_frame(response.body_mut()), Poll::Ready(Some(Err(Failure)))));
    test.assert_moved(
        r#"
        http_requests_total{method="GET",endpoint="/orders/{id}",status="200"} 1
        http_request_duration_seconds_count{method="GET",endpoint="/orders/{id}"} 1
        http_request_duration_seconds_sum{method="GET",endpoint="/orders/{id}"} 0.05
        http_time_to_first_byte_seconds_count{method="GET",endpoint="/orders/{id}"} 1
        http_time_to_first_byte_seconds_sum{method="GET",endpoint="/orders/{id}"} 0.03
        http_request_size_bytes_count{method="GET",endpoint="/orders/{id}"} 1
        http_response_size_bytes_count{method="GET",endpoint="/orders/{id}"} 1
        http_response_size_bytes_sum{method="GET",endpoint="/orders/{id}"} 10
        application_errors_total{error_type="response_body_error",severity="error"} 1
        "#,
    );
}

#[test]
fn an_upgrade_ends_with_its_head() {
    let test = Test::new();
    for (method, status) in [("GET", 101), ("CONNECT", 200), ("CONNECT", 204)] {
        let plan = Plan::status(status).before([Takes(30)]).body([Hangs]);
        let response = test.answer(method, plan).unwrap();
        // The session goes on and has a guard of its own.
        test.advance(3_600_000);
        drop(response);
    }
    test.assert_moved(
        r#"
        http_requests_total{method="GET",endpoint="/orders/{id}",status="101"} 1
        http_request_duration_seconds_count{method="GET",endpoint="/orders/{id}"} 1
        http_request_duration_seconds_sum{method="GET",endpoint="/orders/{id}"} 0.03
        http_time_to_first_byte_seconds_count{method="GET",endpoint="/orders/{id}"} 1
        http_time_to_first_byte_seconds_sum{method="GET",endpoint="/orders/{id}"} 0.03
        http_request_size_bytes_count{method="GET",endpoint="/orders/{id}"} 1
        http_requests_total{method="CONNECT",endpoint="/orders/{id}",status="200"} 1
        http_requests_total{method="CONNECT",endpoint="/orders/{id}",status="204"} 1
        http_request_duration_seconds_count{method="CONNECT",endpoint="/orders/{id}"} 2
        http_request_duration_seconds_sum{method="CONNECT",endpoint="/orders/{id}"} 0.06
        http_time_to_first_byte_seconds_count{method="CONNECT",endpoint="/orders/{id}"} 2
        http_time_to_first_byte_seconds_sum{method="CONNECT",endpoint="/orders/{id}"} 0.06
        http_request_size_bytes_count{method="CONNECT",endpoint="/orders/{id}"} 2
        "#,
    );
}

#[test]
fn a_connect_that_was_refused_is_an_ordinary_response() {
    let test = Test::new();
    let response = test.answer("CONNECT", Plan::status(403).body([Data(9)])).unwrap();
    test.assert_moved(r#"http_active_requests{endpoint="/orders/{id}"} 1"#);
    read(response);
    test.assert_moved(
        r#"
        http_requests_total{method="CONNECT",endpoint="/orders/{id}",status="403"} 1
        http_request_duration_seconds_count{method="CONNECT",endpoint="/orders/{id}"} 1
        http_time_to_first_byte_seconds_count{method="CONNECT",endpoint="/orders/{id}"} 1
        http_request_size_bytes_count{method="CONNECT",endpoint="/orders/{id}"} 1
        http_response_size_bytes_count{method="CONNECT",endpoint="/orders/{id}"} 1
        http_response_size_bytes_sum{method="CONNECT",endpoint="/orders/{id}"} 9
        "#,
    );
}

/// What a stream of events comes to that gave its head after 30 ms, and 10 bytes of events.
const EVENTS: &str = r#"
    http_requests_total{method="GET",endpoint="/orders/{id}",status="200"} 1
    http_request_duration_seconds_count{method="GET",endpoint="/orders/{id}"} 1
    http_request_duration_seconds_sum{method="GET",endpoint="/orders/{id}"} 0.03
    http_time_to_first_byte_seconds_count{method="GET",endpoint="/orders/{id}"} 1
    http_time_to_first_byte_seconds_sum{method="GET",endpoint="/orders/{id}"} 0.03
    http_request_size_bytes_count{method="GET",endpoint="/orders/{id}"} 1
    http_response_size_bytes_count{method="GET",endpoint="/orders/{id}"} 1
    http_response_size_bytes_sum{method="GET",endpoint="/orders/{id}"} 10
"#;

fn events() -> Plan {
    Plan::ok().header(CONTENT_TYPE, "text/event-stream; charset=utf-8").before([Takes(30)])
}

#[test]
fn a_stream_of_events_is_in_flight_until_it_ends_and_takes_the_time_to_its_head() {
    let test = Test::new();
    let mut response = test.answer("GET", events().body([Data(10), Takes(3_600_000)])).unwrap();
    frame(&mut response);
    // Started = finished + in flight, at any time.
    test.assert_moved(r#"http_active_requests{endpoint="/orders/{id}"} 1"#);
    read(response);
    test.assert_moved(EVENTS);
}

#[test]
fn a_stream_of_events_ends_when_its_client_goes_away_and_keeps_its_status() {
    let test = Test::new();
    let mut response = test.answer("GET", events().body([Data(10), Hangs])).unwrap();
    frame(&mut response);
    test.advance(3_600_000);
    drop(response);
    test.assert_moved(EVENTS);
}

#[test]
fn a_stream_of_events_that_fails_or_panics_says_so() {
    let test = Test::new();
    let mut response = test.answer("GET", events().body([Data(10), Fails])).unwrap();
    frame(&mut response);
    assert!(matches!(poll_frame(response.body_mut()), Poll::Ready(Some(Err(Failure)))));
    let error = r#"application_errors_total{error_type="response_body_error",severity="error"} 1"#;
    test.assert_moved(&format!("{EVENTS}{error}"));

    let test = Test::new();
    let mut response = test.answer("GET", events().body([Data(10), Panics])).unwrap();
    frame(&mut response);
    panics(|| poll_frame(response.body_mut()));
    let panic = r#"http_panics_total{endpoint="/orders/{id}"} 1"#;
    test.assert_moved(&format!("{EVENTS}{panic}"));
}

#[test]
fn only_the_type_of_event_streams_makes_one() {
    for (content_type, duration) in [
        ("text/event-stream", 0.0),
        ("Text/Event-Stream;charset=utf-8", 0.0),
        ("text/event-stream ; charset=utf-8", 0.0),
        ("text/event-streams", 0.05),
        ("text/event-stream+json", 0.05),
        ("text/event", 0.05),
        ("text/plain; text/event-stream", 0.05),
    ] {
        let test = Test::new();
        let plan = Plan::ok().header(CONTENT_TYPE, content_type).body([Takes(50)]);
        read(test.answer("GET", plan).unwrap());
        let sum = r#"http_request_duration_seconds_sum{method="GET",endpoint="/orders/{id}"}"#;
        assert_eq!(test.series(sum), Some(duration), "{content_type}");
    }
}

#[test]
fn events_of_a_known_length_have_an_end_and_take_the_time_to_it() {
    let plan = events().body([Takes(20), Data(10)]);
    for plan in [plan.clone().sized(), plan.header(CONTENT_LENGTH, "10")] {
        let test = Test::new();
        read(test.answer("GET", plan).unwrap());
        let sum = r#"http_request_duration_seconds_sum{method="GET",endpoint="/orders/{id}"}"#;
        assert_eq!(test.series(sum), Some(0.05));
    }
}

#[test]
fn a_method_that_is_not_a_standard_one_is_other() {
    let test = Test::new();
    for method in ["BREW", "get", "PROPFIND", "PATCH", "TRACE", "OPTIONS"] {
        drop(test.answer(method, Plan::status(204)).unwrap());
    }
    let requests: Vec<_> = test
        .moved()
        .into_iter()
        .filter(|(series, _)| series.starts_with("http_requests"))
        .collect();
    assert_eq!(
        requests,
        [("OPTIONS", 1.0), ("OTHER", 3.0), ("PATCH", 1.0), ("TRACE", 1.0)].map(|(method, count)| (
            format!(
                r#"http_requests_total{{method="{method}",endpoint="/orders/{{id}}",status="204"}}"#
            ),
            count
        ))
    );
}

#[test]
fn a_status_out_of_the_ordinary_is_its_three_digits() {
    let test = Test::new();
    for status in [299, 499, 599, 999] {
        read(test.answer("GET", Plan::status(status)).unwrap());
        let series = format!(
            r#"http_requests_total{{method="GET",endpoint="/orders/{{id}}",status="{status}"}}"#
        );
        assert_eq!(test.series(&series), Some(1.0));
    }
    // 499 out of the handler is no cancellation.
    assert!(!test.moved().keys().any(|series| series.contains("cancelled")));
}
