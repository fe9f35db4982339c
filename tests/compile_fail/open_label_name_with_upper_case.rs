use backend_metrics::open_labels;

open_labels! {
    /// The book a trade belongs to, and its desk.
    pub struct Book(book, Desk);
}

fn main() {}
