//! A module imports from lower layers only, so that there are no cycles and each file can be read from the
//! ground up.
//!
//! Read are the paths that begin with `crate::`, and the `use super::` lines, of every file in `src`; unit
//! tests at the end of a file and comments are not. A name that `lib.rs` exports again counts as one of the
//! module that it comes from.

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
};

/// The layers from the ground up, each with its modules.
///
/// A module may import from the layers below its own, and from the modules in the same brackets. A path
/// picks a single item out of a module.
const LAYERS: &[&[&[&str]]] = &[
    // Nothing of metrics.
    &[&["assets"], &["clock"], &["escape"], &["guard"], &["keyed"]],
    // What a family is, and where numbers live: neither knows the other.
    &[&["model"], &["storage"]],
    // A family takes its cells from the registry, and the registry makes the domains of its open labels.
    &[&["family", "registry"]],
    // What is read at scrape time, into the subsystems.
    &[&["collect"]],
    // An instance is made of subsystems, and their helpers are methods of an instance.
    &[&["instance", "subsystems"]],
    &[&["builder"], &["exposition"]],
    &[&["global"]],
    // What stands around an instance: log events and panics are counted from outside.
    &[&["collect::log"], &["collect::panic"], &["exporter"], &["middleware"]],
];

/// The files beside the subsystems that they may import from.
const SHARED: &[&str] = &["helpers", "shared"];

/// In no layer: the public names, and what fuzz targets and unit tests reach.
const OUTSIDE: &[&str] = &["fuzzing", "lib", "testing"];

