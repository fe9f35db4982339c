//! Families to bytes.

mod collector;
mod encoder;
mod exemplars;
pub(crate) mod foreign;
pub(crate) mod negotiate;
pub(crate) mod number;
mod parse;

pub use self::collector::MetricsCollector;

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
    /// All families in a format, as a scrape would get them: those of the instance, then those of the
    /// registries that were given to [`Builder::registry`](crate::Builder::registry).
    #[must_use]
    pub fn encode(self, format: Format) -> String {
        // First, so that what is wrong with them is counted in the same scrape.
        let foreign = foreign::encode(self, format);
        let mut out = encoder::encode(self, format);
        out.push_str(&foreign);
        if format == Format::OpenMetrics {
            out.push_str("# EOF\n");
        }
        out
    }

    /// All families in Prometheus text 0.0.4, for tests and a look by eye.
    #[must_use]
    pub fn to_text(self) -> String {
        self.encode(Format::Text)
    }
}
