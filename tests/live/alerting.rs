//! The shipped rules and the shipped routes, from a target to a receiver.

use std::{
    fs,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use ::http::{Method, StatusCode};
use backend_metrics::{Metrics, WebsocketConnection};
use serde_json::{Value, json};

use crate::{
    alertmanager::{Alertmanager, with_webhooks},
    faster::faster,
    prometheus::Prometheus,
    routing::CONFIG,
    rules::{files, text},
    server::{Answer, Server, TEXT},
    tempdir::TempDir,
    wait::{DEADLINE, eventually},
    webhook::Webhook,
};

/// A minute takes 1.2 seconds, and every duration of the files is a whole number of milliseconds.
const TIMES: u64 = 50;

/// An instance of the backend that can be taken down.
struct Instance {
    server: Server,
    metrics: Metrics,
    down: Arc<AtomicBool>,
}

impl Instance {
    fn start() -> Self {
        let metrics = Metrics::new();
        let down = Arc::new(AtomicBool::new(false));
        let is_down = Arc::clone(&down);
        let server = Server::start(move |_| Answer {
            status: if is_down.load(Relaxed) { 503 } else { 200 },
            content_type: TEXT.to_owned(),
            body: metrics.to_text().into(),
        });
        Self { server, metrics, down }
    }

    fn name(&self) -> String {
        self.server.address().to_string()
    }
}

/// A Prometheus with the shipped rules, sped up.
fn prometheus(
    directory: &TempDir,
    instances: &[&Instance],
    alertmanager: SocketAddr,
) -> Prometheus {
    let rules: Vec<String> = files("alerts", "yml")
        .iter()
        .map(|file| {
            let copy = directory.join(file.file_name().expect("a file has a name"));
            fs::write(&copy, faster(&text(file), TIMES)).expect("the directory can be written to");
            copy.display().to_string()
        })
        .collect();
    let targets: Vec<String> = instances.iter().map(|instance| instance.name()).collect();
    let config = json!({
        "global": {"scrape_interval": "200ms", "scrape_timeout": "200ms"},
        "rule_files": rules,
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager.to_string()]}]}]},
        "scrape_configs": [{"job_name": "backend", "static_configs": [{"targets": targets}]}],
    });
    Prometheus::start(&config.to_string())
}

/// Waits for a notification of an alert with these labels, which has this status.
#[track_caller]
fn notified(webhook: &Webhook, path: &str, status: &str, labels: &Value) -> Value {
    eventually(DEADLINE, || {
        let alerts = webhook.alerts(path);
        let found =
            alerts.iter().find(|alert| alert["status"] == status && alert["labels"] == *labels);
        found.cloned().ok_or_else(|| format!("no {labels} is {status} in {alerts:?}"))
    })
}

#[test]
#[ignore = "needs Prometheus and Alertmanager: run scripts/test"]
fn a_target_that_is_down_is_told_of_until_it_is_back() {
    let webhook = Webhook::start();
    let config = with_webhooks(&faster(&text(CONFIG), TIMES), webhook.address());
    let alertmanager = Alertmanager::start(&config);
    let (failing, busy) = (Instance::start(), Instance::start());
    for _ in 0..101 {
        busy.metrics.track_websocket_connection("/ws", WebsocketConnection::Connected);
    }
    let directory = TempDir::new();
    let prometheus = prometheus(&directory, &[&failing, &busy], alertmanager.address());
    prometheus.wait_until_up();
    let many_connections = json!({
        "alertname": "WebSocketConnectionsHigh",
        "component": "websocket",
        "job": "backend",
        "severity": "warning",
    });
    notified(&webhook, "/chat", "firing", &many_connections);
    alertmanager.wait_for(&many_connections, "active");

    failing.down.store(true, Relaxed);
    let instance = failing.name();
    let down = json!({
        "alertname": "BackendServiceDown",
        "component": "service",
        "instance": instance,
        "job": "backend",
        "severity": "critical",
    });
    let alert = notified(&webhook, "/pager", "firing", &down);
    assert_eq!(
        alert["annotations"],
        json!({
            "summary": format!("{instance} is down"),
            "description": format!("Prometheus cannot scrape {instance} of job backend."),
            "runbook_url": "monitoring/runbooks/BackendServiceDown.md",
            "dashboard_url": "/d/backend-api",
        })
    );
    // One instance of two explains no alert of the job.
    alertmanager.wait_for(&many_connections, "active");

    failing.down.store(false, Relaxed);
    notified(&webhook, "/pager", "resolved", &down);

    for _ in 0..101 {
        busy.metrics.track_websocket_connection("/ws", WebsocketConnection::Disconnected);
    }
    notified(&webhook, "/chat", "resolved", &many_connections);
    let paged = webhook.alerts("/pager");
    let pages = |alert: &Value| alert["labels"]["alertname"] == "BackendServiceDown";
    assert!(paged.iter().all(pages), "{paged:?}");
    assert_eq!(prometheus.warnings(), [""; 0]);
}

#[test]
#[ignore = "needs Prometheus and Alertmanager: run scripts/test"]
fn instances_that_are_all_down_explain_what_else_fires() {
    let webhook = Webhook::start();
    let config = with_webhooks(&faster(&text(CONFIG), TIMES), webhook.address());
    let alertmanager = Alertmanager::start(&config);
    let instances = [Instance::start(), Instance::start()];
    let fail = |times| {
        for _ in 0..times {
            let (status, took) = (StatusCode::INTERNAL_SERVER_ERROR, Duration::from_millis(5));
            instances[0].metrics.track_http_request(&Method::GET, "/quotes", status, took, (1, 1));
        }
    };
    fail(1);
    let directory = TempDir::new();
    let all: Vec<&Instance> = instances.iter().collect();
    let prometheus = prometheus(&directory, &all, alertmanager.address());
    prometheus.wait_until_up();
    prometheus.settle();
    fail(20);
    let errors = json!({
        "alertname": "HighAPIErrorRate",
        "component": "http",
        "job": "backend",
        "severity": "critical",
    });
    notified(&webhook, "/pager", "firing", &errors);
    alertmanager.wait_for(&errors, "active");

    for instance in &instances {
        instance.down.store(true, Relaxed);
    }
    // It fires on, as it does for ten minutes.
    alertmanager.wait_for(&errors, "suppressed");
    for instance in &instances {
        let down = json!({"alertname": "BackendServiceDown", "instance": instance.name()});
        alertmanager.wait_for(&down, "active");
    }
    alertmanager.wait_for(&json!({"alertname": "AllInstancesDown"}), "active");
    let told = ["/chat", "/digest", "/tickets"].map(|path| webhook.alerts(path));
    let nobody = |alert: &Value| alert["labels"]["severity"] != "none";
    assert!(told.iter().flatten().all(nobody), "{told:?}");
}
