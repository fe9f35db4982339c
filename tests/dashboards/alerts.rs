//! What the rules in `alerts/` compare with what, as far as a panel can show it.

use std::collections::{BTreeMap, BTreeSet};

use promql_parser::{
    label::MatchOp,
    parser::{BinaryExpr, Expr, VectorSelector, token},
};

use crate::{
    dashboard::root,
    expressions::{self, Expression, Kind},
    promql,
};

pub(crate) struct Alert {
    pub(crate) name: String,
    pub(crate) reads: Series,
    pub(crate) bounds: Vec<Bound>,
}

/// What the value of an alert is compared with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bound {
    pub(crate) value: f64,
    /// It fires below, not above.
    pub(crate) below: bool,
}

/// What decides the value of an expression: not what stands right of `and` or `unless`.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Series {
    /// As they stand there.
    pub(crate) selectors: BTreeSet<String>,
    /// What they are recorded from.
    pub(crate) families: BTreeSet<String>,
    pub(crate) quantiles: BTreeSet<String>,
}

/// A recording rule.
struct Recording {
    slo: Option<String>,
    expr: Expr,
}

/// The rules in `alerts/`.
#[derive(Default)]
pub(crate) struct Rules {
    pub(crate) alerts: Vec<Alert>,
    /// By the name that they record.
    recordings: BTreeMap<String, Vec<Recording>>,
    /// Objectives, by the name of the SLO.
    pub(crate) objectives: BTreeMap<String, f64>,
}

impl Alert {
    pub(crate) fn is_of_budgets(&self) -> bool {
        self.reads.selectors.iter().any(|selector| selector.starts_with("slo:error_budget:ratio"))
    }
}

impl Rules {
    pub(crate) fn read() -> Self {
        Self::new(&expressions::rules(root()))
    }

    pub(crate) fn new(rules: &[Expression]) -> Self {
        let mut all = Self::default();
        for rule in rules {
            let expr = promql::parse(&rule.text).expect("a rule is PromQL");
            if let Kind::Recording { name, labels } = &rule.kind {
                let slo =
                    labels.iter().find(|(label, _)| label == "slo").map(|(_, slo)| slo.clone());
                if let (Some(slo), Expr::Call(call)) = (&slo, &expr)
                    && name == "slo:objective:ratio"
                {
                    let objective = promql::number(&call.args.args[0]).expect("vector(NUMBER)");
                    all.objectives.insert(slo.clone(), objective);
                }
                all.recordings.entry(name.clone()).or_default().push(Recording { slo, expr });
            }
        }
        for rule in rules {
            if let Kind::Alert { name, .. } = &rule.kind {
                let expr = promql::parse(&rule.text).expect("it was parsed just now");
                let (reads, bounds) = (all.series(&expr), bounds(&expr));
                all.alerts.push(Alert { name: name.clone(), reads, bounds });
            }
        }
        all
    }

    pub(crate) fn series(&self, expr: &Expr) -> Series {
        let selectors = deciding_selectors(expr).into_iter().map(without_target).collect();
        let mut series = Series { selectors, ..Series::default() };
        self.add_families(expr, None, &mut series);
        series
    }

    /// Adds families and quantiles; a recorded series of several SLOs is what it is for this one.
    fn add_families(&self, expr: &Expr, slo: Option<&str>, series: &mut Series) {
        promql::walk(expr, &mut |part, _| {
            if let Expr::Call(call) = part
                && call.func.name == "histogram_quantile"
            {
                series.quantiles.extend(call.args.args.first().map(ToString::to_string));
            }
        });
        for selector in deciding_selectors(expr) {
            let name = selector.name.as_deref().unwrap_or_default();
            let slo = slo_of(selector).or(slo);
            let recordings = self.recordings.get(name).map_or(&[][..], Vec::as_slice);
            let of_slo =
                |one: &&Recording| slo.is_none() || one.slo.is_none() || one.slo.as_deref() == slo;
            for recording in recordings.iter().filter(of_slo) {
                self.add_families(&recording.expr, slo, series);
            }
            if recordings.is_empty() {
                series.families.insert(name.to_owned());
            }
        }
    }
}

