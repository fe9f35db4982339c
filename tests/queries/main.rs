//! Every expression that ships asks for what the library emits: metrics, labels and values that exist, used
//! for what they mean.

mod aggregations;
mod broken;
mod evaluation;
#[path = "../common/expressions.rs"]
mod expressions;
mod functions;
mod kept;
mod matchers;
mod operators;
mod series;
mod sources;
mod vocabulary;

use std::{collections::BTreeSet, fmt::Write as _, path::Path};

use backend_metrics::catalog;

use self::{
    evaluation::evaluate,
    expressions::{Expression, Kind},
    vocabulary::{Vocabulary, family_of},
};

#[test]
fn what_ships_keeps_the_rules() {
    let vocabulary = Vocabulary::new(&expressions::rules(root()));
    let mut report = String::new();
    for expression in expressions::all(root()) {
        for fault in evaluate(&vocabulary, &expression).faults {
            let Expression { file, place, text, .. } = &expression;
            writeln!(
                report,
                "{file}, {place}: {fault}\n    {}",
                text.trim().replace('\n', "\n    ")
            )
            .unwrap();
        }
    }
    assert!(report.is_empty(), "\n{report}");
}

#[test]
fn nothing_is_overlooked() {
    let expressions = expressions::all(root());
    let of = |file: &Path| -> Vec<&Expression> {
        expressions.iter().filter(|expression| root().join(&expression.file) == file).collect()
    };

    let dashboards = expressions::files(&root().join("dashboards"), "json");
    assert!(!dashboards.is_empty());
    for file in dashboards {
        let found = of(&file);
        let has = |is: fn(&Kind) -> bool| found.iter().any(|expression| is(&expression.kind));
        assert!(has(|kind| matches!(kind, Kind::Target { .. })), "{}", file.display());
        assert!(has(|kind| matches!(kind, Kind::Annotation)), "{}", file.display());
        assert!(has(|kind| matches!(kind, Kind::Variable(_))), "{}", file.display());
    }

    let rules = expressions::files(&root().join("alerts"), "yml");
    assert!(!rules.is_empty());
    for file in rules {
        let text = std::fs::read_to_string(&file).expect("it was read before");
        let is_one =
            |line: &&str| line.trim_start().starts_with("expr:") || line.contains(", expr:");
        let written = text.lines().filter(is_one).count();
        assert!(written > 0 && written == of(&file).len(), "{}: {written}", file.display());
    }

    let runbooks = expressions::files(&root().join("monitoring/runbooks"), "md");
    assert!(!runbooks.is_empty());
    for file in runbooks {
        assert!(!of(&file).is_empty(), "{} has no query", file.display());
    }
}

#[test]
fn every_family_is_on_a_panel() {
    let missing = on_no_panel(&expressions::dashboards(root()));
    assert!(missing.is_empty(), "on no panel:\n{}", missing.join("\n"));
}

#[test]
fn a_family_is_on_a_panel_by_any_of_its_series() {
    let panel = |text: &str, kind| Expression {
        file: String::new(),
        place: String::new(),
        text: text.to_owned(),
        kind,
        printed: vec![],
    };
    let target = || Kind::Target { instant: false };
    let missing = on_no_panel(&[
        panel("sum(rate(database_query_duration_seconds_count[5m])) / active_sessions", target()),
        panel("up", Kind::Annotation),
        panel("changes(process_start_time_seconds[5m])", Kind::Annotation),
    ]);
    assert!(!missing.contains(&"database_query_duration_seconds"));
    assert!(!missing.contains(&"active_sessions"));
    assert!(missing.contains(&"process_start_time_seconds"));
    assert_eq!(missing.len(), catalog().count() - 2);
}

/// The families that no panel shows.
fn on_no_panel(expressions: &[Expression]) -> Vec<&'static str> {
    let nothing = Vocabulary::default();
    let targets =
        expressions.iter().filter(|expression| matches!(expression.kind, Kind::Target { .. }));
    let metrics: BTreeSet<String> =
        targets.flat_map(|target| evaluate(&nothing, target).metrics).collect();
    let shown: BTreeSet<&str> =
        metrics.iter().flat_map(|metric| [metric, family_of(metric)]).collect();
    let families = catalog().map(|entry| entry.family.name);
    families.filter(|family| !shown.contains(family)).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
