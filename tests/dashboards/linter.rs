//! The rules of Grafana's dashboard-linter, by their names there.
//!
//! Where it looks at some kinds of panels, these look at all, but for `target-rate-interval-rule`: bars and pies are of
//! the whole range. Not here are `target-counter-agg-rule`, which `queries` has with the kinds of the families in place
//! of their names, and `target-logql-rule` and `target-logql-auto-rule`, which need a parser of `LogQL`.

use promql_parser::{
    label::MatchOp,
    parser::{Expr, VectorSelector},
};
use serde_json::Value;

use crate::{
    dashboard::{Dashboard, items, targets, text},
    expressions::{self, Kind},
    promql::{self, RATE_INTERVAL},
};

/// A rule that is broken.
#[derive(Debug)]
pub(crate) struct Finding {
    pub(crate) rule: &'static str,
    /// Titles.
    pub(crate) dashboard: String,
    pub(crate) panel: Option<String>,
    /// The place of the target on its panel.
    pub(crate) target: Option<usize>,
    pub(crate) message: String,
}

/// Units that metrics come in. Grafana knows all but `qps`, which it writes after the number as it would `req/s`.
const UNITS: [&str; 11] = [
    "bytes",
    "cps",
    "currencyINR",
    "none",
    "ops",
    "percent",
    "percentunit",
    "qps",
    "reqps",
    "s",
    "short",
];

/// The panels whose rates are over `$__rate_interval`.
const OVER_TIME: [&str; 4] = ["gauge", "stat", "state-timeline", "timeseries"];

pub(crate) fn lint(dashboard: &Dashboard) -> Vec<Finding> {
    let mut linter = Linter { dashboard, findings: Vec::new() };
    linter.settings();
    linter.variables();
    for panel in dashboard.panels() {
        linter.panel(panel);
        for (index, target) in targets(panel) {
            linter.target(panel, index, target);
        }
    }
    linter.findings
}

struct Linter<'a> {
    dashboard: &'a Dashboard,
    findings: Vec<Finding>,
}

impl Linter<'_> {
    fn settings(&mut self) {
        if self.dashboard.json["editable"] != false {
            self.find("uneditable-dashboard", None, None, "it can be edited");
        }
        let sources: Vec<&Value> = self
            .dashboard
            .variables()
            .filter(|variable| variable["type"] == "datasource")
            .collect();
        if sources.is_empty() {
            self.find("template-datasource-rule", None, None, "no variable for the source");
        }
        for source in &sources {
            let kind = text(&source["query"]);
            let (name, label) = (text(&source["name"]), text(&source["label"]));
            let mut capital = kind.to_owned();
            capital[..1].make_ascii_uppercase();
            let alone = sources.len() == 1;
            let named = name == format!("{kind}_datasource") || alone && name == "datasource";
            let labelled =
                label == format!("{capital} data source") || alone && label == "Data source";
            if !(named && labelled) {
                let message = format!("the source of {kind} is called {name}, {label}");
                self.find("template-datasource-rule", None, None, message);
            }
        }
    }

    fn variables(&mut self) {
        for (rule, name, label) in [
            ("template-job-rule", "job", "Job"),
            ("template-instance-rule", "instance", "Instance"),
        ] {
            let Some(variable) = self.dashboard.variable(name) else {
                self.find(rule, None, None, format!("no variable {name}"));
                continue;
            };
            let good = variable["type"] == "query"
                && variable["label"] == label
                && variable["multi"] == true
                && variable["allValue"] == ".+"
                && variable["datasource"]["uid"] == "${datasource}";
            if !good {
                self.find(rule, None, None, format!("the variable is {variable}"));
            }
        }
        for variable in self.dashboard.variables().filter(|variable| variable["type"] == "query") {
            if variable["refresh"] != 2 {
                let message = format!("{} is not asked for anew", variable["name"]);
                self.find("template-on-time-change-reload-rule", None, None, message);
            }
        }
        for expression in expressions::of_dashboard("", &self.dashboard.json) {
            if let Kind::Variable(name) = &expression.kind
                && let Err(error) = promql::parse(&expression.text)
            {
                self.find("template-label-promql-rule", None, None, format!("{name}: {error}"));
            }
        }
    }

    fn panel(&mut self, panel: &Value) {
        let source = text(&panel["datasource"]["uid"]);
        let variable = source.strip_prefix("${").and_then(|name| name.strip_suffix('}'));
        let chosen = variable.and_then(|name| self.dashboard.variable(name));
        if chosen.is_none_or(|variable| variable["type"] != "datasource") {
            self.find("panel-datasource-rule", Some(panel), None, format!("it asks {source}"));
        }
        for field in ["title", "description"] {
            if text(&panel[field]).trim().is_empty() {
                self.find("panel-title-description-rule", Some(panel), None, format!("no {field}"));
            }
        }
        let config = &panel["fieldConfig"];
        let properties =
            items(&config["overrides"]).flat_map(|single| items(&single["properties"]));
        let own = properties.filter(|one| one["id"] == "unit").map(|one| &one["value"]);
        for unit in own.chain([&config["defaults"]["unit"]]) {
            if !UNITS.contains(&text(unit)) {
                self.find("panel-units-rule", Some(panel), None, format!("the unit is {unit}"));
            }
        }
        if items(&panel["targets"]).next().is_none() {
            self.find("panel-no-targets-rule", Some(panel), None, "no targets");
        }
    }

    fn target(&mut self, panel: &Value, index: usize, target: &Value) {
        let at = (Some(panel), Some(index));
        let expr = match promql::parse(text(&target["expr"])) {
            Ok(expr) => expr,
            Err(error) => return self.find("target-promql-rule", at.0, at.1, error),
        };
        for selector in promql::selectors(&expr) {
            for (rule, label) in [("target-job-rule", "job"), ("target-instance-rule", "instance")]
            {
                if !selects_by_variable(selector, label) {
                    self.find(rule, at.0, at.1, format!("{selector} is not of ${label}"));
                }
            }
        }
        promql::walk(&expr, &mut |part, within| {
            let (selector, range) = match part {
                Expr::VectorSelector(selector) => (selector, None),
                Expr::MatrixSelector(matrix) => (&matrix.vs, Some(matrix.range)),
                _ => return,
            };
            let rate = matches!(within.last(), Some(Expr::Call(call))
                if ["increase", "irate", "rate"].contains(&call.func.name));
            let over_time = OVER_TIME.contains(&text(&panel["type"]));
            if rate && over_time && range != Some(RATE_INTERVAL) {
                let message = format!("{selector} is not over $__rate_interval");
                self.find("target-rate-interval-rule", at.0, at.1, message);
            }
        });
    }

    fn find(
        &mut self,
        rule: &'static str,
        panel: Option<&Value>,
        target: Option<usize>,
        message: impl Into<String>,
    ) {
        self.findings.push(Finding {
            rule,
            dashboard: self.dashboard.title().to_owned(),
            panel: panel.map(|panel| text(&panel["title"]).to_owned()),
            target,
            message: message.into(),
        });
    }
}

