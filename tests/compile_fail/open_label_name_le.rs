use backend_metrics::open_labels;

open_labels! {
    /// The book a trade belongs to.
    pub struct Book(le);
}

fn main() {}
