//! The compile-time facts of a family.

use super::{Buckets, Label};
use crate::escape::is_plain;

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
    /// Describes a family; the first line of `doc` is its `HELP` text.
    #[must_use]
    pub const fn new(
        name: &'static str,
        doc: &'static str,
        kind: Kind,
        labels: &'static [Label],
        unit_rule: UnitRule,
    ) -> Self {
        Self {
            name,
            help: first_line(doc),
            kind,
            labels,
            buckets: None,
            shared: Shared::No,
            specified_name: false,
            unit_rule,
        }
    }

    /// Sets the buckets of a histogram.
    #[must_use]
    pub const fn with_buckets(mut self, buckets: &'static Buckets) -> Self {
        self.buckets = Some(buckets);
        self
    }

    /// The flag `specified_name`: the name was fixed elsewhere and is exempt from the naming rules.
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
    pub const fn checked(self) -> Self {
        let Self { name, help, kind, buckets, .. } = self;
        assert!(is_snake_case(name), "a name is lower-case ASCII with single underscores");
        assert!(
            self.specified_name || matches!(kind, Kind::Counter) == ends_with(name, "_total"),
            "a counter's name ends in _total, no other name does"
        );
        assert!(
            matches!(kind, Kind::Info) == ends_with(name, "_info"),
            "an info's name ends in _info, no other name does"
        );
        assert!(!ends_with_reserved(name), "_bucket, _count, _sum and _created are for samples");
        assert!(!help.is_empty(), "the first line of the doc comment is the HELP text");
        assert!(help.len() <= 100, "a HELP text has at most 100 bytes");
        assert!(!ends_with(help, "."), "a HELP text has no full stop");
        assert!(is_plain(help), "a HELP text has no quotes or backslashes");
        assert!(
            matches!(kind, Kind::Histogram) == buckets.is_some(),
            "a histogram has buckets, no other family does"
        );
        match self.unit_rule {
            UnitRule::Any => {}
            UnitRule::Exactly(unit) => assert!(
                ends_with(name, unit),
                "the unit at the end of the name is the one of the type: Duration is seconds"
            ),
            UnitRule::NotSeconds => {
                assert!(!ends_with(name, "_seconds"), "seconds are observed as a Duration");
            }
        }
        self
    }

    /// The unit named by the suffix, such as `seconds`.
    #[must_use]
    pub const fn unit(&self) -> Option<&'static str> {
        let stem = strip(self.name, "_total");
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

const fn is_snake_case(name: &str) -> bool {
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
