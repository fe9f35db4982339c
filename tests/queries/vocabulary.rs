//! The metrics that an expression may name.

use std::collections::{BTreeMap, BTreeSet};

use backend_metrics::{Definition, Kind as FamilyKind, ValueSet, catalog};

use crate::{
    evaluation::evaluate,
    expressions::{Expression, Kind},
    series::{Label, Number, Series},
};

/// What Prometheus itself says of a target.
pub(crate) const OF_TARGETS: &[&str] = &[
    "up",
    "scrape_duration_seconds",
    "scrape_samples_post_metric_relabeling",
    "scrape_samples_scraped",
    "scrape_series_added",
    "scrape_timeout_seconds",
];

/// Metrics of other jobs that rules and runbooks ask for: the job, the name and the labels besides `job` and
/// `instance`.
const OF_OTHER_JOBS: &[(&str, &str, &[&str])] = &[
    ("alertmanager", "alertmanager_config_last_reload_success_timestamp_seconds", &[]),
    ("alertmanager", "alertmanager_config_last_reload_successful", &[]),
    ("alertmanager", "alertmanager_notification_latency_seconds_bucket", &["integration", "le"]),
    ("alertmanager", "alertmanager_notification_requests_failed_total", &["integration"]),
    ("alertmanager", "alertmanager_notifications_failed_total", &["integration", "reason"]),
    ("alertmanager", "alertmanager_notifications_total", &["integration"]),
    ("node", "node_timex_offset_seconds", &[]),
    ("node", "node_timex_sync_status", &[]),
    ("postgres", "pg_settings_max_connections", &[]),
    ("postgres", "pg_stat_activity_count", &["state"]),
    ("postgres", "pg_up", &[]),
    ("prometheus", "prometheus_config_last_reload_success_timestamp_seconds", &[]),
    ("prometheus", "prometheus_config_last_reload_successful", &[]),
    ("prometheus", "prometheus_notifications_alertmanagers_discovered", &[]),
    ("prometheus", "prometheus_notifications_dropped_total", &[]),
    ("prometheus", "prometheus_notifications_errors_total", &["alertmanager"]),
    ("prometheus", "prometheus_notifications_queue_capacity", &[]),
    ("prometheus", "prometheus_notifications_queue_length", &[]),
    ("prometheus", "prometheus_rule_evaluation_failures_total", &["rule_group"]),
    ("prometheus", "prometheus_rule_group_interval_seconds", &["rule_group"]),
    ("prometheus", "prometheus_rule_group_iterations_missed_total", &["rule_group"]),
    ("prometheus", "prometheus_rule_group_last_duration_seconds", &["rule_group"]),
    ("prometheus", "prometheus_sd_refresh_failures_total", &["mechanism"]),
    ("prometheus", "prometheus_tsdb_head_series", &[]),
    ("redis", "redis_config_maxclients", &[]),
    ("redis", "redis_connected_clients", &[]),
    ("redis", "redis_memory_max_bytes", &[]),
    ("redis", "redis_memory_used_bytes", &[]),
    ("redis", "redis_up", &[]),
];

/// The jobs of the stack besides the service.
pub(crate) const OTHER_JOBS: &[&str] =
    &["alertmanager", "grafana", "loki", "node", "postgres", "prometheus", "redis"];

/// The metrics by name, with what is known of their series.
#[derive(Debug, Default)]
pub(crate) struct Vocabulary {
    metrics: BTreeMap<String, Series>,
    /// No series has the name of a histogram.
    histograms: BTreeSet<&'static str>,
}

impl Vocabulary {
    /// The families of the catalog, what Prometheus adds, what other jobs expose, and what these rules record.
    pub(crate) fn new(rules: &[Expression]) -> Self {
        let mut this = Self::default();
        for entry in catalog() {
            this.add_family(entry.family);
        }
        for name in OF_TARGETS {
            this.add(name, of_target(name));
        }
        for (job, name, labels) in OF_OTHER_JOBS {
            let series = of_target(name).with("job", Label::of([*job]));
            let series = labels.iter().fold(series, |series, label| series.with(label, Label::ANY));
            let buckets = name.ends_with("_bucket");
            let counts = buckets || name.ends_with("_total");
            let number = if counts { Number::Counter } else { Number::Level };
            this.add(name, Series { number, buckets, ..series });
        }
        this.record(rules);
        for rule in rules {
            if let Kind::Alert { name, labels } = &rule.kind {
                let result = evaluate(&this, rule).series;
                let series = with_labels(result.unwrap_or(Series::plain(name)), labels)
                    .with("alertname", Label::of([name]));
                // Its value is the moment since which the expression holds.
                this.add("ALERTS_FOR_STATE", series.clone());
                this.add("ALERTS", series.with("alertstate", Label::of(["pending", "firing"])));
            }
        }
        this
    }

