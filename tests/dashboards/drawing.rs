//! How panels are drawn: nothing reads as if it were well, or as if it were something, and all that matters has room.

use backend_metrics::{ValueSet, catalog};
use serde_json::{Value, json};

use crate::{
    dashboard::{Dashboard, assert_none, items, steps, targets, text},
    promql,
    sample::sample,
};

type Check = fn(&Dashboard) -> Vec<String>;

/// The most series for the legend below a graph.
const FEW: usize = 4;

/// Where there is nothing, the reason is to be seen, and no number.
#[test]
fn panels_say_that_there_is_nothing() {
    assert_none(mute);
}

#[test]
fn a_zero_is_not_made_up() {
    assert_none(made_up);
}

#[test]
fn a_number_is_of_now() {
    assert_none(of_the_past);
}

#[test]
fn a_number_without_limits_is_neither_good_nor_bad() {
    assert_none(judged);
}

#[test]
fn zeros_are_not_drawn_on_an_axis_to_a_hundred() {
    assert_none(axes);
}

#[test]
fn names_have_the_whole_width_of_their_bars() {
    assert_none(|dashboard| {
        faults(dashboard, |panel| {
            let placement = &panel["options"]["namePlacement"];
            (panel["type"] == "bargauge" && placement != "top").then(|| placement.to_string())
        })
    });
}

#[test]
fn a_long_legend_is_beside_its_graph() {
    assert_none(legends);
}

fn mute(dashboard: &Dashboard) -> Vec<String> {
    faults(dashboard, |panel| {
        let nothing = text(&panel["fieldConfig"]["defaults"]["noValue"]);
        let asks = targets(panel).next().is_some();
        let says = nothing.contains(|c: char| c.is_alphabetic()) && !nothing.contains("No data");
        // The text is for the whole table, and would be in every cell of a label that a series does not have.
        let cells = items(&panel["fieldConfig"]["overrides"]).any(|one| {
            one["matcher"] == json!({"id": "byRegexp", "options": ".*"})
                && items(&one["properties"]).any(|one| one["id"] == "noValue")
        });
        if asks && !says {
            Some(format!("nothing is {nothing:?}"))
        } else if panel["type"] == "table" && !cells {
            Some("a cell without a value has the text of a table without rows".to_owned())
        } else {
            None
        }
    })
}

/// Numbers that are 0 where nothing was counted. What is made of counters since the start is one by itself.
fn made_up(dashboard: &Dashboard) -> Vec<String> {
    faults(dashboard, |panel| {
        // The service that is not there has no instance up.
        if panel["title"] == "Instances up" {
            return None;
        }
        let all = || targets(panel).map(|(_, target)| text(&target["expr"]));
        let made_up = all().find(|expr| expr.ends_with("or vector(0)"));
        // What is computed of something else, and 0 until it was.
        let computed = ["strategy_pnl_total", "total_turnover_today_rupees"];
        let computed =
            |expr: &&str| expr.starts_with("sum") && computed.iter().any(|one| expr.contains(one));
        made_up
            .or(all().filter(computed).find(|expr| !expr.contains(" and on () ")))
            .map(|expr| format!("{expr} is 0 in any case"))
    })
}

/// Numbers that go on when the service is gone: the last one of a range is.
fn of_the_past(dashboard: &Dashboard) -> Vec<String> {
    faults(dashboard, |panel| {
        let numbers = ["bargauge", "gauge", "piechart", "stat", "table"];
        let is_number = numbers.contains(&text(&panel["type"]));
        let past = targets(panel).any(|(_, target)| target["instant"] != true);
        (is_number && past).then(|| "the last one of the range, however old".to_owned())
    })
}

fn judged(dashboard: &Dashboard) -> Vec<String> {
    faults(dashboard, |panel| {
        let plain = panel["type"] == "stat"
            && steps(panel).len() == 1
            && items(&panel["fieldConfig"]["defaults"]["mappings"]).next().is_none();
        let colour = steps(panel).first()?.1;
        (plain && colour != "text").then(|| format!("{colour} for any number"))
    })
}

