use backend_metrics::{CounterFamily, Domain, Open, families, open_labels};

open_labels! {
    /// The book a quote belongs to.
    pub struct Book(book);
}

open_labels! {
    /// The desk a quote belongs to.
    pub struct Desk(desk);
}

families! {
    /// The quotes of the desk.
    pub struct DeskMetrics = "desk" {
        with {
            /// The books seen so far.
            pub books: Domain<Book>,
            /// The desks seen so far.
            pub desks: Domain<Desk>,
        }

        /// Quotes sent
        pub quotes: CounterFamily<(Open<Book>, Open<Desk>)> = "desk_quotes_total",
    }
}

fn main() {}
