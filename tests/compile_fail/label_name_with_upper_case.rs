use backend_metrics::label_values;

label_values! {
    /// Where a quote goes.
    pub enum Venue = "Venue" {
        /// The National Stock Exchange.
        Nse = "nse",
        /// The Bombay Stock Exchange.
        Bse = "bse",
    }
}

fn main() {}
