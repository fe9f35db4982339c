//! What each dashboard is set to, and what all are set to.

use serde_json::{Value, json};

use crate::{
    dashboard::{Dashboard, all, assert_none, items, text},
    sample::sample,
};

/// A dashboard, and what it has other than the rest.
struct Settings {
    file: &'static str,
    uid: &'static str,
    tags: &'static [&'static str],
    refresh: &'static str,
    from: &'static str,
    variables: &'static [&'static str],
}

const SETTINGS: [Settings; 4] = [
    Settings {
        file: "dashboard-1-api-performance.json",
        uid: "backend-api",
        tags: &["backend", "api"],
        refresh: "5s",
        from: "now-15m",
        variables: &["datasource", "loki_datasource", "job", "instance"],
    },
    Settings {
        file: "dashboard-2-database-cache.json",
        uid: "backend-db-cache",
        tags: &["backend", "database", "cache"],
        refresh: "10s",
        from: "now-15m",
        variables: &["datasource", "job", "instance"],
    },
    Settings {
        file: "dashboard-3-business-trading.json",
        uid: "backend-trading",
        tags: &["backend", "business", "trading"],
        refresh: "10s",
        from: "now-1h",
        variables: &["datasource", "job", "instance"],
    },
    Settings {
        file: "dashboard-4-slo.json",
        uid: "backend-slo",
        tags: &["backend", "slo"],
        refresh: "1m",
        from: "now-7d",
        variables: &["datasource", "job", "slo"],
    },
];

