//! Cache operations, in memory and in Redis.

use crate::Counter;

families! {
    /// Cache operations, in memory and in Redis.
    pub struct CacheMetrics = "cache" {
        /// Stands in for the families to come
        pub stub: Counter = "cache_stub_total",
    }
}