    /// The series of a metric, or why it has none.
    pub(crate) fn series(&self, metric: &str) -> Result<&Series, String> {
        self.metrics.get(metric).ok_or_else(|| {
            if self.histograms.contains(metric) {
                format!("{metric} is a histogram: its series end in _bucket, _sum or _count")
            } else {
                format!("no metric is named {metric}")
            }
        })
    }

    /// Adds what the rules record: first the rules that read no recording, then those that read theirs.
    fn record(&mut self, rules: &[Expression]) {
        let mut left: Vec<(&str, &[(String, String)], &Expression)> = rules
            .iter()
            .filter_map(|rule| match &rule.kind {
                Kind::Recording { name, labels } => Some((name.as_str(), labels.as_slice(), rule)),
                _ => None,
            })
            .collect();
        while !left.is_empty() {
            let (waiting, ready): (Vec<_>, Vec<_>) = left.iter().partition(|(_, _, rule)| {
                let read = evaluate(self, rule).metrics;
                left.iter().any(|(name, ..)| read.iter().any(|metric| metric == name))
            });
            assert!(!ready.is_empty(), "rules that read each other: {waiting:?}");
            for (name, labels, rule) in ready {
                let result = evaluate(self, rule).series;
                self.add(name, with_labels(result.unwrap_or(Series::plain(name)), labels));
            }
            left = waiting;
        }
    }

    fn add_family(&mut self, family: &'static Definition) {
        let name = family.name;
        let mut series = of_target(name);
        series.labels.extend(family.labels.iter().map(|label| {
            let known = label.values.known().iter().map(|&value| value.to_owned());
            let label_of = match label.values {
                ValueSet::Closed(_) | ValueSet::OnUse(_) => Label::of(known),
                ValueSet::Status(_) => {
                    Label::of(known.chain((100..600).map(|code| code.to_string())))
                }
                _ => Label::ANY,
            };
            (label.name.to_owned(), label_of)
        }));
        series.shared = family.shared;
        match family.kind {
            FamilyKind::Counter => self.add(name, Series { number: Number::Counter, ..series }),
            FamilyKind::Histogram => {
                series.number = Number::Counter;
                self.histograms.insert(name);
                for suffix in ["_sum", "_count"] {
                    self.add(&format!("{name}{suffix}"), series.clone());
                }
                let bounds = family.buckets.expect("a histogram has buckets").bounds();
                let bounds = bounds.iter().map(|bound| le(*bound)).chain(["+Inf".to_owned()]);
                let series = Series { buckets: true, ..series }.with("le", Label::of(bounds));
                self.add(&format!("{name}_bucket"), series);
            }
            _ => self.add(name, series),
        }
    }

    /// Adds series of a metric, which may have others.
    fn add(&mut self, metric: &str, mut series: Series) {
        metric.clone_into(&mut series.metric);
        let all = match self.metrics.remove(metric) {
            Some(others) => others.or(&series),
            None => series,
        };
        self.metrics.insert(metric.to_owned(), all);
    }
}

/// The name of the family that a series belongs to.
pub(crate) fn family_of(metric: &str) -> &str {
    let suffixes = ["_bucket", "_sum", "_count"];
    suffixes.iter().find_map(|suffix| metric.strip_suffix(suffix)).unwrap_or(metric)
}

fn of_target(metric: &str) -> Series {
    Series::plain(metric).with("job", Label::ANY).with("instance", Label::ANY)
}

fn with_labels(series: Series, labels: &[(String, String)]) -> Series {
    labels.iter().fold(series, |series, (name, value)| series.with(name, Label::of([value])))
}

/// A bound as OpenMetrics writes it, which Prometheus 3 makes of every other form.
fn le(bound: f64) -> String {
    // From here on it has an exponent; below a ten-thousandth as well, where no bound is.
    if bound >= 1e6 {
        let text = format!("{bound:e}");
        let (digits, exponent) = text.split_once('e').expect("it has an exponent");
        format!("{digits}e+{exponent:0>2}")
    } else {
        assert!(bound == 0.0 || bound >= 1e-4, "{bound}");
        format!("{bound:?}")
    }
}
