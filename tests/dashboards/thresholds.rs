//! A panel changes its colour where an alert fires, and where an objective is missed.
//!
//! A panel shows an alert if one of its targets selects the same series for the same quantile: by name and labels,
//! but for job and instance. A panel of several colours also shows the alerts to whose runbooks it leads, if it
//! reads one of their families for the same quantile, directly or as recorded.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{
    alerts::{Alert, Bound, Rules, Series, slo_of},
    dashboard::{Dashboard, all, assert_none, links, steps, targets, text},
    promql,
    sample::sample,
};

/// Panels that show an alert and have other numbers: dashboard, panel, alert, reason.
const OTHERWISE: [(&str, &str, &str, &str); 17] = [
    (
        "backend-api",
        "Instances up",
        "BackendServiceDown",
        "the alert is on each instance, the panel on all together",
    ),
    (
        "backend-api",
        "Error rate",
        "API_SLA_Breach_Availability",
        "that one is an objective, on backend-slo",
    ),
    ("backend-api", "Active users (15m)", "NoActiveUsers", "0 is as it should be at night"),
    (
        "backend-api",
        "Circuit breaker state",
        "CircuitBreakerOpen",
        "each state has a colour of its own",
    ),
    (
        "backend-api",
        "Label overflows",
        "MetricLabelOverflow",
        "any at all: a step at 0 would colour none as well",
    ),
    (
        "backend-api",
        "Callback failures",
        "MetricsCallbackFailing",
        "any at all: a step at 0 would colour none as well",
    ),
    ("backend-api", "Instances up", "AllInstancesDown", "it is red at 0, and green from 1 on"),
    ("backend-api", "Instances up", "MonitoringTargetDown", "that one is of other jobs"),
    (
        "backend-api",
        "Error rate",
        "EndpointFailing",
        "that one is of an endpoint, on a panel of its own",
    ),
    (
        "backend-api",
        "Error rate",
        "InstanceFailing",
        "that one is of an instance, on a panel of its own",
    ),
    (
        "backend-api",
        "Failed share by endpoint",
        "API_SLA_Breach_Availability",
        "that one is an objective, on backend-slo",
    ),
    (
        "backend-api",
        "Failed share by instance",
        "API_SLA_Breach_Availability",
        "that one is an objective, on backend-slo",
    ),
    ("backend-api", "Uptime", "BackendCrashLooping", "how long it runs, not how often it started"),
    (
        "backend-trading",
        "Ticker subscriptions",
        "TickerSubscriptionsLost",
        "0 is as it should be without clients",
    ),
    (
        "backend-trading",
        "Circuit breaker",
        "CircuitBreakerOpen",
        "each state has a colour of its own",
    ),
    (
        "backend-slo",
        "Error budget remaining (30d)",
        "SLOErrorBudgetBurn",
        "what is left, not how fast it goes",
    ),
    (
        "backend-slo",
        "Connections without a timeout: 99.9%",
        "DatabaseAcquireTimeouts",
        "a share, not a rate",
    ),
];

/// Alerts that no panel shows, with the reason.
const ON_NO_PANEL: [(&str, &str); 18] = [
    ("AlertsNotDelivered", "of the monitoring, not of the service"),
    ("CacheMissRateHigh", "the panel has the layers apart"),
    ("ClockAhead", "panels have ages, which a clock that is ahead makes small"),
    ("ConfigurationReloadFailed", "of the monitoring, not of the service"),
    ("FirstRequestsFailing", "its series are too young for a rate"),
    ("HighAuthenticationFailureRate", "the panel has the rates, not their ratio"),
    ("HighDroppedRequestRate", "the panel has the rates, not their ratio"),
    ("MarketClosed", "for Alertmanager alone"),
    ("MostRequestsDropped", "the panel has the rates, not their ratio"),
    ("NotificationsFailing", "of the monitoring, not of the service"),
    ("PostgresUnreachable", "of the exporter, not of the service"),
    ("RedisUnreachable", "of the exporter, not of the service"),
    ("RuleEvaluationFailing", "of the monitoring, not of the service"),
    (
        "ScrapeNearDeadline",
        "the panel has the time without the network, not the share of the deadline",
    ),
    ("TradingCalendarEnds", "of the monitoring, not of the service"),
    ("TrafficStopped", "the panel has the rate, not what it was before"),
    ("Watchdog", "of the monitoring, not of the service"),
    ("WebSocketClientsLost", "the panel has the number, not what it was before"),
];

