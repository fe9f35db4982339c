//! `dashboards/.lint`: which rules of the linter do not apply where, and why, in the linter's own format.

use serde_json::{Map, Value};

use crate::{
    dashboard::{all, read},
    linter::{Finding, lint},
};

#[derive(Debug, PartialEq)]
struct Exclusion {
    rule: String,
    /// Titles; none stands for all.
    dashboard: Option<String>,
    panel: Option<String>,
    target: Option<usize>,
}

#[test]
fn the_dashboards_keep_to_the_rules() {
    let exclusions =
        parse(&read("dashboards/.lint")).unwrap_or_else(|error| panic!(".lint: {error}"));
    let findings: Vec<Finding> = all().iter().flat_map(lint).collect();
    let broken: Vec<String> = findings
        .iter()
        .filter(|finding| !exclusions.iter().any(|exclusion| exclusion.excludes(finding)))
        .map(|Finding { rule, dashboard, panel, target, message }| {
            let panel = panel.as_deref().unwrap_or("");
            let target = target.map(|target| format!(" {target}")).unwrap_or_default();
            format!("{rule}: {dashboard}: {panel}{target}: {message}")
        })
        .collect();
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
    let idle: Vec<&Exclusion> = exclusions
        .iter()
        .filter(|exclusion| !findings.iter().any(|finding| exclusion.excludes(finding)))
        .collect();
    assert!(idle.is_empty(), ".lint excludes what does not happen: {idle:#?}");
}

impl Exclusion {
    fn excludes(&self, finding: &Finding) -> bool {
        self.rule == finding.rule
            && self.dashboard.as_ref().is_none_or(|title| *title == finding.dashboard)
            && (self.panel.is_none() || self.panel == finding.panel)
            && (self.target.is_none() || self.target == finding.target)
    }
}

/// A rule without entries is excluded everywhere. Each has a reason, or all of its entries have.
fn parse(yaml: &str) -> Result<Vec<Exclusion>, String> {
    let file: Value = serde_saphyr::from_str(yaml).map_err(|error| error.to_string())?;
    let mut exclusions = Vec::new();
    let file = object(&file, "the file", &["exclusions"])?;
    let rules = file.get("exclusions").and_then(Value::as_object).ok_or("no exclusions")?;
    for (rule, of_rule) in rules {
        let fields = object(of_rule, rule, &["reason", "entries"])?;
        let entries = match fields.get("entries") {
            Some(entries) => entries.as_array().ok_or(format!("{rule}: entries are no list"))?,
            None => &vec![Value::Object(Map::new())],
        };
        for entry in entries {
            let entry = object(entry, rule, &["reason", "dashboard", "panel", "targetIdx"])?;
            let reason = entry.get("reason").or(fields.get("reason"));
            if reason.and_then(Value::as_str).is_none_or(|reason| reason.trim().is_empty()) {
                return Err(format!("{rule}: no reason"));
            }
            let title = |field: &str| entry.get(field).and_then(Value::as_str).map(str::to_owned);
            let target =
                entry.get("targetIdx").map(|index| index.to_string().replace('"', "").parse());
            exclusions.push(Exclusion {
                rule: rule.clone(),
                dashboard: title("dashboard"),
                panel: title("panel"),
                target: target
                    .transpose()
                    .map_err(|error| format!("{rule}: targetIdx: {error}"))?,
            });
        }
    }
    Ok(exclusions)
}

/// A mapping with no other fields than these.
fn object<'a>(
    value: &'a Value,
    of: &str,
    known: &[&str],
) -> Result<&'a Map<String, Value>, String> {
    let object = value.as_object().ok_or(format!("{of}: no mapping"))?;
    match object.keys().find(|name| !known.contains(&name.as_str())) {
        Some(unknown) => Err(format!("{of}: unknown field {unknown}")),
        None => Ok(object),
    }
}

#[test]
fn a_file_of_exclusions_is_read() {
    let parsed = parse(
        "exclusions:
  target-instance-rule:
    reason: Objectives are of the service.
    entries:
      - dashboard: SLO
      - dashboard: API
        panel: Requests
        targetIdx: '1'
  panel-units-rule:
    entries:
      - panel: Queries
        targetIdx: 0
        reason: Grafana has no such unit.
  panel-no-targets-rule:
    reason: None.
",
    );
    let new = |rule: &str, dashboard: Option<&str>, panel: Option<&str>, target| Exclusion {
        rule: rule.into(),
        dashboard: dashboard.map(Into::into),
        panel: panel.map(Into::into),
        target,
    };
    let expected = [
        new("panel-no-targets-rule", None, None, None),
        new("panel-units-rule", None, Some("Queries"), Some(0)),
        new("target-instance-rule", Some("SLO"), None, None),
        new("target-instance-rule", Some("API"), Some("Requests"), Some(1)),
    ];
    let mut parsed = parsed.unwrap();
    parsed.sort_by(|a, b| a.rule.cmp(&b.rule));
    assert_eq!(parsed, expected);
}

#[test]
fn a_faulty_file_of_exclusions_is_refused() {
    for (yaml, error) in [
        ("exclusions:\n  a-rule:\n    entries:\n      - panel: A\n", "a-rule: no reason"),
        ("exclusions:\n  a-rule:\n    reason: ''\n", "a-rule: no reason"),
        ("exclusions:\n  a-rule:\n", "a-rule: no mapping"),
        ("warnings:\n  a-rule:\n    reason: Why.\n", "the file: unknown field warnings"),
        (
            "exclusions:\n  a-rule:\n    reason: Why.\n    entries:\n      - pannel: A\n",
            "a-rule: unknown field pannel",
        ),
    ] {
        assert_eq!(parse(yaml).unwrap_err(), error);
    }
}

#[test]
fn an_exclusion_excludes_what_it_names() {
    let finding = Finding {
        rule: "target-job-rule",
        dashboard: "API".into(),
        panel: Some("Requests".into()),
        target: Some(0),
        message: String::new(),
    };
    let excludes = |entry: &str| {
        let yaml =
            format!("exclusions:\n  target-job-rule:\n    reason: Why.\n    entries: [{entry}]\n");
        parse(&yaml).unwrap()[0].excludes(&finding)
    };
    assert!(excludes("{dashboard: API}"));
    assert!(excludes("{dashboard: API, panel: Requests, targetIdx: 0}"));
    assert!(!excludes("{dashboard: SLO}"));
    assert!(!excludes("{dashboard: API, panel: Errors}"));
    assert!(!excludes("{panel: Requests, targetIdx: 1}"));
}
