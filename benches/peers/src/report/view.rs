//! Questions to the results that tables, pictures and targets share.

use crate::{
    case::Use,
    results::{Results, Spread},
};

pub use crate::ours::NAME as OURS;

/// A number of a case, of a row.
#[derive(Clone, Debug)]
pub struct Entry {
    pub subject: String,
    pub usage: Use,
    /// The median over the processes.
    pub value: f64,
    pub least: f64,
    pub most: f64,
}

impl Entry {
    pub fn new(subject: impl Into<String>, usage: Use, spread: Spread) -> Self {
        let Spread { median, least, most } = spread;
        Self { subject: subject.into(), usage, value: median, least, most }
    }

    /// What it is more than the other; at the least what its least is more than the other's most.
    fn beyond(self, other: &Self) -> Self {
        Self {
            value: self.value - other.value,
            least: self.least - other.most,
            most: self.most - other.least,
            ..self
        }
    }

    pub fn divided_by(self, parts: f64) -> Self {
        Self {
            value: self.value / parts,
            least: self.least / parts,
            most: self.most / parts,
            ..self
        }
    }

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
            let spread = *figure.values.get(value)?;
            Some(Entry::new(&figure.subject, figure.usage, spread))
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

/// Ours in its plain use, with its spread.
pub fn of_ours(entries: &[Entry]) -> Option<&Entry> {
    entries.iter().find(|entry| entry.is_ours() && entry.usage == Use::Idiomatic)
}

/// The floor of a row: the largest of several, as the smaller ones are further from what is measured.
pub fn floor(results: &Results, row: &str) -> Option<Entry> {
    let floors = entries(results, row, "ns").into_iter().filter(|entry| entry.usage == Use::Floor);
    floors.max_by(|one, other| one.value.total_cmp(&other.value))
}

/// What a row takes beyond its clocks and the choice of a request.
pub fn beyond_floor(results: &Results, row: &str) -> Vec<Entry> {
    let Some(floor) = floor(results, row) else { return Vec::new() };
    let others = entries(results, row, "ns").into_iter().filter(|entry| entry.usage != Use::Floor);
    others.map(|entry| entry.beyond(&floor)).collect()
}

/// What each layer adds to the router without one.
pub fn added(results: &Results, row: &str, value: &str) -> Vec<Entry> {
    let mut entries = entries(results, row, value);
    let Some(bare) = entries.iter().position(|entry| entry.subject == crate::layers::BARE) else {
        return Vec::new();
    };
    let bare = entries.remove(bare);
    entries.into_iter().map(|entry| entry.beyond(&bare)).collect()
}
