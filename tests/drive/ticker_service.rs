use backend_metrics::labels::{
    CircuitBreakerState, TickerErrorType, TickerOperation, TickerRequestStatus,
};

use super::{DONE, Driver, FAILED, ms, panic_with};

pub(super) fn drive(to: &mut Driver) {
    for operation in TickerOperation::ALL.iter().copied() {
        to.step_with(
            operation.as_str(),
            |to| call!(to.track_ticker_request(operation, ms(55), TickerRequestStatus::Success)),
            r#"
            ticker_service_requests_total{operation="$",status="success"} +1
            ticker_service_request_duration_seconds{operation="$"} observes 0.055
            "#,
        );
        to.step_with(
            operation.as_str(),
            |to| call!(to.track_ticker_retry(operation)),
            r#"ticker_service_retries_total{operation="$"} +1"#,
        );
    }
    for error_type in TickerErrorType::ALL.iter().copied() {
        to.step_with(
            error_type.as_str(),
            |to| call!(to.track_ticker_error(error_type)),
            r#"ticker_service_errors_total{error_type="$"} +1"#,
        );
    }
    guard(to);
    for (state, level) in [
        (CircuitBreakerState::Open, 1),
        (CircuitBreakerState::HalfOpen, 2),
        (CircuitBreakerState::Closed, 0),
        (CircuitBreakerState::Open, 1),
    ] {
        to.step_with(
            state.as_str(),
            |to| {
                call!(to.set_circuit_breaker_state(state));
                call!(to.set_circuit_breaker_state(state));
            },
            &format!(
                "ticker_service_circuit_breaker_state = {level}
                ticker_service_circuit_breaker_transitions_total{{state=\"$\"}} +1"
            ),
        );
    }
    to.step(
        |to| call!(to.track_circuit_breaker_failure()),
        "ticker_service_circuit_breaker_failures_total +1",
    );
    to.step(
        |to| call!(to.set_ticker_subscriptions(250)),
        "ticker_service_subscriptions_active = 250",
    );
    to.step(
        |to| call!(to.track_ticker_subscriptions(-40)),
        "ticker_service_subscriptions_active -40",
    );
    to.step(
        |to| call!(to.track_tick(ms(4))),
        "
        ticker_service_ticks_received_total +1
        ticker_service_tick_latency_seconds observes 0.004
        ticker_service_last_tick_timestamp_seconds = now
        ",
    );
    to.step(
        |to| {
            to.advance(ms(250));
            call!(to.track_ticks(5, [ms(2), ms(30)]));
        },
        "
        ticker_service_ticks_received_total +5
        ticker_service_tick_latency_seconds observes 0.002 0.03
        ticker_service_last_tick_timestamp_seconds = now
        ",
    );
}

fn guard(to: &mut Driver) {
    let start = |to: &Driver| {
        let request = call!(to.start_ticker_request(TickerOperation::Subscribe));
        to.advance(ms(33));
        request
    };
    let success = r#"
        ticker_service_requests_total{operation="subscribe",status="success"} +1
        ticker_service_request_duration_seconds{operation="subscribe"} observes 0.033
        "#;
    let timeout = r#"
        ticker_service_requests_total{operation="subscribe",status="error"} +1
        ticker_service_request_duration_seconds{operation="subscribe"} observes 0.033
        ticker_service_errors_total{error_type="timeout"} +1
        "#;
    to.step(|to| start(to).success(), success);
    to.step(|to| start(to).finish(&DONE, |()| TickerErrorType::Timeout), success);
    to.step(|to| start(to).error(TickerErrorType::Timeout), timeout);
    to.step(|to| start(to).finish(&FAILED, |()| TickerErrorType::Timeout), timeout);
    to.step(
        |to| panic_with(start(to)),
        r#"
        ticker_service_requests_total{operation="subscribe",status="error"} +1
        ticker_service_request_duration_seconds{operation="subscribe"} observes 0.033
        "#,
    );
    to.step(
        |to| drop(start(to)),
        r#"
        ticker_service_requests_total{operation="subscribe",status="cancelled"} +1
        ticker_service_request_duration_seconds{operation="subscribe"} observes 0.033
        "#,
    );
}
