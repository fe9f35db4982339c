use backend_metrics::{CounterFamily, families, label_values};

label_values! {
    /// A label.
    pub enum A = "a" {
        /// Its value.
        One = "one",
    }
}

families! {
    /// The quotes of the desk.
    pub struct DeskMetrics = "desk" {
        /// Quotes sent
        pub quotes: CounterFamily<((A, A, A), (A, A, A), (A, A, A))> = "desk_quotes_total",
    }
}

fn main() {}
