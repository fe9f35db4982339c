//! Users, orders and turnover of the day.

use crate::Counter;

families! {
    /// Users, orders and turnover of the day.
    pub struct BusinessMetrics = "business" {
        /// Stands in for the families to come
        pub stub: Counter = "business_stub_total",
    }
}
