//! Families to bytes.

mod encoder;
pub(crate) mod number;

use crate::instance::Metrics;

/// A text format of the exposition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// `OpenMetrics` 1.0.0.
    OpenMetrics,
    /// Prometheus text 0.0.4.
    Text,
}

impl Metrics {
    /// All families in a format, as a scrape would get them.
    #[must_use]
    pub fn encode(self, format: Format) -> String {
        encoder::encode(self, format)
    }

    /// All families in Prometheus text 0.0.4, for tests and a look by eye.
    #[must_use]
    pub fn to_text(self) -> String {
        self.encode(Format::Text)
    }
}
