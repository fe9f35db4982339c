//! The metrics themselves: series, overflows, callbacks and scrapes.
//!
//! All of them are kept by the library. A scrape counts itself when it has ended, so the next one shows it.
//!
//! | family | labels | recorded |
//! | --- | --- | --- |
//! | `metrics_series` | `family` | by every scrape, for what it shows itself |
//! | `metrics_label_overflows_total` | `family` | when an open label value finds no room |
//! | `metrics_callback_failures_total` | `callback`, `reason` | when code of the service gives nothing for a scrape |
//! | `metrics_scrapes_total`, `metrics_scrape_duration_seconds`, `metrics_scrape_size_bytes` | `format`, `status` | [`Metrics::track_scrape`](crate::Metrics::track_scrape), at the end of a scrape |

use std::time::Duration;

use crate::{
    CounterFamily, Domain, Gauge, GaugeFamily, Histogram, Open,
    registry::{Family, Layout},
};

use super::helpers::helpers;

families! {
    /// The metrics themselves: series, overflows, callbacks and scrapes.
    pub struct SelfMetrics = "self" {
        with {
            pub(crate) names: Domain<FamilyName>,
            pub(crate) overflowing: Domain<OverflowingFamily>,
            pub(crate) callbacks: Domain<CallbackName>,
        }

        /// Series that a family shows in this scrape
        ///
        /// A histogram has one for each bucket, one for the sum and one for the count.
        pub series: GaugeFamily<Open<FamilyName>> = "metrics_series",

        /// Events whose open labels found no room and count as other
        ///
        /// Under the first family of the families that share the labels. See
        /// [`Builder::label_cap`](crate::Builder::label_cap).
        pub label_overflows: CounterFamily<Open<OverflowingFamily>> = "metrics_label_overflows_total",

        /// Callbacks of the service that gave nothing for a scrape
        ///
        /// What the callback would have set or written is missing in that scrape, but for an `on_scrape`: what it has
        /// set stays. `callback` is
        ///
        /// - `database_pool:<name>` and `redis_pool:<name>`, a source of
        ///   [`add_database_pool_source`](crate::Metrics::add_database_pool_source) or
        ///   [`add_redis_pool_source`](crate::Metrics::add_redis_pool_source);
        /// - `subsystem:<name>`, the `on_scrape` of a subsystem that was [mounted](crate::Builder::mount);
        /// - `registry:<name>`, a registry or collector of [`Builder::registry_named`](crate::Builder::registry_named) or
        ///   [`Builder::collector_named`](crate::Builder::collector_named), by its number if it has no name;
        /// - `process`, figures in `/proc` that cannot be read.
        ///
        /// A callback stands at zero from when it is given. The cap of names is 100, unless
        /// [`Builder::cap_of`](crate::Builder::cap_of) sets that of [`CallbackName`] or
        /// [`Builder::label_cap`](crate::Builder::label_cap) is lower; mounted subsystems and registries do not count
        /// against it.
        pub callback_failures: CounterFamily<(Open<CallbackName>, CallbackFailureReason)> =
            "metrics_callback_failures_total",

        /// Scrapes by format and how they ended
        pub scrapes: CounterFamily<(ScrapeFormat, ScrapeStatus)> = "metrics_scrapes_total",

        /// Time to encode a scrape, compression included
        pub scrape_duration: Histogram = "metrics_scrape_duration_seconds"
            in &[0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0],

        /// Size of the last scrape before compression
        pub scrape_size: Gauge = "metrics_scrape_size_bytes",
    }
}

open_labels! {
    /// A family of the instance.
    pub struct FamilyName(family);
}

open_labels! {
    /// The first family of those that share open labels.
    pub struct OverflowingFamily(family);
}

open_labels! {
    /// Code of the service that runs for a scrape: what it is and its name, such as `database_pool:primary`.
    pub struct CallbackName(callback);
}

label_values! {
    /// Why a callback gave nothing.
    pub enum CallbackFailureReason = "reason" {
        /// It returned without a value, or with an error.
        None = "none",
        /// It panicked.
        Panic = "panic",
        /// It did not return within the [`Builder::collect_timeout`](crate::Builder::collect_timeout), or below the
        /// timeout of the scraper, or still runs for an earlier scrape.
        Timeout = "timeout",
    }
}

