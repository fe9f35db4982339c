//! Dashboards, their rows, panels and targets.

use std::{fs, path::Path};

use serde_json::Value;

use crate::expressions;

pub(crate) struct Dashboard {
    /// Its name in `dashboards/`.
    pub(crate) file: String,
    pub(crate) json: Value,
}

/// A row with its panels, those below it if it is open.
pub(crate) struct Row<'a> {
    pub(crate) json: &'a Value,
    pub(crate) panels: Vec<&'a Value>,
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All that are shipped.
pub(crate) fn all() -> Vec<Dashboard> {
    let files = expressions::files(&root().join("dashboards"), "json");
    assert!(!files.is_empty(), "there are no dashboards");
    let read = |path: &std::path::PathBuf| {
        let file = path.file_name().expect("it is a file").to_string_lossy().into_owned();
        let json = serde_json::from_str(&read(&format!("dashboards/{file}")));
        Dashboard { json: json.unwrap_or_else(|error| panic!("{file}: {error}")), file }
    };
    files.iter().map(read).collect()
}

/// Fails with all that `check` finds on the dashboards that are shipped.
pub(crate) fn assert_none(check: impl Fn(&Dashboard) -> Vec<String>) {
    let found: Vec<String> = all()
        .iter()
        .flat_map(|dashboard| {
            check(dashboard).into_iter().map(|fault| format!("{}: {fault}", dashboard.file))
        })
        .collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

impl Dashboard {
    pub(crate) fn title(&self) -> &str {
        text(&self.json["title"])
    }

    pub(crate) fn uid(&self) -> &str {
        text(&self.json["uid"])
    }

    pub(crate) fn variables(&self) -> impl Iterator<Item = &Value> {
        items(&self.json["templating"]["list"])
    }

    pub(crate) fn variable(&self, name: &str) -> Option<&Value> {
        self.variables().find(|variable| variable["name"] == name)
    }

    /// Without the rows.
    pub(crate) fn panels(&self) -> Vec<&Value> {
        expressions::panels(&self.json)
    }

    pub(crate) fn rows(&self) -> Vec<Row<'_>> {
        let mut rows: Vec<Row> = Vec::new();
        for json in items(&self.json["panels"]) {
            if json["type"] == "row" {
                rows.push(Row { json, panels: items(&json["panels"]).collect() });
            } else {
                rows.last_mut().expect("a row comes first").panels.push(json);
            }
        }
        rows
    }
}

/// The queries of a panel to Prometheus.
pub(crate) fn targets(panel: &Value) -> impl Iterator<Item = (usize, &Value)> {
    let is_prometheus = |target: &Value| target["datasource"]["type"] == "prometheus";
    items(&panel["targets"]).enumerate().filter(move |(_, target)| is_prometheus(target))
}

/// The links of a panel's title, of its values, and of single series.
pub(crate) fn links(panel: &Value) -> Vec<&Value> {
    let config = &panel["fieldConfig"];
    let properties = items(&config["overrides"]).flat_map(|single| items(&single["properties"]));
    items(&panel["links"])
        .chain(items(&config["defaults"]["links"]))
        .chain(properties.filter(|one| one["id"] == "links").flat_map(|one| items(&one["value"])))
        .collect()
}

/// From which values on a panel has a colour. The first has none: it is the colour below all.
pub(crate) fn steps(panel: &Value) -> Vec<(Option<f64>, &str)> {
    items(&panel["fieldConfig"]["defaults"]["thresholds"]["steps"])
        .map(|step| (step["value"].as_f64(), text(&step["color"])))
        .collect()
}

pub(crate) fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
