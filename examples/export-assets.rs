//! Writes the dashboards and rules of this version into a folder.
//!
//! ```text
//! cargo run --example export-assets -- --to DIR
//! cargo run --example export-assets -- --to DIR --job orders --datasource mimir --label cluster=mumbai
//! ```
//!
//! | option | |
//! | --- | --- |
//! | `--to DIR` | where `dashboards/` and `alerts/` are written; files that are there are replaced |
//! | `--job NAME` | the scrape job, in place of `backend` |
//! | `--datasource UID` | Grafana's data source for metrics, in place of a choice on each dashboard |
//! | `--label NAME=VALUE` | a label that tells this service from others of the same job: all queries select by it, and all recordings and alerts carry it; it can be given again |

use std::{
    env,
    error::Error,
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use backend_metrics::assets::{Asset, DASHBOARDS, RULES};
use serde_json::Value;

/// The job in the rules.
const JOB: &str = r#"job="backend""#;
/// The jobs that a dashboard offers.
const OFFERED_JOBS: &str = r#"job=~\".+\""#;
/// The job in the queries of a dashboard.
const CHOSEN_JOB: &str = r#"job=~\"$job\""#;

#[derive(Default)]
pub(crate) struct Options {
    to: PathBuf,
    job: Option<String>,
    datasource: Option<String>,
    labels: Vec<(String, String)>,
}

fn main() -> ExitCode {
    match Options::parse(env::args().skip(1)).and_then(|options| export(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("export-assets: {error}");
            ExitCode::FAILURE
        }
    }
}

pub(crate) fn export(options: &Options) -> Result<(), Box<dyn Error>> {
    for asset in RULES {
        write(&options.to, asset, &options.rules(asset.text))?;
    }
    for asset in DASHBOARDS {
        write(&options.to, asset, &options.dashboard(asset.text)?)?;
    }
    Ok(())
}

fn write(folder: &Path, asset: &Asset, text: &str) -> io::Result<()> {
    let file = folder.join(asset.path);
    fs::create_dir_all(file.parent().unwrap_or(folder))?;
    fs::write(&file, text)?;
    println!("{}", file.display());
    Ok(())
}

fn is_label_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

impl Options {
    pub(crate) fn parse(
        mut arguments: impl Iterator<Item = String>,
    ) -> Result<Self, Box<dyn Error>> {
        let mut options = Self::default();
        while let Some(name) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
            // It is put between quotes, in PromQL, YAML and JSON alike.
            if name != "--to" && (value.is_empty() || value.contains(['"', '\\', '\n'])) {
                return Err(format!("{name}: {value:?} is empty or has quotes in it").into());
            }
            match name.as_str() {
                "--to" => options.to = value.into(),
                "--job" => options.job = Some(value),
                "--datasource" => options.datasource = Some(value),
                "--label" => {
                    let (label, value) = value.split_once('=').ok_or("--label is NAME=VALUE")?;
                    if !is_label_name(label) {
                        return Err(format!("--label: {label:?} is no name of a label").into());
                    }
                    options.labels.push((label.to_owned(), value.to_owned()));
                }
                _ => return Err(format!("{name} is no option").into()),
            }
        }
        if options.to.as_os_str().is_empty() {
            return Err("--to DIR is missing".into());
        }
        Ok(options)
    }

    fn rules(&self, text: &str) -> String {
        let matchers = self.matchers("\"");
        let text = match &self.job {
            Some(job) => text
                .replace("{job: backend,", &format!("{{job: \"{job}\","))
                .replace(JOB, &format!("job=\"{job}\"{matchers}")),
            None => text.replace(JOB, &format!("{JOB}{matchers}")),
        };
        if self.labels.is_empty() { text } else { self.labelled(&text) }
    }

    /// The rules with the labels on all that they record and alert.
    fn labelled(&self, rules: &str) -> String {
        let labels: Vec<String> =
            self.labels.iter().map(|(name, value)| format!("{name}: \"{value}\"")).collect();
        let labels = labels.join(", ");
        let begins = |line: &str| {
            let line = line.trim_start();
            ["- record:", "- alert:", "- {"].iter().any(|start| line.starts_with(start))
        };
        let lines: Vec<&str> = rules.lines().collect();
        let mut out = Vec::new();
        for (at, &line) in lines.iter().enumerate() {
            // A rule on one line, which has labels already.
            if line.trim_start().starts_with("- {") {
                out.push(line.replacen("labels: {", &format!("labels: {{{labels}, "), 1));
                continue;
            }
            let indent = &line[..line.len() - line.trim_start().len()];
            match line.trim_start().strip_prefix("labels:") {
                Some("") => {
                    out.push(line.to_owned());
                    let labels = self.labels.iter();
                    out.extend(
                        labels.map(|(name, value)| format!("{indent}  {name}: \"{value}\"")),
                    );
                }
                Some(rest) => {
                    let rest = rest.trim_start().trim_start_matches('{');
                    out.push(format!("{indent}labels: {{{labels}, {rest}"));
                }
                None => out.push(line.to_owned()),
            }
            let mut rest = lines[at + 1..].iter().take_while(|line| !begins(line));
            if begins(line) && !rest.any(|line| line.trim_start().starts_with("labels:")) {
                out.push(format!("{indent}  labels: {{{labels}}}"));
            }
        }
        out.join("\n") + "\n"
    }

    fn dashboard(&self, text: &str) -> Result<String, serde_json::Error> {
        let matchers = self.matchers("\\\"");
        let offered = match &self.job {
            Some(job) => format!("job=\\\"{job}\\\""),
            None => OFFERED_JOBS.to_owned(),
        };
        let text = text
            .replace(OFFERED_JOBS, &format!("{offered}{matchers}"))
            .replace(CHOSEN_JOB, &format!("{CHOSEN_JOB}{matchers}"));
        let Some(datasource) = &self.datasource else {
            return Ok(text);
        };
        let text = text.replace("${datasource}", datasource);
        let mut dashboard: Value = serde_json::from_str(&text)?;
        if let Some(variables) = dashboard["templating"]["list"].as_array_mut() {
            variables.retain(|variable| variable["name"] != "datasource");
        }
        Ok(serde_json::to_string_pretty(&dashboard)? + "\n")
    }

    /// The labels as what follows the matcher of the job.
    fn matchers(&self, quote: &str) -> String {
        let matcher = |(name, value): &(String, String)| format!(",{name}={quote}{value}{quote}");
        self.labels.iter().map(matcher).collect::<Vec<_>>().concat()
    }
}
