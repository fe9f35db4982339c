//! Where the instructions go in what misses its target: by the source of each, wherever it was inlined.

use std::{
    collections::{BTreeMap, HashMap},
    fs, mem,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    origin,
    results::{home, write},
};

/// Of the functions that do an event, so many times; a scrape is done as often as there is time.
const EVENTS: f64 = 10_000.0;
const EVENT: &str = "peers::bench::repeat*";
const SCRAPE: &str = "backend_metrics::exposition::*Metrics>::encode";
/// Title, case, and the function that is looked into.
const COLUMNS: [(&str, &str, &str); 4] = [
    ("a request, 6 families", "http/backend-metrics/idiomatic", EVENT),
    ("a layer that does nothing", "layer/a layer that does nothing/floor", EVENT),
    ("the layer", "layer/backend-metrics/idiomatic", EVENT),
    ("a scrape of 1,000 lines", "scrape-openmetrics-1000/backend-metrics/idiomatic", SCRAPE),
];
/// A part with less of every column is among the others.
const LEAST: f64 = 0.03;

pub fn run() {
    let program = build();
    let mut parts = BTreeMap::<String, [f64; 4]>::new();
    for (column, (_, case, function)) in COLUMNS.into_iter().enumerate() {
        for (file, count) in by_file(&dump(&program, case, function)) {
            parts.entry(part(file)).or_default()[column] += count;
        }
    }
    let totals: [f64; 4] =
        std::array::from_fn(|column| parts.values().map(|counts| counts[column]).sum());
    let (mut shown, small): (Vec<_>, Vec<_>) = parts
        .into_iter()
        .partition(|(_, counts)| (0..4).any(|column| counts[column] >= LEAST * totals[column]));
    let rest = std::array::from_fn(|column| small.iter().map(|(_, counts)| counts[column]).sum());
    shown.extend([("others".to_owned(), rest), ("all".to_owned(), totals)]);
    let row = |(name, counts): (String, [f64; 4])| {
        let cell = |column: usize| match COLUMNS[column].2 {
            SCRAPE => format!("{:.0} %", counts[column] / totals[column] * 100.0),
            _ => format!("{:.0}", counts[column] / EVENTS),
        };
        [vec![name], (0..4).map(cell).collect()].concat()
    };
    let rows: Vec<_> = shown.into_iter().map(row).collect();
    let columns = [vec![""], COLUMNS.map(|column| column.0).to_vec()].concat();
    let origin = format!("`-- profile`, {}, {}.", origin::date(), origin::rustc());
    write("profile", &serde_json::json!({ "origin": origin, "columns": columns, "rows": rows }));
}

/// A build of its own, with line tables.
fn build() -> PathBuf {
    let target = std::env::current_exe().expect("the system knows it").with_file_name("profile");
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--release", "--locked", "--no-default-features", "--target-dir"])
        .arg(&target)
        .current_dir(home())
        .env("CARGO_PROFILE_RELEASE_DEBUG", "line-tables-only")
        .status();
    assert!(status.is_ok_and(|status| status.success()), "the build with line tables failed");
    target.join("release").join(env!("CARGO_PKG_NAME"))
}

/// What callgrind writes of a case.
fn dump(program: &Path, case: &str, function: &str) -> String {
    let file = program.with_file_name("callgrind.out");
    let output = Command::new("valgrind")
        .args(["--quiet", "--tool=callgrind", &format!("--toggle-collect={function}")])
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(program)
        .args(["case", case, &EVENTS.to_string()])
        .output();
    assert!(output.is_ok_and(|output| output.status.success()), "valgrind failed with {case}");
    fs::read_to_string(file).expect("callgrind wrote it")
}

/// Instructions by file. A file has a number, and its name where it is first met.
fn by_file(dump: &str) -> HashMap<&str, f64> {
    let (mut names, mut counts) = (HashMap::new(), HashMap::new());
    let (mut file, mut after_call) = ("", false);
    for line in dump.lines() {
        if let Some((key @ ("fl" | "fi" | "fe" | "cfi" | "cfl"), id)) = line.split_once('=') {
            let (id, name) = id.split_once(' ').unwrap_or((id, ""));
            let name = *names.entry(id).or_insert(name);
            file = if key.starts_with('c') { file } else { name };
        } else if line.starts_with("calls=") {
            after_call = true;
        } else if line.starts_with(|first: char| first.is_ascii_digit() || "+-*".contains(first))
            && !mem::take(&mut after_call)
        {
            // The line after a call is what the callee took, and counted there.
            let count = line.split(' ').nth(1).and_then(|count| count.parse::<f64>().ok());
            *counts.entry(file).or_default() += count.unwrap_or_default();
        }
    }
    counts
}

/// The folder of the library, the module of Rust's own, or the crate.
fn part(file: &str) -> String {
    let top = home().ancestors().nth(2).and_then(Path::to_str).expect("a folder of UTF-8");
    let after = |folder: &str| file.split_once(folder).map(|(_, rest)| rest.split('/').collect());
    let parts: Option<Vec<&str>> = after("/registry/src/").or_else(|| after("/rust/"));
    if let Some(parts) = parts {
        format!("`{}`", parts[1].rsplit_once('-').unwrap_or_default().0)
    } else if let Some([module, _, part, ..]) = after("/library/").as_deref() {
        format!("`{module}::{}`", part.trim_end_matches(".rs"))
    } else if let Some(path) = file.strip_prefix(top) {
        let folder = path.strip_prefix("/src/").and_then(|path| path.split('/').next());
        folder.map_or("the loop and its inputs".into(), |folder| format!("`src/{folder}`"))
    } else {
        "the C library".to_owned()
    }
}
