//! Expressions are found where they stand.

use serde_json::json;

use crate::expressions::{Expression, fill_in, of_dashboard, of_markdown, of_rules};

#[test]
fn of_a_dashboard() {
    let prometheus = json!({"type": "prometheus", "uid": "${datasource}"});
    let loki = json!({"type": "loki", "uid": "${loki_datasource}"});
    let dashboard = json!({
        "annotations": {"list": [
            {"name": "built in", "datasource": {"type": "grafana", "uid": "-- Grafana --"}},
            {"name": "Restarts", "datasource": prometheus, "expr": "changes(a[1m])"},
        ]},
        "templating": {"list": [
            {"name": "datasource", "type": "datasource", "query": "prometheus"},
            {"name": "job", "type": "query", "datasource": prometheus,
             "query": {"query": "label_values(up{a=~\"b,c\"}, job)", "refId": "x"}},
            {"name": "slo", "type": "query", "datasource": prometheus, "query": "label_values(s, slo)"},
        ]},
        "panels": [
            {"type": "timeseries", "title": "Open", "datasource": prometheus, "targets": [
                {"refId": "A", "datasource": prometheus, "expr": "a", "legendFormat": "{{x}} of {{ y }}"},
                {"refId": "B", "expr": "b", "instant": true},
            ]},
            {"type": "logs", "title": "Errors", "datasource": loki, "targets": [
                {"refId": "A", "datasource": loki, "expr": "{a=\"b\"} | json"},
            ]},
            {"type": "row", "title": "More", "panels": [
                {"type": "stat", "title": "Closed", "datasource": prometheus, "targets": [
                    {"refId": "A", "expr": "c"},
                ]},
            ]},
        ],
    });
    assert_found(
        &of_dashboard("d.json", &dashboard),
        &[
            "d.json: variable job: group by (job) (up{a=~\"b,c\"}) Variable(\"job\") []",
            "d.json: variable slo: group by (slo) (s) Variable(\"slo\") []",
            "d.json: annotation Restarts: changes(a[1m]) Annotation []",
            "d.json: Open, A: a Target { instant: false } [\"x\", \"y\"]",
            "d.json: Open, B: b Target { instant: true } []",
            "d.json: Closed, A: c Target { instant: false } []",
        ],
    );
}

#[test]
fn of_rules_and_alerts() {
    let yaml = "
groups:
  - name: one
    rules:
      - record: a:b
        expr: sum(a)
        labels: {slo: x}
  - name: two
    rules:
      - alert: Bad
        expr: |
          a:b
            > 1
        annotations:
          summary: '{{ $labels.job }}{{ if $labels.instance }} x{{ end }}: {{ $value }}'
";
    assert_found(
        &of_rules("r.yml", yaml),
        &[
            "r.yml: a:b: sum(a) Recording { name: \"a:b\", labels: [(\"slo\", \"x\")] } []",
            "r.yml: Bad: a:b\n  > 1\n Alert { name: \"Bad\", labels: [] } [\"job\", \"instance\"]",
        ],
    );
}

#[test]
fn of_markdown_blocks() {
    let markdown = "
# Title

```promql
# Two lines
sum(
  a)
# One line
b

c
```

- in a list:

  ```promql
  d
  ```

```logql
{e=\"f\"}
```
";
    assert_found(
        &of_markdown("m.md", markdown),
        &[
            "m.md: line 6: sum(\na) Prose []",
            "m.md: line 9: b Prose []",
            "m.md: line 11: c Prose []",
            "m.md: line 17: d Prose []",
        ],
    );
}

#[test]
fn variables_are_filled_in() {
    let variables = &[("job", "backend|other"), ("__rate_interval", "1m"), ("a", "b")];
    for (text, filled) in [
        (r#"rate(x{job=~"$job"}[$__rate_interval])"#, r#"rate(x{job=~"backend|other"}[1m])"#),
        ("${job} ${job:regex} $a$a", "backend|other backend|other bb"),
        // Not the beginning of another name, not a group of a pattern, and not what has no value.
        ("$job_name $1 ${1}xx $ $slo", "$job_name $1 ${1}xx $ $slo"),
        ("100$", "100$"),
        ("${open", "${open"),
    ] {
        assert_eq!(fill_in(text, variables), filled);
    }
}

#[track_caller]
fn assert_found(found: &[Expression], expected: &[&str]) {
    let found: Vec<String> = found
        .iter()
        .map(|Expression { file, place, text, kind, printed }| {
            format!("{file}: {place}: {text} {kind:?} {printed:?}")
        })
        .collect();
    assert_eq!(found, expected);
}
