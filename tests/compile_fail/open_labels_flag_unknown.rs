backend_metrics::open_labels! {
    /// A session of the terminal.
    pub struct Session(session) [temporary];
}

fn main() {}
