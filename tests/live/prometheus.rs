//! A Prometheus server of the test's own.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::{self, File},
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
    thread,
};

use serde_json::Value;

use crate::{
    http::{self, percent_encode},
    process::Process,
    tempdir::TempDir,
    wait::{DEADLINE, eventually},
};

/// A running server with storage of its own; both go away when it is dropped.
pub(crate) struct Prometheus {
    pub(crate) address: SocketAddr,
    // The process ends before its directory goes.
    process: Process,
    directory: TempDir,
}

/// A series at one moment.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
}

/// What the server says of something that it scrapes.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) job: String,
    /// `up`, `down`, or `unknown` before the first scrape.
    pub(crate) health: String,
    /// Why the last scrape failed, a parse error say; empty if it did not.
    pub(crate) last_error: String,
    last_scrape: String,
}

impl Prometheus {
    /// Starts a server that scrapes `/metrics` of each job five times a second.
    #[track_caller]
    pub(crate) fn scraping(jobs: &[(&str, SocketAddr)]) -> Self {
        Self::start(&scrape_config(jobs))
    }

    /// Starts a server with this configuration and waits until it is ready.
    #[track_caller]
    pub(crate) fn start(config: &str) -> Self {
        Self::run(config, "tsdb", &["--enable-feature=exemplar-storage"])
    }

    /// Starts a server for rules that are sped up: an alert that Alertmanager did not get is sent again soon.
    #[track_caller]
    pub(crate) fn hurried(config: &str) -> Self {
        Self::run(config, "tsdb", &["--rules.alert.resend-delay=5s"])
    }

    /// Starts a server to which others may write.
    #[track_caller]
    pub(crate) fn receiving(config: &str) -> Self {
        Self::run(config, "tsdb", &["--web.enable-remote-write-receiver"])
    }

    /// Starts a server that only passes on what it scrapes.
    #[track_caller]
    pub(crate) fn agent(config: &str) -> Self {
        let help = Command::new("prometheus").arg("--help").output();
        let help = help.expect("`prometheus` is installed: run scripts/test");
        // From 3.0 on it is a flag of its own.
        let help = String::from_utf8([help.stdout, help.stderr].concat());
        let has_flag = help.expect("it speaks UTF-8").contains("--[no-]agent");
        Self::run(config, "agent", &[if has_flag { "--agent" } else { "--enable-feature=agent" }])
    }

    fn run(config: &str, storage: &str, flags: &[&str]) -> Self {
        let directory = TempDir::new();
        let config_file = directory.join("prometheus.yml");
        fs::write(&config_file, config).expect("the directory can be written to");
        let log = directory.join("log");
        let log_file = File::create(&log).expect("the directory can be written to");
        let mut process = Process::spawn(
            Command::new("prometheus")
                .arg(format!("--config.file={}", config_file.display()))
                .arg(format!("--storage.{storage}.path={}", directory.join("data").display()))
                .arg("--web.listen-address=127.0.0.1:0")
                .args(flags)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(log_file),
        );
        let address = eventually(DEADLINE, || {
            let log = read(&log);
            if let Some(status) = process.ended() {
                panic!("prometheus: {status}\n{log}");
            }
            listening_on(&log).ok_or(log)
        });
        let this = Self { address, process, directory };
        eventually(DEADLINE, || match http::get(address, "/-/ready") {
            Ok(response) if response.status == 200 => Ok(()),
            answer => Err(format!("{answer:?}")),
        });
        this
    }

    /// Has the server read its configuration again.
    #[allow(dead_code, reason = "not every test changes it")]
    pub(crate) fn reload(&self) {
        self.process.signal("HUP");
    }

    /// The result of an instant query.
    #[track_caller]
    pub(crate) fn query(&self, promql: &str) -> Vec<Sample> {
        let data = self.api(&format!("/api/v1/query?query={}", percent_encode(promql)));
        let result = &data["result"];
        let samples: Option<Vec<Sample>> = match data["resultType"].as_str() {
            Some("vector") => {
                result.as_array().and_then(|result| result.iter().map(sample).collect())
            }
            Some("scalar") => {
                number(result).map(|value| vec![Sample { labels: BTreeMap::new(), value }])
            }
            _ => None,
        };
        samples.unwrap_or_else(|| panic!("{promql}: {data}"))
    }

    /// The value of a query that has one series as its result, or what there is instead.
    #[track_caller]
    pub(crate) fn value(&self, promql: &str) -> Result<f64, String> {
        match self.query(promql).as_slice() {
            [sample] => Ok(sample.value),
            samples => Err(format!("{promql} is {samples:?}")),
        }
    }

