use backend_metrics::label_values;

label_values! {
    /// Where a quote goes.
    pub enum Venue = "venue" {
        /// The National Stock Exchange.
        Nse = "nse",
        /// The Bombay Stock Exchange.
        Bse = "",
    }
}

fn main() {}
