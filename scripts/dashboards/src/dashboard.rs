//! A dashboard in Grafana's classic JSON.

use serde_json::{Value, json};

use crate::{
    layout::{Place, pack},
    panel::{Panel, prometheus},
};

/// The version that is highest in classic JSON; newer ones of Grafana migrate it.
const SCHEMA_VERSION: u32 = 42;

/// Where the runbooks are served: the stack mounts them there.
const RUNBOOKS: &str = "/public/runbooks";

pub(crate) struct Dashboard {
    pub(crate) file: &'static str,
    pub(crate) uid: &'static str,
    pub(crate) title: &'static str,
    /// For whom and what it is.
    pub(crate) description: &'static str,
    /// Beside `backend`, which all have.
    pub(crate) tags: &'static [&'static str],
    pub(crate) refresh: &'static str,
    pub(crate) from: &'static str,
    /// Whether it shows logs.
    pub(crate) logs: bool,
    /// What it can be narrowed down to.
    pub(crate) scope: Scope,
    /// The first one is open.
    pub(crate) rows: Vec<Row>,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Scope {
    Instance,
    Slo,
}

pub(crate) struct Row {
    title: &'static str,
    panels: Vec<Panel>,
}

/// A row; its panels lead to the runbook of `alert` unless they have one of their own.
pub(crate) fn row(
    title: &'static str,
    alert: &'static str,
    panels: impl IntoIterator<Item = Panel>,
) -> Row {
    let finished = panels.into_iter().map(|panel| panel.or_alert(alert).coloured());
    Row { title, panels: finished.collect() }
}

impl Dashboard {
    pub(crate) fn panel_count(&self) -> usize {
        self.rows.iter().map(|row| row.panels.len()).sum()
    }

    pub(crate) fn to_json(&self) -> String {
        let version = concat!("v", env!("CARGO_PKG_VERSION"));
        let tags = [&["backend"], self.tags, &[version]].concat();
        let dashboard = json!({
            "annotations": {"list": annotations()},
            "description": format!("{} backend-metrics {version}.", self.description),
            "editable": false,
            "fiscalYearStartMonth": 0,
            "graphTooltip": 1,
            "id": null,
            "links": [{
                "asDropdown": false,
                "icon": "external link",
                "includeVars": true,
                "keepTime": true,
                "tags": ["backend"],
                "targetBlank": false,
                "title": "",
                "tooltip": "",
                "type": "dashboards",
                "url": "",
            }],
            "panels": self.panels(),
            "refresh": self.refresh,
            "schemaVersion": SCHEMA_VERSION,
            "tags": tags,
            "templating": {"list": self.variables()},
            "time": {"from": self.from, "to": "now"},
            "timepicker": {},
            "timezone": "browser",
            "title": self.title,
            "uid": self.uid,
            "version": 1,
            "weekStart": "",
        });
        let mut text = serde_json::to_string_pretty(&dashboard).expect("it is a tree of values");
        text.push('\n');
        text
    }

    fn panels(&self) -> Vec<Value> {
        let mut panels = Vec::new();
        let mut id = 1..;
        let mut y = 0;
        for (index, row) in self.rows.iter().enumerate() {
            let collapsed = index > 0;
            let row_id: u32 = id.next().expect("there is no end of numbers");
            let (places, height) = pack(&row.panels, y + 1);
            let inside: Vec<Value> =
                row.panels.iter().zip(places).zip(&mut id).map(placed).collect();
            panels.push(json!({
                "collapsed": collapsed,
                "gridPos": {"h": 1, "w": 24, "x": 0, "y": y},
                "id": row_id,
                "panels": if collapsed { &inside[..] } else { &[] },
                "title": row.title,
                "type": "row",
            }));
            y += 1;
            if !collapsed {
                panels.extend(inside);
                y += height;
            }
        }
        panels
    }

