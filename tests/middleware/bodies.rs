//! When a response body has ended, and what its bytes come to.

use std::task::Poll;

use http::{StatusCode, header::CONTENT_LENGTH};
use http_body::Body;

use crate::{
    exposed::{Test, order},
    scripted::{Plan, Scripted, Step::*, answer, frame, poll_frame, read},
};

/// Asserts that one GET was answered to its end, with 200 and so many bytes.
#[track_caller]
fn assert_complete(test: &Test, bytes: usize) {
    let sum = match bytes {
        0 => String::new(),
        _ => format!(
            r#"http_response_size_bytes_sum{{method="GET",endpoint="/orders/{{id}}"}} {bytes}"#
        ),
    };
    test.assert_moved(&format!(
        r#"
        http_requests_total{{method="GET",endpoint="/orders/{{id}}",status="200"}} 1
        http_request_duration_seconds_count{{method="GET",endpoint="/orders/{{id}}"}} 1
        http_time_to_first_byte_seconds_count{{method="GET",endpoint="/orders/{{id}}"}} 1
        http_request_size_bytes_count{{method="GET",endpoint="/orders/{{id}}"}} 1
        http_response_size_bytes_count{{method="GET",endpoint="/orders/{{id}}"}} 1
        {sum}
        "#
    ));
}

