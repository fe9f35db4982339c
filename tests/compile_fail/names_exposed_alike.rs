use backend_metrics::{Counter, Histogram, families};

families! {
    /// The quotes of the desk.
    pub struct DeskMetrics = "desk" {
        /// Lots of a quote
        pub lots: Histogram<u64> = "desk_lots" in &[1.0],
        /// Quotes counted
        pub counted: Counter = "desk_lots_count_total",
    }
}

fn main() {}
