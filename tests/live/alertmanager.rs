//! An Alertmanager of the test's own.

use std::{
    env,
    fs::{self, File},
    net::SocketAddr,
    process::{Command, Stdio},
    thread,
};

use serde_json::{Value, json};

use crate::{
    http,
    process::Process,
    prometheus::{listening_on, read},
    tempdir::TempDir,
    wait::{DEADLINE, eventually},
};

/// A running server with storage of its own; both go away when it is dropped.
pub(crate) struct Alertmanager {
    address: SocketAddr,
    // The process ends before its directory goes.
    _process: Process,
    directory: TempDir,
}

/// What Debian calls the program, unless there is one that has the name of its makers.
fn program() -> &'static str {
    let directories = env::var_os("PATH").unwrap_or_default();
    let name = "alertmanager";
    if env::split_paths(&directories).any(|directory| directory.join(name).is_file()) {
        name
    } else {
        "prometheus-alertmanager"
    }
}

impl Alertmanager {
    /// Starts a server with this configuration and waits until it is ready.
    #[track_caller]
    pub(crate) fn start(config: &str) -> Self {
        let directory = TempDir::new();
        let config_file = directory.join("alertmanager.yml");
        fs::write(&config_file, config).expect("the directory can be written to");
        let log = directory.join("log");
        let log_file = File::create(&log).expect("the directory can be written to");
        let mut process = Process::spawn(
            Command::new(program())
                .arg(format!("--config.file={}", config_file.display()))
                .arg(format!("--storage.path={}", directory.join("data").display()))
                .arg("--web.listen-address=127.0.0.1:0")
                // Alone: no port for others of a cluster.
                .arg("--cluster.listen-address=")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(log_file),
        );
        let address = eventually(DEADLINE, || {
            let log = read(&log);
            if let Some(status) = process.ended() {
                panic!("{}: {status}\n{log}", program());
            }
            listening_on(&log).ok_or(log)
        });
        let this = Self { address, _process: process, directory };
        eventually(DEADLINE, || match http::get(address, "/-/ready") {
            Ok(response) if response.status == 200 => Ok(()),
            answer => Err(format!("{answer:?}")),
        });
        this
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends alerts with these labels, as Prometheus does.
    #[track_caller]
    pub(crate) fn post(&self, alerts: &[Value]) {
        let body = Value::from(alerts).to_string();
        let headers =
            [("Content-Type", "application/json"), ("Content-Length", &*body.len().to_string())];
        let answer = http::send(self.address, "POST", "/api/v2/alerts", &headers, &body);
        let answer = answer.expect("alertmanager answers");
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    /// The alerts that it knows of and that have these labels, with their status.
    #[track_caller]
    pub(crate) fn alerts(&self, labels: &Value) -> Vec<Value> {
        let answer = http::get(self.address, "/api/v2/alerts").expect("alertmanager answers");
        let alerts: Vec<Value> = serde_json::from_slice(&answer.body)
            .unwrap_or_else(|error| panic!("{error}: {}", answer.text()));
        let labels = labels.as_object().expect("labels are a mapping");
        let has_all =
            |alert: &Value| labels.iter().all(|(name, value)| alert["labels"][name] == *value);
        alerts.into_iter().filter(has_all).collect()
    }

    /// Waits until it knows of one alert with these labels in this state: `active`, or `suppressed`, which is
    /// silenced or inhibited.
    #[track_caller]
    pub(crate) fn wait_for(&self, labels: &Value, state: &str) {
        eventually(DEADLINE, || match self.alerts(labels).as_slice() {
            [alert] if alert["status"]["state"] == state => Ok(()),
            alerts => Err(format!("{labels} is not {state}: {alerts:?}")),
        });
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the log of alertmanager:\n{}", read(&self.directory.join("log")));
        }
    }
}

/// The configuration with a webhook in place of each receiver, at a path of its name.
#[track_caller]
pub(crate) fn with_webhooks(config: &str, webhook: SocketAddr) -> String {
    let mut config: Value = serde_saphyr::from_str(config).expect("YAML");
    for receiver in config["receivers"].as_array_mut().expect("receivers are a list") {
        let name = receiver["name"].as_str().expect("a receiver has a name");
        let url = format!("http://{webhook}/{name}");
        *receiver = json!({"name": name, "webhook_configs": [{"url": url}]});
    }
    config.to_string()
}
