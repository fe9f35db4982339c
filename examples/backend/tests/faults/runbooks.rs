//! The pages that alerts lead to.

use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, Instant},
};

use crate::{
    expressions,
    faster::with_windows_divided,
    prometheus::Prometheus,
    watch::{self, TIMES},
};

/// How often their queries are asked.
const EVERY: Duration = Duration::from_secs(1);

/// What shows nothing in any fault: a part of the query, and why.
const NOWHERE: [(&str, &str); 0] = [];

/// Whether each query of the runbooks of the alerts that fired has shown something meanwhile.
#[derive(Default)]
pub(crate) struct Runbooks {
    pages: BTreeMap<String, Vec<Query>>,
    looked: Option<Instant>,
}

struct Query {
    text: String,
    has_shown: bool,
}

impl Runbooks {
    /// Asks what has shown nothing yet, for each alert that fires now.
    #[track_caller]
    pub(crate) fn look(&mut self, prometheus: &Prometheus) {
        if self.looked.is_some_and(|looked| looked.elapsed() < EVERY) {
            return;
        }
        for alert in watch::firing(prometheus) {
            // Those of one name have one page.
            let alert = alert.split(' ').next().expect("it has a name");
            let page = self.pages.entry(alert.to_owned()).or_insert_with(|| page(alert));
            for query in page.iter_mut().filter(|query| !query.has_shown) {
                let samples = prometheus.query(&with_windows_divided(&query.text, TIMES));
                query.has_shown = samples.iter().any(|it| it.value != 0.0 && !it.value.is_nan());
            }
        }
        self.looked = Some(Instant::now());
    }

    /// Sees that each has shown something, but for those that have one of these parts, which show nothing for this
    /// reason.
    #[track_caller]
    pub(crate) fn check(&self, fault: &str, excused: &[(&str, &str)]) {
        let queries = self.pages.iter().flat_map(|(alert, queries)| {
            queries.iter().map(move |query| (format!("{alert}: {}", query.text), query.has_shown))
        });
        let queries: Vec<(String, bool)> = queries.collect();
        let is_excused =
            |query: &str| NOWHERE.iter().chain(excused).any(|(part, _)| query.contains(part));
        let wrong = queries.iter().filter(|(query, has_shown)| *has_shown == is_excused(query));
        let wrong = wrong.map(|(query, has_shown)| match has_shown {
            true => format!("shows something, though it is excused: {query}"),
            false => format!("shows nothing: {query}"),
        });
        let unused =
            excused.iter().filter(|(part, _)| !queries.iter().any(|it| it.0.contains(part)));
        let unused = unused.map(|(part, reason)| format!("nobody asks for {part} ({reason})"));
        let wrong: Vec<String> = wrong.chain(unused).collect();
        assert!(wrong.is_empty(), "{fault}:\n{}", wrong.join("\n"));
    }
}

/// The queries of the runbook of an alert.
#[track_caller]
fn page(alert: &str) -> Vec<Query> {
    let file = format!("monitoring/runbooks/{alert}.md");
    let markdown = fs::read_to_string(watch::repository().join(&file))
        .unwrap_or_else(|error| panic!("{file}: {error}"));
    let queries = expressions::of_markdown(&file, &markdown).into_iter();
    let queries: Vec<Query> =
        queries.map(|query| Query { text: query.text, has_shown: false }).collect();
    assert!(!queries.is_empty(), "{file} has no query");
    queries
}
