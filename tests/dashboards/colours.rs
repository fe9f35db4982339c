//! The colours of series: two that are drawn together can be told apart, and green, yellow and red are for what is good,
//! doubtful and bad.

use backend_metrics::{ValueSet, catalog};
use promql_parser::{label::Matcher, parser::token};
use serde_json::{Value, json};

use crate::{
    dashboard::{Dashboard, assert_none, items, targets, text},
    promql,
    sample::sample,
};

/// How a colour is given to a series: `fixed`, or a mode in which each series has one of its own.
#[derive(Debug, PartialEq)]
struct Colour<'a> {
    mode: &'a str,
    name: &'a str,
}

/// A series that a panel can show.
#[derive(Clone, Debug, Default)]
struct Series {
    /// As its legend reads.
    name: String,
    /// Of its legend.
    labels: usize,
    /// The last label and its value.
    last: (String, String),
    /// Whether the last label has values that are known, or codes.
    known: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Verdict {
    Good,
    Doubtful,
    Bad,
}

/// Labels that judge, and what their values say. What is not here is neither good nor bad.
const JUDGING: [&str; 8] =
    ["decision", "direction", "impact_level", "level", "outcome", "severity", "state", "status"];

const GOOD: [&str; 12] = [
    "accepted",
    "allowed",
    "committed",
    "favourable",
    "filled",
    "hit",
    "info",
    "low",
    "ok",
    "passed",
    "success",
    "valid",
];

const DOUBTFUL: [&str; 8] =
    ["cancelled", "expired", "fallback", "half_open", "medium", "warn", "warning", "4"];

const BAD: [&str; 11] = [
    "adverse",
    "critical",
    "error",
    "failed",
    "high",
    "invalid",
    "limited",
    "rejected",
    "rolled_back",
    "timeout",
    "5",
];

#[test]
fn two_series_do_not_have_the_same_colour() {
    assert_none(alike);
}

#[test]
fn what_went_well_is_green_and_what_went_badly_is_red() {
    assert_none(misleading);
}

/// Series of a panel that are drawn in one fixed colour.
fn alike(dashboard: &Dashboard) -> Vec<String> {
    let mut faults = Vec::new();
    for panel in drawn(dashboard) {
        let series = series(panel);
        for (index, one) in series.iter().enumerate() {
            let colour = self::colour(panel, &one.name);
            let mut others = series[index + 1..].iter().filter(|other| other.name != one.name);
            let same = others.find(|other| self::colour(panel, &other.name) == colour);
            if let Some(other) = same.filter(|_| colour.mode == "fixed") {
                let title = text(&panel["title"]);
                faults.push(format!("{title}: {} and {} are {colour:?}", one.name, other.name));
            }
        }
    }
    faults
}

/// Series whose colour says other than their name.
fn misleading(dashboard: &Dashboard) -> Vec<String> {
    let mut faults = Vec::new();
    for panel in drawn(dashboard) {
        let all = series(panel);
        for one in all.iter().filter(|one| one.known) {
            let colour = self::colour(panel, &one.name);
            let expected = verdict(panel, one);
            // One that is alone, or of labels that judge nothing, has a colour of the palette.
            let judges = JUDGING.contains(&&*one.last.0);
            let free = all.len() == 1 || one.labels > 1 && !(judges && any_verdict(panel, &all));
            if free && expected.is_none() {
                continue;
            }
            if said(&colour) != Ok(expected) {
                let title = text(&panel["title"]);
                faults.push(format!("{title}: {} is {colour:?}, not {expected:?}", one.name));
            }
        }
    }
    faults
}

fn any_verdict(panel: &Value, series: &[Series]) -> bool {
    series.iter().any(|one| verdict(panel, one).is_some())
}

fn verdict(panel: &Value, series: &Series) -> Option<Verdict> {
    let (label, value) = &series.last;
    let is_code = value.len() == 3 && value.starts_with(|c: char| c.is_ascii_digit());
    let value = if is_code { &value[..1] } else { value };
    let is_breaker = text(&panel["title"]).starts_with("Circuit breaker");
    match value {
        _ if !JUDGING.contains(&label.as_str()) => None,
        "closed" if is_breaker => Some(Verdict::Good),
        "open" if is_breaker => Some(Verdict::Bad),
        "2" => Some(Verdict::Good),
        _ if GOOD.contains(&value) => Some(Verdict::Good),
        _ if DOUBTFUL.contains(&value) => Some(Verdict::Doubtful),
        _ if BAD.contains(&value) => Some(Verdict::Bad),
        _ => None,
    }
}

/// What a colour says; an error if it is one of a palette, by the place of the series.
fn said(colour: &Colour) -> Result<Option<Verdict>, ()> {
    if !["fixed", "shades"].contains(&colour.mode) {
        return Err(());
    }
    let verdicts = [
        ("green", Verdict::Good),
        ("yellow", Verdict::Doubtful),
        ("light-orange", Verdict::Doubtful),
        ("orange", Verdict::Bad),
        ("red", Verdict::Bad),
    ];
    let found = verdicts.iter().find(|(name, _)| colour.name.ends_with(name));
    Ok(found.map(|(_, verdict)| *verdict))
}

/// The panels whose series have colours of their own.
fn drawn(dashboard: &Dashboard) -> Vec<&Value> {
    let mut panels = dashboard.panels();
    panels.retain(|panel| ["piechart", "timeseries"].contains(&text(&panel["type"])));
    panels
}

/// The colour of a series: of the last override that matches its name, or else of the panel.
fn colour<'a>(panel: &'a Value, name: &str) -> Colour<'a> {
    let config = &panel["fieldConfig"];
    let matches = |one: &&Value| {
        let matcher = &one["matcher"];
        let pattern = text(&matcher["options"]);
        match text(&matcher["id"]) {
            "byName" => pattern == name,
            // Without slashes, Grafana takes it for the whole name, as Prometheus does.
            "byRegexp" => {
                let pattern = pattern.trim_matches('/').to_owned();
                Matcher::new_matcher(token::T_EQL_REGEX, String::new(), pattern)
                    .is_ok_and(|matcher| matcher.is_match(name))
            }
            other => panic!("a series by {other}"),
        }
    };
    let properties =
        items(&config["overrides"]).filter(matches).flat_map(|one| items(&one["properties"]));
    let own = properties.filter(|one| one["id"] == "color").last();
    let colour = own.map_or(&config["defaults"]["color"], |one| &one["value"]);
    Colour { mode: text(&colour["mode"]), name: text(&colour["fixedColor"]) }
}

