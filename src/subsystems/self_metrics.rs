//! The metrics themselves.

use crate::Counter;

families! {
    /// The metrics themselves.
    pub struct SelfMetrics = "self" {
        /// Stands in for the families to come
        pub stub: Counter = "metrics_stub_total",
    }
}
