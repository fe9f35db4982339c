//! Requests to the ticker service and the ticks it sends.

use crate::Counter;

families! {
    /// Requests to the ticker service and the ticks it sends.
    pub struct TickerServiceMetrics = "ticker_service" {
        /// Stands in for the families to come
        pub stub: Counter = "ticker_service_stub_total",
    }
}
