use backend_metrics::{Gauge, families};

families! {
    /// The quotes of the desk.
    pub struct DeskMetrics = "desk" {
        /// Quotes in the market
        pub quotes: Gauge = "desk_quotes" [shared_value("nse")],
    }
}

fn main() {}
