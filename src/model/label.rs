//! The labels of a family.

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

/// A list of labels put together at compile time.
#[derive(Clone, Copy, Debug)]
pub struct Labels {
    labels: [Label; MAX_LABELS],
    len: usize,
}

impl Labels {
    /// These labels.
    ///
    /// # Panics
    ///
    /// When there are more than eight; in a `const` that is a compile error.
    #[must_use]
    pub const fn new(labels: &[Label]) -> Self {
        let none = Self { labels: [Label::new("", ValueSet::Text); MAX_LABELS], len: 0 };
        none.with(labels)
    }

    /// These labels and those of `other`.
    ///
    /// # Panics
    ///
    /// As [`new`](Self::new).
    #[must_use]
    pub const fn join(self, other: &Self) -> Self {
        self.with(other.labels.split_at(other.len).0)
    }

    const fn with(mut self, labels: &[Label]) -> Self {
        assert!(self.len + labels.len() <= MAX_LABELS, "a label set has at most eight labels");
        let mut i = 0;
        while i < labels.len() {
            self.labels[self.len] = labels[i];
            self.len += 1;
            i += 1;
        }
        self
    }

    /// The labels in exposition order.
    ///
    /// # Panics
    ///
    /// When a rule for label sets is broken; in a `const` that is a compile error.
    #[must_use]
    pub const fn checked(&'static self) -> &'static [Label] {
        let (labels, _) = self.labels.split_at(self.len);
        let mut i = 0;
        while i < labels.len() {
            assert!(
                is_label_name(labels[i].name),
                "a label name is lower-case ASCII, and not `le`"
            );
            let mut j = 0;
            while j < i {
                assert!(!same(labels[i].name, labels[j].name), "label names differ");
                j += 1;
            }
            i += 1;
        }
        labels
    }
}

/// The values of a closed label, if they keep the rules.
///
/// # Panics
///
/// When they do not; in a `const` that is a compile error.
#[must_use]
pub const fn checked_values(values: &'static [&'static str]) -> &'static [&'static str] {
    let mut i = 0;
    while i < values.len() {
        assert!(!values[i].is_empty(), "a label value is not empty");
        assert!(is_plain(values[i]), "a label value has no quotes, backslashes or newlines");
        let mut j = 0;
        while j < i {
            assert!(!same(values[i], values[j]), "label values differ");
            j += 1;
        }
        i += 1;
    }
    values
}

pub(crate) const fn is_label_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    let mut i = 0;
    while i < bytes.len() {
        let ok = match bytes[i] {
            b'a'..=b'z' => true,
            b'0'..=b'9' => i > 0,
            b'_' => i > 0 && bytes[i - 1] != b'_',
            _ => false,
        };
        if !ok {
            return false;
        }
        i += 1;
    }
    !bytes.is_empty() && !same(name, "le")
}
