//! Where panels stand, and by which number and title they are known.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::{
    dashboard::{Dashboard, Row, assert_none, text},
    sample::sample,
};

const COLUMNS: u64 = 24;

/// A panel's first cell, and the one after its last.
struct Place {
    left: u64,
    right: u64,
    top: u64,
    bottom: u64,
}

#[test]
fn numbers_and_titles_are_unique() {
    assert_none(repeated);
}

#[test]
fn panels_of_a_row_fill_the_width_without_overlap() {
    assert_none(misplaced);
}

#[test]
fn rows_stand_in_order_and_only_the_first_is_open() {
    assert_none(rows_out_of_order);
}

fn repeated(dashboard: &Dashboard) -> Vec<String> {
    let (mut numbers, mut titles) = (HashSet::new(), HashSet::new());
    let all = dashboard.rows().into_iter().flat_map(|row| [vec![row.json], row.panels].concat());
    all.flat_map(|panel| {
        let title = text(&panel["title"]);
        let number = &panel["id"];
        let seen = [
            (!numbers.insert(number.as_u64())).then(|| format!("{title}: id {number} again")),
            // A row may be called as a panel is.
            (panel["type"] != "row" && !titles.insert(title)).then(|| format!("{title} again")),
        ];
        seen.into_iter().flatten()
    })
    .collect()
}

fn misplaced(dashboard: &Dashboard) -> Vec<String> {
    dashboard.rows().iter().flat_map(faults_of_row).collect()
}

fn faults_of_row(row: &Row) -> Vec<String> {
    let name = text(&row.json["title"]);
    let places: Vec<Place> = row.panels.iter().map(|panel| place(panel)).collect();
    let top = place(row.json).bottom;
    let bottom = places.iter().map(|place| place.bottom).max().unwrap_or(top);
    let mut faults = Vec::new();
    for (panel, Place { left, right, .. }) in row.panels.iter().zip(&places) {
        if right > &COLUMNS {
            let title = text(&panel["title"]);
            faults.push(format!("{name}: {title} is beyond the edge, from {left} to {right}"));
        }
    }
    // Each line of the row, which begins below its title.
    for line in top..bottom {
        let covered = |column| {
            places
                .iter()
                .filter(|place| (place.left..place.right).contains(&column))
                .filter(|place| (place.top..place.bottom).contains(&line))
                .count()
        };
        let (mut free, mut shared) = (Vec::new(), Vec::new());
        for column in 0..COLUMNS {
            match covered(column) {
                0 => free.push(column),
                1 => {}
                _ => shared.push(column),
            }
        }
        if !free.is_empty() {
            faults.push(format!("{name}: columns {free:?} of line {line} are empty"));
        }
        if !shared.is_empty() {
            faults.push(format!("{name}: panels overlap in columns {shared:?} of line {line}"));
        }
    }
    if places.iter().any(|place| place.top < top) {
        faults.push(format!("{name}: a panel is above its row"));
    }
    faults
}

fn rows_out_of_order(dashboard: &Dashboard) -> Vec<String> {
    let mut faults = Vec::new();
    let mut end = 0;
    for (row, index) in dashboard.rows().iter().zip(0..) {
        let name = text(&row.json["title"]);
        let collapsed = row.json["collapsed"] == true;
        let Place { top, bottom, .. } = place(row.json);
        if top != end {
            faults.push(format!("{name}: begins at line {top} in place of {end}"));
        }
        end = bottom;
        if !collapsed {
            end = row.panels.iter().map(|panel| place(panel).bottom).fold(end, u64::max);
        }
        if collapsed == (index == 0) {
            faults.push(format!("{name}: the first row is open, the others are not"));
        }
        if row.panels.is_empty() {
            faults.push(format!("{name}: no panels"));
        }
    }
    faults
}

fn place(panel: &Value) -> Place {
    let cell = |name: &str| panel["gridPos"][name].as_u64().expect("a place is whole cells");
    let (left, top) = (cell("x"), cell("y"));
    Place { left, right: left + cell("w"), top, bottom: top + cell("h") }
}

#[test]
fn the_sample_is_in_order() {
    let sample = sample();
    let checks = [repeated, misplaced, rows_out_of_order];
    let faults: Vec<String> = checks.iter().flat_map(|check| check(&sample)).collect();
    assert!(faults.is_empty(), "{faults:?}");
}

#[test]
fn disorder_is_found() {
    let found = |check: fn(&Dashboard) -> Vec<String>, place: &str, value: Value| {
        let mut dashboard = sample();
        *dashboard.json.pointer_mut(place).unwrap() = value;
        check(&dashboard).join("\n")
    };
    assert_eq!(found(repeated, "/panels/3/panels/1/id", json!(3)), "Users: id 3 again");
    let title = found(repeated, "/panels/3/panels/1/title", json!("Active users"));
    assert_eq!(title, "Active users again");
    assert!(found(misplaced, "/panels/2/gridPos/x", json!(15)).contains("panels overlap"));
    assert!(found(misplaced, "/panels/2/gridPos/x", json!(17)).contains("beyond the edge"));
    assert!(found(misplaced, "/panels/2/gridPos/w", json!(7)).contains("[23] of line 1 are empty"));
    assert!(found(misplaced, "/panels/2/gridPos/h", json!(6)).contains("of line 7 are empty"));
    assert!(found(misplaced, "/panels/2/gridPos/y", json!(0)).contains("above its row"));
    assert!(found(rows_out_of_order, "/panels/3/gridPos/y", json!(8)).contains("begins at line 8"));
    assert!(found(rows_out_of_order, "/panels/0/collapsed", json!(true)).contains("is open"));
    assert!(found(rows_out_of_order, "/panels/3/panels", json!([])).contains("no panels"));
}
