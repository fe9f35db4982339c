//! Requests that wait, or meet a service that is not ready, are recorded as their clients see them.

#[path = "../middleware/scripted.rs"]
#[allow(dead_code, reason = "shared with the tests of the layers")]
mod scripted;
#[path = "../common/unready.rs"]
mod unready;

mod limits;
mod script;

use std::{borrow::Cow, time::Duration};

use backend_metrics::{
    Clock, Metrics,
    middleware::{ClientLayer, MetricsLayer},
};

/// An instance with a clock that the test moves.
struct Test {
    metrics: Metrics,
    clock: Clock,
}

impl Test {
    fn new() -> Self {
        let clock = Clock::manual();
        let metrics = Metrics::builder().clock(clock.clone()).build().unwrap();
        Self { metrics, clock }
    }

    /// The layer around a service, all of whose requests are for one endpoint.
    fn layer(&self) -> MetricsLayer {
        MetricsLayer::new(self.metrics).endpoint(|_| Some(Cow::Borrowed("/orders")))
    }

    fn client(&self) -> ClientLayer {
        ClientLayer::new(self.metrics, "ticker")
    }

    fn advance(&self, milliseconds: u64) {
        self.clock.advance(Duration::from_millis(milliseconds));
    }

    /// Asserts that these lines about HTTP are all that are not zero, buckets aside, in any order.
    #[track_caller]
    fn assert_exposed(&self, expected: &str) {
        let text = self.metrics.to_text();
        let about_http = |line: &&str| {
            (line.starts_with("http_") || line.starts_with("application_errors_total"))
                && !line.contains("_bucket{")
                && !line.ends_with(" 0")
        };
        let mut exposed: Vec<_> = text.lines().filter(about_http).collect();
        let mut expected: Vec<_> =
            expected.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        exposed.sort_unstable();
        expected.sort_unstable();
        assert!(
            exposed == expected,
            "exposed:\n{}\nexpected:\n{}",
            exposed.join("\n"),
            expected.join("\n")
        );
    }
}
