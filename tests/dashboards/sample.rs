//! A small dashboard without a fault, for tests to spoil.

use serde_json::{Value, json};

use crate::dashboard::Dashboard;

pub(crate) fn sample() -> Dashboard {
    let prometheus = json!({"type": "prometheus", "uid": "${datasource}"});
    let json = json!({
        "annotations": {"list": [
            annotation("Alerts", r#"ALERTS{alertstate="firing", job=~"$job"}"#),
        ]},
        "description": concat!("A sample. backend-metrics v", env!("CARGO_PKG_VERSION"), "."),
        "editable": false,
        "graphTooltip": 1,
        "id": null,
        "panels": [
            {
                "collapsed": false,
                "gridPos": {"h": 1, "w": 24, "x": 0, "y": 0},
                "id": 1,
                "panels": [],
                "title": "Overview",
                "type": "row",
            },
            {
                "datasource": prometheus,
                "description": "Slow requests.",
                "fieldConfig": {
                    "defaults": {
                        "custom": {
                            "axisSoftMax": 0.001,
                            "drawStyle": "line",
                            "thresholdsStyle": {"mode": "dashed"},
                        },
                        "min": 0,
                        "noValue": "Nothing recorded",
                        "thresholds": {"mode": "absolute", "steps": [
                            {"color": "green", "value": null},
                            {"color": "red", "value": 1.0},
                        ]},
                        "unit": "s",
                    },
                    "overrides": [{
                        "matcher": {"id": "byName", "options": "p95"},
                        "properties": [{"id": "custom.transform", "value": "negative-Y"}],
                    }],
                },
                "gridPos": {"h": 8, "w": 16, "x": 0, "y": 1},
                "id": 2,
                "links": [{"title": "Runbook", "url": "${runbooks}/HighAPILatency.md"}],
                "options": {
                    "legend": {
                        "calcs": ["max"],
                        "displayMode": "table",
                        "placement": "bottom",
                        "showLegend": true,
                    },
                    "tooltip": {"mode": "multi", "sort": "desc"},
                },
                "targets": [{
                    "datasource": prometheus,
                    "exemplar": true,
                    "expr": r#"histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket{job=~"$job", instance=~"$instance"}[$__rate_interval])))"#,
                    "format": "time_series",
                    "legendFormat": "p95",
                    "refId": "A",
                }],
                "title": "Request duration",
                "type": "timeseries",
            },
            stat(3, "Active users", 16, 1),
            {
                "collapsed": true,
                "gridPos": {"h": 1, "w": 24, "x": 0, "y": 9},
                "id": 4,
                "panels": [stat(5, "Users by instance", 0, 10), stat(6, "Users", 8, 10), stat(7, "All users", 16, 10)],
                "title": "Details",
                "type": "row",
            },
        ],
        "refresh": "5s",
        "schemaVersion": 42,
        "tags": ["backend", concat!("v", env!("CARGO_PKG_VERSION"))],
        "templating": {"list": variables()},
        "title": "Sample",
        "uid": "backend-api",
    });
    Dashboard { file: "sample.json".into(), json }
}

fn variables() -> Value {
    json!([
        {
            "label": "Data source",
            "name": "datasource",
            "query": "prometheus",
            "type": "datasource",
        },
        variable(
            "job",
            "Job",
            r#"label_values({__name__=~"backend_service_info|metrics_scrapes_total|slo:objective:ratio", job=~".+"}, job)"#,
            None,
        ),
        variable(
            "instance",
            "Instance",
            r#"label_values(up{job=~"$job"}, instance)"#,
            Some(".+"),
        ),
        {"hide": 2, "name": "runbooks", "query": "/public/runbooks", "type": "constant"},
    ])
}

fn stat(id: u32, title: &str, x: u32, y: u32) -> Value {
    let prometheus = json!({"type": "prometheus", "uid": "${datasource}"});
    json!({
        "datasource": prometheus,
        "description": "Who is there.",
        "fieldConfig": {
            "defaults": {
                "links": [{"title": "More", "url": "/d/backend-trading?${__url_time_range}"}],
                "noValue": "Nobody",
                "thresholds": {
                    "mode": "absolute",
                    "steps": [{"color": "text", "value": null}],
                },
                "unit": "short",
            },
            "overrides": [],
        },
        "gridPos": {"h": 8, "w": 8, "x": x, "y": y},
        "id": id,
        "options": {"colorMode": "value"},
        "targets": [{
            "datasource": prometheus,
            "expr": r#"max(active_users{job=~"$job", instance=~"$instance"})"#,
            "instant": true,
            "refId": "A",
        }],
        "title": title,
        "type": "stat",
    })
}

fn variable(name: &str, label: &str, query: &str, all: Option<&str>) -> Value {
    let mut variable = json!({
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "includeAll": true,
        "label": label,
        "multi": true,
        "name": name,
        "query": {"query": query, "refId": "A"},
        "refresh": 2,
        "sort": 1,
        "type": "query",
    });
    if let Some(all) = all {
        variable["allValue"] = all.into();
    }
    variable
}

fn annotation(name: &str, expr: &str) -> Value {
    json!({
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "enable": true,
        "expr": expr,
        "iconColor": "red",
        "name": name,
    })
}