#[test]
fn a_body_that_is_dropped_after_its_last_byte_is_complete() {
    for (plan, frames, bytes) in [
        // It knows its length.
        (Plan::ok().body([Data(10), Data(5)]).sized(), 2, 15),
        // Its head gives its length.
        (Plan::ok().body([Data(10), Data(5)]).header(CONTENT_LENGTH, "15"), 2, 15),
        // It says that this was the last one.
        (Plan::ok().body([Data(10), Data(5)]).tells_end(), 2, 15),
        // Nothing comes after trailers.
        (Plan::ok().body([Data(10), Trailers]), 2, 10),
        (Plan::ok().body([Data(10), Trailers]).tells_end(), 2, 10),
        (Plan::ok().body([Trailers]).tells_end(), 1, 0),
        // All bytes are sent, trailers or not.
        (Plan::ok().body([Data(10), Trailers]).sized(), 1, 10),
        // A frame without bytes is none.
        (Plan::ok().body([Data(0), Data(10), Data(0)]).sized(), 2, 10),
    ] {
        let test = Test::new();
        let mut response = test.answer("GET", plan.clone()).unwrap();
        for _ in 0..frames {
            test.assert_moved(r#"http_active_requests{endpoint="/orders/{id}"} 1"#);
            frame(&mut response);
        }
        assert_complete(&test, bytes);
        drop(response);
        assert_complete(&test, bytes);
    }
}

#[test]
fn a_body_that_says_nothing_of_its_end_is_complete_when_it_gives_no_further_frame() {
    let test = Test::new();
    let mut response = test.answer("GET", Plan::ok().body([Data(10), Yields, Data(5)])).unwrap();
    frame(&mut response);
    assert!(poll_frame(response.body_mut()).is_pending());
    frame(&mut response);
    test.assert_moved(r#"http_active_requests{endpoint="/orders/{id}"} 1"#);
    assert!(matches!(poll_frame(response.body_mut()), Poll::Ready(None)));
    assert_complete(&test, 15);
}

#[test]
fn an_empty_body_is_complete_with_its_head() {
    for plan in [
        Plan::ok().sized(),
        Plan::ok().tells_end(),
        Plan::ok().header(CONTENT_LENGTH, "0"),
        // What does not belong to the response is not sent.
        Plan::ok().body([Data(10)]).header(CONTENT_LENGTH, "0"),
    ] {
        let test = Test::new();
        let response = test.answer("GET", plan).unwrap();
        assert_complete(&test, 0);
        drop(response);
        assert_complete(&test, 0);
    }
}

#[test]
fn an_empty_body_that_does_not_say_so_is_complete_when_it_was_asked() {
    let test = Test::new();
    assert_eq!(read(test.answer("GET", Plan::ok()).unwrap()), 0);
    assert_complete(&test, 0);
}

#[test]
fn a_body_is_recorded_once_however_often_it_is_polled() {
    let test = Test::new();
    let plan = Plan::ok().body([Data(10), Data(5), Trailers]).header(CONTENT_LENGTH, "10");
    let mut response = test.answer("GET", plan).unwrap();
    frame(&mut response);
    assert_complete(&test, 10);
    frame(&mut response);
    assert!(frame(&mut response).is_trailers());
    for _ in 0..3 {
        assert!(matches!(poll_frame(response.body_mut()), Poll::Ready(None)));
    }
    drop(response);
    assert_complete(&test, 10);
}

#[test]
fn a_content_length_above_what_comes_ends_with_the_body() {
    for length in ["11", "18446744073709551615"] {
        let test = Test::new();
        let plan = Plan::ok().body([Data(10)]).header(CONTENT_LENGTH, length);
        assert_eq!(read(test.answer("GET", plan).unwrap()), 1);
        assert_complete(&test, 10);
    }
}

#[test]
fn bytes_past_the_content_length_are_not_sent_and_not_counted() {
    let test = Test::new();
    let plan = Plan::ok().body([Data(10), Data(10), Data(10)]).header(CONTENT_LENGTH, "15");
    let mut response = test.answer("GET", plan).unwrap();
    frame(&mut response);
    test.assert_moved(r#"http_active_requests{endpoint="/orders/{id}"} 1"#);
    frame(&mut response);
    assert_complete(&test, 15);
    read(response);
    assert_complete(&test, 15);
}

#[test]
fn what_a_body_knows_of_its_length_goes_before_its_head() {
    for length in ["10", "20"] {
        let test = Test::new();
        let plan = Plan::ok().body([Data(10), Data(5)]).sized().header(CONTENT_LENGTH, length);
        let mut response = test.answer("GET", plan).unwrap();
        frame(&mut response);
        test.assert_moved(r#"http_active_requests{endpoint="/orders/{id}"} 1"#);
        frame(&mut response);
        assert_complete(&test, 15);
    }
}

#[test]
fn a_content_length_that_is_no_number_is_none() {
    for length in ["", "ten", "-1", "1 0", "18446744073709551616"] {
        let test = Test::new();
        let plan = Plan::ok().body([Data(10)]).header(CONTENT_LENGTH, length);
        let mut response = test.answer("GET", plan).unwrap();
        frame(&mut response);
        test.assert_moved(r#"http_active_requests{endpoint="/orders/{id}"} 1"#);
        read(response);
        assert_complete(&test, 10);
    }
}

#[test]
fn responses_that_have_no_body_end_with_their_head() {
    for (method, status) in
        [("HEAD", 200), ("HEAD", 404), ("GET", 204), ("GET", 304), ("GET", 100), ("GET", 103)]
    {
        // The length is that of the body that a GET would get.
        let plan = Plan::status(status).before([Takes(30)]).header(CONTENT_LENGTH, "1000");
        let test = Test::new();
        let response = test.answer(method, plan).unwrap();
        test.advance(50);
        assert_eq!(response.status(), StatusCode::from_u16(status).unwrap());
        drop(response);
        test.assert_moved(&format!(
            r#"
            http_requests_total{{method="{method}",endpoint="/orders/{{id}}",status="{status}"}} 1
            http_request_duration_seconds_count{{method="{method}",endpoint="/orders/{{id}}"}} 1
            http_request_duration_seconds_sum{{method="{method}",endpoint="/orders/{{id}}"}} 0.03
            http_time_to_first_byte_seconds_count{{method="{method}",endpoint="/orders/{{id}}"}} 1
            http_time_to_first_byte_seconds_sum{{method="{method}",endpoint="/orders/{{id}}"}} 0.03
            http_request_size_bytes_count{{method="{method}",endpoint="/orders/{{id}}"}} 1
            http_response_size_bytes_count{{method="{method}",endpoint="/orders/{{id}}"}} 1
            "#
        ));
    }
}

#[test]
fn a_body_tells_its_size_its_end_and_its_trailers_through_the_layer() {
    let test = Test::new();
    let plan = Plan::ok().body([Data(10), Data(5), Trailers]).sized().tells_end();
    let mut response = test.answer("GET", plan).unwrap();
    assert_eq!(response.body().size_hint().exact(), Some(15));
    assert_eq!(frame(&mut response).into_data().unwrap().len(), 10);
    assert_eq!(response.body().size_hint().exact(), Some(5));
    assert_eq!(frame(&mut response).into_data().unwrap().len(), 5);
    assert!(!response.body().is_end_stream());
    assert_eq!(frame(&mut response).into_trailers().unwrap()["checksum"], "0");
    assert!(response.body().is_end_stream());

    let response = test.answer("GET", Plan::ok().body([Data(10)])).unwrap();
    assert_eq!(response.body().size_hint().exact(), None);
    assert_eq!(response.body().size_hint().lower(), 0);
}

#[test]
fn the_size_of_a_request_is_what_its_head_announces() {
    let sum = r#"http_request_size_bytes_sum{method="POST",endpoint="/orders/{id}"}"#;
    for (body, size) in [
        (Scripted::sized(0), Some(0.0)),
        (Scripted::sized(5_000), Some(5_000.0)),
        (Scripted::unsized_(5_000), None),
    ] {
        let test = Test::new();
        let mut request = order("POST", Plan::ok().sized());
        *request.body_mut() = body;
        answer(test.service(), request).unwrap();
        assert_eq!(test.series(sum), size);
    }
}
