//! The compile-time facts of a family.

use super::{Buckets, Label, Labels, ValueSet};
use crate::escape::{is_plain, same};

/// The Prometheus type of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// Only ever goes up; its name ends in `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Cumulative buckets with a sum and a count.
    Histogram,
    /// Facts about the process as labels of a series that is always 1.
    Info,
}

impl Kind {
    /// The word of the `# TYPE` line in OpenMetrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Info => "info",
        }
    }
}

/// Whether the replicas of a service all report the same number, which must then never be summed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Shared {
    /// Each replica reports its own part: sum over replicas.
    No,
    /// Each replica reports the whole: take the maximum over replicas.
    Yes,
    /// Only the series with this label value.
    Value(&'static str),
}

/// Suffixes that name a unit. A family's unit is read off its name, so it is never stated twice.
const UNITS: &[&str] = &["seconds", "bytes", "ratio", "rupees"];

/// Everything known about a family before the process starts.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Definition {
    /// The name as Prometheus shows it, `_total` and unit included.
    pub name: &'static str,
    /// The `HELP` text.
    pub help: &'static str,
    /// The Prometheus type.
    pub kind: Kind,
    /// The labels in exposition order, with their possible values.
    pub labels: &'static [Label],
    /// The buckets of a histogram; none for other kinds.
    pub buckets: Option<&'static Buckets>,
    /// Whether replicas of a service report the same number.
    pub shared: Shared,
    specified_name: bool,
    unit_rule: UnitRule,
    broken_label_rule: Option<&'static str>,
}

/// What the type of a histogram's observations says about its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnitRule {
    /// Any unit or none.
    Any,
    /// The name ends in this unit.
    Exactly(&'static str),
    /// The name does not end in `seconds`, which has a type of its own.
    NotSeconds,
}

impl Definition {
    /// Describes a family; the first line of `doc` is its `HELP` text. Nothing is checked.
    #[must_use]
    pub const fn new(
        name: &'static str,
        doc: &'static str,
        kind: Kind,
        labels: &'static Labels,
        unit_rule: UnitRule,
    ) -> Self {
        Self {
            name,
            help: first_line(doc),
            kind,
            labels: labels.as_slice(),
            buckets: None,
            shared: Shared::No,
            specified_name: false,
            unit_rule,
            broken_label_rule: labels.broken_rule(),
        }
    }

    /// Sets the buckets of a histogram.
    #[must_use]
    pub const fn with_buckets(mut self, buckets: &'static Buckets) -> Self {
        self.buckets = Some(buckets);
        self
    }

    /// The flag `specified_name`: the name was fixed elsewhere, and a gauge may end in `_total`.
    #[must_use]
    pub const fn specified_name(mut self) -> Self {
        self.specified_name = true;
        self
    }

    /// The flag `shared`: every replica reports the whole.
    #[must_use]
    pub const fn shared(mut self) -> Self {
        self.shared = Shared::Yes;
        self
    }

    /// The flag `shared_value`: every replica reports the whole in the series with this label value.
    #[must_use]
    pub const fn shared_value(mut self, value: &'static str) -> Self {
        self.shared = Shared::Value(value);
        self
    }

    /// The definition, if it keeps the rules of this crate.
    ///
    /// # Panics
    ///
    /// When it does not; in a `const` that is a compile error.
    #[must_use]
    #[track_caller]
    pub const fn checked(self) -> Self {
        if let Some(rule) = self.broken_rule() {
            panic!("{}", rule);
        }
        self
    }

