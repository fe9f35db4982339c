//! What is promised of each alert: its name, severity and threshold, and what a notification leads to.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::rules::{Alert, alerts, files, groups, list, string, text};

/// An alert with its severity, its `for` and what it compares with.
type Specified = (&'static str, &'static str, &'static str, &'static str);

/// The groups of `backend-alerts.yml` with their interval and their alerts.
#[rustfmt::skip]
const SPECIFIED: &[(&str, &str, &[Specified])] = &[
    ("backend_critical_alerts", "30s", &[
        ("BackendServiceDown", "critical", "1m", "== 0"),
        ("HighAPIErrorRate", "critical", "2m", "> 0.05"),
        ("DatabasePoolExhausted", "critical", "2m", ">= 0.95"),
        ("DatabaseAcquireTimeouts", "critical", "2m", "> 1"),
        ("CriticalAPILatency", "critical", "2m", "> 5"),
        ("RedisConnectionFailure", "critical", "2m", "> 1"),
        ("CircuitBreakerOpen", "critical", "2m", "> 0"),
    ]),
    ("backend_warning_alerts", "30s", &[
        ("HighAPILatency", "warning", "5m", "> 1"),
        ("ElevatedDatabaseLatency", "warning", "5m", "> 0.5"),
        ("HighDatabasePoolUtilization", "warning", "5m", "> 0.75"),
        ("LowCacheHitRate", "warning", "10m", "< 0.70"),
        ("HighOrderRejectionRate", "warning", "5m", "> 0.20"),
        ("StrategyM2MCalculationErrors", "warning", "5m", "> 1"),
        ("TickerServiceHighLatency", "warning", "5m", "> 2"),
        ("HighAuthenticationFailureRate", "warning", "5m", "> 0.10"),
        ("WebSocketConnectionsHigh", "warning", "5m", "> 100"),
        ("BackgroundWorkerQueueBacklog", "warning", "5m", "> 100"),
        ("HighRateLimitViolations", "warning", "5m", "> 5"),
    ]),
    ("backend_info_alerts", "60s", &[
        ("NoActiveUsers", "info", "15m", "== 0"),
        ("FOQueryLatencyIncreasing", "info", "10m", "> 5"),
        ("StatementParsingErrors", "info", "10m", "> 0.1"),
        ("CacheMissRateHigh", "info", "10m", "> 0.40"),
    ]),
    ("backend_sla_alerts", "60s", &[
        ("API_SLA_Breach_Latency", "critical", "5m", "> 0.5"),
        ("API_SLA_Breach_Availability", "critical", "5m", "< 0.999"),
    ]),
];

#[test]
fn the_specified_alerts_are_those_of_the_file() {
    let found: Vec<Value> = groups("alerts/backend-alerts.yml");
    assert_eq!(found.len(), SPECIFIED.len());
    assert_eq!(SPECIFIED.iter().map(|(_, _, alerts)| alerts.len()).sum::<usize>(), 24);
    for (found, (group, interval, specified)) in found.iter().zip(SPECIFIED) {
        assert_eq!(
            (found["name"].as_str(), found["interval"].as_str()),
            (Some(*group), Some(*interval))
        );
        let found: Vec<_> = list(&found["rules"])
            .iter()
            .map(|rule| {
                (string(&rule["alert"]), string(&rule["labels"]["severity"]), string(&rule["for"]))
            })
            .collect();
        let specified: Vec<_> = specified
            .iter()
            .map(|(name, severity, pending, _)| {
                (name.to_string(), severity.to_string(), pending.to_string())
            })
            .collect();
        assert_eq!(found, specified, "{group}");
    }
}

#[test]
fn the_specified_thresholds_are_those_of_the_expressions() {
    let alerts = alerts();
    for (name, _, _, comparison) in SPECIFIED.iter().flat_map(|(_, _, alerts)| *alerts) {
        let alert = alerts.iter().find(|alert| alert.name == *name).expect(name);
        // A longer number may begin with this one.
        let is_one =
            |rest: &str| !rest.starts_with(|next: char| next.is_ascii_digit() || next == '.');
        let found = alert.expr.split(comparison).skip(1).any(is_one);
        assert!(found, "{name} is not {comparison}: {}", alert.expr);
    }
}

#[test]
fn every_alert_says_what_it_is_and_where_to_look() {
    let dashboards: BTreeSet<String> = files("dashboards", "json")
        .iter()
        .map(|file| {
            let dashboard: Value = serde_json::from_str(&text(file)).expect("a dashboard is JSON");
            string(&dashboard["uid"])
        })
        .collect();
    for Alert { name, labels, annotations, .. } in alerts() {
        for label in ["severity", "component"] {
            assert!(
                labels.get(label).is_some_and(|value| !value.is_empty()),
                "{name} has no {label}"
            );
        }
        assert!(
            ["critical", "warning", "info", "none"].contains(&&*labels["severity"]),
            "{name}: {labels:?}"
        );
        let found: Vec<&str> = annotations.keys().map(String::as_str).collect();
        assert_eq!(found, ["dashboard_url", "description", "runbook_url", "summary"], "{name}");
        assert_ne!(annotations["summary"], annotations["description"], "{name}");
        assert_eq!(annotations["runbook_url"], format!("monitoring/runbooks/{name}.md"));
        let dashboard = annotations["dashboard_url"].strip_prefix("/d/");
        assert!(
            dashboard.is_some_and(|uid| dashboards.contains(uid)),
            "{name}: {} is not of {dashboards:?}",
            annotations["dashboard_url"]
        );
    }
}

#[test]
fn a_page_is_critical_and_a_ticket_a_warning() {
    for alert in alerts() {
        let severity = match alert.label("alert_class") {
            "" => continue,
            "page" => "critical",
            "ticket" => "warning",
            class => panic!("{}: a route for {class}?", alert.name),
        };
        assert_eq!(alert.label("severity"), severity, "{}", alert.name);
    }
}

#[test]
fn every_runbook_is_of_an_alert_and_has_all_sections() {
    let alerts: BTreeSet<String> = alerts().into_iter().map(|alert| alert.name).collect();
    let mut pages = BTreeSet::new();
    for file in files("monitoring/runbooks", "md") {
        let name =
            file.file_stem().and_then(|name| name.to_str()).expect("a name is text").to_owned();
        let page = text(&file);
        let mut in_code = false;
        let headings: Vec<&str> = page
            .lines()
            .filter(|line| {
                in_code ^= line.starts_with("```");
                !in_code && line.starts_with('#')
            })
            .collect();
        let title = format!("# {name}");
        assert_eq!(
            headings,
            [&title, "## What users see", "## Look at", "## Do", "## Silence"],
            "{name}"
        );
        for section in page.split("\n## ") {
            let (_, said) = section.split_once('\n').expect("a section has a text");
            assert!(!said.trim().is_empty(), "{name}: a section is empty");
        }
        assert!(page.contains("\n```promql\n"), "{name} has no query");
        pages.insert(name);
    }
    assert_eq!(pages, alerts);
}
