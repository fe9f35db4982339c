//! The labels of a family.

use super::definition::is_snake_case;
use crate::escape::{is_plain, same};

/// One label of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Label {
    /// The label name as it is exposed.
    pub name: &'static str,
    /// What the label can take.
    pub values: ValueSet,
}

impl Label {
    /// A label, for the macros of this crate.
    #[must_use]
    pub const fn new(name: &'static str, values: ValueSet) -> Self {
        Self { name, values }
    }
}

/// What a label can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ValueSet {
    /// These values, every series present from the start.
    Closed(&'static [&'static str]),
    /// These values, a series appearing as it is used.
    OnUse(&'static [&'static str]),
    /// A status code of three digits, appearing as it is used, or one of these words.
    Status(&'static [&'static str]),
    /// Any text, bounded by the cap of its domain; `other` takes what the cap leaves no room for.
    Open,
    /// A text given when the instance is built.
    Text,
}

impl ValueSet {
    /// The values that are known at compile time.
    #[must_use]
    pub const fn known(self) -> &'static [&'static str] {
        match self {
            Self::Closed(values) | Self::OnUse(values) | Self::Status(values) => values,
            Self::Open | Self::Text => &[],
        }
    }
}

const MAX_LABELS: usize = 8;

/// Closed combinations of a family: each is a line of every scrape.
const MAX_COMBINATIONS: usize = 10_000;

/// A list of labels put together at compile time.
///
/// Nothing is checked while it is put together: a broken rule is reported by
/// [`Definition::checked`](super::Definition::checked), under the name of the family's field.
#[derive(Clone, Copy, Debug)]
pub struct Labels {
    items: [Label; MAX_LABELS],
    /// How many labels were given, kept or not.
    len: usize,
    /// How many parts with open labels were joined.
    open_parts: usize,
    /// Whether series can be removed.
    removable: bool,
    /// Whether they are of a family whose series cannot be.
    kept: bool,
}

impl Labels {
    /// No labels.
    pub(crate) const NONE: Self = Self::new(&[]);

    /// These labels. Open ones among them are of one domain.
    #[must_use]
    pub const fn new(labels: &[Label]) -> Self {
        let mut this = Self {
            items: [Label::new("", ValueSet::Text); MAX_LABELS],
            len: 0,
            open_parts: 0,
            removable: false,
            kept: false,
        };
        let mut i = 0;
        while i < labels.len() {
            this = this.with(labels[i]);
            if matches!(labels[i].values, ValueSet::Open) {
                this.open_parts = 1;
            }
            i += 1;
        }
        this
    }

    /// These labels and those of `other`.
    #[must_use]
    pub const fn join(mut self, other: &Self) -> Self {
        let added = other.as_slice();
        let mut i = 0;
        while i < added.len() {
            self = self.with(added[i]);
            i += 1;
        }
        self.open_parts += other.open_parts;
        self.removable |= other.removable;
        self
    }

    /// The flag `removable` of [`open_labels!`](crate::open_labels): series can be removed.
    #[must_use]
    pub const fn removable(mut self) -> Self {
        self.removable = true;
        self
    }

    /// The labels of a family whose series cannot be removed.
    pub(crate) const fn kept(mut self) -> Self {
        self.kept = true;
        self
    }

    const fn with(mut self, label: Label) -> Self {
        if self.len < MAX_LABELS {
            self.items[self.len] = label;
        }
        self.len += 1;
        self
    }

    /// The labels in exposition order.
    #[must_use]
    pub const fn as_slice(&self) -> &[Label] {
        let kept = if self.len < MAX_LABELS { self.len } else { MAX_LABELS };
        self.items.split_at(kept).0
    }

    /// How many parts have open labels.
    pub(crate) const fn open_parts(&self) -> usize {
        self.open_parts
    }

    /// The rule for label sets that is broken, if one is.
    pub(super) const fn broken_rule(&self) -> Option<&'static str> {
        if self.len > MAX_LABELS {
            return Some("a label set has at most eight labels");
        }
        if self.open_parts > 1 {
            return Some("a label set has one open part at most: declare a pair");
        }
        if self.removable && self.kept {
            return Some("what has removable labels is a GaugeFamily or a LateGaugeFamily");
        }
        let labels = self.as_slice();
        let mut combinations = 1_usize;
        let mut i = 0;
        while i < labels.len() {
            if !is_label_name(labels[i].name) {
                return Some(LABEL_NAME);
            }
            let mut j = 0;
            while j < i {
                if same(labels[i].name, labels[j].name) {
                    return Some("the label names of a family differ");
                }
                j += 1;
            }
            if let ValueSet::Closed(values) = labels[i].values {
                combinations = combinations.saturating_mul(values.len());
            }
            i += 1;
        }
        if combinations > MAX_COMBINATIONS {
            return Some("the closed labels of a family have at most 10,000 combinations");
        }
        None
    }
}

const LABEL_NAME: &str = "a label name is lower-case ASCII with single underscores, and not `le`";

/// Checks the name of a label, for the macros of this crate.
///
/// # Panics
///
/// When a rule is broken; in a `const` that is a compile error.
#[doc(hidden)]
#[track_caller]
pub const fn check_label_name(name: &str) {
    assert!(is_label_name(name), "{}", LABEL_NAME);
}

/// Checks a value of a closed label against the rules and the values before it, for the macros of this
/// crate.
///
/// # Panics
///
/// When a rule is broken; in a `const` that is a compile error.
#[doc(hidden)]
#[track_caller]
pub const fn check_label_value(values: &[&str], position: usize) {
    let value = values[position];
    assert!(!value.is_empty(), "a label value is not empty");
    assert!(is_plain(value), "a label value has no quotes, backslashes or newlines");
    let mut i = 0;
    while i < position {
        assert!(!same(values[i], value), "the values of a label differ");
        i += 1;
    }
}

pub(crate) const fn is_label_name(name: &str) -> bool {
    is_snake_case(name) && !same(name, "le")
}
