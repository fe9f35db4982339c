//! The families of an instance inside a registry of `prometheus-client`.

use std::{borrow::Cow, fmt};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet},
    metrics::MetricType,
    registry::Unit,
};

use super::{
    Format, encoder,
    parse::{self, Family},
};
use crate::{collect::callback::Deadline, instance::Metrics};

/// The families of an instance as a [`Collector`] of `prometheus-client`, made by
/// [`Metrics::collector`].
#[derive(Clone, Copy, Debug)]
pub struct MetricsCollector(Metrics);

impl Metrics {
    /// The families of the instance for a service that has a registry of `prometheus-client` and an
    /// exporter for it.
    ///
    /// Names, labels and values are those of [`encode`](Self::encode), with what `prometheus-client` can
    /// say:
    ///
    /// - It has `OpenMetrics` only. A registry with a prefix or with labels adds them to ours. A collector cannot
    ///   see those: with a label that one of our families has too, such as `endpoint`, the exposition has it
    ///   twice, and Prometheus refuses all of it. Give such labels names of their own, or use
    ///   [`Builder::constant_label`](crate::Builder::constant_label), which checks them.
    /// - It writes bounds of a million and more as `1000000.0`, not `1e+06`; Prometheus 3 stores the same
    ///   series, Prometheus 2 does not. Infinite gauges are `inf`.
    /// - A sum is a floating-point number: past 2^53 nanoseconds, 104 days, it is rounded.
    /// - `_sum` and `_count` come before the buckets, and `le` before the labels.
    /// - In a registry that another instance exposes, callbacks that are under way for a scrape of this instance are
    ///   not waited for, and count as late.
    /// - Families of registries that were given to
    ///   [`Builder::registry`](crate::Builder::registry) are left out, and so are exemplars.
    ///
    /// ```
    /// use backend_metrics::Metrics;
    /// use prometheus_client::{encoding::text::encode, registry::Registry};
    ///
    /// let metrics = Metrics::new();
    /// let mut registry = Registry::default();
    /// registry.register_collector(Box::new(metrics.collector()));
    ///
    /// let mut text = String::new();
    /// encode(&mut text, &registry)?;
    /// assert!(text.contains("# TYPE database_pool_acquire_timeouts counter\n"));
    /// assert!(text.contains("database_pool_acquire_timeouts_total 0\n"));
    /// # Ok::<(), std::fmt::Error>(())
    /// ```
    #[must_use]
    pub fn collector(self) -> MetricsCollector {
        MetricsCollector(self)
    }
}

impl Collector for MetricsCollector {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        // Our own encoder decides what is exposed, and what it writes is handed over.
        self.0.refresh(Deadline::after(self.0.collect_timeout()));
        let text = encoder::encode(self.0, Format::OpenMetrics);
        let text = text.strip_suffix("# EOF\n").unwrap_or(&text);
        parse::blocks(text)
            .filter_map(parse::family)
            .try_for_each(|family| hand_over(&family, &mut encoder))
    }
}

