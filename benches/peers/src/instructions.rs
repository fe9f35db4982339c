//! Instructions of an event, counted by valgrind: they do not depend on what else the machine does.
//!
//! They are counted within the loop that repeats the event. The kernel's are not, and under valgrind the clock
//! is read there.

use std::{collections::BTreeMap, process::Command};

use crate::{
    compare::{Job, jobs},
    origin,
    results::{Figure, Results, Spread},
};

/// The rows whose events one thread repeats.
const ROWS: [&str; 7] = ["counter", "histogram", "query", "guard", "http-track", "http", "layer"];
const EVENTS: u64 = 10_000;

pub fn run(pattern: &str) -> Results {
    let mut figures = Vec::new();
    let mut failed = BTreeMap::new();
    for job in jobs(pattern) {
        let row = job.row.strip_prefix("exemplars-").unwrap_or(&job.row);
        if !ROWS.contains(&row) && !row.starts_with("traced") {
            continue;
        }
        match counted(&job) {
            Ok(count) => {
                let each = count / EVENTS as f64;
                let spread = Spread { median: each, least: each, most: each };
                let values = BTreeMap::from([("instructions".to_owned(), spread)]);
                figures.push(Figure {
                    row: job.row,
                    subject: job.subject,
                    usage: job.usage,
                    values,
                });
            }
            Err(reason) => {
                eprintln!("{}: {reason}", job.case);
                failed.insert(job.case, reason);
            }
        }
    }
    Results {
        date: origin::date(),
        machine: origin::machine(),
        rustc: origin::rustc(),
        profile: "release".to_owned(),
        rounds: 1,
        versions: origin::versions(),
        figures,
        failed,
    }
}

fn counted(job: &Job) -> Result<f64, String> {
    let case = job.command();
    let output = Command::new("valgrind")
        .args([
            "--tool=callgrind",
            "--callgrind-out-file=/dev/null",
            "--toggle-collect=peers::bench::repeat*",
        ])
        .arg(case.get_program())
        .args(case.get_args())
        .arg(EVENTS.to_string())
        .output()
        .map_err(|error| format!("valgrind: {error}"))?;
    let log = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(log
            .lines()
            .find(|line| line.contains("Process terminating"))
            .unwrap_or("it failed")
            .to_owned());
    }
    let count = log.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok());
    count.ok_or_else(|| log.lines().last().unwrap_or("no count").to_owned())
}
