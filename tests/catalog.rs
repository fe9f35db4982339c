//! The catalog is what `contract.txt` says: names, types, labels, values, buckets, and their order.

use std::fmt::Write as _;

use backend_metrics::{Definition, Label, Shared, ValueSet, catalog};

/// The families as they were promised.
const CONTRACT: &str = include_str!("contract.txt");

#[test]
fn the_catalog_is_the_contract() {
    let expected: Vec<&str> = contract().collect();
    let found = render();
    let found: Vec<&str> = found.lines().collect();
    assert!(
        found == expected,
        "the catalog is not tests/contract.txt:\n{}",
        diff(&expected, &found)
    );
}

#[test]
fn names_differ() {
    let mut names: Vec<&str> = catalog().map(|entry| entry.family.name).collect();
    names.sort_unstable();
    let twice: Vec<&str> =
        names.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
    assert!(twice.is_empty(), "{twice:?}");
}

#[test]
fn the_documentation_says_what_every_open_label_reveals() {
    let crate_docs = include_str!("../src/lib.rs");
    let (_, table) = crate_docs.split_once("# What labels reveal").unwrap();
    let rows = table.lines().filter(|line| line.starts_with("//! | `"));
    let told: String = rows.map(|row| row.split('|').nth(1).unwrap()).collect();
    for entry in catalog() {
        for Label { name, values, .. } in entry.family.labels {
            let is_open = matches!(values, ValueSet::Open | ValueSet::Text);
            assert!(!is_open || told.contains(&format!("`{name}`")), "{name} is not in the table");
        }
    }
}

/// The lines of the contract, comments and empty lines left out.
fn contract() -> impl Iterator<Item = &'static str> {
    CONTRACT.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// The catalog in the form of the contract.
fn render() -> String {
    let mut out = String::new();
    let mut subsystem = "";
    for entry in catalog() {
        if entry.subsystem != subsystem {
            subsystem = entry.subsystem;
            writeln!(out, "[{subsystem}]").unwrap();
        }
        writeln!(out, "{}", line(entry.family)).unwrap();
    }
    out
}

fn line(family: &Definition) -> String {
    let mut out = format!("{} {}", family.name, family.kind.as_str());
    for Label { name, values, .. } in family.labels {
        write!(out, " {name}{}", label_values(*values)).unwrap();
    }
    if let Some(buckets) = family.buckets {
        let bounds: Vec<String> = buckets.bounds().iter().map(f64::to_string).collect();
        write!(out, " le={}", bounds.join("|")).unwrap();
    }
    match family.shared {
        Shared::No => {}
        Shared::Yes => out.push_str(" shared"),
        Shared::Value(value) => write!(out, " shared={value}").unwrap(),
        shared => panic!("the contract has no form for {shared:?}"),
    }
    out
}

fn label_values(values: ValueSet) -> String {
    match values {
        ValueSet::Closed(values) => format!("={}", values.join("|")),
        ValueSet::OnUse(values) => {
            let mut values = values.to_vec();
            values.sort_unstable();
            format!("~{}", values.join("|"))
        }
        ValueSet::Status(words) => format!("~{}", [&["<code>"], words].concat().join("|")),
        ValueSet::Open => "=<open>".into(),
        ValueSet::Text => "=<text>".into(),
        values => panic!("the contract has no form for {values:?}"),
    }
}

/// The lines that are on one side only, or else the first that is out of order.
fn diff(expected: &[&str], found: &[&str]) -> String {
    let only = |side: &[&str], other: &[&str], mark: char| -> Vec<String> {
        side.iter()
            .filter(|line| !other.contains(line))
            .map(|line| format!("{mark} {line}"))
            .collect()
    };
    let mut lines = only(expected, found, '-');
    lines.extend(only(found, expected, '+'));
    if lines.is_empty() {
        let moved = expected.iter().zip(found).find(|(expected, found)| expected != found);
        lines.extend(
            moved.map(|(expected, found)| format!("in place of {expected}\nstands {found}")),
        );
    }
    lines.sort_by(|a, b| a[2..].cmp(&b[2..]));
    lines.join("\n")
}
