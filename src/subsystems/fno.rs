//! Futures and options analytics.

use crate::Counter;

families! {
    /// Futures and options analytics.
    pub struct FnoMetrics = "fno" {
        /// Stands in for the families to come
        pub stub: Counter = "fo_stub_total",
    }
}
