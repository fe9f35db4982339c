//! The monitoring itself has a fault: a receiver that answers with errors, a rule that fails, a file that cannot be
//! loaded, a service that is down.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::TcpListener,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    alertmanager::{Alertmanager, with_webhooks},
    faster::faster,
    postgres::Postgres,
    process::Process,
    prometheus::Prometheus,
    redis::Redis,
    runbooks::{Excuse::Nothing, Runbooks},
    server::{Server, TEXT},
    tempdir::TempDir,
    wait::eventually,
    watch::{self, TIMES},
    webhook::Webhook,
};

/// How long the alerts may take.
const DEADLINE: Duration = Duration::from_mins(3);
const NO_METRICS: &str = "the backend of this test has no metrics";
/// Has two series for one.
const WRONG: &str = r#"
    groups: [{name: wrong, interval: 1s, rules: [{record: wrong, expr: "up * on () up"}]}]
"#;

/// An exporter beside a server.
struct Exporter {
    address: String,
    _process: Process,
}

impl Exporter {
    /// Starts the program with this flag for where it listens.
    #[track_caller]
    fn start(command: &mut Command, listen: &str) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
        let address = free.expect("a port is free").to_string();
        command.arg(format!("{listen}={address}"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self { address, _process: Process::spawn(command) }
    }
}

#[test]
#[ignore = "needs PostgreSQL, Redis, their exporters, Prometheus and Alertmanager: run scripts/test"]
fn a_fault_of_the_monitoring_is_told_of_until_it_is_mended() {
    let webhook = Webhook::start();
    webhook.refuse(Some("/pager"));
    let routes = watch::repository().join("monitoring/alertmanager/alertmanager.yml");
    let routes = fs::read_to_string(routes).expect("it can be read");
    let alertmanager =
        Alertmanager::start(&with_webhooks(&faster(&routes, TIMES), webhook.address()));
    let backend = Server::exposing(TEXT, "");
    let (mut postgres, mut redis) = (Postgres::start(), Redis::start());
    let url = format!("{}?sslmode=disable", postgres.url());
    let postgres_exporter = Exporter::start(
        Command::new("prometheus-postgres-exporter").env("DATA_SOURCE_NAME", url),
        "--web.listen-address",
    );
    let redis_exporter = Exporter::start(
        Command::new("prometheus-redis-exporter").arg(format!("-redis.addr={}", redis.url())),
        "-web.listen-address",
    );
    let directory = TempDir::new();
    let write = |name: &str, text: &str| {
        fs::write(directory.join(name), text).expect("the directory can be written to");
    };
    let mut rules = watch::rules(&directory);
    rules.push(directory.join("wrong.yml").display().to_string());
    write("wrong.yml", WRONG);
    let own = directory.join("own.json");
    let target = |job: &str, address: String| json!({"job_name": job, "static_configs": [{"targets": [address]}]});
    let config = json!({
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "rule_files": rules,
        "alerting": {"alertmanagers": [
            {"static_configs": [{"targets": [alertmanager.address().to_string()]}]},
        ]},
        "scrape_configs": [
            target("backend", backend.address().to_string()),
            target("alertmanager", alertmanager.address().to_string()),
            // Without its server this exporter takes some seconds to answer.
            {"job_name": "postgres", "scrape_interval": "5s", "scrape_timeout": "5s",
                "static_configs": [{"targets": [postgres_exporter.address]}]},
            target("redis", redis_exporter.address),
            // Nobody listens there.
            target("grafana", "127.0.0.1:1".to_owned()),
            {"job_name": "prometheus", "file_sd_configs": [{"files": [own]}]},
        ],
    });
    let prometheus = Prometheus::start(&config.to_string());
    write("own.json", &json!([{"targets": [prometheus.address.to_string()]}]).to_string());
    eventually(DEADLINE, || prometheus.value("prometheus_config_last_reload_successful == 1"));
    // Which fires before the first scrape.
    prometheus.wait_for(r#"absent(ALERTS{alertname="BackendServiceDown"})"#, 1.0);
    prometheus.wait_for("pg_up", 1.0);
    prometheus.wait_for("redis_up", 1.0);
    postgres.kill();
    redis.stop();
    write("wrong.yml", "groups: nothing that is loaded");
    prometheus.reload();

    // The pager does not take what pages.
    let expected = BTreeSet::from([
        "ConfigurationReloadFailed",
        "MonitoringTargetDown",
        "NotificationsFailing",
        "PostgresUnreachable",
        "RedisUnreachable",
        "RuleEvaluationFailing",
    ]);
    let told_last = || -> BTreeMap<String, String> {
        let alerts = webhook.alerts("/chat").into_iter().chain(webhook.alerts("/pager"));
        let status = |alert: &Value| alert["status"].as_str().unwrap_or_default().to_owned();
        alerts.map(|alert| (watch::name(&alert["labels"]), status(&alert))).collect()
    };
    let fires = |expected: &BTreeSet<&str>| {
        thread::sleep(Duration::from_secs(1));
        let last = told_last();
        let fire = last.iter().filter(|(_, status)| *status == "firing");
        let fire: BTreeSet<&str> = fire.map(|(name, _)| name.as_str()).collect();
        if fire == *expected { Ok(()) } else { Err(format!("{last:?}")) }
    };
    let mut runbooks = Runbooks::default();
    eventually(DEADLINE, || {
        runbooks.look(&prometheus);
        fires(&expected)
    });
    runbooks.look(&prometheus);
    // By the way that does not fail.
    let chat = webhook.alerts("/chat");
    assert!(chat.iter().any(|alert| alert["labels"]["alertname"] == "NotificationsFailing"));

    postgres.run();
    redis.run();
    write("wrong.yml", "groups: []");
    prometheus.reload();
    webhook.refuse(None);
    // Grafana stays away.
    eventually(DEADLINE, || fires(&BTreeSet::from(["MonitoringTargetDown"])));
    runbooks.check(
        "monitoring",
        &[
            Nothing(r#"up{job="node"}"#, "there is none"),
            Nothing(r#"up{job="grafana"}"#, "0 is what it says"),
            Nothing(r#"up{job="loki"}"#, "there is none"),
            Nothing(r#"ALERTS{job="backend",alertstate="firing"}"#, "the backend is well"),
            Nothing("metrics_series", NO_METRICS),
            Nothing("database_", NO_METRICS),
            Nothing("redis_connection_errors_total", NO_METRICS),
            Nothing("cache_operations_total", NO_METRICS),
            Nothing("prometheus_config_last_reload_successful", "0 is what it says"),
        ],
    );
}
