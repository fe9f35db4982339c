//! A dashboard says of which release it is.

use crate::{
    dashboard::{assert_none, items, read, text},
    sample::sample,
};

const VERSION: &str = env!("CARGO_PKG_VERSION");

#[test]
fn a_dashboard_has_the_version_of_the_crate() {
    assert_none(faults);
}

#[test]
fn the_changelog_begins_with_the_version_of_the_crate() {
    let changelog = read("CHANGELOG.md");
    let newest = newest(&changelog).expect("there is a version");
    assert_eq!(newest, VERSION, "the version of Cargo.toml is not the newest of CHANGELOG.md");
}

fn faults(dashboard: &crate::dashboard::Dashboard) -> Vec<String> {
    let tag = format!("v{VERSION}");
    let versions: Vec<&str> =
        items(&dashboard.json["tags"]).map(text).filter(|tag| is_version(tag)).collect();
    let description = text(&dashboard.json["description"]);
    let named: Vec<&str> = description
        .split_whitespace()
        .map(|word| word.trim_end_matches(['.', ',']))
        .filter(|word| is_version(word))
        .collect();
    [("tags", versions), ("description", named)]
        .into_iter()
        .filter(|(_, found)| *found != [&tag])
        .map(|(place, found)| format!("the {place} have {found:?} in place of {tag}"))
        .collect()
}

fn is_version(word: &str) -> bool {
    word.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// The first version with a heading of its own, `## [0.1.0] - 2026-11-26`; what is not released has none.
fn newest(changelog: &str) -> Option<&str> {
    let mut headings = changelog.lines().filter_map(|line| line.strip_prefix("## ["));
    headings.find_map(|heading| Some(heading.split_once("] - ")?.0))
}

#[test]
fn another_version_is_found() {
    assert!(faults(&sample()).is_empty());
    for (place, value) in [
        ("/tags", serde_json::json!(["backend"])),
        ("/tags", serde_json::json!(["backend", format!("v{VERSION}"), "v0.0.1"])),
        ("/description", "A sample.".into()),
        ("/description", "A sample. backend-metrics v0.0.1.".into()),
    ] {
        let mut dashboard = sample();
        *dashboard.json.pointer_mut(place).unwrap() = value;
        assert_eq!(faults(&dashboard).len(), 1, "{place}");
    }
    let changelog = "## [Unreleased]\n\n## [1.2.0] - 2026-11-26\n\n## [1.1.0] - 2026-11-25\n";
    assert_eq!(newest(changelog), Some("1.2.0"));
}
