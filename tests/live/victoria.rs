//! A `VictoriaMetrics` and a vmalert of the test's own.

use std::{
    fs::{self, File},
    net::{SocketAddr, TcpListener},
    process::{Command, Stdio},
    thread,
};

use serde_json::Value;

use crate::{
    http,
    process::Process,
    prometheus::scrape_config,
    tempdir::TempDir,
    wait::{DEADLINE, eventually},
};

/// One of the two, running; it goes away when it is dropped.
pub(crate) struct Victoria {
    pub(crate) address: SocketAddr,
    name: &'static str,
    // The process ends before its directory goes.
    _process: Process,
    directory: TempDir,
}

impl Victoria {
    /// Starts a `VictoriaMetrics` with storage of its own.
    #[track_caller]
    pub(crate) fn metrics() -> Self {
        let directory = TempDir::new();
        let data = format!("-storageDataPath={}", directory.join("data").display());
        // A query is about its own time, not about half a minute before it.
        Self::run("victoria-metrics", directory, &[&data, "-search.latencyOffset=0s"])
    }

    /// Starts one that scrapes `/metrics` of each job five times a second.
    #[track_caller]
    pub(crate) fn scraping(jobs: &[(&str, SocketAddr)]) -> Self {
        let directory = TempDir::new();
        let config = directory.join("prometheus.yml");
        fs::write(&config, scrape_config(jobs)).expect("the directory can be written to");
        let data = format!("-storageDataPath={}", directory.join("data").display());
        let config = format!("-promscrape.config={}", config.display());
        Self::run("victoria-metrics", directory, &[&data, &config, "-search.latencyOffset=0s"])
    }

    /// Starts a vmalert that evaluates the files of rules on a `VictoriaMetrics`, and writes to it what they record.
    #[track_caller]
    pub(crate) fn alert(rules: &str, on: &Self) -> Self {
        let url = |flag: &str| format!("-{flag}.url=http://{}", on.address);
        let arguments = [
            &format!("-rule={rules}"),
            &url("datasource"),
            &url("remoteWrite"),
            &url("remoteRead"),
            "-disableAlertgroupLabel",
            // Nobody is told.
            "-notifier.url=http://127.0.0.1:1",
        ];
        Self::run("vmalert", TempDir::new(), &arguments)
    }

    #[track_caller]
    fn run(name: &'static str, directory: TempDir, arguments: &[&str]) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
        let address = free.expect("a port is free");
        let log = File::create(directory.join("log")).expect("the directory can be written to");
        let mut command = Command::new(name);
        command.arg(format!("-httpListenAddr={address}")).args(arguments);
        let mut process =
            Process::spawn(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log));
        eventually(DEADLINE, || {
            if let Some(status) = process.ended() {
                panic!("{name}: {status}\n{}", log_of(&directory));
            }
            match http::get(address, "/health") {
                Ok(response) if response.status == 200 => Ok(()),
                answer => Err(format!("{answer:?}")),
            }
        });
        Self { address, name, _process: process, directory }
    }

    /// What it answers to a request of the interface that it shares with Prometheus.
    #[track_caller]
    pub(crate) fn api(&self, target: &str) -> Value {
        let response = http::get(self.address, target).expect("it answers");
        let answer: Value = serde_json::from_slice(&response.body)
            .unwrap_or_else(|error| panic!("{target}: {error}: {}", response.text()));
        assert_eq!(answer["status"], "success", "{target}: {answer}");
        answer["data"].clone()
    }
}

impl Drop for Victoria {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the log of {}:\n{}", self.name, log_of(&self.directory));
        }
    }
}

fn log_of(directory: &TempDir) -> String {
    fs::read_to_string(directory.join("log")).unwrap_or_else(|error| error.to_string())
}
