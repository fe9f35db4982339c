//! The process and its runtime.

use crate::Counter;

families! {
    /// The process and its runtime.
    pub struct ProcessMetrics = "process" {
        /// Stands in for the families to come
        pub stub: Counter = "process_stub_total",
    }
}
