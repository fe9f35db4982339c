use backend_metrics::{Counter, families};

families! {
    /// The quotes of the desk.
    pub struct DeskMetrics = "desk" {
        with {
            /// The quotes at hand.
            pub at_hand: u64,
        }

        /// Quotes sent
        pub quotes: Counter = "desk_quotes_total",
    }
}

fn main() {}
