//! A Prometheus with the shipped rules, sped up.

use std::{
    collections::BTreeSet,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    expressions,
    faster::faster,
    prometheus::{Prometheus, Sample},
    tempdir::TempDir,
    wait::eventually,
};

/// What every duration of the rules is divided by.
pub(crate) const TIMES: u64 = 20;

/// How long the alerts of a start may fire: some look back on 30 minutes and keep firing for a few more.
const START: Duration = Duration::from_mins(2);

/// Of severity `none` are those that only explain others.
const FIRING: &str = r#"ALERTS{alertstate="firing",alert_class!="ticket",severity!="none"}"#;

/// Calendars in place of the shipped one, so that a test says the same at any hour: the rules take part that look at
/// the market while it is open, or none of them.
pub(crate) const OPEN: &str =
    "{record: nse:special_session:bool, labels: {session: test}, expr: vector(1)}";
pub(crate) const CLOSED: &str =
    "{record: nse:holiday:date, labels: {holiday: test}, expr: nse:local_date:number}";

/// Starts a Prometheus that scrapes the backend every second, and waits until it has. The market is open.
#[track_caller]
pub(crate) fn start(backend: SocketAddr, alertmanager: Option<SocketAddr>) -> Prometheus {
    start_while(OPEN, backend, alertmanager)
}

/// As [`start`], with this calendar.
#[track_caller]
pub(crate) fn start_while(
    calendar: &str,
    backend: SocketAddr,
    alertmanager: Option<SocketAddr>,
) -> Prometheus {
    // The files are read once, at the start.
    let directory = TempDir::new();
    let alertmanagers = alertmanager.map(|address| address.to_string());
    let config = json!({
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "rule_files": rules_while(calendar, &directory),
        "alerting": {"alertmanagers": [
            {"static_configs": [{"targets": Vec::from_iter(alertmanagers)}]},
        ]},
        "scrape_configs": [{
            "job_name": "backend",
            "static_configs": [{"targets": [backend.to_string()]}],
        }],
    });
    let prometheus = Prometheus::start(&config.to_string());
    prometheus.wait_until_up();
    prometheus
}

/// Waits until no alert fires: the rules saw no target at first, which is an alert with them sped up. Gives from when
/// on alerts count.
///
/// Tickets never do: they look back on more than the test takes, and so on a start on a busy machine.
#[track_caller]
pub(crate) fn wait_until_quiet(prometheus: &Prometheus) -> Instant {
    eventually(START, || {
        let firing = firing(prometheus);
        if firing.is_empty() { Ok(Instant::now()) } else { Err(format!("{firing:?}")) }
    })
}

/// The alerts that have fired since then.
#[track_caller]
pub(crate) fn fired(prometheus: &Prometheus, since: Instant) -> BTreeSet<String> {
    let window = since.elapsed().as_secs().max(1);
    names(prometheus, &format!("count_over_time({FIRING}[{window}s])"))
}

#[track_caller]
fn names(prometheus: &Prometheus, promql: &str) -> BTreeSet<String> {
    let samples = prometheus.query(promql).into_iter();
    samples.map(|Sample { labels, .. }| name(&json!(labels))).collect()
}

/// The name of an alert; those of one name are told apart by their objective.
pub(crate) fn name(labels: &Value) -> String {
    let text = |label: &str| labels[label].as_str().unwrap_or_default();
    match text("alertname") {
        burn @ "SLOErrorBudgetBurn" => format!("{burn} {}", text("slo")),
        name => name.to_owned(),
    }
}

/// The alerts that fire now.
#[track_caller]
pub(crate) fn firing(prometheus: &Prometheus) -> BTreeSet<String> {
    names(prometheus, FIRING)
}

/// The shipped rules, sped up, while the market is open; gives their files.
pub(crate) fn rules(directory: &TempDir) -> Vec<String> {
    rules_while(OPEN, directory)
}

fn rules_while(calendar: &str, directory: &TempDir) -> Vec<String> {
    let files = expressions::files(&repository().join("alerts"), "yml");
    let files = files.iter().map(|path| {
        let name = path.file_name().expect("it is a file");
        let copy = directory.join(name);
        let rules = if name == "calendar.yml" {
            format!(
                "groups: [{{name: exchange_calendar, interval: 1m, rules: [\
                 {calendar}, {{record: nse:calendar_complete_until:date, expr: vector(99991231)}}]}}]"
            )
        } else {
            fs::read_to_string(path).expect("it can be read")
        };
        fs::write(&copy, faster(&rules, TIMES)).expect("the directory can be written to");
        copy.display().to_string()
    });
    files.collect()
}

pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
