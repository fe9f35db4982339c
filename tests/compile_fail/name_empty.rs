use backend_metrics::{Gauge, families};

families! {
    /// The quotes of the desk.
    pub struct DeskMetrics = "desk" {
        /// Quotes sent
        pub quotes: Gauge = "",
    }
}

fn main() {}
