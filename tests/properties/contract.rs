//! The families as `tests/contract.txt` promises them: the model knows them from there, not from the crate.

use std::{collections::HashMap, sync::LazyLock};

/// Every family, in the order of exposition.
pub(crate) static FAMILIES: LazyLock<Vec<Family>> =
    LazyLock::new(|| read(include_str!("../contract.txt")));

/// A family.
pub(crate) struct Family {
    pub(crate) subsystem: &'static str,
    pub(crate) name: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) labels: Vec<Label>,
    /// The bounds of its buckets, as they are exposed.
    pub(crate) bounds: Vec<f64>,
}

/// A label of a family.
pub(crate) struct Label {
    pub(crate) name: &'static str,
    pub(crate) values: Values,
}

/// What values a label has.
#[derive(PartialEq, Eq)]
pub(crate) enum Values {
    /// These, and their series are there from the start.
    Closed(Vec<&'static str>),
    /// Some that appear as they are used.
    OnUse,
    /// Any text, up to a cap.
    Open,
    /// Text that is known from the start.
    Text,
}

impl Family {
    /// The names of the labels whose values count against a cap.
    pub(crate) fn open(&self) -> Vec<&'static str> {
        self.names(|label| label.values == Values::Open)
    }

    /// The names of the labels whose series are not there from the start.
    pub(crate) fn free(&self) -> Vec<&'static str> {
        self.names(|label| !matches!(label.values, Values::Closed(_)))
    }

    fn names(&self, are: impl Fn(&Label) -> bool) -> Vec<&'static str> {
        self.labels.iter().filter(|label| are(label)).map(|label| label.name).collect()
    }

    /// Whether a series is left out until its first value.
    pub(crate) fn is_late(&self) -> bool {
        self.kind == "histogram"
            || self.subsystem == "process"
            || self.name.ends_with("_timestamp_seconds")
            || self.name.ends_with("_by_pool")
    }

    /// The label values of all series that go with these values of the free labels.
    pub(crate) fn with(&self, free: &[(&'static str, String)]) -> Vec<Vec<String>> {
        self.labels.iter().fold(vec![Vec::new()], |series, label| {
            let values: Vec<String> = match &label.values {
                Values::Closed(values) => values.iter().map(|&value| value.to_owned()).collect(),
                _ => free
                    .iter()
                    .filter(|(name, _)| *name == label.name)
                    .map(|(_, value)| value.clone())
                    .collect(),
            };
            let with = |series: Vec<String>| {
                values
                    .iter()
                    .map(move |value| [&series[..], std::slice::from_ref(value)].concat())
                    .collect::<Vec<_>>()
            };
            series.into_iter().flat_map(with).collect()
        })
    }
}

fn read(contract: &'static str) -> Vec<Family> {
    let mut subsystem = "";
    let lines = contract.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .filter_map(|line| {
            if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                subsystem = name;
                return None;
            }
            let mut words = line.split(' ');
            let (name, kind) = (words.next()?, words.next()?);
            let mut family =
                Family { subsystem, name, kind, labels: Vec::new(), bounds: Vec::new() };
            for word in words {
                match (word.split_once('='), word.split_once('~')) {
                    (Some(("le", bounds)), _) => {
                        let bounds = bounds.split('|').map(|bound| bound.parse().unwrap());
                        family.bounds = bounds.collect();
                    }
                    _ if word.starts_with("shared") => {}
                    (_, Some((name, _))) => {
                        family.labels.push(Label { name, values: Values::OnUse });
                    }
                    (Some((name, values)), None) => {
                        let values = match values {
                            "<open>" => Values::Open,
                            "<text>" => Values::Text,
                            values => Values::Closed(values.split('|').collect()),
                        };
                        family.labels.push(Label { name, values });
                    }
                    (None, None) => panic!("{line}: what is {word:?}?"),
                }
            }
            Some(family)
        })
        .collect()
}

/// The family of a name.
#[track_caller]
pub(crate) fn family(name: &str) -> &'static Family {
    static BY_NAME: LazyLock<HashMap<&str, &Family>> =
        LazyLock::new(|| FAMILIES.iter().map(|family| (family.name, family)).collect());
    BY_NAME.get(name).unwrap_or_else(|| panic!("{name} is promised"))
}

/// The subsystems, in the order of exposition.
pub(crate) fn subsystems() -> Vec<&'static str> {
    let mut names: Vec<_> = FAMILIES.iter().map(|family| family.subsystem).collect();
    names.dedup();
    names
}
