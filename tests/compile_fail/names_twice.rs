use backend_metrics::{Counter, families};

families! {
    /// The quotes of the desk.
    pub struct DeskMetrics = "desk" {
        /// Quotes sent
        pub quotes: Counter = "desk_quotes_total",
        /// Quotes sent
        pub again: Counter = "desk_quotes_total",
    }
}

fn main() {}
