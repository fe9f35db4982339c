//! Errors of the application and its log.
//!
//! | family | labels | recorded by |
//! | --- | --- | --- |
//! | `application_errors_total` | `error_type`, `severity` | [`Metrics::track_application_error`] |
//! | `unhandled_exceptions_total` | `exception_type` | [`install_panic_hook`](crate::install_panic_hook), [`Metrics::track_unhandled_exception`] |
//! | `log_events_total` | `level` | `LogEvents` (feature `tracing`), [`Metrics::track_log_event`] |
//!
//! ```
//! use backend_metrics::{Metrics, labels::ErrorSeverity};
//!
//! let metrics = Metrics::new();
//! metrics.track_application_error("stale_quote", ErrorSeverity::Warning);
//! assert!(metrics.to_text().contains(
//!     "application_errors_total{error_type=\"stale_quote\",severity=\"warning\"} 1\n"
//! ));
//! ```
//!
//! [`Metrics::track_application_error`]: crate::Metrics::track_application_error
//! [`Metrics::track_unhandled_exception`]: crate::Metrics::track_unhandled_exception
//! [`Metrics::track_log_event`]: crate::Metrics::track_log_event

use crate::{Counter, CounterFamily, Domain, Open};

use super::helpers::helpers;

families! {
    /// Errors of the application and its log.
    pub struct ErrorMetrics = "errors" {
        with {
            /// The kinds of errors seen so far.
            pub error_types: Domain<ApplicationErrorType>,
            /// The kinds of unhandled errors seen so far.
            pub exception_types: Domain<ExceptionType>,
        }

        /// Errors of the application by kind and severity
        ///
        /// The library counts some by itself, as `error`: `handler_error` and `response_body_error` of the
        /// HTTP layer, `foreign_metrics` that a scrape leaves out, `invalid_value`, a counter that was set to a
        /// negative number or NaN and that a scrape leaves out, `collector_panic` and
        /// `collector_timeout`, what the service has read for a scrape and that panicked or was late.
        pub application_errors: CounterFamily<(Open<ApplicationErrorType>, ErrorSeverity)> =
            "application_errors_total",

        /// Panics, and errors that reached the top of a task
        ///
        /// Panics are `panic`, counted by the hook of [`install_panic_hook`](crate::install_panic_hook)
        /// even if they are caught.
        pub unhandled_exceptions: CounterFamily<Open<ExceptionType>> = "unhandled_exceptions_total",

        /// Events of the log by level
        pub log_events: CounterFamily<LogLevel> = "log_events_total",
    }
}

label_values! {
    /// How bad an error is.
    pub enum ErrorSeverity = "severity" {
        /// The work was done, in a worse way: a retry or a fallback helped.
        Warning = "warning",
        /// The work was not done.
        Error = "error",
        /// More than this piece of work is in danger: somebody has to look now.
        Critical = "critical",
    }
}

label_values! {
    /// The level of an event of the log.
    pub enum LogLevel = "level" {
        /// Every step.
        Trace = "trace",
        /// For those who look for a fault.
        Debug = "debug",
        /// The course of things.
        Info = "info",
        /// Something that should not be.
        Warn = "warn",
        /// Something that failed.
        Error = "error",
    }
}

open_labels! {
    /// The kind of an error: a name out of the code, such as `stale_quote`. Never a message.
    pub struct ApplicationErrorType(error_type);
}

open_labels! {
    /// The kind of an unhandled error: `panic`, or the name of an error type. Never a message or a place.
    pub struct ExceptionType(exception_type);
}

/// The type of a panic.
const PANIC: &str = "panic";

impl ErrorMetrics {
    /// Makes room for the one value that is the library's.
    pub(crate) fn expect_panics(&self) {
        self.exception_types.keep(PANIC);
    }

    /// The counter of panics, which stands at zero from now on.
    pub(crate) fn panics(&self) -> Counter {
        self.unhandled_exceptions.get(self.exception_types.reserve(PANIC))
    }
}

helpers! {
    /// Counts an error in `application_errors_total`.
    ///
    /// `error_type` is a name out of the code, such as `stale_quote`; never a message, which would make a
    /// series of each error.
    pub fn track_application_error(self, error_type: &str, severity: ErrorSeverity) {
        let error_type = self.errors.error_types.get(error_type);
        self.errors.application_errors.get((error_type, severity)).inc();
    }

    /// Counts an error that reached the top of a task, in `unhandled_exceptions_total`.
    ///
    /// `exception_type` is the name of the error's type; never a message or a place in the code. Panics are
    /// counted by the hook of [`install_panic_hook`](crate::install_panic_hook).
    pub fn track_unhandled_exception(self, exception_type: &str) {
        let exception_type = self.errors.exception_types.get(exception_type);
        self.errors.unhandled_exceptions.get(exception_type).inc();
    }

    /// Counts an event of the log in `log_events_total`.
    ///
    /// With the feature `tracing`, the layer `LogEvents` counts them all; this is for other loggers.
    pub fn track_log_event(self, level: LogLevel) {
        self.errors.log_events.get(level).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::{ErrorSeverity, LogLevel};
    use crate::testing::Fixture;

    #[test]
    fn an_error_stands_at_zero_in_its_other_severities() {
        let test = Fixture::new();
        test.metrics.track_application_error("stale_quote", ErrorSeverity::Critical);
        test.metrics.track_application_error("stale_quote", ErrorSeverity::Critical);
        test.assert_series(&[
            (r#"application_errors_total{error_type="stale_quote",severity="warning"}"#, 0.0),
            (r#"application_errors_total{error_type="stale_quote",severity="error"}"#, 0.0),
            (r#"application_errors_total{error_type="stale_quote",severity="critical"}"#, 2.0),
        ]);
    }

    #[test]
    fn unhandled_errors_and_panics_are_counted_apart() {
        let test = Fixture::new();
        test.metrics.track_unhandled_exception("io_error");
        test.assert_series(&[(r#"unhandled_exceptions_total{exception_type="io_error"}"#, 1.0)]);
        let panics = test.metrics.errors.panics();
        test.assert_series(&[(r#"unhandled_exceptions_total{exception_type="panic"}"#, 0.0)]);
        panics.inc();
        test.metrics.track_unhandled_exception("panic");
        test.assert_series(&[(r#"unhandled_exceptions_total{exception_type="panic"}"#, 2.0)]);
    }

    #[test]
    fn a_log_event_is_counted_by_its_level() {
        let test = Fixture::new();
        test.assert_series(&[(r#"log_events_total{level="trace"}"#, 0.0)]);
        test.metrics.track_log_event(LogLevel::Warn);
        test.assert_series(&[
            (r#"log_events_total{level="warn"}"#, 1.0),
            (r#"log_events_total{level="error"}"#, 0.0),
        ]);
    }
}
