//! Questions to the results that tables, pictures and targets share.

use crate::{case::Use, results::Results};

pub use crate::ours::NAME as OURS;

/// A number of a case, of a row.
#[derive(Clone, Debug)]
pub struct Entry {
    pub subject: String,
    pub usage: Use,
    pub value: f64,
}

impl Entry {
    pub fn is_ours(&self) -> bool {
        self.subject == OURS
    }

    pub fn is_peer(&self) -> bool {
        self.usage != Use::Floor && !self.is_ours()
    }

    pub fn label(&self) -> String {
        label(&self.subject, self.usage)
    }
}

pub fn label(subject: &str, usage: Use) -> String {
    if usage == Use::Floor { subject.to_owned() } else { format!("{subject}, {usage}") }
}

/// Every case of a row that has the value.
pub fn entries(results: &Results, row: &str, value: &str) -> Vec<Entry> {
    let figures = results.figures.iter().filter(|figure| figure.row == row);
    figures
        .filter_map(|figure| {
            let value = figure.values.get(value)?.median;
            Some(Entry { subject: figure.subject.clone(), usage: figure.usage, value })
        })
        .collect()
}

/// Ours, as it is used without further ado.
pub fn ours(results: &Results, row: &str, value: &str) -> Option<f64> {
    results.value(row, OURS, Use::Idiomatic, value)
}

/// The least of the peers, in any use or in one.
pub fn best(entries: &[Entry], usage: Option<Use>) -> Option<&Entry> {
    let peers = entries
        .iter()
        .filter(|entry| entry.is_peer() && usage.is_none_or(|usage| entry.usage == usage));
    peers.min_by(|one, other| one.value.total_cmp(&other.value))
}

/// The floor of a row: the largest of several, as the smaller ones are further from what is measured.
pub fn floor(results: &Results, row: &str) -> Option<f64> {
    let entries = entries(results, row, "ns");
    entries
        .iter()
        .filter(|entry| entry.usage == Use::Floor)
        .map(|entry| entry.value)
        .reduce(f64::max)
}

/// What a row takes beyond its clocks and the choice of a request.
pub fn beyond_floor(results: &Results, row: &str) -> Vec<Entry> {
    let floor = floor(results, row).unwrap_or_default();
    let mut entries = entries(results, row, "ns");
    entries.retain(|entry| entry.usage != Use::Floor);
    for entry in &mut entries {
        entry.value -= floor;
    }
    entries
}

/// The router without a layer, and what each layer adds to it.
pub fn added(results: &Results, row: &str) -> Vec<Entry> {
    let mut entries = entries(results, row, "ns");
    let bare = entries
        .iter()
        .find(|entry| entry.subject == crate::layers::BARE)
        .map_or(0.0, |entry| entry.value);
    entries.retain(|entry| entry.subject != crate::layers::BARE);
    for entry in &mut entries {
        entry.value -= bare;
    }
    entries
}