fn selects_by_variable(selector: &VectorSelector, label: &str) -> bool {
    let variable = format!("${label}");
    let sets = selector.matchers.or_matchers.iter().chain([&selector.matchers.matchers]);
    sets.filter(|set| !set.is_empty() || selector.matchers.or_matchers.is_empty()).all(|set| {
        set.iter().any(|matcher| {
            matcher.name == label
                && matches!(matcher.op, MatchOp::Re(_))
                && matcher.value == variable
        })
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The sample as the linter wants it. All jobs are every job there, which is why `.lint` has the rule.
    fn sample() -> Dashboard {
        let mut sample = crate::sample::sample();
        sample.json["templating"]["list"][1]["allValue"] = json!(".+");
        sample
    }

    #[test]
    fn the_sample_breaks_no_rule() {
        assert!(lint(&sample()).is_empty(), "{:?}", lint(&sample()));
    }

    #[test]
    fn each_rule_finds_what_breaks_it() {
        let target = "/panels/1/targets/0/expr";
        let selection = r#"job=~"$job", instance=~"$instance""#;
        let query = |form: &str| Value::from(form.replace("{@}", &format!("{{{selection}}}")));
        for (rule, place, value) in [
            ("uneditable-dashboard", "/editable", json!(null)),
            ("template-datasource-rule", "/templating/list/0/label", json!("Source")),
            ("template-job-rule", "/templating/list/1/label", json!("job")),
            ("template-job-rule", "/templating/list/1/allValue", json!(null)),
            ("template-instance-rule", "/templating/list/2/allValue", json!(".*")),
            ("template-on-time-change-reload-rule", "/templating/list/2/refresh", json!(1)),
            ("template-label-promql-rule", "/templating/list/2/query/query", json!("labels(up)")),
            ("panel-datasource-rule", "/panels/1/datasource/uid", json!("abc")),
            ("panel-title-description-rule", "/panels/1/description", json!(" ")),
            ("panel-units-rule", "/panels/1/fieldConfig/defaults/unit", json!("ms")),
            ("panel-no-targets-rule", "/panels/1/targets", json!([])),
            ("target-promql-rule", target, json!("sum(")),
            ("target-job-rule", target, json!(r#"up{instance=~"$instance"}"#)),
            ("target-job-rule", target, json!(r#"up{job="$job", instance=~"$instance"}"#)),
            ("target-instance-rule", target, json!(r#"up{job=~"$job"}"#)),
            ("target-rate-interval-rule", target, query("rate(a_total{@}[5m])")),
            ("target-rate-interval-rule", target, query("increase(a_total{@}[$__range])")),
        ] {
            let mut dashboard = sample();
            *dashboard.json.pointer_mut(place).unwrap() = value;
            let found: Vec<&str> = lint(&dashboard).iter().map(|finding| finding.rule).collect();
            assert_eq!(found, [rule], "{place}");
        }
        let mut dashboard = sample();
        dashboard.json["templating"]["list"] = json!([]);
        let found: Vec<&str> = lint(&dashboard).iter().map(|finding| finding.rule).collect();
        let variables = ["template-datasource-rule", "template-job-rule", "template-instance-rule"];
        assert_eq!(found[..3], variables);
    }
}
