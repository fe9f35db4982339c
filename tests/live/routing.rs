//! Where the shipped configuration sends alerts, and which of them it keeps to itself.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::{
    alertmanager::{Alertmanager, with_webhooks},
    process::spawn,
    rules::{alerts, text},
    webhook::Webhook,
};

pub(crate) const CONFIG: &str = "monitoring/alertmanager/alertmanager.yml";

/// What explains what: the labels of two alerts that fire together, and whether the second one stays silent.
#[rustfmt::skip]
fn pairs() -> Vec<(Value, Value, bool)> {
    let down = json!({"alertname": "BackendServiceDown", "instance": "a", "severity": "critical"});
    let none = json!({"alertname": "BackendServiceDown", "severity": "critical"});
    let of = |name: &str, severity: &str| json!({"alertname": name, "severity": severity});
    let at = |name: &str, severity: &str, instance: &str| json!({"alertname": name, "severity": severity, "instance": instance});
    let burns = |class: &str, severity: &str, slo: &str| json!({"alertname": "SLOErrorBudgetBurn", "alert_class": class, "severity": severity, "slo": slo});
    vec![
        (down.clone(), at("DatabasePoolExhausted", "critical", "a"), true),
        (down.clone(), at("DatabasePoolExhausted", "critical", "b"), false),
        (down.clone(), at("HighDatabasePoolUtilization", "warning", "b"), true),
        (down.clone(), of("HighAPIErrorRate", "critical"), false),
        (down.clone(), of("LowCacheHitRate", "warning"), true),
        (down.clone(), of("NoActiveUsers", "info"), true),
        (down.clone(), burns("page", "critical", "api-availability"), false),
        (down.clone(), burns("ticket", "warning", "api-availability"), true),
        (down, at("BackendServiceDown", "critical", "b"), false),
        (none.clone(), of("HighAPIErrorRate", "critical"), true),
        (none.clone(), of("LowCacheHitRate", "warning"), true),
        (none, of("NoActiveUsers", "info"), true),
        (burns("page", "critical", "ws-errors"), burns("ticket", "warning", "ws-errors"), true),
        (burns("page", "critical", "ws-errors"), burns("ticket", "warning", "api-availability"), false),
        (of("HighAPIErrorRate", "critical"), of("APIErrorRateAboveTarget", "warning"), true),
        (of("HighAPIErrorRate", "critical"), of("HighAPILatency", "warning"), false),
        (of("CriticalAPILatency", "critical"), of("HighAPILatency", "warning"), true),
        (of("MostRequestsDropped", "critical"), of("HighDroppedRequestRate", "warning"), true),
        (of("MostRequestsDropped", "critical"), of("HighAPILatency", "warning"), false),
        (of("API_SLA_Breach_Latency", "critical"), of("HighAPILatency", "warning"), false),
        (at("DatabasePoolExhausted", "critical", "a"), at("HighDatabasePoolUtilization", "warning", "a"), true),
        (at("DatabasePoolExhausted", "critical", "a"), at("HighDatabasePoolUtilization", "warning", "b"), false),
        (at("DatabasePoolExhausted", "critical", "a"), of("DatabasePoolUtilizationAboveTarget", "warning"), true),
        (at("DatabaseAcquireTimeouts", "critical", "a"), at("HighDatabasePoolUtilization", "warning", "a"), true),
        (at("DatabaseAcquireTimeouts", "critical", "a"), of("ElevatedDatabaseLatency", "warning"), false),
        (at("RedisConnectionFailure", "critical", "a"), of("LowCacheHitRate", "warning"), true),
        (at("RedisConnectionFailure", "critical", "a"), of("MemoryHitRateBelowTarget", "warning"), false),
        (of("LowCacheHitRate", "warning"), of("CacheMissRateHigh", "info"), true),
        (of("LowCacheHitRate", "warning"), of("RedisHitRateBelowTarget", "warning"), true),
        (at("CircuitBreakerOpen", "critical", "a"), of("TickerServiceHighLatency", "warning"), true),
        (at("CircuitBreakerOpen", "critical", "a"), of("TickerTicksStale", "critical"), false),
    ]
}

