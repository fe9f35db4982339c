//! Market data, indicators and the calendar.

use crate::Counter;

families! {
    /// Market data, indicators and the calendar.
    pub struct MarketDataMetrics = "market_data" {
        /// Stands in for the families to come
        pub stub: Counter = "market_data_stub_total",
    }
}