label_values! {
    /// The format of a scrape.
    pub enum ScrapeFormat = "format" {
        /// `OpenMetrics` text.
        OpenMetrics = "openmetrics",
        /// Prometheus text 0.0.4.
        Text = "text",
        /// Prometheus protobuf, which this version does not write.
        Protobuf = "protobuf",
    }
}

label_values! {
    /// How a scrape ended.
    pub enum ScrapeStatus = "status" {
        /// It was encoded.
        Ok = "ok",
        /// It failed: nothing was encoded. A panic of what the service has read costs no scrape.
        Error = "error",
    }
}

impl SelfMetrics {
    /// Makes the series of every family and of every domain; the number of series of each family.
    pub(crate) fn know(&self, layout: &Layout) -> Vec<Gauge> {
        self.names.fix();
        self.overflowing.fix();
        for (_, domain) in &layout.domains {
            if let Some(name) = domain.name() {
                let family = self.overflowing.add_library_value(name);
                domain.count_overflows_in(self.label_overflows.get(family).cell());
            }
        }
        let names = layout.families.iter().map(|family| family.definition.name);
        names.map(|name| self.series.get(self.names.add_library_value(name))).collect()
    }

    /// Makes the series of a callback that the service has from the start.
    pub(crate) fn know_callback(&self, name: &str) {
        _ = self.callbacks.add_library_value(name);
    }

    /// Whether this is the family that is set last, from what the others came to.
    pub(crate) fn is_series(family: &Family) -> bool {
        family.definition.name == "metrics_series"
    }
}

helpers! {
    /// Counts a scrape that was encoded outside of this crate's exporter, and observes its time and size.
    pub fn track_scrape(self, format: ScrapeFormat, status: ScrapeStatus, duration: Duration, bytes: u64) {
        let scrapes = self.self_metrics.scrapes.get((format, status));
        self.self_metrics.scrape_duration.observe_counted(duration, scrapes);
        if status == ScrapeStatus::Ok {
            #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
            self.self_metrics.scrape_size.set(bytes as f64);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{ScrapeFormat, ScrapeStatus};
    use crate::{
        Metrics,
        subsystems::{database::TransactionOperation, self_metrics::SelfMetrics},
        testing::Fixture,
    };

    #[test]
    fn series_are_those_of_the_same_scrape() {
        let test = Fixture::new();
        test.metrics.track_scrape(
            ScrapeFormat::Text,
            ScrapeStatus::Ok,
            Duration::from_millis(2),
            5_000,
        );
        let text = test.metrics.to_text();
        for entry in crate::catalog() {
            let name = entry.family.name;
            let samples = text
                .lines()
                .filter(|line| {
                    let sample = line.split(['{', ' ']).next().unwrap();
                    sample == name
                        || (entry.family.buckets.is_some()
                            && ["_bucket", "_sum", "_count"]
                                .iter()
                                .any(|suffix| sample.strip_suffix(suffix) == Some(name)))
                })
                .count();
            let expected = format!("metrics_series{{family=\"{name}\"}} {samples}\n");
            assert!(text.contains(&expected), "{expected}");
        }
        assert!(text.contains("metrics_series{family=\"metrics_scrape_duration_seconds\"} 11\n"));
    }

    #[test]
    fn an_overflow_counts_under_the_first_family_of_its_labels() {
        let metrics = Metrics::builder().cap_of::<TransactionOperation>(1).build().unwrap();
        for operation in ["a", "b", "c", "a"] {
            metrics.start_database_transaction(operation).commit();
        }
        let text = metrics.to_text();
        for expected in [
            "metrics_label_overflows_total{family=\"database_transaction_duration_seconds\"} 2\n",
            "database_transactions_total{operation=\"other\",outcome=\"committed\"} 2\n",
        ] {
            assert!(text.contains(expected), "{text}");
        }
    }

    #[test]
    fn the_name_of_the_series_family_is_the_defined_one() {
        let metrics = Metrics::new();
        assert!(metrics.instance().families.iter().any(SelfMetrics::is_series));
    }
}
