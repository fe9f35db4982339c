//! Validation, cost and life of orders.

use crate::Counter;

families! {
    /// Validation, cost and life of orders.
    pub struct SmartOrderMetrics = "smart_orders" {
        /// Stands in for the families to come
        pub stub: Counter = "smart_order_stub_total",
    }
}
