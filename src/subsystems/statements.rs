//! Uploaded account statements.

use crate::Counter;

families! {
    /// Uploaded account statements.
    pub struct StatementMetrics = "statements" {
        /// Stands in for the families to come
        pub stub: Counter = "statement_stub_total",
    }
}