    /// Waits until the query has one series as its result, with this value.
    #[track_caller]
    pub(crate) fn wait_for(&self, promql: &str, value: f64) {
        eventually(DEADLINE, || match self.value(promql)? {
            found if found.total_cmp(&value).is_eq() => Ok(()),
            found => Err(format!("{promql} is {found}, not {value}")),
        });
    }

    /// What is scraped.
    #[track_caller]
    pub(crate) fn targets(&self) -> Vec<Target> {
        let data = self.api("/api/v1/targets?state=active");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let targets = data["activeTargets"].as_array().expect("targets are a list").iter();
        targets
            .map(|target| Target {
                job: text(&target["labels"]["job"]),
                health: text(&target["health"]),
                last_error: text(&target["lastError"]),
                last_scrape: text(&target["lastScrape"]),
            })
            .collect()
    }

    /// Waits until each target was scraped, and panics if a scrape failed.
    #[track_caller]
    pub(crate) fn wait_until_up(&self) {
        let targets = eventually(DEADLINE, || {
            let targets = self.targets();
            let known =
                !targets.is_empty() && targets.iter().all(|target| target.health != "unknown");
            if known { Ok(targets) } else { Err(format!("{targets:?}")) }
        });
        for target in targets {
            assert!(target.health == "up" && target.last_error.is_empty(), "{target:?}");
        }
    }

    /// Waits until what is exposed now is stored.
    #[track_caller]
    pub(crate) fn settle(&self) {
        // A scrape may be under way, the one after it begins later than this, and the third begins when
        // the second is stored.
        for _ in 0..3 {
            let before: Vec<String> =
                self.targets().into_iter().map(|target| target.last_scrape).collect();
            eventually(DEADLINE, || {
                let targets = self.targets();
                let scraped = before.len() == targets.len()
                    && before.iter().zip(&targets).all(|(before, now)| *before != now.last_scrape);
                if scraped { Ok(()) } else { Err(format!("{targets:?}")) }
            });
        }
    }

    /// The warnings and errors in the server's log: samples that it did not take, for example.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let log = read(&self.directory.join("log"));
        // 2.x writes the level in lower case, 3.x in upper case.
        let levels = ["level=warn", "level=error", "level=WARN", "level=ERROR"];
        let is_one = |line: &&str| levels.iter().any(|level| line.contains(level));
        log.lines().filter(is_one).map(str::to_owned).collect()
    }

    /// What the server answers to a request of its interface.
    #[track_caller]
    pub(crate) fn api(&self, target: &str) -> Value {
        let response = http::get(self.address, target).expect("the server answers");
        let answer: Value = serde_json::from_slice(&response.body)
            .unwrap_or_else(|error| panic!("{target}: {error}: {}", response.text()));
        assert_eq!(answer["status"], "success", "{target}: {answer}");
        answer["data"].clone()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the log of prometheus:\n{}", read(&self.directory.join("log")));
        }
    }
}

/// The configuration of a server that scrapes `/metrics` of each job five times a second.
pub(crate) fn scrape_config(jobs: &[(&str, SocketAddr)]) -> String {
    let mut config = String::from(
        "global:\n  scrape_interval: 200ms\n  scrape_timeout: 200ms\nscrape_configs:\n",
    );
    for (job, address) in jobs {
        write!(
            config,
            "  - job_name: {job}\n    static_configs:\n      - targets: ['{address}']\n"
        )
        .expect("a string takes all");
    }
    config
}

/// A log, or why there is none.
pub(crate) fn read(log: &Path) -> String {
    fs::read_to_string(log).unwrap_or_else(|error| error.to_string())
}

/// The address in the line that says where the server listens, here and in Alertmanager.
pub(crate) fn listening_on(log: &str) -> Option<SocketAddr> {
    // The last line may be half written.
    let (log, _) = log.rsplit_once('\n')?;
    let line = log.lines().find(|line| line.contains("msg=\"Listening on\""))?;
    line.split_once("address=")?.1.split(' ').next()?.parse().ok()
}

fn sample(value: &Value) -> Option<Sample> {
    Some(Sample { labels: texts(&value["metric"])?, value: number(&value["value"])? })
}

/// Labels by their names.
pub(crate) fn texts(labels: &Value) -> Option<BTreeMap<String, String>> {
    let labels = labels.as_object()?.iter();
    labels.map(|(name, text)| Some((name.clone(), text.as_str()?.to_owned()))).collect()
}

/// The number in a pair of a time and a text.
fn number(value: &Value) -> Option<f64> {
    value[1].as_str()?.parse().ok()
}
