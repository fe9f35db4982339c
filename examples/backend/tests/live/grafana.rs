//! The dashboards' queries, as Grafana sends them to a Prometheus while All is chosen in every list.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::{
    expressions::{self, Expression, Kind},
    http::{self, percent_encode},
};

/// What a panel or an annotation asks for.
pub(crate) struct Query {
    /// The title and the letter of a panel's query, or the name of an annotation.
    pub(crate) place: String,
    pub(crate) promql: String,
    pub(crate) instant: bool,
    pub(crate) is_panel: bool,
}

/// A variable of a dashboard.
pub(crate) struct Variable {
    pub(crate) name: String,
    /// The values to choose from, at this moment.
    pub(crate) options: Vec<String>,
    /// What stands for All.
    pub(crate) all: String,
}

/// The files of the dashboards.
pub(crate) fn dashboards() -> Vec<PathBuf> {
    expressions::files(&repository().join("dashboards"), "json")
}

/// The queries of a dashboard, with values for its variables.
pub(crate) fn queries(dashboard: &Path, variables: &[(&str, &str)]) -> Vec<Query> {
    let query = |expression: Expression| {
        let (is_panel, instant) = match expression.kind {
            Kind::Target { instant } => (true, instant),
            Kind::Annotation => (false, false),
            _ => return None,
        };
        let promql = expression.with(variables);
        Some(Query { place: expression.place, promql, instant, is_panel })
    };
    expressions::of_dashboard("", &read(dashboard)).into_iter().filter_map(query).collect()
}

/// The variables of a dashboard that have their values from Prometheus, in their order.
#[track_caller]
pub(crate) fn variables(prometheus: SocketAddr, dashboard: &Path) -> Vec<Variable> {
    let json = read(dashboard);
    let mut variables: Vec<Variable> = Vec::new();
    for expression in expressions::of_dashboard("", &json) {
        let Kind::Variable(name) = &expression.kind else {
            continue;
        };
        let before: Vec<(&str, &str)> =
            variables.iter().map(|one| (one.name.as_str(), one.all.as_str())).collect();
        let data = api(prometheus, &instant(&expression.with(&before)));
        let option = |series: &Value| series["metric"][name].as_str().map(str::to_owned);
        let mut options: Vec<String> = list(&data["result"]).filter_map(option).collect();
        options.sort_unstable();
        let own = list(&json["templating"]["list"]).find(|variable| variable["name"] == **name);
        let all = own.and_then(|variable| variable["allValue"].as_str());
        let all = all.map_or_else(|| one_of(&options), str::to_owned);
        variables.push(Variable { name: name.clone(), options, all });
    }
    variables
}

/// The pattern that Grafana writes for several values.
fn one_of(options: &[String]) -> String {
    match options {
        [one] => one.clone(),
        several => format!("({})", several.join("|")),
    }
}

/// The request for a query of this moment.
pub(crate) fn instant(promql: &str) -> String {
    format!("/api/v1/query?query={}", percent_encode(promql))
}

#[track_caller]
pub(crate) fn api(prometheus: SocketAddr, target: &str) -> Value {
    let answer = http::get(prometheus, target).expect("prometheus answers");
    let value: Value = serde_json::from_slice(&answer.body).expect("it answers JSON");
    assert_eq!(value["status"], "success", "{target}: {value}");
    value["data"].clone()
}

pub(crate) fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(dashboard: &Path) -> Value {
    let text = fs::read(dashboard).expect("it can be read");
    serde_json::from_slice(&text).expect("it is JSON")
}
