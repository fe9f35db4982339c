//! Requests to other services.

use crate::Counter;

families! {
    /// Requests to other services.
    pub struct HttpClientMetrics = "http_client" {
        /// Stands in for the families to come
        pub stub: Counter = "http_client_stub_total",
    }
}