/// The series that a panel can show, with two values of each label that can have any.
fn series(panel: &Value) -> Vec<Series> {
    targets(panel).flat_map(|(_, target)| of_target(target)).collect()
}

fn of_target(target: &Value) -> Vec<Series> {
    let mut all = vec![Series { known: true, ..Series::default() }];
    let mut rest = text(&target["legendFormat"]);
    let expr = promql::parse(text(&target["expr"]));
    let names: Vec<String> = expr.as_ref().map_or(vec![], |expr| {
        promql::selectors(expr).iter().filter_map(|one| one.name.clone()).collect()
    });
    while let Some((before, (label, after))) =
        rest.split_once("{{").and_then(|(before, rest)| Some((before, rest.split_once("}}")?)))
    {
        let values = values(&names, label);
        let next = |series: &Series| -> Vec<Series> {
            let one = |value: &String| Series {
                name: format!("{}{before}{value}", series.name),
                labels: series.labels + 1,
                last: (label.to_owned(), value.clone()),
                known: values.1,
            };
            values.0.iter().map(one).collect()
        };
        all = all.iter().flat_map(next).collect();
        rest = after;
    }
    for series in &mut all {
        series.name.push_str(rest);
    }
    all
}

/// The values of a label, and whether it has no others.
fn values(metrics: &[String], label: &str) -> (Vec<String>, bool) {
    let texts = |values: &[&str]| values.iter().map(|&value| value.to_owned()).collect();
    let of = |metric: &String| {
        let name = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|suffix| metric.strip_suffix(suffix))
            .unwrap_or(metric);
        let entry = catalog().find(|entry| entry.family.name == name)?;
        Some(entry.family.labels.iter().find(|one| one.name == label)?.values)
    };
    match metrics.iter().find_map(of) {
        Some(ValueSet::Closed(values) | ValueSet::OnUse(values)) => (texts(values), true),
        Some(ValueSet::Status(words)) => (
            texts(&[&["101", "200", "201", "304", "401", "404", "500", "503"], words].concat()),
            true,
        ),
        _ => (texts(&["one", "another"]), false),
    }
}

#[test]
fn a_misleading_colour_is_found() {
    let spoiled = |label: &str, overrides: Value, query: &str| {
        let mut dashboard = sample();
        let panel = &mut dashboard.json["panels"][1];
        panel["targets"][0]["legendFormat"] = json!(label);
        panel["targets"][0]["expr"] = json!(query);
        panel["fieldConfig"]["overrides"] = overrides;
        panel["fieldConfig"]["defaults"]["color"] = json!({"mode": "palette-classic"});
        (alike(&dashboard).len(), misleading(&dashboard).len())
    };
    let one = |id: &str, of: &str, mode: &str, colour: &str| {
        let colour = json!({"mode": mode, "fixedColor": colour});
        json!({
            "matcher": {"id": id, "options": of},
            "properties": [{"id": "color", "value": colour}],
        })
    };
    let acquires = "database_pool_acquires_total";
    let each = |[success, timeout, error, cancelled]: [&str; 4]| {
        json!([
            one("byName", "success", "fixed", success),
            one("byName", "timeout", "fixed", timeout),
            one("byName", "error", "fixed", error),
            one("byName", "cancelled", "fixed", cancelled),
        ])
    };
    assert_eq!(spoiled("{{status}}", each(["green", "orange", "red", "yellow"]), acquires), (0, 0));
    assert_eq!(spoiled("{{status}}", each(["green", "red", "red", "yellow"]), acquires), (1, 0));
    assert_eq!(spoiled("{{status}}", each(["red", "orange", "green", "blue"]), acquires), (0, 3));
    // By the palette, any of them is any colour.
    assert_eq!(spoiled("{{status}}", json!([]), acquires), (0, 4));
    let queries = "database_queries_total";
    let by_status = |mode: &str| {
        json!([
            one("byRegexp", "(.* )?success", mode, "green"),
            one("byRegexp", "(.* )?cancelled", mode, "yellow"),
            one("byRegexp", "(.* )?error", mode, "red"),
        ])
    };
    let both = "{{query_type}} {{status}}";
    assert_eq!(spoiled(both, by_status("shades"), queries), (0, 0));
    assert_eq!(spoiled(both, by_status("fixed"), queries), (12, 0));
    assert_eq!(spoiled("{{endpoint}}", json!([]), "http_panics_total"), (0, 0));
}