    fn variables(&self) -> Vec<Value> {
        let mut variables = vec![datasource("datasource", "Data source", "prometheus")];
        if self.logs {
            variables.push(datasource("loki_datasource", "Logs", "loki"));
        }
        variables.push(job());
        let (name, label, query) = match self.scope {
            Scope::Instance => {
                ("instance", "Instance", r#"label_values(up{job=~"$job"}, instance)"#)
            }
            Scope::Slo => {
                ("slo", "Objective", r#"label_values(slo:objective:ratio{job=~"$job"}, slo)"#)
            }
        };
        let mut within_jobs = values_of(name, label, query);
        // Within the jobs, so that an instance that has just started is among all of them.
        within_jobs["allValue"] = ".+".into();
        variables.push(within_jobs);
        variables.push(json!({
            "hide": 2,
            "name": "runbooks",
            "query": RUNBOOKS,
            "skipUrlSync": true,
            "type": "constant",
        }));
        variables
    }
}

/// A panel on the grid, with its number.
fn placed(((panel, Place { x, y, size }), id): ((&Panel, Place), u32)) -> Value {
    let mut value = panel.to_json(size);
    value["id"] = id.into();
    value["gridPos"] = json!({"h": size.height, "w": size.width, "x": x, "y": y});
    value
}

fn datasource(name: &str, label: &str, kind: &str) -> Value {
    json!({
        "hide": 0,
        "includeAll": false,
        "label": label,
        "multi": false,
        "name": name,
        "options": [],
        "query": kind,
        "refresh": 1,
        "regex": "",
        "type": "datasource",
    })
}

/// The jobs of this service: those whose targets expose families of this library, and those that the rules are for.
/// The rules are evaluated whether the service runs or not, so its job is offered however long it has been down.
///
/// There is no `allValue`: All is the jobs of the list, and not every job of the Prometheus.
fn job() -> Value {
    let families = "backend_service_info|metrics_scrapes_total|slo:objective:ratio";
    let query = format!(r#"label_values({{__name__=~"{families}", job=~".+"}}, job)"#);
    values_of("job", "Job", &query)
}

fn values_of(name: &str, label: &str, query: &str) -> Value {
    json!({
        "current": {"selected": true, "text": ["All"], "value": ["$__all"]},
        "datasource": prometheus(),
        "definition": query,
        "hide": 0,
        "includeAll": true,
        "label": label,
        "multi": true,
        "name": name,
        "options": [],
        // The first kind of query in Grafana's editor: values of a label.
        "query": {"qryType": 1, "query": query, "refId": "PrometheusVariableQueryEditor-VariableQuery"},
        // When the time range changes: yesterday's instances are found as well.
        "refresh": 2,
        "regex": "",
        "sort": 1,
        "type": "query",
    })
}

fn annotations() -> [Value; 4] {
    let alerts = |severity: &str| {
        format!(
            r#"max by (alertname, job, instance, slo) (ALERTS{{alertstate="firing", severity="{severity}", job=~"$job"}})"#
        )
    };
    let named = ("{{alertname}}", "{{instance}} {{slo}}");
    let critical = annotation("Alerts", "red", &alerts("critical"), named);
    let mut warnings = annotation("Warnings", "yellow", &alerts("warning"), named);
    // For who wants them: all at once hide the graphs.
    warnings["enable"] = false.into();
    let mut restarts = annotation(
        "Restarts",
        "orange",
        r#"process_start_time_seconds{job=~"$job"} * 1000"#,
        ("Restart", "{{instance}}"),
    );
    // The moment is the value: a restart is seen however long the process was away.
    restarts["useValueForTime"] = true.into();
    let deployments = annotation(
        "Deployments",
        "blue",
        // A version that was away for less than an hour is not new.
        r#"count by (version) (backend_service_info{job=~"$job"}) unless count by (version) (last_over_time(backend_service_info{job=~"$job"}[1h] offset 1m))"#,
        ("Deployment", "version {{version}}"),
    );
    [critical, warnings, restarts, deployments]
}

fn annotation(name: &str, colour: &str, query: &str, (title, text): (&str, &str)) -> Value {
    json!({
        "datasource": prometheus(),
        "enable": true,
        "expr": query,
        "hide": false,
        "iconColor": colour,
        "name": name,
        "step": "",
        "tagKeys": "",
        "textFormat": text,
        "titleFormat": title,
        "useValueForTime": false,
    })
}
