//! What helpers and guards there are, read from the source.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// The source files of the subsystems, by name.
fn files(folder: &str) -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let files = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    files
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect()
}

/// The lines from each that starts with `opening` to the brace at the beginning of a line.
fn blocks<'a>(source: &'a str, opening: &str) -> Vec<(&'a str, Vec<&'a str>)> {
    let mut blocks = Vec::new();
    let mut lines = source.lines();
    while let Some(line) = lines.next() {
        if line.starts_with(opening) && line.ends_with('{') {
            blocks.push((line, lines.by_ref().take_while(|line| *line != "}").collect()));
        }
    }
    blocks
}

/// The public functions of a block.
fn functions<'a>(block: &[&'a str]) -> impl Iterator<Item = &'a str> {
    block.iter().filter_map(|line| {
        let name = line.strip_prefix("    pub fn ")?;
        name.split(['(', '<']).next()
    })
}

/// The names of all helpers.
pub(crate) fn helpers() -> BTreeSet<String> {
    helpers_and_files().into_keys().collect()
}

/// The names of all helpers, and of the files that have them.
pub(crate) fn helpers_and_files() -> BTreeMap<String, String> {
    let mut helpers = BTreeMap::new();
    for (file, source) in files("src/subsystems") {
        for (_, block) in blocks(&source, "helpers! {") {
            for name in functions(&block) {
                let twice = helpers.insert(name.to_owned(), file.clone());
                assert_eq!(twice, None, "{name} is there twice");
            }
        }
    }
    if !cfg!(feature = "tokio") {
        helpers.remove("watch_tokio");
    }
    helpers
}

/// A method of a guard, and the subsystem that has it.
#[derive(Debug)]
pub(crate) struct GuardMethod {
    pub(crate) subsystem: String,
    pub(crate) guard: String,
    pub(crate) name: String,
}

/// The methods of all guards.
pub(crate) fn guard_methods() -> Vec<GuardMethod> {
    let mut methods = Vec::new();
    let mut guards = 0;
    for (subsystem, source) in files("src/subsystems") {
        for (line, block) in blocks(&source, "impl ") {
            let Some(guard) = line.strip_prefix("impl ").and_then(|line| line.strip_suffix(" {"))
            else {
                continue;
            };
            let is_guard = source.contains(&format!("\npub struct {guard} {{"))
                && source.contains(&format!("impl Drop for {guard} {{"));
            if is_guard || guard == "OpenOrder" {
                guards += 1;
                methods.extend(functions(&block).map(|name| GuardMethod {
                    subsystem: subsystem.clone(),
                    guard: guard.to_owned(),
                    name: name.to_owned(),
                }));
            }
        }
    }
    assert!(guards > 15, "{guards} guards found");
    methods
}

/// The methods of guards that the driver of their subsystem does not name.
pub(crate) fn guard_methods_not_driven() -> Vec<GuardMethod> {
    let drivers = files("tests/drive");
    let is_driven =
        |method: &GuardMethod| drivers[&method.subsystem].contains(&format!(".{}(", method.name));
    guard_methods().into_iter().filter(|method| !is_driven(method)).collect()
}
