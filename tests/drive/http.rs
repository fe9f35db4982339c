use backend_metrics::{labels::HttpMethod, subsystems::http::HttpRequestGuard};
use http::{Method, StatusCode};

use super::{Driver, ms, panic_with};

pub(super) fn drive(to: &mut Driver) {
    for method in [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::CONNECT,
        Method::OPTIONS,
        Method::TRACE,
        Method::PATCH,
        Method::from_bytes(b"BREW").unwrap(),
    ] {
        to.step_with(
            HttpMethod::from(&method).as_str(),
            |to| {
                let sizes = (250, 5_000);
                call!(to.track_http_request(&method, "/orders", StatusCode::OK, ms(30), sizes));
            },
            r#"
            http_requests_total{method="$",endpoint="/orders",status="200"} +1
            http_request_duration_seconds{method="$",endpoint="/orders"} observes 0.03
            http_request_size_bytes{method="$",endpoint="/orders"} observes 250
            http_response_size_bytes{method="$",endpoint="/orders"} observes 5000
            "#,
        );
    }
    answered(to);
    handed_over(to);
    not_answered(to);
    to.step(|to| to.hold(start(to)), ACTIVE);
}

/// What the start of a request moves.
const ACTIVE: &str = r#"http_active_requests{endpoint="/orders/{id}"} +1"#;

fn start(to: &Driver) -> HttpRequestGuard {
    call!(to.start_http_request(&Method::GET, "/orders/{id}"))
}

fn answered(to: &mut Driver) {
    let mut request = to.step(start, ACTIVE);
    assert_eq!(request.status(), 499);
    to.step(
        |to| {
            request.received(120);
            to.advance(ms(20));
            request.head(StatusCode::CREATED);
            request.sent(400);
            to.advance(ms(30));
            request.sent(600);
            request.end();
        },
        r#"
        http_requests_total{method="GET",endpoint="/orders/{id}",status="201"} +1
        http_time_to_first_byte_seconds{method="GET",endpoint="/orders/{id}"} observes 0.02
        http_request_duration_seconds{method="GET",endpoint="/orders/{id}"} observes 0.05
        http_request_size_bytes{method="GET",endpoint="/orders/{id}"} observes 120
        http_response_size_bytes{method="GET",endpoint="/orders/{id}"} observes 1000
        http_active_requests{endpoint="/orders/{id}"} -1
        "#,
    );
}

/// The time of the request ends before its connection does.
fn handed_over(to: &mut Driver) {
    let mut request = to.step(start, ACTIVE);
    to.step(
        |to| {
            to.advance(ms(10));
            request.head(StatusCode::SWITCHING_PROTOCOLS);
            to.advance(ms(500));
            request.upgraded();
        },
        r#"
        http_requests_total{method="GET",endpoint="/orders/{id}",status="101"} +1
        http_time_to_first_byte_seconds{method="GET",endpoint="/orders/{id}"} observes 0.01
        http_request_duration_seconds{method="GET",endpoint="/orders/{id}"} observes 0.01
        http_active_requests{endpoint="/orders/{id}"} -1
        "#,
    );

    let mut request = to.step(start, ACTIVE);
    to.step(
        |to| {
            to.advance(ms(15));
            request.head(StatusCode::OK);
            request.streaming();
            request.sent(2_000);
            to.advance(ms(900));
        },
        "",
    );
    to.step(
        |_| request.end(),
        r#"
        http_requests_total{method="GET",endpoint="/orders/{id}",status="200"} +1
        http_time_to_first_byte_seconds{method="GET",endpoint="/orders/{id}"} observes 0.015
        http_request_duration_seconds{method="GET",endpoint="/orders/{id}"} observes 0.015
        http_response_size_bytes{method="GET",endpoint="/orders/{id}"} observes 2000
        http_active_requests{endpoint="/orders/{id}"} -1
        "#,
    );
}

fn not_answered(to: &mut Driver) {
    // The endpoint is known late: the active gauge stays where it was raised.
    let mut request = to.step(start, ACTIVE);
    to.step(
        |to| {
            let endpoints = &request.metrics().http.endpoints;
            request.set_endpoint(endpoints.get("/orders/{id}/fills"));
            to.advance(ms(40));
            request.failed();
        },
        r#"
        http_requests_total{method="GET",endpoint="/orders/{id}/fills",status="500"} +1
        http_request_duration_seconds{method="GET",endpoint="/orders/{id}/fills"} observes 0.04
        http_active_requests{endpoint="/orders/{id}"} -1
        "#,
    );

    let mut request = to.step(start, ACTIVE);
    to.step(
        |to| {
            to.advance(ms(5));
            request.head(StatusCode::OK);
            request.panicked();
        },
        r#"
        http_requests_total{method="GET",endpoint="/orders/{id}",status="200"} +1
        http_panics_total{endpoint="/orders/{id}"} +1
        http_time_to_first_byte_seconds{method="GET",endpoint="/orders/{id}"} observes 0.005
        http_request_duration_seconds{method="GET",endpoint="/orders/{id}"} observes 0.005
        http_response_size_bytes{method="GET",endpoint="/orders/{id}"} observes 0
        http_active_requests{endpoint="/orders/{id}"} -1
        "#,
    );

    let request = to.step(start, ACTIVE);
    to.step(
        |to| {
            to.advance(ms(8));
            drop(request);
        },
        r#"
        http_requests_total{method="GET",endpoint="/orders/{id}",status="499"} +1
        http_requests_cancelled_total{method="GET",endpoint="/orders/{id}"} +1
        http_request_duration_seconds{method="GET",endpoint="/orders/{id}"} observes 0.008
        http_active_requests{endpoint="/orders/{id}"} -1
        "#,
    );
    let request = to.step(start, ACTIVE);
    to.step(
        |to| {
            to.advance(ms(8));
            panic_with(request);
        },
        r#"
        http_requests_total{method="GET",endpoint="/orders/{id}",status="500"} +1
        http_panics_total{endpoint="/orders/{id}"} +1
        http_request_duration_seconds{method="GET",endpoint="/orders/{id}"} observes 0.008
        http_active_requests{endpoint="/orders/{id}"} -1
        "#,
    );
}
