use backend_metrics::{Histogram, families};

families! {
    /// The quotes of the desk.
    pub struct DeskMetrics = "desk" {
        /// Time from the tick to the quote
        pub quote_duration: Histogram = "desk_quote_duration_seconds" in &[0.1, 0.1],
    }
}

fn main() {}
