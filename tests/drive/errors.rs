use backend_metrics::labels::{ErrorSeverity, LogLevel};

use super::Driver;

pub(super) fn drive(to: &mut Driver) {
    for severity in ErrorSeverity::ALL.iter().copied() {
        to.step_with(
            severity.as_str(),
            |to| call!(to.track_application_error("stale_quote", severity)),
            r#"application_errors_total{error_type="stale_quote",severity="$"} +1"#,
        );
    }
    to.step(
        |to| call!(to.track_unhandled_exception("BrokerError")),
        r#"unhandled_exceptions_total{exception_type="BrokerError"} +1"#,
    );
    for level in LogLevel::ALL.iter().copied() {
        to.step_with(
            level.as_str(),
            |to| call!(to.track_log_event(level)),
            r#"log_events_total{level="$"} +1"#,
        );
    }
}
