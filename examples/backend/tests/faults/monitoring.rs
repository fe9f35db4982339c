//! The monitoring itself has a fault: a receiver that answers with errors, a rule that fails, a file that cannot be
//! loaded, a service that is down.

use std::{collections::BTreeSet, fs, thread, time::Duration};

use serde_json::json;

use crate::{
    alertmanager::{Alertmanager, with_webhooks},
    faster::faster,
    prometheus::Prometheus,
    runbooks::Runbooks,
    server::{Server, TEXT},
    tempdir::TempDir,
    wait::eventually,
    watch::{self, TIMES},
    webhook::Webhook,
};

/// How long the alerts may take.
const DEADLINE: Duration = Duration::from_mins(3);
/// Has two series for one.
const WRONG: &str = r#"
    groups: [{name: wrong, interval: 1s, rules: [{record: wrong, expr: "up * on () up"}]}]
"#;

#[test]
#[ignore = "needs Prometheus and Alertmanager: run scripts/test"]
fn a_fault_of_the_monitoring_is_told_of_until_it_is_mended() {
    let webhook = Webhook::start();
    webhook.refuse(Some("/pager"));
    let routes = watch::repository().join("monitoring/alertmanager/alertmanager.yml");
    let routes = fs::read_to_string(routes).expect("it can be read");
    let alertmanager =
        Alertmanager::start(&with_webhooks(&faster(&routes, TIMES), webhook.address()));
    let backend = Server::exposing(TEXT, "");
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
            // Nobody listens there.
            target("grafana", "127.0.0.1:1".to_owned()),
            {"job_name": "prometheus", "file_sd_configs": [{"files": [own]}]},
        ],
    });
    let prometheus = Prometheus::start(&config.to_string());
    write("own.json", &json!([{"targets": [prometheus.address.to_string()]}]).to_string());
    eventually(DEADLINE, || prometheus.value(r#"prometheus_config_last_reload_successful == 1"#));
    write("wrong.yml", "groups: nothing that is loaded");
    prometheus.reload();

    // The pager does not take what pages.
    let expected = BTreeSet::from([
        "ConfigurationReloadFailed",
        "MonitoringTargetDown",
        "NotificationsFailing",
        "RuleEvaluationFailing",
    ]);
    let mut runbooks = Runbooks::default();
    let mut told = |status: &str, expected: &BTreeSet<&str>| {
        eventually(DEADLINE, || {
            thread::sleep(Duration::from_millis(300));
            runbooks.look(&prometheus);
            let mut last = std::collections::BTreeMap::new();
            for alert in webhook.alerts("/chat").into_iter().chain(webhook.alerts("/pager")) {
                last.insert(watch::name(&alert["labels"]), alert["status"].clone());
            }
            let told: BTreeSet<&str> = last
                .iter()
                .filter(|(_, last)| *last == status)
                .map(|(name, _)| name.as_str())
                .collect();
            if told == *expected { Ok(()) } else { Err(format!("{status}: {told:?}")) }
        });
    };
    told("firing", &expected);
    write("wrong.yml", "groups: []");
    prometheus.reload();
    webhook.refuse(None);
    // Grafana stays away.
    told("firing", &BTreeSet::from(["MonitoringTargetDown"]));
    runbooks.check("monitoring", &[]);
}
