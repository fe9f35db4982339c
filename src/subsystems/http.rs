//! Requests to the service.

use crate::Counter;

families! {
    /// Requests to the service.
    pub struct HttpMetrics = "http" {
        /// Stands in for the families to come
        pub stub: Counter = "http_stub_total",
    }
}
