//! What was measured, as it is kept in `results/`.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::case::Use;

/// Figures of one run, with where they come from.
#[derive(Debug, Serialize, Deserialize)]
pub struct Results {
    pub date: String,
    pub machine: String,
    pub rustc: String,
    pub profile: String,
    /// Processes for each case.
    pub rounds: usize,
    /// Of what this package depends on: the name and the version.
    pub versions: Vec<String>,
    pub figures: Vec<Figure>,
    /// Cases that gave none, with the reason.
    pub failed: BTreeMap<String, String>,
}

/// The numbers of a case.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Figure {
    pub row: String,
    pub subject: String,
    #[serde(rename = "use")]
    pub usage: Use,
    pub values: BTreeMap<String, Spread>,
}

/// A number over all processes.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Spread {
    pub median: f64,
    pub least: f64,
    pub most: f64,
}

impl Results {
    /// The median of a value of a case.
    pub fn value(&self, row: &str, subject: &str, usage: Use, value: &str) -> Option<f64> {
        let figure = self.figures.iter().find(|figure| {
            figure.row == row && figure.subject == subject && figure.usage == usage
        })?;
        figure.values.get(value).map(|spread| spread.median)
    }
}

/// Where the package is.
pub fn home() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub fn path(name: &str) -> PathBuf {
    home().join("results").join(name).with_extension("json")
}

pub fn write<T: Serialize>(name: &str, results: &T) {
    let path = path(name);
    fs::create_dir_all(path.parent().expect("it is in a folder")).expect("a writable folder");
    let mut text = serde_json::to_string_pretty(results).expect("plain data");
    text.push('\n');
    fs::write(&path, text).expect("a writable folder");
    println!("{}", path.display());
}

/// None if there is no such file.
pub fn read<T: for<'de> Deserialize<'de>>(name: &str) -> Option<T> {
    let path = path(name);
    let text = fs::read_to_string(&path).ok()?;
    Some(serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}