#[test]
fn a_module_imports_from_lower_layers_only() {
    let crate_ = Crate::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert!(crate_.files.len() > 20, "{} files found", crate_.files.len());
    let complaints = crate_.complaints();
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn an_import_is_judged_by_where_its_name_comes_from() {
    for (file, line, complaint) in [
        ("family::gauge", "use crate::{registry::{Slot, Registrar}, storage::local};", None),
        ("registry", "use crate::family::OpenLabels;", None),
        (
            "subsystems::auth",
            "use crate::{\n    Counter, Now,\n    collect::pool::PoolStats,\n};",
            None,
        ),
        ("instance", "use crate::subsystems::Subsystems;", None),
        ("subsystems::auth", "use crate::subsystems::shared::Outcome;", None),
        ("subsystems::auth", "use super::{shared, Subsystems};", None),
        ("collect::log", "use crate::{Metrics, subsystems::errors::LogLevel};", None),
        ("global", "macro_rules! m { () => { $crate::exporter::Thing } }", None),
        ("model::label", "/// See [`Builder`](crate::Builder).\n// crate::builder", None),
        ("model::label", "#[cfg(test)]\nmod tests {\n    use crate::Builder;\n}", None),
        (
            "escape",
            "#[cfg(test)]\n#[expect(\n    x\n)]\nmod tests {\n    use crate::Builder;\n}",
            None,
        ),
        ("model::label", "use crate::storage::local;", Some("storage::local")),
        ("family::gauge", "use crate::{model::Kind, Counter, Builder};", Some("builder::Builder")),
        ("escape", "fn f() { crate::model::buckets::round(1.0); }", Some("model::buckets::round")),
        ("exposition", "use crate::builder::Builder as B;", Some("builder::Builder")),
        (
            "subsystems::auth",
            "use crate::global::AlreadyInstalled;",
            Some("global::AlreadyInstalled"),
        ),
        (
            "subsystems::auth",
            "use crate::labels::QueryType;",
            Some("subsystems::database::QueryType"),
        ),
        ("subsystems::auth", "use super::database;", Some("subsystems::database")),
        ("instance", "use crate::collect::log::LogEvents;", Some("collect::log::LogEvents")),
        ("middleware::layer", "use crate::exporter::Exporter;", Some("exporter::Exporter")),
        ("middleware::layer", "use crate::*;", Some("*")),
        ("novelty", "use crate::escape::same;", Some("novelty")),
    ] {
        let mut crate_ = Crate::default();
        crate_.add(
            "lib",
            "pub mod labels { pub use crate::subsystems::database::{QueryType}; }
             pub use self::{builder::Builder, family::*, instance::Metrics, registry::{Now, Slot}};
             pub use self::subsystems::database::free::*;",
        );
        crate_.add("family", "pub use self::counter::{Counter, CounterFamily};");
        for module in LAYERS.iter().flat_map(|layer| layer.iter().copied().flatten()) {
            if !crate_.files.contains_key(*module) && !module.contains("::") {
                crate_.add(module, "");
            }
        }
        crate_.add("subsystems::database", "");
        crate_.add("subsystems::shared", "");
        crate_.add(file, line);
        let complaints = crate_.complaints();
        match complaint {
            None => assert!(complaints.is_empty(), "{file}: {line}\n{complaints:?}"),
            Some(path) => {
                assert_eq!(complaints.len(), 1, "{file}: {line}\n{complaints:?}");
                assert!(complaints[0].contains(&format!("`{path}`")), "{complaints:?}");
            }
        }
    }
}

/// The source, by module path.
#[derive(Default)]
struct Crate {
    files: BTreeMap<String, String>,
}

impl Crate {
    fn read(root: &Path) -> Self {
        let mut this = Self::default();
        let mut open: Vec<PathBuf> = vec![root.to_owned()];
        while let Some(path) = open.pop() {
            if path.is_dir() {
                open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let module = path.strip_prefix(root).unwrap().with_extension("");
                let segments: Vec<&str> =
                    module.iter().map(|segment| segment.to_str().unwrap()).collect();
                let module = segments.join("::");
                let module = module.strip_suffix("::mod").unwrap_or(&module);
                this.add(module, &fs::read_to_string(&path).unwrap());
            }
        }
        this
    }

    fn add(&mut self, module: &str, source: &str) {
        self.files.insert(module.to_owned(), without_comments_and_tests(source));
    }

    fn complaints(&self) -> Vec<String> {
        let exports = self.exports();
        let mut complaints = Vec::new();
        for (module, source) in &self.files {
            if OUTSIDE.contains(&module.as_str()) {
                continue;
            }
            let Some(place) = Place::of(module) else {
                complaints.push(format!("`{module}` stands in no layer: add it to the table"));
                continue;
            };
            for path in imports(module, source) {
                match self.resolve(&path, &exports) {
                    None => complaints.push(format!(
                        "{module} imports `{path}`, of an unknown module: name the module"
                    )),
                    Some(path) => complaints.extend(judge(module, place, &path)),
                }
            }
        }
        complaints
    }

    /// A path from the module that the name comes from.
    fn resolve(&self, path: &str, exports: &BTreeMap<String, String>) -> Option<String> {
        let (first, rest) = split(path);
        if OUTSIDE.contains(&first) {
            None
        } else if self.files.contains_key(first) {
            Some(path.to_owned())
        } else if first == "labels" {
            exports.get(split(rest).0).cloned()
        } else {
            exports.get(first).cloned()
        }
    }

    /// The names at the root of the crate and where they come from.
    fn exports(&self) -> BTreeMap<String, String> {
        let mut exports = BTreeMap::new();
        for path in self.files.get("lib").into_iter().flat_map(|lib| exported("", lib)) {
            match path.strip_suffix("::*") {
                None => _ = exports.insert(last(&path).to_owned(), path),
                Some(module) => exports.extend(self.glob(module)),
            }
        }
        for (module, source) in &self.files {
            for macro_ in source.split("#[macro_export]").skip(1) {
                if let Some(rest) = macro_.trim_start().strip_prefix("macro_rules! ") {
                    exports.insert(word(rest).to_owned(), module.clone());
                }
            }
        }
        exports
    }

    /// What a module exports again, and the functions of its helpers.
    fn glob(&self, module: &str) -> Vec<(String, String)> {
        let (file, free) = match module.strip_suffix("::free") {
            Some(file) => (file, true),
            None => (module, false),
        };
        let source = self.files.get(file).map_or("", String::as_str);
        if free {
            let functions = source.split("pub fn ").skip(1).map(word);
            functions.map(|name| (name.to_owned(), format!("{module}::{name}"))).collect()
        } else {
            exported(file, source).into_iter().map(|path| (last(&path).to_owned(), path)).collect()
        }
    }
}

/// Where a module stands: its layer, and the brackets in it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Place {
    layer: usize,
    brackets: usize,
}

impl Place {
    /// The place of the longest path in the table that `path` begins with.
    fn of(path: &str) -> Option<Self> {
        let mut found: Option<(usize, Self)> = None;
        for (layer, groups) in LAYERS.iter().enumerate() {
            for (brackets, group) in groups.iter().enumerate() {
                for known in *group {
                    let inside = path
                        .strip_prefix(known)
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
                    if inside && found.is_none_or(|(len, _)| len < known.len()) {
                        found = Some((known.len(), Self { layer, brackets }));
                    }
                }
            }
        }
        found.map(|(_, place)| place)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "layer {}", self.layer)
    }
}

