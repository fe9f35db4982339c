use backend_metrics::open_labels;

open_labels! {
    /// The book a quote belongs to, and its desk.
    pub struct Book(book, book);
}

fn main() {}
