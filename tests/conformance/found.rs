//! What breaks a rule that the reader does not have, if anything does.

use std::collections::{BTreeMap, BTreeSet};

use crate::common::exposition::{Exposition, Family};

pub(crate) fn labels(_: &str, read: &Exposition) -> Option<String> {
    let labels = read.samples().flat_map(|sample| &sample.labels);
    labels.map(|(name, _)| name).find(|name| name.starts_with('_')).cloned()
}

pub(crate) fn without_empty(_: &str, read: &Exposition) -> Option<String> {
    let mut seen = BTreeSet::new();
    let mut series = read.samples().map(|sample| {
        let labels = sample.labels.iter().filter(|(_, value)| !value.is_empty());
        (&sample.name, labels.collect::<BTreeSet<_>>())
    });
    series.find(|series| !seen.insert(series.clone())).map(|series| format!("{series:?}"))
}

pub(crate) fn same_labels(_: &str, read: &Exposition) -> Option<String> {
    let mut names = BTreeMap::new();
    let mut samples = read.samples().map(|sample| {
        (&sample.name, sample.labels.iter().map(|(name, _)| name).collect::<Vec<_>>())
    });
    let other =
        samples.find(|(name, labels)| names.entry(*name).or_insert(labels.clone()) != labels);
    other.map(|other| format!("{other:?}"))
}

pub(crate) fn names(_: &str, read: &Exposition) -> Option<String> {
    let is_snake = |name: &str| {
        let snake = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        name.bytes().all(snake) && !name.starts_with('_')
    };
    read.families.iter().map(|family| &family.name).find(|name| !is_snake(name)).cloned()
}

pub(crate) fn units(_: &str, read: &Exposition) -> Option<String> {
    let known = |name: &str| {
        ["seconds", "bytes", "ratio", "rupees"]
            .iter()
            .any(|unit| name.ends_with(&format!("_{unit}")))
    };
    let without = |family: &&Family| known(&family.name) && family.unit.is_none();
    read.families.iter().find(without).map(|family| family.name.clone())
}

pub(crate) fn helps(_: &str, read: &Exposition) -> Option<String> {
    let mut families = read.families.iter();
    families.find(|family| family.help.is_empty()).map(|family| family.name.clone())
}

pub(crate) fn line_endings(text: &str, _: &Exposition) -> Option<String> {
    text.split('\n').find(|line| line.ends_with('\r')).map(str::to_owned)
}

pub(crate) fn thresholds(_: &str, read: &Exposition) -> Option<String> {
    let labels = read.samples().flat_map(|sample| &sample.labels);
    let mut bounds = labels.filter(|(name, _)| name == "le").map(|(_, bound)| bound);
    bounds.find(|bound| **bound != canonical(bound.parse().unwrap())).cloned()
}

/// A number as Go's `%g` writes it, with `.0` where it would look like an integer.
fn canonical(number: f64) -> String {
    if number.is_infinite() {
        return "+Inf".into();
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap();
    match exponent.parse::<i32>().unwrap() {
        exponent if !(-4..6).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
        _ => format!("{number:?}"),
    }
}
