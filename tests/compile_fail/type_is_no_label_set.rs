use backend_metrics::{CounterFamily, families};

families! {
    /// The quotes of the desk.
    pub struct DeskMetrics = "desk" {
        /// Quotes sent
        pub quotes: CounterFamily<String> = "desk_quotes_total",
    }
}

fn main() {}
