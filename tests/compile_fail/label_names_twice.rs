use backend_metrics::{CounterFamily, families, label_values};

label_values! {
    /// Where a quote goes.
    pub enum Venue = "venue" {
        /// The National Stock Exchange.
        Nse = "nse",
        /// The Bombay Stock Exchange.
        Bse = "bse",
    }
}

families! {
    /// The quotes of the desk.
    pub struct DeskMetrics = "desk" {
        /// Quotes sent
        pub quotes: CounterFamily<(Venue, Venue)> = "desk_quotes_total",
    }
}

fn main() {}