#[test]
#[ignore = "needs Alertmanager: run scripts/test"]
fn an_alert_that_another_one_explains_is_silent() {
    let webhook = Webhook::start();
    let alertmanager = Alertmanager::start(&with_webhooks(&text(CONFIG), webhook.address()));
    // Each pair is of a job of its own.
    let of_job = |labels: &Value, job: usize| {
        let mut labels = labels.clone();
        labels["job"] = format!("backend-{job}").into();
        labels
    };
    let labels: Vec<(Value, Value, bool)> = pairs()
        .into_iter()
        .enumerate()
        .map(|(job, (source, target, silent))| (of_job(&source, job), of_job(&target, job), silent))
        .collect();
    let (silent, heard): (Vec<_>, Vec<_>) = labels.into_iter().partition(|(_, _, silent)| *silent);
    // They are taken in turn: when the last ones have had their effect, so have the first.
    for pairs in [&heard, &silent] {
        let alerts: Vec<Value> = pairs
            .iter()
            .flat_map(|(source, target, _)| [json!({"labels": source}), json!({"labels": target})])
            .collect();
        alertmanager.post(&alerts);
    }
    for (source, target, _) in &silent {
        alertmanager.wait_for(target, "suppressed");
        alertmanager.wait_for(source, "active");
    }
    for (source, target, _) in &heard {
        alertmanager.wait_for(target, "active");
        alertmanager.wait_for(source, "active");
    }
}

/// Each alert with the receiver that it goes to.
#[rustfmt::skip]
const RECEIVERS: &[(&str, &[&str])] = &[
    ("pager", &[
        "BackendServiceDown", "HighAPIErrorRate", "DatabasePoolExhausted", "DatabaseAcquireTimeouts",
        "CriticalAPILatency", "RedisConnectionFailure", "CircuitBreakerOpen", "TickerTicksStale",
        "SLOErrorBudgetBurn page", "MostRequestsDropped",
    ]),
    ("tickets", &["SLOErrorBudgetBurn ticket"]),
    ("chat", &[
        "HighAPILatency", "ElevatedDatabaseLatency", "HighDatabasePoolUtilization", "LowCacheHitRate",
        "HighOrderRejectionRate", "StrategyM2MCalculationErrors", "TickerServiceHighLatency",
        "HighAuthenticationFailureRate", "WebSocketConnectionsHigh", "BackgroundWorkerQueueBacklog",
        "HighRateLimitViolations", "API_SLA_Breach_Latency", "API_SLA_Breach_Availability", "MarketDataStale",
        "FOInstrumentCacheStale", "StrategyM2MStale", "PeriodicWorkerStale", "WorkerWithoutSuccess",
        "APIErrorRateAboveTarget", "DatabasePoolUtilizationAboveTarget", "RedisHitRateBelowTarget",
        "MemoryHitRateBelowTarget", "HighDroppedRequestRate", "MetricLabelOverflow",
        "MetricsCallbackFailing",
    ]),
    ("digest", &[
        "NoActiveUsers", "FOQueryLatencyIncreasing", "StatementParsingErrors", "CacheMissRateHigh",
    ]),
];

#[test]
#[ignore = "needs amtool: run scripts/test"]
fn each_alert_goes_to_its_receiver() {
    let mut left: Vec<&str> = RECEIVERS.iter().flat_map(|(_, alerts)| *alerts).copied().collect();
    for alert in alerts() {
        let name = [&*alert.name, alert.label("alert_class")].join(" ").trim_end().to_owned();
        left.retain(|left| *left != name);
        let expected = RECEIVERS.iter().find(|(_, alerts)| alerts.contains(&&*name));
        let (expected, _) = expected.unwrap_or_else(|| panic!("where does {name} go?"));
        let labels = alert.labels.iter().map(|(name, value)| format!("{name}={value}"));
        let amtool = spawn(
            Command::new("amtool")
                .args(["config", "routes", "test", "--config.file", CONFIG, "job=backend"])
                .arg(format!("alertname={}", alert.name))
                .args(labels)
                .current_dir(env!("CARGO_MANIFEST_DIR"))
                .stdout(Stdio::piped())
                .stderr(Stdio::piped()),
        );
        let output = amtool.wait_with_output().expect("a child can be waited for");
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), *expected, "{name}");
    }
    assert_eq!(left, [""; 0], "no such alert");
}
