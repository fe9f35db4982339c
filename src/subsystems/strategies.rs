//! Strategies and their mark to market.

use crate::Counter;

families! {
    /// Strategies and their mark to market.
    pub struct StrategyMetrics = "strategies" {
        /// Stands in for the families to come
        pub stub: Counter = "strategy_stub_total",
    }
}
