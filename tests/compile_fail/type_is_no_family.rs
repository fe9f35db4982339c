use backend_metrics::families;

families! {
    /// The quotes of the desk.
    pub struct DeskMetrics = "desk" {
        /// Quotes sent
        pub quotes: u64 = "desk_quotes_total",
    }
}

fn main() {}
