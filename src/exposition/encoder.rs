//! The encoder of both text formats.

use std::{ptr, rc::Rc, sync::atomic::Ordering::Relaxed};

use super::{
    Format,
    exemplars::Exemplars,
    number::{push_count, push_float, push_integer, push_units},
};
use crate::{
    family::{decode_late, decode_level},
    instance::Metrics,
    labels::ErrorSeverity,
    model::{Buckets, Definition, Kind, ValueSet},
    registry::{Family, Slot},
    storage::{
        cells::{Address, Reader},
        intern::{Domain, Shown},
        local,
    },
    subsystems::self_metrics::SelfMetrics,
};

/// Encodes every family of an instance, and sets `metrics_series` to what came of it.
pub(super) fn encode(metrics: Metrics, format: Format) -> String {
    count_invalid_values(metrics);
    let instance = metrics.instance();
    let mut encoder = Encoder {
        out: String::with_capacity(instance.encoded.load(Relaxed)),
        lines: 0,
        format,
        reader: local::reader(),
        exemplars: Exemplars::shown_in(format),
        constant_labels: &instance.constant_labels,
        info_labels: &instance.info_labels,
        labels: String::new(),
        shown: Vec::new(),
        counts: Vec::new(),
        next: String::new(),
        again: String::new(),
    };
    let mut own = None;
    for (family, gauge) in instance.families.iter().zip(&instance.series) {
        if SelfMetrics::is_series(family) {
            own = Some((family, gauge, encoder.out.len()));
        } else {
            gauge.set_count(encoder.family(family));
        }
    }
    // How many series there are is known now: the family goes where it belongs.
    if let Some((family, gauge, position)) = own {
        gauge.set_count(instance.families.len() as u64);
        let after = encoder.out.split_off(position);
        encoder.family(family);
        encoder.out.push_str(&after);
    }
    // Room for the next one, which may be a little longer.
    instance.encoded.store(encoder.out.len() + encoder.out.len() / 16, Relaxed);
    encoder.out
}

/// Counts what was given for a counter and is left out.
fn count_invalid_values(metrics: Metrics) {
    let families = metrics.instance().families.iter();
    let given = families.filter(|family| is_read_counter(family)).filter_map(|family| {
        let value = decode_late(local::get(family.base));
        value.filter(|value| !is_count(*value))
    });
    given.for_each(|_| metrics.track_application_error("invalid_value", ErrorSeverity::Error));
}

fn is_read_counter(family: &Family) -> bool {
    matches!(family.slot, Slot::Late) && family.definition.kind == Kind::Counter
}

/// Whether it is neither negative nor NaN, for which strict readers refuse the whole scrape.
fn is_count(value: f64) -> bool {
    value >= 0.0
}

struct Encoder<'a> {
    out: String,
    /// Samples written so far.
    lines: u64,
    format: Format,
    reader: Reader,
    exemplars: Exemplars,
    constant_labels: &'a str,
    info_labels: &'a str,
    /// The labels of the series at hand, from their brace on; behind them, once closed, what stands before the
    /// value.
    labels: String,
    /// The entries of the domains so far.
    shown: Vec<(&'static Domain, Rc<Shown>)>,
    /// The counts of the buckets of the series at hand.
    counts: Vec<u64>,
    /// The end of a line of a bucket and the next one up to its bound.
    next: String,
    /// The same with the count before it: most buckets are empty and repeat that of the one before.
    again: String,
}

