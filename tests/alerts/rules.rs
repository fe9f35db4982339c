//! The files of `alerts/`, read.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

/// An alerting rule.
#[derive(Debug)]
pub(crate) struct Alert {
    pub(crate) name: String,
    pub(crate) expr: String,
    /// How long it is pending: `for`.
    pub(crate) pending: Option<String>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
}

impl Alert {
    /// A label of the rule, or nothing.
    pub(crate) fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}

/// A path of the repository.
pub(crate) fn path(name: impl AsRef<Path>) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// A file of the repository as text.
#[track_caller]
pub(crate) fn text(file: impl AsRef<Path>) -> String {
    let file = path(file);
    fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// A YAML file of the repository.
#[track_caller]
pub(crate) fn yaml(file: impl AsRef<Path>) -> Value {
    let file = file.as_ref();
    serde_saphyr::from_str(&text(file))
        .unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The files of a directory of the repository with this extension, sorted.
#[track_caller]
pub(crate) fn files(directory: &str, extension: &str) -> Vec<PathBuf> {
    let entries =
        fs::read_dir(path(directory)).unwrap_or_else(|error| panic!("{directory}: {error}"));
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("the directory can be read").path())
        .filter(|file| file.extension().is_some_and(|found| found == extension))
        .collect();
    files.sort_unstable();
    assert!(!files.is_empty(), "{directory} has no .{extension}");
    files
}

/// The groups of a rule file.
#[track_caller]
pub(crate) fn groups(file: impl AsRef<Path>) -> Vec<Value> {
    list(&yaml(file)["groups"]).to_vec()
}

/// Each rule of all files: recorded ones too.
#[track_caller]
pub(crate) fn rules() -> Vec<Value> {
    let files = files("alerts", "yml").into_iter();
    files.flat_map(groups).flat_map(|group| list(&group["rules"]).to_vec()).collect()
}

/// Each alert of all files.
#[track_caller]
pub(crate) fn alerts() -> Vec<Alert> {
    let alerts = rules();
    alerts.iter().filter(|rule| rule["alert"].is_string()).map(alert).collect()
}

fn alert(rule: &Value) -> Alert {
    Alert {
        name: string(&rule["alert"]),
        expr: string(&rule["expr"]),
        pending: rule["for"].as_str().map(str::to_owned),
        labels: strings(&rule["labels"]),
        annotations: strings(&rule["annotations"]),
    }
}

/// The elements of a list; none if there is no list.
pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A text that has to be there.
#[track_caller]
pub(crate) fn string(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("a text: {value}")).to_owned()
}

/// A mapping of texts; empty if there is none.
#[track_caller]
pub(crate) fn strings(value: &Value) -> BTreeMap<String, String> {
    let entries = value.as_object().into_iter().flatten();
    entries.map(|(name, value)| (name.clone(), string(value))).collect()
}