/// What is wrong with an import of `path`.
fn judge(module: &str, from: Place, path: &str) -> Option<String> {
    let Some(to) = Place::of(path) else {
        return Some(format!("{module} imports `{path}`, which stands in no layer"));
    };
    if to.layer > from.layer || (to.layer == from.layer && to.brackets != from.brackets) {
        return Some(format!("{module} ({from}) imports `{path}` ({to})"));
    }
    let own = module.strip_prefix("subsystems::").map(|rest| split(rest).0);
    let other = path.strip_prefix("subsystems::").map(|rest| split(rest).0);
    match (own, other) {
        (Some(own), Some(other))
            if own != other
                && !SHARED.contains(&other)
                && other.starts_with(char::is_lowercase) =>
        {
            Some(format!("{module} imports `{path}`: subsystems do not import each other"))
        }
        _ => None,
    }
}

/// The code: comments are cut off, and so are the unit tests at the end.
fn without_comments_and_tests(source: &str) -> String {
    // Every line has a newline before it.
    let mut code = String::from("\n");
    let mut lines = source.lines();
    while let Some(line) = lines.next() {
        if line.starts_with("#[cfg(") && line.contains("test") {
            // More attributes may stand between.
            let item = lines.clone().find(|line| line.starts_with(char::is_alphabetic));
            if item.is_some_and(|item| item.starts_with("mod ") && item.ends_with('{')) {
                break;
            }
        }
        code.push_str(line.split("//").next().unwrap_or_default());
        code.push('\n');
    }
    code
}

/// The paths in a module's code that lead to other places of the crate, from the root of the crate.
fn imports(module: &str, code: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for (start, found) in code.match_indices("crate::") {
        // `$crate::` is resolved where a macro is used.
        let before = code[..start].chars().next_back();
        if !before.is_some_and(|before| before == '$' || is_word(before)) {
            tree(&mut Tokens(&code[start + found.len()..]), "", &mut paths);
        }
    }
    // One that is indented is of a module inside the file.
    for line in ["\nuse super::", "\npub use super::", "\npub(crate) use super::"] {
        for (start, found) in code.match_indices(line) {
            let mut rest = &code[start + found.len()..];
            let mut parent = parent(module);
            while let Some(further) = rest.strip_prefix("super::") {
                (rest, parent) = (further, self::parent(parent));
            }
            tree(&mut Tokens(rest), parent, &mut paths);
        }
    }
    paths
}

/// The paths that a module exports again, from the root of the crate.
fn exported(module: &str, code: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for (prefix, start) in [("use self::", module), ("use crate::", "")] {
        for (position, found) in code.match_indices(prefix) {
            tree(&mut Tokens(&code[position + found.len()..]), start, &mut paths);
        }
    }
    paths
}

/// Reads a path or a tree of paths, and adds them below `start`.
fn tree(tokens: &mut Tokens<'_>, start: &str, paths: &mut Vec<String>) {
    let mut path = start.to_owned();
    loop {
        match tokens.next() {
            Some("{") => {
                while !matches!(tokens.peek(), Some("}") | None) {
                    tree(tokens, &path, paths);
                    if tokens.peek() == Some(",") {
                        tokens.next();
                    }
                }
                tokens.next();
                return;
            }
            Some("self") => {}
            Some(segment) if segment == "*" || segment.starts_with(is_word) => {
                if !path.is_empty() {
                    path.push_str("::");
                }
                path.push_str(segment);
            }
            _ => return,
        }
        if tokens.peek() == Some("as") {
            tokens.next();
            tokens.next();
        }
        if tokens.peek() != Some("::") {
            paths.push(path);
            return;
        }
        tokens.next();
    }
}

/// Words, `::`, and single signs.
#[derive(Clone, Copy)]
struct Tokens<'a>(&'a str);

impl<'a> Tokens<'a> {
    fn peek(self) -> Option<&'a str> {
        let mut ahead = self;
        ahead.next()
    }

    fn next(&mut self) -> Option<&'a str> {
        let text = self.0.trim_start();
        let first = text.chars().next()?;
        let len = if is_word(first) {
            word(text).len()
        } else if text.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        let (token, rest) = text.split_at(len);
        self.0 = rest;
        Some(token)
    }
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// The word that the text begins with.
fn word(text: &str) -> &str {
    text.split(|character| !is_word(character)).next().unwrap_or_default()
}

/// The first segment of a path and the others.
fn split(path: &str) -> (&str, &str) {
    path.split_once("::").unwrap_or((path, ""))
}

fn last(path: &str) -> &str {
    path.rsplit("::").next().unwrap_or(path)
}

fn parent(module: &str) -> &str {
    module.rsplit_once("::").map_or("", |(parent, _)| parent)
}
