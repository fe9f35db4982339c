//! Families to bytes.

mod collector;
mod encoder;
mod exemplars;
pub(crate) mod foreign;
pub(crate) mod negotiate;
pub(crate) mod number;
mod parse;
mod strict;

pub use self::collector::MetricsCollector;

use crate::{
    collect::callback::Deadline,
    instance::{Metrics, Written},
};

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
        self.read(Deadline::after(self.collect_timeout())).encode(format)
    }

    /// Runs the callbacks of the service for a scrape, within a deadline.
    pub(crate) fn read(self, deadline: Deadline) -> Scrape {
        let written = self.refresh_with(deadline, &self.instance().registries);
        Scrape { metrics: self, written }
    }

    /// All families in Prometheus text 0.0.4, for tests and a look by eye.
    #[must_use]
    pub fn to_text(self) -> String {
        self.encode(Format::Text)
    }

    /// The value of one series, for tests; none if it is not exposed.
    ///
    /// The series is given as it is exposed: all of its labels in their order, and the bounds of buckets as
    /// `0.5`, `1.0`, `1e+06` and `+Inf`. Everything is encoded for it, so it is not for the service itself.
    ///
    /// ```
    /// use backend_metrics::{Metrics, labels::QueryType};
    ///
    /// let metrics = Metrics::new();
    /// drop(metrics.start_database_query(QueryType::Select));
    /// let series = r#"database_queries_total{query_type="select",status="cancelled"}"#;
    /// assert_eq!(metrics.value(series), Some(1.0));
    /// // A histogram is exposed from its first observation on.
    /// assert_eq!(metrics.value(r#"database_rows_returned_count{query_type="select"}"#), None);
    /// ```
    #[must_use]
    pub fn value(self, series: &str) -> Option<f64> {
        value_in(&self.to_text(), series)
    }
}

/// An instance whose callbacks have run, to be encoded.
#[derive(Debug)]
pub(crate) struct Scrape {
    metrics: Metrics,
    /// What the registries wrote.
    written: Vec<Option<Written>>,
}

impl Scrape {
    pub(crate) fn encode(&self, format: Format) -> String {
        // First, so that what is wrong with them is counted in the same scrape.
        let foreign = foreign::encode(self.metrics, &self.written, format);
        let mut out = encoder::encode(self.metrics, format);
        out.push_str(&foreign);
        if format == Format::OpenMetrics {
            out.push_str("# EOF\n");
        }
        out
    }
}

/// The value of the sample that is named and labelled so.
pub(crate) fn value_in(text: &str, series: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}
