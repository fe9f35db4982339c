use backend_metrics::{Gauge, Open, RatioWindow, families, open_labels};

open_labels! {
    /// The book a quote belongs to.
    pub struct Book(book);
}

families! {
    /// The quotes of the desk.
    pub struct DeskMetrics = "desk" {
        with {
            /// The quotes that were taken.
            pub taken: RatioWindow<Open<Book>>,
        }

        /// Quotes in the market
        pub quotes: Gauge = "desk_quotes",
    }
}

fn main() {}