    /// The first rule that is broken.
    const fn broken_rule(&self) -> Option<&'static str> {
        if let Some(rule) = self.broken_name_rule() {
            return Some(rule);
        }
        if let Some(rule) = self.broken_help_rule() {
            return Some(rule);
        }
        if let Some(rule) = self.broken_label_rule {
            return Some(rule);
        }
        match (self.kind, self.buckets) {
            (Kind::Histogram, Some(buckets)) => {
                if let Some(rule) = buckets.broken_rule() {
                    return Some(rule);
                }
            }
            (Kind::Histogram, None) => return Some("a histogram has buckets"),
            (_, Some(_)) => return Some("a histogram has buckets, no other family does"),
            (_, None) => {}
        }
        match self.shared {
            Shared::No => None,
            _ if !matches!(self.kind, Kind::Gauge) => Some("only a gauge is shared"),
            Shared::Yes => None,
            Shared::Value(value) if self.has_closed_value(value) => None,
            Shared::Value(_) => Some("shared_value is a value of a closed label of the family"),
        }
    }

    const fn broken_name_rule(&self) -> Option<&'static str> {
        let Self { name, kind, .. } = *self;
        if !is_snake_case(name) {
            return Some("a name is lower-case ASCII with single underscores");
        }
        let may_be_total = matches!(kind, Kind::Gauge) && self.specified_name;
        if !may_be_total && matches!(kind, Kind::Counter) != ends_with(name, "_total") {
            return Some("a counter's name ends in _total, no other name does");
        }
        if matches!(kind, Kind::Info) != ends_with(name, "_info") {
            return Some("an info's name ends in _info, no other name does");
        }
        if ends_with_reserved(name) {
            return Some("_bucket, _count, _sum and _created are for samples");
        }
        match self.unit_rule {
            UnitRule::Exactly(unit) if !ends_with(name, unit) => {
                Some("the unit at the end of the name is the one of the type: Duration is seconds")
            }
            UnitRule::NotSeconds if ends_with(name, "_seconds") => {
                Some("seconds are observed as a Duration")
            }
            _ => None,
        }
    }

    const fn broken_help_rule(&self) -> Option<&'static str> {
        let help = self.help;
        if help.is_empty() {
            return Some("the first line of the doc comment is the HELP text");
        }
        if help.len() > 100 {
            return Some("a HELP text has at most 100 bytes");
        }
        if ends_with(help, ".") {
            return Some("a HELP text has no full stop");
        }
        if !is_plain(help) {
            return Some("a HELP text has no quotes or backslashes");
        }
        None
    }

    const fn has_closed_value(&self, value: &str) -> bool {
        let mut i = 0;
        while i < self.labels.len() {
            if let ValueSet::Closed(values) = self.labels[i].values {
                let mut j = 0;
                while j < values.len() {
                    if same(values[j], value) {
                        return true;
                    }
                    j += 1;
                }
            }
            i += 1;
        }
        false
    }

    /// The unit named by the suffix, such as `seconds`. An info has none.
    #[must_use]
    pub const fn unit(&self) -> Option<&'static str> {
        if matches!(self.kind, Kind::Info) {
            return None;
        }
        let stem = self.openmetrics_name();
        let mut i = 0;
        while i < UNITS.len() {
            let cut = strip(stem, UNITS[i]);
            if cut.len() < stem.len() && ends_with(cut, "_") {
                return Some(UNITS[i]);
            }
            i += 1;
        }
        None
    }

    /// The name in the `# TYPE` line of OpenMetrics: without the suffix that its samples add.
    #[must_use]
    pub const fn openmetrics_name(&self) -> &'static str {
        match self.kind {
            Kind::Counter => strip(self.name, "_total"),
            Kind::Info => strip(self.name, "_info"),
            Kind::Gauge | Kind::Histogram => self.name,
        }
    }

    /// The names that are the family's alone, in both formats: its own and those of its samples.
    pub(crate) fn names(&self) -> impl Iterator<Item = String> {
        let stem = self.openmetrics_name();
        self.suffixes().iter().map(move |suffix| format!("{stem}{suffix}"))
    }

    /// What follows the name in OpenMetrics in each of the [`names`](Self::names).
    const fn suffixes(&self) -> &'static [&'static str] {
        match self.kind {
            Kind::Counter => &["", "_total", "_created"],
            Kind::Histogram => &["", "_bucket", "_sum", "_count", "_created"],
            Kind::Gauge => &[""],
            Kind::Info => &["", "_info"],
        }
    }

    /// Whether two families have one of their [`names`](Self::names) in common.
    const fn clashes_with(&self, other: &Self) -> bool {
        let (stems, [ours, theirs]) = (
            [self.openmetrics_name(), other.openmetrics_name()],
            [self.suffixes(), other.suffixes()],
        );
        let mut i = 0;
        while i < ours.len() * theirs.len() {
            let (our, their) = (ours[i % ours.len()], theirs[i / ours.len()]);
            if same_joined([stems[0], our], [stems[1], their]) {
                return true;
            }
            i += 1;
        }
        false
    }

    /// How many combinations the closed labels have.
    #[must_use]
    pub const fn closed_combinations(&self) -> usize {
        let mut count = 1;
        let mut i = 0;
        while i < self.labels.len() {
            if let super::ValueSet::Closed(values) = self.labels[i].values {
                count *= values.len();
            }
            i += 1;
        }
        count
    }
}

/// Checks that no other family of a subsystem has the name of this one, or one that is exposed alike, for
/// [`families!`](crate::families).
///
/// # Panics
///
/// When one has; in a `const` that is a compile error.
#[doc(hidden)]
#[track_caller]
pub const fn check_names(definitions: &[Definition], position: usize) {
    let mut i = 0;
    while i < position {
        assert!(
            !definitions[i].clashes_with(&definitions[position]),
            "the name of a family, or of its samples, is that of another one above"
        );
        i += 1;
    }
}

/// Whether two pairs are one text.
const fn same_joined(one: [&str; 2], other: [&str; 2]) -> bool {
    let len = one[0].len() + one[1].len();
    if len != other[0].len() + other[1].len() {
        return false;
    }
    let mut i = 0;
    while i < len {
        if byte_of(one, i) != byte_of(other, i) {
            return false;
        }
        i += 1;
    }
    true
}

const fn byte_of([begin, end]: [&str; 2], i: usize) -> u8 {
    if i < begin.len() { begin.as_bytes()[i] } else { end.as_bytes()[i - begin.len()] }
}

const fn first_line(text: &str) -> &str {
    let bytes = text.as_bytes();
    let mut end = 0;
    while end < bytes.len() && bytes[end] != b'\n' {
        end += 1;
    }
    let (line, _) = text.split_at(end);
    line.trim_ascii()
}

const fn ends_with(text: &str, suffix: &str) -> bool {
    match text.len().checked_sub(suffix.len()) {
        Some(start) => {
            crate::escape::same_bytes(text.as_bytes().split_at(start).1, suffix.as_bytes())
        }
        None => false,
    }
}

const fn ends_with_reserved(name: &str) -> bool {
    ends_with(name, "_bucket")
        || ends_with(name, "_count")
        || ends_with(name, "_sum")
        || ends_with(name, "_created")
}

const fn strip<'a>(text: &'a str, suffix: &str) -> &'a str {
    if ends_with(text, suffix) { text.split_at(text.len() - suffix.len()).0 } else { text }
}

pub(super) const fn is_snake_case(name: &str) -> bool {
    let name = name.as_bytes();
    let mut i = 0;
    while i < name.len() {
        let ok = match name[i] {
            b'a'..=b'z' => true,
            b'0'..=b'9' => i > 0,
            b'_' => i > 0 && i + 1 < name.len() && name[i - 1] != b'_',
            _ => false,
        };
        if !ok {
            return false;
        }
        i += 1;
    }
    !name.is_empty()
}