fn hand_over(family: &Family<'_>, encoder: &mut DescriptorEncoder) -> fmt::Result {
    // The encoder puts the unit behind the name.
    let (stem, unit) = match family.unit.and_then(|unit| {
        let stem = family.name.strip_suffix(unit)?.strip_suffix('_')?;
        Some((stem, Unit::Other(unit.to_owned())))
    }) {
        Some((stem, unit)) => (stem, Some(unit)),
        None => (family.name, None),
    };
    let kind = match family.kind.word {
        "counter" => MetricType::Counter,
        "gauge" => MetricType::Gauge,
        "histogram" => MetricType::Histogram,
        "info" => MetricType::Info,
        _ => MetricType::Unknown,
    };
    let mut metric = encoder.encode_descriptor(stem, family.help, unit.as_ref(), kind)?;
    let mut buckets = Buckets::default();
    for sample in &family.samples {
        let value = sample.value;
        let labels = unescaped(sample.labels);
        match (sample.suffix, value.parse::<u64>(), value.parse::<i64>()) {
            ("_bucket", ..) => buckets.add(&labels, value),
            ("_sum", ..) => buckets.sum = number(value),
            ("_count", count, _) => {
                let Buckets { counts, sum, .. } = std::mem::take(&mut buckets);
                let count = count.map_err(|_| fmt::Error)?;
                series(&mut metric, &labels, |series| {
                    series.encode_histogram::<NoLabelSet>(sum, count, &counts, None)
                })?;
            }
            ("_info", ..) => metric.encode_info(&labels)?,
            ("_total", Ok(value), _) => series(&mut metric, &labels, |series| {
                series.encode_counter::<NoLabelSet, _, f64>(&value, None)
            })?,
            ("_total", ..) => series(&mut metric, &labels, |series| {
                series.encode_counter::<NoLabelSet, _, f64>(&number(value), None)
            })?,
            (_, _, Ok(value)) => {
                series(&mut metric, &labels, |series| series.encode_gauge(&value))?;
            }
            _ => series(&mut metric, &labels, |series| series.encode_gauge(&number(value)))?,
        }
    }
    Ok(())
}

/// Label names and values.
type Labels<'a> = Vec<(&'a str, Cow<'a, str>)>;

/// Writes a series; the encoder writes braces even around no labels.
fn series(
    metric: &mut MetricEncoder,
    labels: &Labels<'_>,
    write: impl FnOnce(&mut MetricEncoder) -> fmt::Result,
) -> fmt::Result {
    if labels.is_empty() { write(metric) } else { write(&mut metric.encode_family(labels)?) }
}

/// What was read of a histogram.
#[derive(Default)]
struct Buckets {
    /// Upper bounds, and what fell between them.
    counts: Vec<(f64, u64)>,
    /// What fell below the last bound.
    below: u64,
    sum: f64,
}

impl Buckets {
    fn add(&mut self, labels: &Labels<'_>, value: &str) {
        let bound = labels.iter().find(|(name, _)| *name == "le");
        let count = value.parse().unwrap_or(self.below);
        let bound = bound.map_or(f64::INFINITY, |(_, bound)| number(bound));
        self.counts.push((bound, count.saturating_sub(self.below)));
        self.below = count;
    }
}

fn number(text: &str) -> f64 {
    text.parse().unwrap_or(f64::NAN)
}

fn unescaped(labels: &str) -> Labels<'_> {
    parse::labels(labels).map(|(name, value)| (name, unescaped_value(value))).collect()
}

fn unescaped_value(value: &str) -> Cow<'_, str> {
    if !value.contains('\\') {
        return value.into();
    }
    let mut characters = value.chars();
    let mut plain = String::with_capacity(value.len());
    while let Some(character) = characters.next() {
        plain.push(match character {
            '\\' => match characters.next() {
                Some('n') => '\n',
                escaped => escaped.unwrap_or(character),
            },
            character => character,
        });
    }
    plain.into()
}

#[cfg(test)]
#[expect(unreachable_pub, reason = "what the macros declare is public")]
mod tests {
    use std::{collections::BTreeSet, time::Duration};

    use prometheus_client::{encoding::text::encode, registry::Registry};

    use super::*;
    use crate::{
        Counter, Domain, Gauge, GaugeFamily, Histogram, Open, ReadCounter, labels::QueryType,
        testing::Fixture,
    };

    open_labels! {
        /// What is said.
        pub struct Word(word);
    }

    families! {
        /// One of each kind that has something of its own.
        pub struct Kinds = "kinds" {
            with {
                /// What is said.
                pub words: Domain<Word>,
            }

            /// A gauge with the name of a counter
            pub entries: Gauge = "kinds_entries_total" [specified_name],

            /// A level
            pub level: GaugeFamily<Open<Word>> = "kinds_level_ratio",

            /// A counter with a unit that is read
            pub busy: ReadCounter = "kinds_busy_seconds_total",

            /// A counter with a unit
            pub sent: Counter = "kinds_sent_bytes_total",

            /// Sizes
            pub size: Histogram<u64> = "kinds_size_bytes" in &[1.0, 1_000_000.0],
        }
    }