/// What the dashboards can be narrowed down to, and where the values come from.
const VALUES: [(&str, &str, &str); 3] = [
    // What no other service has, and what the rules record for this one while it is down.
    (
        "job",
        "Job",
        r#"label_values({__name__=~"backend_service_info|metrics_scrapes_total|slo:objective:ratio", job=~".+"}, job)"#,
    ),
    ("instance", "Instance", r#"label_values(up{job=~"$job"}, instance)"#),
    ("slo", "Objective", r#"label_values(slo:objective:ratio{job=~"$job"}, slo)"#),
];

const ANNOTATIONS: [(&str, &str); 3] = [
    (
        "Alerts",
        r#"max by (alertname, job, instance, slo) (ALERTS{alertstate="firing", severity="critical", job=~"$job"})"#,
    ),
    // Its moment is its value.
    ("Restarts", r#"process_start_time_seconds{job=~"$job"} * 1000"#),
    (
        "Deployments",
        r#"count by (version) (backend_service_info{job=~"$job"}) unless count by (version) (last_over_time(backend_service_info{job=~"$job"}[1h] offset 1m))"#,
    ),
];

#[test]
fn each_dashboard_is_set_as_it_should_be() {
    let files: Vec<String> = all().into_iter().map(|dashboard| dashboard.file).collect();
    assert_eq!(files, SETTINGS.each_ref().map(|settings| settings.file));
    assert_none(|dashboard| {
        let own = SETTINGS.iter().find(|settings| settings.file == dashboard.file);
        own.map_or_else(Vec::new, |own| faults(dashboard, own))
    });
}

#[test]
fn all_are_set_alike() {
    assert_none(common_faults);
}

#[test]
fn variables_come_from_the_targets_that_are_scraped() {
    assert_none(faults_of_variables);
}

#[test]
fn alerts_restarts_and_deployments_are_marked() {
    assert_none(|dashboard| {
        let list = items(&dashboard.json["annotations"]["list"]);
        let marked: Vec<(&str, &str)> = list
            .filter(|annotation| annotation["enable"] == true)
            .map(|annotation| (text(&annotation["name"]), text(&annotation["expr"])))
            .collect();
        if marked == ANNOTATIONS { vec![] } else { vec![format!("annotations: {marked:?}")] }
    });
}

fn faults(dashboard: &Dashboard, own: &Settings) -> Vec<String> {
    let json = &dashboard.json;
    let mut faults = Vec::new();
    let mut expect = |what: &str, found: &Value, expected: Value| {
        if *found != expected {
            faults.push(format!("{what} is {found}, not {expected}"));
        }
    };
    expect("uid", &json["uid"], own.uid.into());
    expect("refresh", &json["refresh"], own.refresh.into());
    expect("time", &json["time"], json!({"from": own.from, "to": "now"}));
    let tags = items(&json["tags"]).take(own.tags.len()).cloned().collect();
    expect("tags", &tags, own.tags.into());
    let shown = dashboard.variables().filter(|variable| variable["type"] != "constant");
    let shown = shown.map(|variable| variable["name"].clone()).collect();
    expect("variables", &shown, own.variables.into());
    faults
}

fn common_faults(dashboard: &Dashboard) -> Vec<String> {
    let alike = [
        ("editable", json!(false)),
        ("graphTooltip", json!(1)),
        // Grafana numbers dashboards itself.
        ("id", json!(null)),
        ("schemaVersion", json!(42)),
    ];
    alike
        .iter()
        .filter(|(name, expected)| dashboard.json.get(name) != Some(expected))
        .map(|(name, expected)| format!("{name} is {}, not {expected}", dashboard.json[name]))
        .collect()
}

fn faults_of_variables(dashboard: &Dashboard) -> Vec<String> {
    let mut faults = Vec::new();
    for variable in dashboard.variables() {
        let name = text(&variable["name"]);
        match text(&variable["type"]) {
            "datasource" => {
                // A data source that is chosen already is one of the author's Grafana.
                if variable.get("current").is_some() {
                    faults.push(format!("{name} has a value"));
                }
                let kind = if name == "loki_datasource" { "loki" } else { "prometheus" };
                if variable["query"] != kind {
                    faults.push(format!("{name} is not of {kind}"));
                }
            }
            "query" => {
                let expected = VALUES.iter().find(|(known, ..)| *known == name);
                let query = text(&variable["query"]["query"]);
                if expected != Some(&(name, text(&variable["label"]), query)) {
                    faults.push(format!("{name} is {} of {query}", variable["label"]));
                }
                // All jobs are those of the list: the Prometheus has others. All else is within them.
                let all = if name == "job" { json!(null) } else { json!(".+") };
                for (field, expected) in [
                    ("allValue", all),
                    ("datasource", json!({"type": "prometheus", "uid": "${datasource}"})),
                    ("includeAll", json!(true)),
                    ("multi", json!(true)),
                    // When the time range changes.
                    ("refresh", json!(2)),
                    // By name, upwards.
                    ("sort", json!(1)),
                ] {
                    if variable[field] != expected {
                        faults.push(format!("{field} of {name} is {}", variable[field]));
                    }
                }
            }
            _ => {}
        }
    }
    faults
}

#[test]
fn the_sample_is_set_as_it_should_be() {
    assert_eq!(common_faults(&sample()), Vec::<String>::new());
    assert_eq!(faults_of_variables(&sample()), Vec::<String>::new());
}

#[test]
fn another_setting_is_found() {
    for (place, value) in [
        ("/editable", json!(true)),
        ("/graphTooltip", json!(0)),
        ("/id", json!(17)),
        ("/schemaVersion", json!(41)),
    ] {
        let mut dashboard = sample();
        *dashboard.json.pointer_mut(place).unwrap() = value;
        assert_eq!(common_faults(&dashboard).len(), 1, "{place}");
    }
    for (place, name, value) in [
        ("/templating/list/0", "current", json!({"text": "Prometheus", "value": "abc"})),
        ("/templating/list/0", "query", json!("loki")),
        ("/templating/list/1", "label", json!("job")),
        ("/templating/list/1/query", "query", json!("label_values(up, job)")),
        ("/templating/list/1", "allValue", json!(".+")),
        ("/templating/list/2", "allValue", json!(".*")),
        ("/templating/list/2", "multi", json!(false)),
        ("/templating/list/2", "refresh", json!(1)),
        ("/templating/list/2/datasource", "uid", json!("abc")),
    ] {
        let mut dashboard = sample();
        dashboard.json.pointer_mut(place).unwrap()[name] = value;
        assert_eq!(faults_of_variables(&dashboard).len(), 1, "{place}/{name}");
    }
}