/// What decides whether an alert fires: on the left of `and`, on both sides of `or`.
fn bounds(expr: &Expr) -> Vec<Bound> {
    match expr {
        Expr::Paren(of) => bounds(&of.expr),
        Expr::Binary(BinaryExpr { op, lhs, rhs, .. }) => match op.id() {
            token::T_LAND | token::T_LUNLESS => bounds(lhs),
            token::T_LOR => [bounds(lhs), bounds(rhs)].concat(),
            _ if op.is_comparison_operator() => {
                let below = matches!(op.id(), token::T_LSS | token::T_LTE);
                promql::number(rhs).map(|value| Bound { value, below }).into_iter().collect()
            }
            _ => vec![],
        },
        _ => vec![],
    }
}

/// The one SLO that a selector is for.
pub(crate) fn slo_of(selector: &VectorSelector) -> Option<&str> {
    let mut matchers = selector.matchers.matchers.iter();
    let slo = matchers.find(|matcher| matcher.name == "slo" && matcher.op == MatchOp::Equal)?;
    Some(&slo.value)
}

/// The selectors of the values, without those that only say for what there are values.
fn deciding_selectors(expr: &Expr) -> Vec<&VectorSelector> {
    let mut found = Vec::new();
    promql::walk(expr, &mut |part, within| {
        let selector = match part {
            Expr::VectorSelector(selector) => selector,
            Expr::MatrixSelector(matrix) => &matrix.vs,
            _ => return,
        };
        let path = [within, &[part]].concat();
        let condition = path.windows(2).any(|pair| match pair[0] {
            Expr::Binary(binary) => {
                matches!(binary.op.id(), token::T_LAND | token::T_LUNLESS)
                    && std::ptr::eq(&raw const *binary.rhs, pair[1])
            }
            _ => false,
        });
        if !condition {
            found.push(selector);
        }
    });
    found
}

/// A selector without the labels of the target, which a dashboard and an alert choose differently.
fn without_target(selector: &VectorSelector) -> String {
    let matchers = &selector.matchers.matchers;
    let own = matchers.iter().filter(|matcher| !["instance", "job"].contains(&&*matcher.name));
    let own: BTreeSet<String> = own.map(ToString::to_string).collect();
    format!("{}{own:?}", selector.name.as_deref().unwrap_or_default())
}

#[test]
fn an_alert_fires_by_what_it_compares() {
    let bounds = |text: &str| bounds(&promql::parse(text).unwrap());
    let above = |value| Bound { value, below: false };
    assert_eq!(bounds("a / b > 0.05"), [above(0.05)]);
    assert_eq!(bounds("a / b < 0.7"), [Bound { value: 0.7, below: true }]);
    assert_eq!(bounds("(time() - a > 60) and on (job) b > 0"), [above(60.0)]);
    assert_eq!(bounds("a > 60 unless b > 1"), [above(60.0)]);
    assert_eq!(bounds("(a > 14.4 and b > 14.4) or (a > 6 and b > 6)"), [above(14.4), above(6.0)]);
    assert_eq!(bounds("sum(a > 3)"), []);
}

#[test]
fn a_condition_decides_no_value() {
    let series = |text: &str| Rules::default().series(&promql::parse(text).unwrap());
    let families = series("time() - (a or (b and sum(c) > 0)) > 60 unless d").families;
    assert_eq!(families.into_iter().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(series(r#"a{job="x", b="1", a="2"}"#), series(r#"a{job=~"$job", a="2", b="1"}"#));
    assert_ne!(series(r#"a{b="1"}"#), series(r#"a{b!="1"}"#));
}

#[test]
fn a_recorded_series_is_what_it_is_recorded_from() {
    let yaml = r#"
groups:
  - rules:
      - {record: ratio, expr: "bad / all"}
      - {record: bad, expr: "histogram_quantile(0.95, late)", labels: {slo: latency}}
      - {record: bad, expr: failed, labels: {slo: errors}}
"#;
    let rules = Rules::new(&expressions::of_rules("", yaml));
    let families = |text: &str| rules.series(&promql::parse(text).unwrap()).families;
    assert!(families("ratio").into_iter().eq(["all", "failed", "late"]));
    assert!(families(r#"ratio{slo="errors"}"#).into_iter().eq(["all", "failed"]));
}
