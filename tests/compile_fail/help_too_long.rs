use backend_metrics::{Counter, families};

families! {
    /// The quotes of the desk.
    pub struct DeskMetrics = "desk" {
        /// Quotes sent to the exchange and not taken back, Quotes sent to the exchange and not taken back, Quotes sent to the exchange and not taken back
        pub quotes: Counter = "desk_quotes_total",
    }
}

fn main() {}
