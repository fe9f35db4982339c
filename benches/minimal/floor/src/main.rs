//! The server alone, with nothing recorded.

use std::time::Duration;

use server::Record;

struct Nothing;

impl Record for Nothing {
    fn query(&self, _: &'static str, _: &'static str, _: Duration) {}

    fn request(&self, _: &str, _: &'static str, _: &str, _: Duration) {}

    fn scrape(&self) -> String {
        String::new()
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    server::serve_measured(Nothing).await
}