impl Encoder<'_> {
    /// Writes a family, if it has a series to show; the number of samples.
    fn family(&mut self, family: &Family) -> u64 {
        let (start, lines) = (self.out.len(), self.lines);
        self.header(family.definition);
        match family.domain {
            None => self.combinations::<false>(family, 0, &[], ""),
            Some(domain) => match &*self.shown(domain) {
                Shown::Each(entries) => {
                    for entry in entries {
                        self.combinations::<false>(family, entry.row(), &[], entry.labels());
                    }
                }
                Shown::Summed(groups) => {
                    for (labels, entries) in groups {
                        let rows: Vec<_> = entries.iter().map(|entry| entry.row()).collect();
                        if let [row, more @ ..] = &*rows {
                            self.combinations::<true>(family, *row, more, labels);
                        }
                    }
                }
            },
        }
        if self.lines == lines {
            self.out.truncate(start);
        }
        self.lines - lines
    }

    /// The entries that a domain shows. They are looked up once: its families have the same ones in a scrape.
    fn shown(&mut self, domain: &'static Domain) -> Rc<Shown> {
        let known = self.shown.iter().find(|(known, _)| ptr::eq(*known, domain));
        if let Some((_, shown)) = known {
            return Rc::clone(shown);
        }
        let shown = Rc::new(domain.shown());
        self.shown.push((domain, Rc::clone(&shown)));
        shown
    }

    fn header(&mut self, definition: &Definition) {
        let (name, kind) = match self.format {
            Format::OpenMetrics => (definition.openmetrics_name(), definition.kind.as_str()),
            Format::Text if definition.kind == Kind::Info => (definition.name, "gauge"),
            Format::Text => (definition.name, definition.kind.as_str()),
        };
        // A checked HELP text has nothing to escape.
        for part in ["# HELP ", name, " ", definition.help, "\n# TYPE ", name, " ", kind, "\n"] {
            self.out.push_str(part);
        }
        if self.format == Format::OpenMetrics
            && let Some(unit) = definition.unit()
        {
            for part in ["# UNIT ", name, " ", unit, "\n"] {
                self.out.push_str(part);
            }
        }
    }

    /// Writes a series for each combination of the closed labels: that of a row, with those of the rows behind it
    /// added.
    ///
    /// It is compiled twice, as nearly all series are of one row.
    fn combinations<const SUMMED: bool>(
        &mut self,
        family: &Family,
        row: Address,
        more: &[Address],
        open: &str,
    ) {
        let more = if SUMMED { more } else { &[] };
        let stride = family.slot.stride(family.combinations);
        let addresses = (family.base + row..).step_by(stride.max(1) as usize);
        for (combination, address) in (0..family.combinations).zip(addresses) {
            let others = more.iter().map(|other| address - row + other);
            match family.slot {
                Slot::Counter => {
                    let value = self.count(address, others);
                    let exemplars = self.exemplars;
                    self.sample(family, combination, open, |out| {
                        push_count(out, value);
                        if value > 0 {
                            exemplars.push_count(out, address);
                        }
                    });
                }
                Slot::UpDown => {
                    // A scrape can fall between an up on one thread and its down on another.
                    let value = self.count(address, others).cast_signed().max(0);
                    self.sample(family, combination, open, |out| push_integer(out, value));
                }
                Slot::Gauge => {
                    let level = |cell| decode_level(local::get(cell));
                    let levels = level(address).into_iter().chain(others.filter_map(level));
                    if let Some(value) = sum_of_levels(levels) {
                        self.sample(family, combination, open, |out| push_float(out, value));
                    }
                }
                Slot::Late => {
                    let is_shown = |value: &f64| is_count(*value) || !is_read_counter(family);
                    let level = |cell| decode_late(local::get(cell));
                    let levels = level(address).into_iter().chain(others.filter_map(level));
                    if let Some(value) = sum_of_levels(levels).filter(is_shown) {
                        self.sample(family, combination, open, |out| push_float(out, value));
                    }
                }
                Slot::Histogram(buckets) => {
                    self.histogram(family, buckets, combination, open, address, others);
                }
                Slot::Info => {
                    self.labels.clear();
                    push_joined(&mut self.labels, self.constant_labels);
                    push_joined(&mut self.labels, self.info_labels);
                    self.close_labels();
                    self.line(family.definition.name, "", |out| push_integer(out, 1));
                }
            }
        }
    }

    fn sample(
        &mut self,
        family: &Family,
        combination: usize,
        open: &str,
        value: impl FnOnce(&mut String),
    ) {
        self.set_labels(family, combination, open);
        self.close_labels();
        self.line(family.definition.name, "", value);
    }

    /// The sum of counters. It wraps, as one of them does.
    #[expect(clippy::inline_always, reason = "most series are counters of one cell")]
    #[inline(always)]
    fn count(&self, cell: Address, others: impl Iterator<Item = Address>) -> u64 {
        others.fold(self.reader.sum(cell), |count, cell| count.wrapping_add(self.reader.sum(cell)))
    }

    fn histogram(
        &mut self,
        family: &Family,
        buckets: &Buckets,
        combination: usize,
        open: &str,
        address: Address,
        others: impl Iterator<Item = Address>,
    ) {
        let mut counts = std::mem::take(&mut self.counts);
        counts.clear();
        counts.resize(family.bounds.len(), 0);
        let mut sum = self.reader.observed(address, &mut counts);
        for other in others {
            sum += self.reader.observed(other, &mut counts);
        }
        if counts.iter().any(|count| *count > 0) {
            self.set_labels(family, combination, open);
            let total = self.buckets(family, buckets, &counts, address);
            self.close_labels();
            let name = family.definition.name;
            self.line(name, "_sum", |out| push_units(out, sum, buckets.scale() > 1.0));
            self.line(name, "_count", |out| push_count(out, total));
        }
        self.counts = counts;
    }

    /// Writes the lines of buckets of the series at hand; the number of observations.
    fn buckets(
        &mut self,
        family: &Family,
        buckets: &Buckets,
        counts: &[u64],
        address: Address,
    ) -> u64 {
        let Self { labels, next, again, .. } = self;
        // A local, whose length need not be read from memory after each push.
        let mut out = std::mem::take(&mut self.out);
        next.clear();
        next.push('\n');
        next.push_str(family.definition.name);
        next.push_str("_bucket");
        next.push_str(labels);
        next.push_str(comma(labels));
        next.push_str("le=\"");
        out.push_str(&next[1..]);
        let mut total = 0_u64;
        for (bucket, (count, bound)) in counts.iter().zip(&family.bounds).enumerate() {
            out.push_str(bound);
            if *count == 0 && bucket > 0 {
                out.push_str(again);
                continue;
            }
            total = total.wrapping_add(*count);
            again.clear();
            push_count(again, total);
            again.push_str(next);
            out.push_str(again);
            if *count > 0 {
                self.exemplars.insert_observation(&mut out, next, address, buckets, bucket);
            }
        }
        out.truncate(out.len() - (next.len() - 1));
        self.out = out;
        self.lines += counts.len() as u64;
        total
    }

    /// Writes a line of the series at hand.
    #[inline]
    fn line(&mut self, name: &str, suffix: &str, value: impl FnOnce(&mut String)) {
        let out = &mut self.out;
        out.push_str(name);
        out.push_str(suffix);
        out.push_str(&self.labels);
        value(out);
        out.push('\n');
        self.lines += 1;
    }

    /// Renders the labels of the series at hand: constant ones, then those of the family in its order.
    fn set_labels(&mut self, family: &Family, combination: usize, open: &str) {
        self.labels.clear();
        push_joined(&mut self.labels, self.constant_labels);
        if !family.has_closed_labels {
            push_joined(&mut self.labels, open);
            return;
        }
        let mut open = Some(open);
        // The last label turns fastest.
        let (mut above, mut rest) = (family.combinations, combination);
        for label in family.definition.labels {
            if let ValueSet::Closed(values) = label.values {
                above /= values.len();
                let value = values[rest / above];
                rest %= above;
                for part in [comma(&self.labels), label.name, "=\"", value, "\""] {
                    self.labels.push_str(part);
                }
            } else if let Some(open) = open.take() {
                // All open labels of a family stand together, in the order of the domain.
                push_joined(&mut self.labels, open);
            }
        }
    }

    fn close_labels(&mut self) {
        self.labels.push_str(if self.labels.is_empty() { " " } else { "} " });
    }
}

/// The sum of levels, if there are any. One that is not a number is left out beside others.
fn sum_of_levels(levels: impl Iterator<Item = f64>) -> Option<f64> {
    let (mut sum, mut not_a_number) = (None, None);
    for level in levels {
        if level.is_nan() {
            not_a_number = Some(level);
        } else {
            sum = Some(sum.map_or(level, |sum| sum + level));
        }
    }
    sum.or(not_a_number)
}

/// Appends labels to others, from the brace on.
fn push_joined(into: &mut String, labels: &str) {
    if !labels.is_empty() {
        into.push_str(comma(into));
        into.push_str(labels);
    }
}

/// What stands between labels and the next.
fn comma(labels: &str) -> &'static str {
    if labels.is_empty() { "{" } else { "," }
}
