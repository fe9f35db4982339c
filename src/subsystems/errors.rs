//! Errors of the application and its log.

use crate::Counter;

families! {
    /// Errors of the application and its log.
    pub struct ErrorMetrics = "errors" {
        /// Stands in for the families to come
        pub stub: Counter = "error_stub_total",
    }
}