    fn kinds() -> Fixture {
        let clock = crate::Clock::manual();
        let metrics = Metrics::builder()
            .clock(clock.clone())
            .constant_label("region", "mumbai \"west\"")
            // Its figures change from one scrape to the next.
            .without("process")
            .mount::<Kinds>()
            .build()
            .unwrap();
        let kinds = metrics.mounted::<Kinds>().unwrap();
        kinds.entries.set(-7.0);
        kinds.level.get(kinds.words.get("a\"b\\c\nd\\n😀")).set(0.25);
        kinds.level.get(kinds.words.get("none")).set(f64::NAN);
        kinds.busy.set(1.5);
        kinds.sent.add(u64::MAX);
        kinds.size.observe(1);
        kinds.size.observe(5_000_000);
        metrics.database.query_duration.get(QueryType::Select).observe(Duration::from_millis(30));
        metrics.database.query_duration.get(QueryType::Select).observe(Duration::from_secs(30));
        metrics.database.query_duration.get(QueryType::Insert).observe(Duration::from_millis(3));
        Fixture { metrics, clock }
    }

    fn collected(metrics: Metrics) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(metrics.collector()));
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        text
    }

    /// What the lines say, however they say it: the order of labels and the form of numbers may differ.
    fn said(text: &str) -> BTreeSet<String> {
        let number = |text: &str| format!("{:?}", text.parse::<f64>().unwrap());
        let families = parse::blocks(text.strip_suffix("# EOF\n").unwrap());
        families
            .flat_map(|block| {
                let family = parse::family(block).unwrap();
                let head = format!("{} {} {:?}", family.name, family.kind.word, family.unit);
                let samples = family.samples.iter().map(|sample| {
                    let labels = parse::labels(sample.labels)
                        .map(|(name, value)| {
                            let value = if name == "le" { number(value) } else { value.to_owned() };
                            format!("{name}={value}")
                        })
                        .collect::<BTreeSet<_>>();
                    format!("{}{}{labels:?} {}", family.name, sample.suffix, number(sample.value))
                });
                samples.chain([head]).collect::<Vec<_>>()
            })
            .collect()
    }

    #[test]
    fn a_registry_says_what_we_say() {
        let fixture = kinds();
        let (ours, theirs) =
            (fixture.metrics.encode(Format::OpenMetrics), collected(fixture.metrics));
        let (ours_said, theirs_said) = (said(&ours), said(&theirs));
        let differences: Vec<_> = ours_said.symmetric_difference(&theirs_said).collect();
        assert!(differences.is_empty(), "{differences:#?}");
        assert_eq!(theirs.lines().count(), ours.lines().count());
    }

    #[test]
    fn names_are_exactly_ours() {
        let text = collected(kinds().metrics);
        for line in [
            "# TYPE kinds_entries_total gauge\n",
            "kinds_entries_total{region=\"mumbai \\\"west\\\"\"} -7\n",
            "# UNIT kinds_level_ratio ratio\n",
            "word=\"a\\\"b\\\\c\\nd\\\\n😀\"} 0.25\n",
            "word=\"none\"} NaN\n",
            "# TYPE kinds_busy_seconds counter\n# UNIT kinds_busy_seconds seconds\n\
             kinds_busy_seconds_total{region=\"mumbai \\\"west\\\"\"} 1.5\n",
            "kinds_sent_bytes_total{region=\"mumbai \\\"west\\\"\"} 18446744073709551615\n",
            "kinds_size_bytes_bucket{le=\"1000000.0\",region=\"mumbai \\\"west\\\"\"} 1\n",
            "# HELP database_queries Queries by what they do and how they ended\n",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }
}
