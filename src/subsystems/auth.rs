//! Log-ins, tokens, keys and sessions.

use crate::Counter;

families! {
    /// Log-ins, tokens, keys and sessions.
    pub struct AuthMetrics = "auth" {
        /// Stands in for the families to come
        pub stub: Counter = "auth_stub_total",
    }
}
