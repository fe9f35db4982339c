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

/// A duration, divided; nothing of none.
#[track_caller]
fn divided(duration: &str, times: u64) -> String {
    if duration.is_empty() {
        return String::new();
    }
    let milliseconds = milliseconds(duration);
    assert_eq!(milliseconds % times, 0, "{duration} in {times} parts");
    format!("{}ms", milliseconds / times)
}

/// `[5m]`, both parts of `[1m:15s]`, and `offset 5m`; what stands in quotes stays.
#[track_caller]
pub(crate) fn with_windows_divided(expr: &str, times: u64) -> String {
    let mut out = String::new();
    let mut rest = expr;
    while let Some(start) = rest.find(['"', '\'', '`', '[', 'o']) {
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        let end = match rest.as_bytes()[0] {
            b'[' => {
                let end = rest.find(']').expect("a bracket is closed");
                let parts = rest[1..end].split(':').map(str::trim);
                let parts: Vec<String> = parts.map(|part| divided(part, times)).collect();
                out.push('[');
                out.push_str(&parts.join(":"));
                end
            }
            b'o' => {
                let (start, end) = offset(&out, rest).unwrap_or((1, 1));
                out.push_str(&rest[..start]);
                out.push_str(&divided(&rest[start..end], times));
                end
            }
            quote => {
                let end = end_of_text(rest, quote);
                out.push_str(&rest[..end]);
                end
            }
        };
        rest = &rest[end..];
    }
    out + rest
}

/// Where the duration begins and ends, if the rest begins with the word `offset` and one.
fn offset(before: &str, rest: &str) -> Option<(usize, usize)> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let after = rest.strip_prefix("offset").filter(|_| !before.ends_with(is_word))?;
    let duration = after.strip_prefix(char::is_whitespace)?.trim_start().trim_start_matches('-');
    let length = duration.find(|c| !is_word(c)).unwrap_or(duration.len());
    let start = rest.len() - duration.len();
    Some((start, start + length))
}

/// Where a text ends that begins here.
fn end_of_text(rest: &str, quote: u8) -> usize {
    let mut escaped = false;
    let closes = |(_, byte): &(usize, u8)| {
        let closes = *byte == quote && !escaped;
        escaped = *byte == b'\\' && !escaped && quote != b'`';
        closes
    };
    let (end, _) = rest.bytes().enumerate().skip(1).find(closes).expect("a text is closed");
    end + 1
}

#[test]
fn only_times_change() {
    let rules = r#"
groups:
  - name: orders 30s
    interval: 30s
    rules:
      - alert: Late
        expr: |
          max_over_time((rate(orders_total{offset="a[5m]\"b",is_offset=~'[5m]'}[5m]) > bool 60)[1m:15s]) > 60
            or rate(orders_total[ 1h ] offset 5m) > sum_over_time(offset_total[1m:] offset -1d12h)
        for: 2m
        keep_firing_for: 1d
        annotations: {summary: for 2m}
"#;
    let expected = serde_json::json!({"groups": [{
        "name": "orders 30s",
        "interval": "500ms",
        "rules": [{
            "alert": "Late",
            "expr": "\
max_over_time((rate(orders_total{offset=\"a[5m]\\\"b\",is_offset=~'[5m]'}[5000ms]) > bool 60)[1000ms:250ms]) > 60
  or rate(orders_total[60000ms] offset 5000ms) > sum_over_time(offset_total[1000ms:] offset -2160000ms)
",
            "for": "2000ms",
            "keep_firing_for": "1440000ms",
            "annotations": {"summary": "for 2m"},
        }],
    }]});
    assert_eq!(serde_json::from_str::<Value>(&faster(rules, 60)).ok(), Some(expected));
}
