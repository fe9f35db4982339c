//! What the unit tests have in common.

use crate::{Clock, Metrics};

/// An instance with a clock that the test moves.
pub(crate) struct Fixture {
    pub(crate) metrics: Metrics,
    pub(crate) clock: Clock,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let clock = Clock::manual();
        let metrics = Metrics::builder().clock(clock.clone()).build().unwrap();
        Self { metrics, clock }
    }

    /// The value of one exposed series, given with its labels.
    pub(crate) fn series(&self, series: &str) -> Option<f64> {
        let text = self.metrics.to_text();
        let mut lines =
            text.lines().filter_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        let value = lines.next()?.parse().unwrap();
        assert_eq!(lines.next(), None, "{series} is exposed twice");
        Some(value)
    }

    /// Asserts the values of exposed series.
    #[track_caller]
    pub(crate) fn assert_series(&self, expected: &[(&str, f64)]) {
        for (series, value) in expected {
            assert_eq!(self.series(series), Some(*value), "{series}\n{}", self.metrics.to_text());
        }
    }
}
