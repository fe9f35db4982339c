//! Rate limits.

use crate::Counter;

families! {
    /// Rate limits.
    pub struct RateLimitMetrics = "rate_limits" {
        /// Stands in for the families to come
        pub stub: Counter = "rate_limit_stub_total",
    }
}
