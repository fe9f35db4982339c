//! What is known of the series that an expression gives, without asking a Prometheus.

use std::collections::{BTreeMap, BTreeSet};

use backend_metrics::Shared;

/// The series of a metric, or of an expression.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    /// The metric that they come from, for messages: the first of several.
    pub(crate) metric: String,
    pub(crate) labels: BTreeMap<String, Label>,
    pub(crate) number: Number,
    /// They are cumulative buckets: each counts what the ones below it count.
    pub(crate) buckets: bool,
    /// Whether replicas all report the same number.
    pub(crate) shared: Shared,
}

/// What the numbers say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Number {
    /// What happened since the start of a process: its changes say something, its level does not.
    Counter,
    /// Something now.
    Level,
}

/// A label of series.
#[derive(Clone, Debug)]
pub(crate) struct Label {
    /// The values that it can have; none if any text.
    pub(crate) values: Option<BTreeSet<String>>,
    /// Whether every one of the series has it.
    pub(crate) always: bool,
}

impl Label {
    /// A label of every series, with any text.
    pub(crate) const ANY: Self = Self { values: None, always: true };

    /// A label of every series, with these values.
    pub(crate) fn of(values: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { values: Some(values.into_iter().map(Into::into).collect()), always: true }
    }

    /// Whether it tells no series from another.
    pub(crate) fn is_one_value(&self) -> bool {
        self.always && self.values.as_ref().is_some_and(|values| values.len() == 1)
    }

    /// Whether both can have the same value.
    pub(crate) fn meets(&self, other: &Self) -> bool {
        match (&self.values, &other.values) {
            (Some(one), Some(other)) => !one.is_disjoint(other),
            _ => true,
        }
    }

    fn can_be(&self, value: &str) -> bool {
        self.values.as_ref().is_some_and(|values| values.contains(value))
    }

    fn or(&self, other: &Self) -> Self {
        let values = self.values.as_ref().zip(other.values.as_ref());
        Self { values: values.map(|(one, other)| one | other), always: self.always && other.always }
    }
}

impl Series {
    /// Series without labels, whose numbers are levels.
    pub(crate) fn plain(metric: impl Into<String>) -> Self {
        Self {
            metric: metric.into(),
            labels: BTreeMap::new(),
            number: Number::Level,
            buckets: false,
            shared: Shared::No,
        }
    }

    #[must_use]
    pub(crate) fn with(mut self, name: &str, label: Label) -> Self {
        self.labels.insert(name.to_owned(), label);
        self
    }

    /// The same series with other numbers.
    #[must_use]
    pub(crate) fn level(self) -> Self {
        Self { number: Number::Level, ..self }
    }

    pub(crate) fn is_counter(&self) -> bool {
        self.number == Number::Counter
    }

    pub(crate) fn is_shared(&self) -> bool {
        match self.shared {
            Shared::No => false,
            Shared::Value(value) => self.labels.values().any(|label| label.can_be(value)),
            _ => true,
        }
    }

    /// Whether a label tells series apart.
    pub(crate) fn differ_by(&self, label: &str) -> bool {
        self.labels.get(label).is_some_and(|label| !label.is_one_value())
    }

    /// Series of both kinds.
    #[must_use]
    pub(crate) fn or(self, other: &Self) -> Self {
        let names: BTreeSet<&String> = self.labels.keys().chain(other.labels.keys()).collect();
        let of = |name: &String| match (self.labels.get(name), other.labels.get(name)) {
            (Some(one), Some(other)) => one.or(other),
            (one, another) => {
                Label { always: false, ..one.or(another).cloned().unwrap_or(Label::ANY) }
            }
        };
        let labels = names.into_iter().map(|name| (name.clone(), of(name))).collect();
        Self {
            labels,
            number: if other.is_counter() { Number::Counter } else { self.number },
            buckets: self.buckets || other.buckets,
            shared: if other.is_shared() { Shared::Yes } else { self.shared },
            metric: self.metric,
        }
    }
}
