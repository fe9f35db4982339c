use backend_metrics::labels::HttpMethod;
use http::{Method, StatusCode};

use super::{Driver, ms, panic_with};

pub(super) fn drive(to: &mut Driver) {
    const ACTIVE: &str = r#"http_client_active_requests{upstream="ticker"} +1"#;

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
                let status = Some(StatusCode::ACCEPTED);
                call!(to.track_upstream_request("broker", &method, status, ms(120)));
            },
            r#"
            http_client_requests_total{upstream="broker",method="$",status="202"} +1
            http_client_request_duration_seconds{upstream="broker",method="$"} observes 0.12
            "#,
        );
    }
    to.step(
        |to| call!(to.track_upstream_request("broker", &Method::GET, None, ms(3_000))),
        r#"
        http_client_requests_total{upstream="broker",method="GET",status="error"} +1
        http_client_request_duration_seconds{upstream="broker",method="GET"} observes 3
        "#,
    );

    let start = |to: &Driver| call!(to.start_upstream_request("ticker", &Method::POST));
    let request = to.step(start, ACTIVE);
    to.step(
        |to| {
            to.advance(ms(60));
            request.finish(StatusCode::OK);
        },
        r#"
        http_client_requests_total{upstream="ticker",method="POST",status="200"} +1
        http_client_request_duration_seconds{upstream="ticker",method="POST"} observes 0.06
        http_client_active_requests{upstream="ticker"} -1
        "#,
    );
    // Dropped after its head it keeps the status.
    let mut request = to.step(start, ACTIVE);
    to.step(
        |to| {
            request.head(StatusCode::BAD_GATEWAY);
            to.advance(ms(7));
            drop(request);
        },
        r#"
        http_client_requests_total{upstream="ticker",method="POST",status="502"} +1
        http_client_request_duration_seconds{upstream="ticker",method="POST"} observes 0.007
        http_client_active_requests{upstream="ticker"} -1
        "#,
    );
    let mut request = to.step(start, ACTIVE);
    to.step(
        |to| {
            to.advance(ms(3));
            request.head(StatusCode::OK);
            request.streaming();
            to.advance(ms(900));
            drop(request);
        },
        r#"
        http_client_requests_total{upstream="ticker",method="POST",status="200"} +1
        http_client_request_duration_seconds{upstream="ticker",method="POST"} observes 0.003
        http_client_active_requests{upstream="ticker"} -1
        "#,
    );
    let error = r#"
        http_client_requests_total{upstream="ticker",method="POST",status="error"} +1
        http_client_request_duration_seconds{upstream="ticker",method="POST"} observes 0.002
        http_client_active_requests{upstream="ticker"} -1
        "#;
    let request = to.step(start, ACTIVE);
    to.step(
        |to| {
            to.advance(ms(2));
            request.error();
        },
        error,
    );
    let request = to.step(start, ACTIVE);
    to.step(
        |to| {
            to.advance(ms(2));
            panic_with(request);
        },
        error,
    );

    to.step(|to| to.hold(start(to)), ACTIVE);
}