fn axes(dashboard: &Dashboard) -> Vec<String> {
    faults(dashboard, |panel| {
        let defaults = &panel["fieldConfig"]["defaults"];
        let (min, max) = (defaults["min"].as_f64(), defaults["max"].as_f64());
        let soft = |name: &str| defaults["custom"][name].as_f64();
        let (soft_min, soft_max) = (soft("axisSoftMin"), soft("axisSoftMax"));
        // An axis of powers goes by no soft end, and without one shows no limits above what happens.
        let powers = defaults["custom"]["scaleDistribution"]["type"] == "symlog";
        match (min.or(soft_min), max.or(soft_max)) {
            _ if panel["type"] != "timeseries" => None,
            _ if powers && steps(panel).len() > 1 && max.is_none() => {
                Some("the limits are out of sight".to_owned())
            }
            (Some(low), Some(high)) if low < high => None,
            // Below zero too, as far as it goes.
            (None, Some(high)) if high > 0.0 && max.is_none() => None,
            bounds => Some(format!("the axis is {bounds:?}")),
        }
    })
}

fn legends(dashboard: &Dashboard) -> Vec<String> {
    faults(dashboard, |panel| {
        let long = panel["type"] == "timeseries"
            && targets(panel).map(|(_, target)| series(target)).sum::<usize>() > FEW;
        let placement = text(&panel["options"]["legend"]["placement"]);
        (long && placement != "right").then(|| format!("a long legend {placement}"))
    })
}

/// How many series a target has: as many as its labels have values, if they are known, or else many.
fn series(target: &Value) -> usize {
    let Ok(expr) = promql::parse(text(&target["expr"])) else {
        return 0;
    };
    let names: Vec<String> =
        promql::selectors(&expr).iter().filter_map(|one| one.name.clone()).collect();
    let labels = text(&target["legendFormat"]).split("{{").skip(1);
    let labels = labels.filter_map(|rest| Some(rest.split_once("}}")?.0));
    let values = |label: &str| {
        let mut sets = catalog().filter_map(|entry| {
            let is_read = names.iter().any(|name| name.starts_with(entry.family.name));
            let mut labels = entry.family.labels.iter().filter(|_| is_read);
            labels.find(|one| one.name == label).map(|one| one.values)
        });
        match sets.next() {
            Some(ValueSet::Closed(values) | ValueSet::OnUse(values)) => values.len(),
            Some(_) => 2 * FEW,
            // Of the target: the instance.
            None => 1,
        }
    };
    labels.map(values).product()
}

fn faults(dashboard: &Dashboard, fault: impl Fn(&Value) -> Option<String>) -> Vec<String> {
    let panels = dashboard.panels();
    let found = panels.iter().filter_map(|panel| Some((text(&panel["title"]), fault(panel)?)));
    found.map(|(title, fault)| format!("{title}: {fault}")).collect()
}

#[test]
fn what_is_drawn_otherwise_is_found() {
    let all: [Check; 6] = [mute, made_up, of_the_past, judged, axes, legends];
    for check in all {
        assert_eq!(check(&sample()), Vec::<String>::new());
    }
    let expr = "/panels/1/targets/0/expr";
    let defaults = "/panels/1/fieldConfig/defaults";
    let changes: [(Check, String, Value); 11] = [
        (of_the_past, "/panels/2/targets/0/instant".to_owned(), json!(false)),
        (mute, format!("{defaults}/noValue"), json!("")),
        (mute, format!("{defaults}/noValue"), json!("0")),
        (mute, "/panels/1/type".to_owned(), json!("table")),
        (made_up, expr.to_owned(), json!("count(ALERTS) or vector(0)")),
        (made_up, expr.to_owned(), json!("sum(total_turnover_today_rupees)")),
        (
            judged,
            "/panels/2/fieldConfig/defaults/thresholds/steps/0/color".to_owned(),
            json!("green"),
        ),
        (axes, format!("{defaults}/custom/axisSoftMax"), json!(null)),
        (axes, format!("{defaults}/min"), json!(2)),
        (
            axes,
            format!("{defaults}/custom"),
            json!({"axisSoftMax": 1, "scaleDistribution": {"log": 10, "type": "symlog"}}),
        ),
        (legends, "/panels/1/targets/0/legendFormat".to_owned(), json!("{{endpoint}}")),
    ];
    for (check, place, value) in changes {
        let mut dashboard = sample();
        *dashboard.json.pointer_mut(&place).unwrap() = value.clone();
        assert_eq!(check(&dashboard).len(), 1, "{place}: {value}");
    }
}
