//! Rules and routes that wait less.

use serde_json::Value;

use crate::duration::milliseconds;

/// A rule file, or a configuration of Alertmanager, with all its times divided: how often, how long and over which
/// window. What an expression compares with stays. It comes as JSON, which is YAML too.
#[track_caller]
pub(crate) fn faster(yaml: &str, times: u64) -> String {
    let mut tree: Value = serde_saphyr::from_str(yaml).expect("YAML");
    divide(&mut tree, times);
    tree.to_string()
}

fn divide(tree: &mut Value, times: u64) {
    match tree {
        Value::Object(entries) => {
            for (name, value) in entries {
                match (name.as_str(), value) {
                    (
                        "for" | "interval" | "keep_firing_for" | "group_wait" | "group_interval"
                        | "repeat_interval",
                        Value::String(duration),
                    ) => *duration = divided(duration, times),
                    ("expr", Value::String(expr)) => *expr = with_windows_divided(expr, times),
                    (_, value) => divide(value, times),
                }
            }
        }
        Value::Array(parts) => parts.iter_mut().for_each(|part| divide(part, times)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn divided(duration: &str, times: u64) -> String {
    format!("{}ms", milliseconds(duration) / times)
}

/// `[5m]`, and both parts of `[1m:15s]`.
fn with_windows_divided(expr: &str, times: u64) -> String {
    let mut parts = expr.split('[');
    let mut out = vec![parts.next().unwrap_or_default().to_owned()];
    out.extend(parts.map(|part| {
        let (window, rest) = part.split_once(']').expect("a bracket is closed");
        let window: Vec<String> = window.split(':').map(|part| divided(part, times)).collect();
        format!("{}]{rest}", window.join(":"))
    }));
    out.join("[")
}

#[test]
fn only_times_change() {
    let rules = "
groups:
  - name: orders 30s
    interval: 30s
    rules:
      - alert: Late
        expr: max_over_time((rate(orders_total[5m]) > bool 60)[1m:15s]) > 60
        for: 2m
        annotations: {summary: for 2m}
";
    let expected = serde_json::json!({"groups": [{
        "name": "orders 30s",
        "interval": "500ms",
        "rules": [{
            "alert": "Late",
            "expr": "max_over_time((rate(orders_total[5000ms]) > bool 60)[1000ms:250ms]) > 60",
            "for": "2000ms",
            "annotations": {"summary": "for 2m"},
        }],
    }]});
    assert_eq!(serde_json::from_str::<Value>(&faster(rules, 60)).ok(), Some(expected));
}
