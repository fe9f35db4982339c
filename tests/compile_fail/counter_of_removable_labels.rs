use backend_metrics::{CounterFamily, Open, families, open_labels};

open_labels! {
    /// A session of the terminal.
    pub struct Session(session) [removable];
}

families! {
    /// Sessions of the terminal.
    pub struct TerminalMetrics = "terminal" {
        /// Windows that a session opened
        pub windows: CounterFamily<Open<Session>> = "terminal_windows_total",
    }
}

fn main() {}
