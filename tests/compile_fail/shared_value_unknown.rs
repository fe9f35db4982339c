use backend_metrics::{GaugeFamily, families, label_values};

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
        /// Quotes in the market
        pub quotes: GaugeFamily<Venue> = "desk_quotes" [shared_value("nyse")],
    }
}

fn main() {}
