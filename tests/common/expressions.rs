//! Every PromQL expression that the repository ships: on dashboards, in rules, and in text for people.
//!
//! LogQL is told by the type of its data source, or by the word at its block, and left out.

#![allow(dead_code, reason = "not every test asks for everything")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

/// An expression.
#[derive(Debug)]
pub(crate) struct Expression {
    /// The file, from the root of the repository.
    pub(crate) file: String,
    /// Where in the file: the title of a panel, the name of a rule, a line.
    pub(crate) place: String,
    /// As it stands there, with the variables of Grafana.
    pub(crate) text: String,
    pub(crate) kind: Kind,
    /// The labels of its result that are printed: by a legend, by the annotations of an alert.
    pub(crate) printed: Vec<String>,
}

/// What an expression is for.
#[derive(Debug)]
pub(crate) enum Kind {
    /// A line on a panel.
    Target { instant: bool },
    /// An annotation of a dashboard.
    Annotation,
    /// The values of the dashboard's variable of this name.
    Variable(String),
    /// A rule that records this name, with its labels.
    Recording { name: String, labels: Vec<(String, String)> },
    /// An alert of this name, with its labels.
    Alert { name: String, labels: Vec<(String, String)> },
    /// A query for people.
    Prose,
}

impl Expression {
    /// The text with values in place of variables; a variable without one stays.
    pub(crate) fn with(&self, variables: &[(&str, &str)]) -> String {
        fill_in(&self.text, variables)
    }
}

/// All of the repository at `root`.
pub(crate) fn all(root: &Path) -> Vec<Expression> {
    [dashboards(root), rules(root), prose(root)].into_iter().flatten().collect()
}

/// What the dashboards ask of Prometheus.
pub(crate) fn dashboards(root: &Path) -> Vec<Expression> {
    files(&root.join("dashboards"), "json")
        .iter()
        .flat_map(|path| {
            let dashboard = serde_json::from_str(&read(path));
            let dashboard = dashboard.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            of_dashboard(&name(root, path), &dashboard)
        })
        .collect()
}

/// The expressions of the recording rules and alerts, in the order of Prometheus.
pub(crate) fn rules(root: &Path) -> Vec<Expression> {
    files(&root.join("alerts"), "yml")
        .iter()
        .flat_map(|path| of_rules(&name(root, path), &read(path)))
        .collect()
}

/// The `promql` blocks of all Markdown. The changelog may show queries of the past.
pub(crate) fn prose(root: &Path) -> Vec<Expression> {
    files_below(root, "md")
        .iter()
        .filter(|path| !path.ends_with("CHANGELOG.md"))
        .flat_map(|path| of_markdown(&name(root, path), &read(path)))
        .collect()
}

/// The expressions of a dashboard in the classic model.
pub(crate) fn of_dashboard(file: &str, dashboard: &Value) -> Vec<Expression> {
    let new = |place: String, text: String, kind: Kind, printed| {
        let file = file.to_owned();
        Expression { file, place, text, kind, printed }
    };
    let mut found = Vec::new();
    for variable in items(&dashboard["templating"]["list"]) {
        if variable["type"] == "query" && is_prometheus(&variable["datasource"]) {
            let name = text(&variable["name"]);
            let query = variable["query"].as_str().or(variable["query"]["query"].as_str());
            let query = of_variable(query.unwrap_or_default());
            found.push(new(format!("variable {name}"), query, Kind::Variable(name), vec![]));
        }
    }
    for annotation in items(&dashboard["annotations"]["list"]) {
        let query = annotation["expr"].as_str().or(annotation["target"]["expr"].as_str());
        if let (Some(query), true) = (query, is_prometheus(&annotation["datasource"])) {
            let place = format!("annotation {}", text(&annotation["name"]));
            found.push(new(place, query.to_owned(), Kind::Annotation, vec![]));
        }
    }
    for panel in panels(dashboard) {
        for target in items(&panel["targets"]) {
            let own = &target["datasource"];
            if is_prometheus(if own.is_null() { &panel["datasource"] } else { own }) {
                let place = format!("{}, {}", text(&panel["title"]), text(&target["refId"]));
                let kind = Kind::Target { instant: target["instant"] == true };
                let printed = of_legend(&text(&target["legendFormat"]));
                found.push(new(place, text(&target["expr"]), kind, printed));
            }
        }
    }
    found
}

/// The panels of a dashboard, those in closed rows included; rows are none.
pub(crate) fn panels(dashboard: &Value) -> Vec<&Value> {
    items(&dashboard["panels"])
        .flat_map(|panel| [panel].into_iter().chain(items(&panel["panels"])))
        .filter(|panel| panel["type"] != "row")
        .collect()
}

