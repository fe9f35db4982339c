//! Each dashboard is what Grafana's own types describe.
//!
//! Grafana ignores an option that it does not know. The schema is strict instead, and so it is the list of the
//! panels that may be used: all are of today's core.

use jsonschema::Validator;
use serde_json::{Value, json};

use crate::{dashboard, sample::sample};

/// Written by `scripts/grafana-schema`.
const SCHEMA: &str = include_str!("grafana-schema.json");

#[test]
fn the_dashboards_are_of_grafanas_types() {
    let validator = validator();
    dashboard::assert_none(|dashboard| faults(&validator, &dashboard.json));
}

#[test]
fn the_sample_is_of_grafanas_types() {
    assert_eq!(faults(&validator(), &sample().json), Vec::<String>::new());
}

#[test]
fn an_unknown_name_is_a_fault() {
    let validator = validator();
    for (place, name) in [
        ("", "refreshes"),
        ("/annotations/list/0", "expression"),
        ("/templating/list/0", "lable"),
        ("/panels/0", "colapsed"),
        ("/panels/1", "discription"),
        ("/panels/1/fieldConfig/defaults", "units"),
        ("/panels/1/fieldConfig/defaults/custom", "drawStyel"),
        ("/panels/1/fieldConfig/defaults/thresholds/steps/0", "colour"),
        ("/panels/1/gridPos", "width"),
        ("/panels/1/options", "legends"),
        ("/panels/1/options/tooltip", "sorted"),
        ("/panels/1/targets/0", "legend"),
        ("/panels/3/panels/0/options", "reduceOption"),
    ] {
        assert_fault(&validator, place, &format!("/{name}"), |json| {
            json.pointer_mut(place).unwrap()[name] = json!("x");
        });
    }
}

#[test]
fn a_wrong_value_is_a_fault() {
    let validator = validator();
    for (place, value) in [
        ("/schemaVersion", json!("42")),
        ("/graphTooltip", json!(3)),
        ("/panels/1/type", json!("graph")),
        ("/panels/1/fieldConfig/defaults/custom/drawStyle", json!("lines")),
        ("/panels/1/fieldConfig/defaults/thresholds/mode", json!("relative")),
        ("/panels/1/fieldConfig/overrides/0/matcher/id", json!("name")),
        ("/panels/1/fieldConfig/overrides/0/properties/0/id", json!("custom.transforms")),
        ("/panels/1/fieldConfig/overrides/0/properties/0/value", json!("negative")),
        ("/panels/1/options/legend/calcs", json!("max")),
        ("/panels/1/targets/0/exemplar", json!("true")),
        ("/panels/1/targets/0/format", json!("timeseries")),
        ("/panels/3/panels/0/options/colorMode", json!("red")),
        ("/templating/list/1/refresh", json!(3)),
        ("/templating/list/1/sort", json!("asc")),
    ] {
        assert_fault(&validator, place, "", |json| {
            *json.pointer_mut(place).unwrap() = value.clone();
        });
    }
}

fn validator() -> Validator {
    let schema: Value = serde_json::from_str(SCHEMA).expect("the schema is JSON");
    jsonschema::validator_for(&schema).expect("the schema is one")
}

fn faults(validator: &Validator, dashboard: &Value) -> Vec<String> {
    let named = |error: jsonschema::ValidationError<'_>| {
        let place = error.instance_path().to_string();
        let around = place.match_indices('/').map(|(end, _)| &place[..end]);
        let panel =
            around.filter_map(|place| dashboard.pointer(place)?["title"].as_str()).next_back();
        format!("{} {place}: {:.300}", panel.unwrap_or_default(), error.to_string())
    };
    validator.iter_errors(dashboard).map(named).collect()
}

/// Asserts that a change of the sample is found at `place` or further up.
fn assert_fault(validator: &Validator, place: &str, name: &str, change: impl Fn(&mut Value)) {
    let mut json = sample().json;
    change(&mut json);
    let faults = faults(validator, &json);
    assert!(!faults.is_empty(), "{place}{name} is not found");
}
