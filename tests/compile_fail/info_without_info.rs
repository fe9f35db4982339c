use backend_metrics::{Info, families};

families! {
    /// The quotes of the desk.
    pub struct DeskMetrics = "desk" {
        /// Quotes sent
        pub quotes: Info = "desk_facts",
    }
}

fn main() {}
