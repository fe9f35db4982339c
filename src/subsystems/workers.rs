//! Background workers and their queues.

use crate::Counter;

families! {
    /// Background workers and their queues.
    pub struct WorkerMetrics = "workers" {
        /// Stands in for the families to come
        pub stub: Counter = "worker_stub_total",
    }
}
