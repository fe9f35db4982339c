//! The constants are the files, and `export-assets` writes them, changed as it is told.

#[path = "../examples/export-assets.rs"]
#[allow(dead_code, reason = "its `main` is not called")]
mod export_assets;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use backend_metrics::assets::{Asset, DASHBOARDS, RULES};
use export_assets::{Options, export};
use serde_json::Value;

const CALENDAR: &str = "alerts/calendar.yml";

#[test]
fn the_constants_are_the_files() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (folder, extension, assets) in
        [("dashboards", "json", DASHBOARDS), ("alerts", "yml", RULES)]
    {
        assert_eq!(files(&root.join(folder), extension), paths(folder, assets));
        for asset in assets {
            assert_eq!(fs::read_to_string(root.join(asset.path)).unwrap(), asset.text);
        }
    }
}

#[test]
fn the_package_holds_what_the_constants_are_made_of() {
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"));
    let manifest = manifest.unwrap();
    for folder in ["/dashboards", "/alerts"] {
        assert!(manifest.contains(&format!("\"{folder}\"")), "{folder} is not in `include`");
    }
}

#[test]
fn they_are_written_as_they_are() {
    let written = exported(&[]);
    for asset in DASHBOARDS.iter().chain(RULES) {
        assert_eq!(written[asset.path], asset.text, "{}", asset.path);
    }
}

#[test]
fn another_job_is_asked_for_everywhere() {
    for (path, text) in exported(&["--job", "orders"]) {
        assert!(!text.contains(r#"job="backend""#) && !text.contains("job: backend"), "{path}");
        assert!(!text.contains(r#"job=~\".+\""#), "{path}");
        let chosen =
            if path.starts_with("alerts") { r#"job="orders""# } else { r#"job=\"orders\""# };
        // The calendar is of the exchange, not of a job.
        assert_eq!(text.contains(chosen), path != CALENDAR, "{path}");
    }
}

#[test]
fn another_data_source_leaves_none_to_choose() {
    for asset in DASHBOARDS {
        let text = &exported(&["--datasource", "mimir-1"])[asset.path];
        assert!(!text.contains("${datasource}"), "{}", asset.path);
        let mut dashboard: Value = serde_json::from_str(text).unwrap();
        assert_eq!(dashboard["panels"][1]["datasource"]["uid"], "mimir-1");
        let names = |dashboard: &Value| -> Vec<String> {
            let variables = dashboard["templating"]["list"].as_array().unwrap();
            variables.iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
        };
        let text = asset.text.replace("${datasource}", "mimir-1");
        let mut before: Value = serde_json::from_str(&text).unwrap();
        let mut left = names(&before);
        left.retain(|name| name != "datasource");
        assert_eq!(names(&dashboard), left);
        // All else is as it was.
        before["templating"].take();
        dashboard["templating"].take();
        assert_eq!(dashboard, before);
    }
}

#[test]
fn a_label_is_selected_by_and_carried_on() {
    let written = exported(&["--label", "cluster=mumbai", "--label", "team=trading"]);
    let selected = r#",cluster="mumbai",team="trading""#;
    for (path, text) in &written {
        let text = text.replace("\\\"", "\"");
        for matcher in [r#"job="backend""#, r#"job=~"$job""#, r#"job=~".+""#] {
            let both = format!("{matcher}{selected}");
            assert_eq!(text.matches(&both).count(), text.matches(matcher).count(), "{path}");
        }
        assert_eq!(text.contains(selected), path != CALENDAR, "{path}");
    }
    for asset in RULES {
        let file: Value = serde_saphyr::from_str(&written[asset.path]).unwrap();
        let before: Value = serde_saphyr::from_str(asset.text).unwrap();
        let (rules, before) = (rules(&file), rules(&before));
        assert_eq!(rules.len(), before.len(), "{}", asset.path);
        for (rule, before) in rules.iter().zip(before) {
            let mut labels = before["labels"].as_object().cloned().unwrap_or_default();
            labels.insert("cluster".into(), "mumbai".into());
            labels.insert("team".into(), "trading".into());
            assert_eq!(rule["labels"], Value::Object(labels), "{rule}");
        }
    }
}

#[test]
fn what_cannot_be_done_is_said() {
    for (arguments, error) in [
        (&[][..], "--to DIR is missing"),
        (&["--to"], "--to needs a value"),
        (&["--to", "x", "--jobs", "y"], "--jobs is no option"),
        (&["--to", "x", "--job", "a\"b"], "--job: \"a\\\"b\" is empty or has quotes in it"),
        (&["--to", "x", "--job", ""], "--job: \"\" is empty or has quotes in it"),
        (&["--to", "x", "--label", "cluster"], "--label is NAME=VALUE"),
        (&["--to", "x", "--label", "1st=a"], "--label: \"1st\" is no name of a label"),
    ] {
        let options = Options::parse(arguments.iter().map(|&argument| argument.to_owned()));
        assert_eq!(options.err().map(|error| error.to_string()).as_deref(), Some(error));
    }
}

/// What the program writes with these options, by path.
fn exported(options: &[&str]) -> BTreeMap<String, String> {
    let folder = tempfile::tempdir().unwrap();
    let to = ["--to", folder.path().to_str().unwrap()];
    let arguments = to.iter().chain(options).map(|&argument| argument.to_owned());
    export(&Options::parse(arguments).unwrap()).unwrap();
    let mut texts = BTreeMap::new();
    for asset in DASHBOARDS.iter().chain(RULES) {
        let text = fs::read_to_string(folder.path().join(asset.path)).unwrap();
        texts.insert(asset.path.to_owned(), text);
    }
    texts
}

fn files(folder: &Path, extension: &str) -> BTreeSet<PathBuf> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|file| file.extension().is_some_and(|found| found == extension)).collect()
}

fn paths(folder: &str, assets: &[Asset]) -> BTreeSet<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert!(assets.iter().all(|asset| asset.path.starts_with(folder)));
    assets.iter().map(|asset| root.join(asset.path)).collect()
}

/// The rules of a file, of all groups.
fn rules(file: &Value) -> Vec<Value> {
    let groups = file["groups"].as_array().unwrap().iter();
    groups.flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}
