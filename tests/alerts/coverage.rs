//! Each alert has promtool tests: pending, firing with all that it says, resolved, and silent.

use std::{collections::BTreeSet, path::Path};

use serde_json::Value;

use crate::{
    duration::milliseconds,
    rules::{Alert, alerts, files, groups, list, string, strings, yaml},
};

/// A test of a promtool file.
struct Case {
    name: String,
    /// The alerts of the rule files that it loads.
    loaded: BTreeSet<String>,
    /// What fires at which time.
    fires: Vec<Value>,
    /// What an expression has as its result at which time.
    results: Vec<Value>,
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for file in files("alerts/tests", "yml") {
        let tests = yaml(&file);
        let loaded: BTreeSet<String> = list(&tests["rule_files"])
            .iter()
            .flat_map(|rules| groups(Path::new("alerts/tests").join(string(rules))))
            .flat_map(|group| list(&group["rules"]).to_vec())
            .filter_map(|rule| rule["alert"].as_str().map(str::to_owned))
            .collect();
        cases.extend(list(&tests["tests"]).iter().map(|test| Case {
            name: string(&test["name"]),
            loaded: loaded.clone(),
            fires: list(&test["alert_rule_test"]).to_vec(),
            results: list(&test["promql_expr_test"]).to_vec(),
        }));
    }
    cases
}

/// When it is looked at.
fn time(at: &Value) -> u64 {
    milliseconds(&string(&at["eval_time"]))
}

impl Case {
    /// The first time that the alert fires, with all its labels and annotations; promtool compares them exactly.
    fn fires(&self, alert: &Alert) -> Option<u64> {
        let firing = self.fires.iter().filter(|at| at["alertname"] == alert.name);
        let with_all = firing.filter(|at| {
            list(&at["exp_alerts"]).iter().any(|fired| {
                let labels = strings(&fired["exp_labels"]);
                let annotations = strings(&fired["exp_annotations"]);
                // One that the rule writes with a template, it gets some value for.
                let has = |(name, value): (&String, &String)| {
                    labels.get(name).is_some_and(|found| found == value || value.contains("{{"))
                };
                alert.labels.iter().all(has) && annotations.keys().eq(alert.annotations.keys())
            })
        });
        with_all.map(time).min()
    }

    /// The times at which an expression over the alert alone has a result like this.
    fn results(&self, alert: &Alert, is_expected: impl Fn(&str, &[Value]) -> bool) -> Vec<u64> {
        let selector = format!("ALERTS{{alertname=\"{}\"", alert.name);
        let results = self.results.iter().filter(|at| {
            let expr = string(&at["expr"]);
            // One of the other class is not of this alert.
            let class = expr.split("alert_class=\"").nth(1).and_then(|rest| rest.split('"').next());
            expr.contains(&selector)
                && class.is_none_or(|class| class == alert.label("alert_class"))
                && is_expected(&expr, list(&at["exp_samples"]))
        });
        results.map(time).collect()
    }

    fn is_pending(&self, alert: &Alert) -> bool {
        let pending = |_: &str, samples: &[Value]| {
            samples
                .iter()
                .any(|sample| string(&sample["labels"]).contains("alertstate=\"pending\""))
        };
        !self.results(alert, pending).is_empty()
    }

    /// Whether the alert fires, and later is neither firing nor pending.
    fn resolves(&self, alert: &Alert) -> bool {
        let gone =
            |expr: &str, samples: &[Value]| expr.starts_with("ALERTS{") && samples.is_empty();
        let fires = self.fires(alert);
        fires.is_some_and(|fires| self.results(alert, gone).into_iter().any(|gone| gone > fires))
    }

    /// Whether the alert is never there, or is looked for and does not fire.
    fn is_silent(&self, alert: &Alert) -> bool {
        let never = |expr: &str, samples: &[Value]| {
            expr.starts_with("count_over_time(") && samples.is_empty()
        };
        let of_alert: Vec<&Value> =
            self.fires.iter().filter(|at| at["alertname"] == alert.name).collect();
        let does_not_fire = of_alert.iter().all(|at| list(&at["exp_alerts"]).is_empty());
        !self.results(alert, never).is_empty() || !of_alert.is_empty() && does_not_fire
    }
}

#[track_caller]
fn assert_each(what: &str, is_it: impl Fn(&Case, &Alert) -> bool) {
    let cases = cases();
    let missing: Vec<String> = alerts()
        .into_iter()
        .filter(|alert| !cases.iter().any(|case| is_it(case, alert)))
        .map(|alert| format!("{} {}", alert.name, alert.label("alert_class")))
        .collect();
    assert!(missing.is_empty(), "no test {what} of {missing:?}");
}

#[test]
fn each_is_pending_before_it_fires() {
    assert_each("that is pending", |case, alert| alert.pending.is_none() || case.is_pending(alert));
}

#[test]
fn each_fires_with_all_that_it_says() {
    assert_each("that fires", |case, alert| case.fires(alert).is_some());
}

#[test]
fn each_resolves() {
    assert_each("that resolves", |case, alert| always_fires(alert) || case.resolves(alert));
}

#[test]
fn each_is_silent_when_it_should() {
    assert_each("that is silent", |case, alert| always_fires(alert) || case.is_silent(alert));
}

/// Its end is the alarm.
fn always_fires(alert: &Alert) -> bool {
    alert.expr == "vector(1)"
}

/// A counter that restarts is no burst: what `rate` knows of, and a difference does not.
#[test]
fn each_that_reads_counters_is_tried_across_a_restart() {
    assert_each("across a restart", |case, alert| {
        let reads_none = !["rate(", ":ratio_rate"].iter().any(|rate| alert.expr.contains(rate));
        reads_none || case.name.contains("restart") && case.is_silent(alert)
    });
}

/// Of rules that are not loaded every test is silent.
#[test]
fn a_test_loads_the_rules_of_its_alerts() {
    let alerts = alerts();
    for case in cases() {
        for alert in &alerts {
            let names_it = case.fires.iter().any(|at| at["alertname"] == alert.name)
                || !case.results(alert, |_, _| true).is_empty();
            assert!(
                !names_it || case.loaded.contains(&alert.name),
                "{}: {}",
                case.name,
                alert.name
            );
        }
    }
}