/// The expressions of a file of rules.
pub(crate) fn of_rules(file: &str, yaml: &str) -> Vec<Expression> {
    let rules: Value =
        serde_saphyr::from_str(yaml).unwrap_or_else(|error| panic!("{file}: {error}"));
    let strings = |value: &Value| -> Vec<(String, String)> {
        let pairs = value.as_object().into_iter().flatten();
        pairs.map(|(name, value)| (name.clone(), text(value))).collect()
    };
    let of_rule = |rule: &Value| {
        let labels = strings(&rule["labels"]);
        let (place, kind) = if let Some(name) = rule["record"].as_str() {
            (name.to_owned(), Kind::Recording { name: name.to_owned(), labels })
        } else {
            let name = text(&rule["alert"]);
            (name.clone(), Kind::Alert { name, labels })
        };
        let annotations = strings(&rule["annotations"]);
        let printed = annotations.iter().flat_map(|(_, template)| of_template(template)).collect();
        Expression { file: file.to_owned(), place, text: text(&rule["expr"]), kind, printed }
    };
    items(&rules["groups"]).flat_map(|group| items(&group["rules"])).map(of_rule).collect()
}

/// The expressions in the `promql` blocks of a text: each ends at a comment, an empty line or the block's end.
pub(crate) fn of_markdown(file: &str, markdown: &str) -> Vec<Expression> {
    let mut found: Vec<Expression> = Vec::new();
    let (mut inside, mut open) = (false, false);
    for (line, number) in markdown.lines().map(str::trim).zip(1..) {
        if line.starts_with("```") {
            (inside, open) = (line == "```promql", false);
        } else if line.is_empty() || line.starts_with('#') {
            open = false;
        } else if inside && open {
            let last = found.last_mut().expect("one is open");
            last.text = format!("{}\n{line}", last.text);
        } else if inside {
            open = true;
            found.push(Expression {
                file: file.to_owned(),
                place: format!("line {number}"),
                text: line.to_owned(),
                kind: Kind::Prose,
                printed: vec![],
            });
        }
    }
    found
}

/// Replaces `$name`, `${name}` and `${name:format}` by the value that is given for the name.
pub(crate) fn fill_in(text: &str, variables: &[(&str, &str)]) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find('$') {
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        let braced = rest[1..].strip_prefix('{').and_then(|rest| rest.split_once('}'));
        let (variable, name) = if let Some((inner, _)) = braced {
            (&rest[..inner.len() + 3], inner.split(':').next())
        } else {
            let name = word(&rest[1..]);
            (&rest[..=name.len()], Some(name))
        };
        let value = variables.iter().find(|(known, _)| Some(*known) == name);
        out.push_str(value.map_or(variable, |(_, value)| value));
        rest = &rest[variable.len()..];
    }
    out + rest
}

/// An expression whose labels are the values of a variable: Grafana's `label_values` is no PromQL.
fn of_variable(query: &str) -> String {
    let arguments =
        query.trim().strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
    match arguments.and_then(|arguments| arguments.rsplit_once(',')) {
        Some((selector, label)) => format!("group by ({}) ({selector})", label.trim()),
        None => query.to_owned(),
    }
}

/// The labels in a legend such as `{{status}}`.
fn of_legend(legend: &str) -> Vec<String> {
    let parts = legend.split("{{").skip(1);
    parts.filter_map(|part| Some(part.split_once("}}")?.0.trim().to_owned())).collect()
}

/// The labels in a template of Go.
fn of_template(template: &str) -> Vec<String> {
    template.split("$labels.").skip(1).map(|rest| word(rest).to_owned()).collect()
}

/// The name at the beginning of a text.
fn word(text: &str) -> &str {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    &text[..end.unwrap_or(text.len())]
}

fn is_prometheus(datasource: &Value) -> bool {
    datasource["type"] == "prometheus"
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The path from the root.
fn name(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}

/// The files of a directory with this extension, in the order of their names.
pub(crate) fn files(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory);
    let entries = entries.unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| entry.expect("it can be read").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|found| found == extension));
    paths.sort_unstable();
    paths
}

/// The files with this extension at any depth, without what is hidden, built or installed.
fn files_below(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = files(directory, extension);
    let entries = fs::read_dir(directory).expect("it was read just now");
    let mut below: Vec<PathBuf> = entries
        .map(|entry| entry.expect("it can be read").path())
        .filter(|path| path.is_dir())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            !name.starts_with('.') && name != "target" && name != "node_modules"
        })
        .collect();
    below.sort_unstable();
    found.extend(below.iter().flat_map(|path| files_below(path, extension)));
    found
}
