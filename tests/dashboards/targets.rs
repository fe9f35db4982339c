//! How panels ask: of the source that is chosen, with exemplars, in the units of the metrics.

use promql_parser::parser::{Expr, token};
use serde_json::{Value, json};

use crate::{
    dashboard::{Dashboard, assert_none, items, steps, targets, text},
    promql,
    sample::sample,
};

#[test]
fn every_query_goes_to_the_source_that_is_chosen() {
    assert_none(other_sources);
}

#[test]
fn buckets_come_with_exemplars() {
    assert_none(missing_exemplars);
}

/// Grafana writes 0.25 s as 250 ms by itself.
#[test]
fn no_query_changes_the_unit() {
    assert_none(scaled);
}

#[test]
fn only_a_query_of_one_moment_looks_back_over_the_whole_range() {
    assert_none(ranges);
}

/// A pool that is empty for seconds is not, at most scrapes.
#[test]
fn a_level_that_comes_and_goes_is_at_its_most() {
    assert_none(at_a_moment);
}

/// The panels that turn red by a level that lasts for seconds, and read it at one moment.
fn at_a_moment(dashboard: &Dashboard) -> Vec<String> {
    let panels = dashboard.panels();
    let turning = panels.iter().filter(|panel| steps(panel).len() > 1);
    turning
        .flat_map(|panel| targets(panel).map(move |(_, target)| (panel, target)))
        .filter_map(|(panel, target)| {
            let expr = promql::parse(text(&target["expr"])).ok()?;
            let mut found = None;
            promql::walk(&expr, &mut |part, within| {
                let selector = match part {
                    Expr::VectorSelector(selector) => selector,
                    Expr::MatrixSelector(matrix) => &matrix.vs,
                    _ => return,
                };
                let text = selector.to_string();
                let fleeting = text.starts_with("http_active_requests")
                    || text.starts_with("database_pool_connections") && text.contains("active");
                let at_most = within.iter().any(
                    |part| matches!(part, Expr::Call(call) if call.func.name == "max_over_time"),
                );
                if fleeting && !at_most {
                    found = Some(text);
                }
            });
            Some(format!("{}: {} at a moment", text(&panel["title"]), found?))
        })
        .collect()
}

fn other_sources(dashboard: &Dashboard) -> Vec<String> {
    let chosen = |source: &Value| {
        *source == json!({"type": "prometheus", "uid": "${datasource}"})
            || *source == json!({"type": "loki", "uid": "${loki_datasource}"})
    };
    let mut asking: Vec<(&str, &Value)> = Vec::new();
    for panel in dashboard.panels() {
        asking.extend(
            [panel]
                .into_iter()
                .chain(items(&panel["targets"]))
                .map(|one| (text(&panel["title"]), one)),
        );
    }
    let annotations = items(&dashboard.json["annotations"]["list"]);
    asking.extend(annotations.map(|annotation| (text(&annotation["name"]), annotation)));
    asking
        .iter()
        .filter(|(_, asking)| !chosen(&asking["datasource"]))
        .map(|(name, asking)| format!("{name} asks {}", asking["datasource"]))
        .collect()
}

fn missing_exemplars(dashboard: &Dashboard) -> Vec<String> {
    find(dashboard, |target, expr| {
        let reads_buckets = promql::selectors(expr)
            .iter()
            .any(|selector| selector.name.as_deref().is_some_and(|name| name.ends_with("_bucket")));
        (reads_buckets && target["exemplar"] != true).then(|| "no exemplars".to_owned())
    })
}

fn scaled(dashboard: &Dashboard) -> Vec<String> {
    find(dashboard, |_, expr| {
        let mut factor = None;
        promql::walk(expr, &mut |part, _| {
            if let Expr::Binary(binary) = part
                && matches!(binary.op.id(), token::T_MUL | token::T_DIV)
            {
                let numbers = [&binary.lhs, &binary.rhs].map(|side| promql::number(side));
                // A sign, or a zero with the labels of something, is no unit.
                let found =
                    numbers.into_iter().flatten().find(|number| ![-1.0, 0.0].contains(number));
                factor = factor.or(found);
            }
        });
        factor.map(|factor| format!("scaled by {factor}"))
    })
}

fn ranges(dashboard: &Dashboard) -> Vec<String> {
    find(dashboard, |target, _| {
        let whole = text(&target["expr"]).contains("$__range");
        (whole && target["instant"] != true).then(|| "$__range at every moment".to_owned())
    })
}

/// The faults of the targets that ask Prometheus.
fn find(dashboard: &Dashboard, fault: impl Fn(&Value, &Expr) -> Option<String>) -> Vec<String> {
    let panels = dashboard.panels();
    let all =
        panels.iter().flat_map(|panel| targets(panel).map(move |(_, target)| (panel, target)));
    all.filter_map(|(panel, target)| {
        // What is no PromQL is a fault that the linter finds.
        let expr = promql::parse(text(&target["expr"])).ok()?;
        let fault = fault(target, &expr)?;
        Some(format!("{}, {}: {fault}", text(&panel["title"]), text(&target["refId"])))
    })
    .collect()
}

#[test]
fn the_sample_asks_well() {
    let sample = sample();
    let checks = [other_sources, missing_exemplars, scaled, ranges, at_a_moment];
    let faults: Vec<String> = checks.iter().flat_map(|check| check(&sample)).collect();
    assert!(faults.is_empty(), "{faults:?}");
}

#[test]
fn a_target_that_asks_otherwise_is_found() {
    let found = |check: fn(&Dashboard) -> Vec<String>, place: &str, value: Value| {
        let mut dashboard = sample();
        *dashboard.json.pointer_mut(place).unwrap() = value;
        check(&dashboard).len()
    };
    for place in ["/panels/1", "/panels/1/targets/0", "/annotations/list/0"] {
        let uid = format!("{place}/datasource/uid");
        assert_eq!(found(other_sources, &uid, json!("abc")), 1, "{place}");
    }
    assert_eq!(found(missing_exemplars, "/panels/1/targets/0/exemplar", json!(false)), 1);
    for expr in ["up * 1000", "up / 1024", "sum(100 * up) + 1", "up / (60)"] {
        assert_eq!(found(scaled, "/panels/1/targets/0/expr", json!(expr)), 1, "{expr}");
    }
    assert_eq!(found(scaled, "/panels/1/targets/0/expr", json!("up / up - 1 or -1 * up")), 0);
    for (expr, faults) in [
        ("sum(http_active_requests)", 1),
        (r#"max(database_pool_connections{state="active"}) / 2"#, 1),
        (r#"max(max_over_time(database_pool_connections{state="active"}[1m]))"#, 0),
        ("max_over_time(sum(http_active_requests)[1m:5s])", 0),
        (r#"max(database_pool_connections{state="total"})"#, 0),
    ] {
        assert_eq!(found(at_a_moment, "/panels/1/targets/0/expr", json!(expr)), faults, "{expr}");
    }
    let whole = json!("increase(a_total[$__range])");
    assert_eq!(found(ranges, "/panels/1/targets/0/expr", whole), 1);
}