#[test]
fn panels_change_colour_where_alerts_fire() {
    let rules = Rules::read();
    let mut used = BTreeSet::new();
    let mut shown = BTreeSet::new();
    let mut faults = Vec::new();
    for dashboard in all() {
        for panel in dashboard.panels() {
            let title = text(&panel["title"]);
            // One objective has its target, below, in place of the speed at which all budgets go.
            let one = !objectives_of(panel).is_empty();
            let alerts = rules.alerts.iter().filter(|alert| !(one && alert.is_of_budgets()));
            for alert in alerts.filter(|alert| shows(&rules, panel, alert)) {
                let place = (dashboard.uid(), title, &*alert.name);
                let missing = missing(panel, &alert.bounds);
                let except = OTHERWISE.iter().position(|&(a, b, c, _)| (a, b, c) == place);
                match except {
                    _ if missing.is_empty() => {}
                    Some(index) => _ = used.insert(index),
                    None => faults.push(format!("{place:?}: no step at {missing:?}")),
                }
                shown.insert(alert.name.clone());
            }
        }
    }
    faults.extend(
        (0..OTHERWISE.len())
            .filter(|index| !used.contains(index))
            .map(|index| format!("{:?} is no exception", OTHERWISE[index])),
    );
    for alert in &rules.alerts {
        let reason = ON_NO_PANEL.iter().find(|(name, _)| *name == alert.name);
        match (shown.contains(&alert.name), reason) {
            (false, None) => faults.push(format!("no panel shows {}", alert.name)),
            (true, Some(_)) => faults.push(format!("a panel does show {}", alert.name)),
            _ => {}
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn panels_change_colour_where_objectives_are_missed() {
    let rules = Rules::read();
    let mut shown = BTreeSet::new();
    let mut faults = Vec::new();
    for dashboard in all() {
        for panel in dashboard.panels() {
            for slo in objectives_of(panel) {
                match rules.objectives.get(&slo) {
                    // The share of what is good.
                    Some(&value) if missing(panel, &[Bound { value, below: true }]).is_empty() => {
                        shown.insert(slo);
                    }
                    objective => faults.push(format!(
                        "{}: the objective of {slo} is {objective:?}, the steps are {:?}",
                        text(&panel["title"]),
                        steps(panel),
                    )),
                }
            }
        }
    }
    let missing = rules.objectives.keys().filter(|slo| !shown.contains(*slo));
    faults.extend(missing.map(|slo| format!("{slo} is on no panel")));
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn steps_begin_below_all_values() {
    assert_none(faults_of_steps);
}

/// The lowest step is the colour below all others: green, or red where less is worse. Without others it may be that
/// of text.
fn faults_of_steps(dashboard: &Dashboard) -> Vec<String> {
    let fault = |panel: &&Value| {
        let (values, colours): (Vec<_>, Vec<_>) = steps(panel).into_iter().unzip();
        let inverted = colours.first() == Some(&"red") && colours.last() == Some(&"green");
        let config = &panel["fieldConfig"]["defaults"];
        let lines = text(&config["custom"]["thresholdsStyle"]["mode"]);
        if values.is_empty() || values[0].is_some() || values[1..].contains(&None) {
            Some("the first step, and only it, has no value")
        } else if !values.is_sorted() {
            Some("the steps are not in order")
        } else if colours[0] != "green" && !inverted && colours != ["text"] {
            Some("the first step is neither green, nor red with a green one at the end")
        } else if panel["type"] == "timeseries" && (lines == "dashed") != (values.len() > 1) {
            Some("the steps are drawn as dashed lines, if there are any")
        } else {
            None
        }
    };
    let panels = dashboard.panels();
    let faults = panels.iter().filter_map(|panel| Some((text(&panel["title"]), fault(panel)?)));
    faults.map(|(title, fault)| format!("{title}: {fault}")).collect()
}

fn shows(rules: &Rules, panel: &Value, alert: &Alert) -> bool {
    let read: Vec<Series> = targets(panel)
        .filter_map(|(_, target)| Some(rules.series(&promql::parse(text(&target["expr"])).ok()?)))
        .collect();
    let same = |series: &Series| series.quantiles == alert.reads.quantiles;
    let selected = |series: &Series| series.selectors == alert.reads.selectors;
    let related = |series: &Series| !series.families.is_disjoint(&alert.reads.families);
    let runbook = format!("${{runbooks}}/{}.md", alert.name);
    let leads = links(panel).iter().any(|link| link["url"] == *runbook);
    let coloured = steps(panel).len() > 1;
    read.iter()
        .filter(|series| same(series))
        .any(|series| selected(series) || leads && coloured && related(series))
}

/// The bounds at which a panel has no step. A panel that is red where its value is small has the share of the
/// rest, if an alert fires where its own is large, and the other way round.
fn missing(panel: &Value, bounds: &[Bound]) -> Vec<f64> {
    let steps = steps(panel);
    let red_below = steps.first().is_some_and(|(_, colour)| *colour == "red");
    let expected = bounds.iter().map(|Bound { value, below }| {
        let share = panel["fieldConfig"]["defaults"]["unit"] == "percentunit";
        if share && *below != red_below { 1.0 - value } else { *value }
    });
    let has = |bound: f64| {
        steps.iter().filter_map(|(value, _)| *value).any(|value| (value - bound).abs() < 1e-9)
    };
    expected.filter(|bound| !has(*bound)).collect()
}

/// The SLOs that a panel names in its selectors.
fn objectives_of(panel: &Value) -> BTreeSet<String> {
    let named = targets(panel).filter_map(|(_, target)| {
        let expr = promql::parse(text(&target["expr"])).ok()?;
        Some(promql::selectors(&expr).into_iter().filter_map(slo_of).map(str::to_owned).collect())
    });
    named.flat_map(|slos: Vec<String>| slos).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_panel_shows_the_alerts_of_its_series() {
        let rules = |expr: &str| {
            let yaml = format!(
                "groups: [{{rules: [{{alert: HighAPILatency, expr: '{expr}'}}, {{record: p95, expr: \
                 'histogram_quantile(0.95, http_request_duration_seconds_bucket)'}}]}}]"
            );
            Rules::new(&crate::expressions::of_rules("", &yaml))
        };
        let shows = |expr: &str, change: &dyn Fn(&mut Value)| {
            let mut panel = sample().json["panels"][1].clone();
            change(&mut panel);
            let rules = rules(expr);
            super::shows(&rules, &panel, &rules.alerts[0])
        };
        let same = |_: &mut Value| {};
        let alert = "histogram_quantile(0.95, rate(http_request_duration_seconds_bucket[5m])) > 1";
        assert!(shows(alert, &same));
        assert!(shows("p95 > 1", &same));
        assert!(!shows(
            "histogram_quantile(0.99, http_request_duration_seconds_bucket) > 5",
            &same
        ));
        let narrow =
            r#"histogram_quantile(0.95, http_request_duration_seconds_bucket{method="GET"}) > 1"#;
        assert!(shows(narrow, &same), "it leads to the runbook");
        assert!(!shows(narrow, &|panel| panel["links"] = json!([])));
        assert!(!shows("max(active_users) == 0", &same));
    }

    #[test]
    fn a_bound_without_a_step_is_found() {
        let mut panel = sample().json["panels"][1].clone();
        let above = |value| Bound { value, below: false };
        let below = |value| Bound { value, below: true };
        assert_eq!(missing(&panel, &[above(0.5), above(1.0)]), [0.5]);
        let defaults = &mut panel["fieldConfig"]["defaults"];
        defaults["thresholds"]["steps"][1]["value"] = json!(0.2);
        assert_eq!(missing(&panel, &[above(0.8)]), [0.8]);
        assert_eq!(missing(&panel, &[below(0.8)]), [0.8]);
        panel["fieldConfig"]["defaults"]["unit"] = json!("percentunit");
        assert_eq!(missing(&panel, &[above(0.8)]), [0.8]);
        assert!(missing(&panel, &[below(0.8)]).is_empty());
        panel["fieldConfig"]["defaults"]["thresholds"]["steps"][0]["color"] = json!("red");
        assert!(missing(&panel, &[above(0.8), below(0.2)]).is_empty());
    }

    #[test]
    fn steps_in_disorder_are_found() {
        assert_eq!(faults_of_steps(&sample()), Vec::<String>::new());
        let defaults = "/panels/1/fieldConfig/defaults";
        for (place, value) in [
            ("thresholds/steps/0/value", json!(0)),
            ("thresholds/steps/1/value", json!(null)),
            ("thresholds/steps/0/color", json!("blue")),
            ("thresholds/steps/0/color", json!("red")),
            ("thresholds/steps", json!([])),
            ("custom/thresholdsStyle/mode", json!("off")),
        ] {
            let mut dashboard = sample();
            *dashboard.json.pointer_mut(&format!("{defaults}/{place}")).unwrap() = value;
            assert_eq!(faults_of_steps(&dashboard).len(), 1, "{place}");
        }
    }
}
