//! Runs every case in processes of its own, one after the other, several times over.
//!
//! Where the linker and the loader put things alone moves a case by some percent: so the median is one over
//! processes, and all cases have their turn before the next round.

use std::{collections::BTreeMap, path::PathBuf, process::Command};

use crate::{
    bench::{Sample, median},
    case::{Use, all},
    origin,
    ours::NAME as OURS,
    results::{Figure, Results, Spread, home},
};

/// The rows of ours that are measured in the build with all features too, as `exemplars-` and the row: the others
/// of these features are not in the way of an event.
const WITH_EXEMPLARS: [&str; 6] =
    ["counter", "histogram", "query", "http-track", "layer", "scrape-openmetrics-10000"];
/// The rows of ours that only the build with all features has.
const ALL_FEATURES: [&str; 9] = [
    "counter-clock-guard",
    "counter-clock-layer",
    "exemplars-traced-layer",
    "exemplars-traced-layer-kept",
    "exemplars-traced-query",
    "exemplars-traced-query-kept",
    "span",
    "span-entered",
    "start",
];

/// A case of a build.
pub struct Job {
    pub program: PathBuf,
    pub case: String,
    pub row: String,
    pub subject: String,
    pub usage: Use,
}

impl Job {
    fn id(&self) -> String {
        format!("{}/{}/{}", self.row, self.subject, self.usage)
    }

    /// The command that runs it.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["case", &self.case]);
        command
    }

    fn run(&self) -> Result<Sample, String> {
        let output = self.command().output().map_err(|error| error.to_string())?;
        if !output.status.success() {
            let reason = String::from_utf8_lossy(&output.stderr);
            return Err(reason
                .lines()
                .find(|line| !line.trim().is_empty())
                .unwrap_or("no reason given")
                .to_owned());
        }
        serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())
    }
}

/// The cases whose id has `pattern` in it, of both builds.
pub fn jobs(pattern: &str) -> Vec<Job> {
    let program = std::env::current_exe().expect("the system knows it");
    let cases = all().into_iter().map(|case| Job {
        program: program.clone(),
        case: case.id(),
        row: case.row,
        subject: case.subject.to_owned(),
        usage: case.usage,
    });
    let with_all_features = |row: &str, name: String| Job {
        program: all_features_target().join("release").join(env!("CARGO_PKG_NAME")),
        case: format!("{row}/{OURS}/{}", Use::Idiomatic),
        row: name,
        subject: OURS.to_owned(),
        usage: Use::Idiomatic,
    };
    let jobs: Vec<_> = cases
        .chain(WITH_EXEMPLARS.map(|row| with_all_features(row, format!("exemplars-{row}"))))
        .chain(ALL_FEATURES.map(|row| with_all_features(row, row.to_owned())))
        .filter(|job| job.id().contains(pattern))
        .collect();
    if jobs.iter().any(|job| job.program != program) {
        build_with_all_features();
    }
    jobs
}

fn all_features_target() -> PathBuf {
    std::env::current_exe().expect("the system knows it").with_file_name("all-features")
}

/// Features are of a build, so there are two.
fn build_with_all_features() {
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args([
            "build",
            "--release",
            "--locked",
            "--no-default-features",
            "--features",
            "all-features",
        ])
        .arg("--manifest-path")
        .arg(home().join("Cargo.toml"))
        .arg("--target-dir")
        .arg(all_features_target())
        .status();
    assert!(status.is_ok_and(|status| status.success()), "the build with all features failed");
}

pub fn run(rounds: usize, pattern: &str) -> Results {
    let jobs = jobs(pattern);
    let mut samples: Vec<BTreeMap<String, Vec<f64>>> =
        jobs.iter().map(|_| BTreeMap::new()).collect();
    let mut failed = BTreeMap::new();
    for round in 1..=rounds {
        for (job, samples) in jobs.iter().zip(&mut samples) {
            if failed.contains_key(&job.id()) {
                continue;
            }
            match job.run() {
                Ok(sample) => {
                    for (name, value) in sample {
                        samples.entry(name).or_default().push(value);
                    }
                }
                Err(reason) => {
                    eprintln!("{}: {reason}", job.id());
                    failed.insert(job.id(), reason);
                }
            }
        }
        eprintln!("round {round} of {rounds}");
    }
    let figures = jobs.into_iter().zip(samples).filter(|(_, samples)| !samples.is_empty()).map(
        |(job, samples)| {
            let values = samples.into_iter().map(|(name, values)| (name, spread(values))).collect();
            Figure { row: job.row, subject: job.subject, usage: job.usage, values }
        },
    );
    Results {
        date: origin::date(),
        machine: origin::machine(),
        rustc: origin::rustc(),
        profile:
            "release, as cargo has it: opt-level 3, no LTO, 16 codegen units; all crates alike"
                .to_owned(),
        rounds,
        versions: origin::versions(),
        figures: figures.collect(),
        failed,
    }
}

fn spread(mut values: Vec<f64>) -> Spread {
    let median = median(&mut values);
    Spread { median, least: values[0], most: values[values.len() - 1] }
}
