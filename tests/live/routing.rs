//! Where the shipped configuration sends alerts, and which of them it keeps to itself.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::{
    alertmanager::{Alertmanager, with_webhooks},
    process::spawn,
    rules::{Alert, alerts, text},
    webhook::Webhook,
};

pub(crate) const CONFIG: &str = "monitoring/alertmanager/alertmanager.yml";

/// What explains what: the labels of two alerts that fire together, and whether the second one stays silent.
#[rustfmt::skip]
fn pairs() -> Vec<(Value, Value, bool)> {
    let of = |name: &str, severity: &str| json!({"alertname": name, "severity": severity});
    let at = |name: &str, severity: &str, instance: &str| json!({"alertname": name, "severity": severity, "instance": instance});
    let worker = |name: &str, worker: &str| json!({"alertname": name, "severity": "warning", "worker_type": worker});
    let stuck = |instance: &str, worker: &str| json!({"alertname": "WorkerStuck", "severity": "warning", "instance": instance, "worker_type": worker});
    let burns = |class: &str, severity: &str, slo: &str| json!({"alertname": "SLOErrorBudgetBurn", "alert_class": class, "severity": severity, "slo": slo});
    let page = |slo: &str| burns("page", "critical", slo);
    let ticket = |slo: &str| burns("ticket", "warning", slo);
    let down = at("BackendServiceDown", "critical", "a");
    let none = of("BackendServiceDown", "critical");
    let all = of("AllInstancesDown", "none");
    vec![
        // One instance of many explains its own alerts, and none of the job.
        (down.clone(), at("DatabasePoolExhausted", "critical", "a"), true),
        (down.clone(), at("MarketDataStale", "warning", "a"), true),
        (down.clone(), at("DatabasePoolExhausted", "critical", "b"), false),
        (down.clone(), at("HighDatabasePoolUtilization", "warning", "b"), false),
        (down.clone(), at("MarketDataStale", "warning", "b"), false),
        (down.clone(), of("HighAPIErrorRate", "critical"), false),
        (down.clone(), of("LowCacheHitRate", "warning"), false),
        (down.clone(), of("NoActiveUsers", "info"), false),
        (down.clone(), of("StrategyM2MStale", "warning"), false),
        (down.clone(), worker("WorkerWithoutSuccess", "reports"), false),
        (down.clone(), page("api-availability"), false),
        (down.clone(), ticket("api-availability"), false),
        (down, at("BackendServiceDown", "critical", "b"), false),
        // All of them explain all else of the job.
        (all.clone(), at("BackendServiceDown", "critical", "a"), false),
        (all.clone(), at("DatabasePoolExhausted", "critical", "b"), true),
        (all.clone(), at("MarketDataStale", "warning", "b"), true),
        (all.clone(), of("HighAPIErrorRate", "critical"), true),
        (all.clone(), of("StrategyM2MStale", "warning"), true),
        (all.clone(), of("NoActiveUsers", "info"), true),
        (all.clone(), worker("WorkerWithoutSuccess", "reports"), true),
        (all.clone(), page("api-availability"), true),
        (all, ticket("api-availability"), true),
        // With no instance known neither side has one.
        (none.clone(), of("HighAPIErrorRate", "critical"), true),
        (none.clone(), of("LowCacheHitRate", "warning"), true),
        (none, of("NoActiveUsers", "info"), true),

        (page("ws-errors"), ticket("ws-errors"), true),
        (page("ws-errors"), ticket("api-availability"), false),

        (of("HighAPIErrorRate", "critical"), of("HighAPILatency", "warning"), false),
        (of("HighAPIErrorRate", "critical"), of("CriticalAPILatency", "critical"), false),
        (of("HighAPIErrorRate", "critical"), of("MostRequestsRefused", "critical"), false),
        (of("HighAPIErrorRate", "critical"), of("DatabasePoolExhausted", "critical"), false),
        (of("EndpointFailing", "critical"), of("APIErrorRateAboveTarget", "warning"), false),
        (of("EndpointFailing", "critical"), of("InstanceFailing", "critical"), false),
        (of("CriticalAPILatency", "critical"), of("API_SLA_Breach_Latency", "critical"), true),
        (of("CriticalAPILatency", "critical"), of("HighAPILatency", "warning"), true),
        (of("CriticalAPILatency", "critical"), of("API_SLA_Breach_Availability", "critical"), false),
        (of("API_SLA_Breach_Latency", "critical"), of("HighAPILatency", "warning"), false),
        (of("MostRequestsDropped", "critical"), of("HighDroppedRequestRate", "warning"), true),
        (of("MostRequestsDropped", "critical"), of("HighAPILatency", "warning"), false),
        (of("MostRequestsRefused", "critical"), of("HighAuthenticationFailureRate", "warning"), true),
        (of("MostRequestsRefused", "critical"), of("HighRateLimitViolations", "warning"), true),
        (of("MostRequestsRefused", "critical"), of("HighAPIErrorRate", "critical"), false),
        (of("TrafficStopped", "critical"), of("HighAPIErrorRate", "critical"), false),

        (at("DatabasePoolExhausted", "critical", "a"), at("HighDatabasePoolUtilization", "warning", "a"), true),
        (at("DatabasePoolExhausted", "critical", "a"), at("HighDatabasePoolUtilization", "warning", "b"), false),
        (at("DatabasePoolExhausted", "critical", "a"), of("DatabasePoolUtilizationAboveTarget", "warning"), true),
        (at("DatabaseAcquireTimeouts", "critical", "a"), at("HighDatabasePoolUtilization", "warning", "a"), true),
        (at("DatabaseAcquireTimeouts", "critical", "a"), of("DatabasePoolUtilizationAboveTarget", "warning"), false),
        (at("DatabaseAcquireTimeouts", "critical", "a"), of("ElevatedDatabaseLatency", "warning"), false),
        (at("DatabaseQueriesFailing", "critical", "a"), at("HighDatabasePoolUtilization", "warning", "a"), false),

        (at("RedisConnectionFailure", "critical", "a"), of("MemoryHitRateBelowTarget", "warning"), false),
        (at("RedisConnectionFailure", "critical", "a"), at("RedisUnreachable", "warning", "r"), false),
        (of("LowCacheHitRate", "warning"), of("CacheMissRateHigh", "info"), true),
        (of("LowCacheHitRate", "warning"), of("RedisHitRateBelowTarget", "warning"), true),
        (of("LowCacheHitRate", "warning"), of("MemoryHitRateBelowTarget", "warning"), false),

        (at("CircuitBreakerOpen", "critical", "a"), of("TickerServiceHighLatency", "warning"), true),
        (at("CircuitBreakerOpen", "critical", "a"), at("TickerTicksStale", "critical", "a"), false),
        (at("TickerTicksStale", "critical", "a"), at("MarketDataStale", "warning", "a"), true),
        (at("TickerTicksStale", "critical", "a"), at("MarketDataStale", "warning", "b"), false),
        (at("TickerTicksStale", "critical", "a"), at("TickerSubscriptionsLost", "warning", "a"), true),
        (at("TickerTicksStale", "critical", "a"), at("TickerSubscriptionsLost", "warning", "b"), false),
        (at("TickerTicksStale", "critical", "a"), of("StrategyM2MStale", "warning"), false),
        (of("StrategyM2MCalculationErrors", "warning"), of("StrategyM2MMostlyFailing", "warning"), true),
        (of("StrategyM2MCalculationErrors", "warning"), of("StrategyM2MStale", "warning"), false),
        (worker("WorkerWithoutSuccess", "reports"), stuck("a", "reports"), true),
        (worker("WorkerWithoutSuccess", "reports"), stuck("a", "quotes"), false),
    ]
}

/// The causes that explain several alerts each, or that several explain.
#[rustfmt::skip]
fn groups() -> Vec<(Value, Value, bool)> {
    let of = |name: &str, severity: &str| json!({"alertname": name, "severity": severity});
    let at = |name: &str, severity: &str, instance: &str| json!({"alertname": name, "severity": severity, "instance": instance});
    let page = |slo: &str| json!({"alertname": "SLOErrorBudgetBurn", "alert_class": "page", "severity": "critical", "slo": slo});
    let mut pairs = Vec::new();
    for cause in ["CriticalAPILatency", "EndpointFailing", "FirstRequestsFailing", "HighAPIErrorRate", "InstanceFailing", "MostRequestsDropped"] {
        pairs.push((of(cause, "critical"), page("api-availability"), true));
        pairs.push((of(cause, "critical"), page("api-latency-p99-1s"), true));
        pairs.push((of(cause, "critical"), page("db-acquire-timeouts"), false));
        pairs.push((of(cause, "critical"), page("ws-errors"), false));
    }
    for target in ["EndpointFailing", "FirstRequestsFailing", "InstanceFailing", "API_SLA_Breach_Availability"] {
        pairs.push((of("HighAPIErrorRate", "critical"), of(target, "critical"), true));
    }
    pairs.push((of("HighAPIErrorRate", "critical"), of("APIErrorRateAboveTarget", "warning"), true));
    for cause in ["DatabaseAcquireTimeouts", "DatabasePoolExhausted", "DatabaseQueriesFailing"] {
        pairs.push((at(cause, "critical", "a"), page("db-acquire-timeouts"), true));
        pairs.push((at(cause, "critical", "a"), page("db-latency-p95-100ms"), true));
        pairs.push((at(cause, "critical", "a"), page("api-availability"), false));
    }
    for cause in ["RedisConnectionFailure", "RedisOperationsFailing"] {
        pairs.push((at(cause, "critical", "a"), page("cache-latency-p95-10ms"), true));
        pairs.push((at(cause, "critical", "a"), page("db-latency-p95-100ms"), false));
        for target in ["LowCacheHitRate", "RedisHitRateBelowTarget", "CacheMissRateHigh"] {
            pairs.push((at(cause, "critical", "a"), of(target, "warning"), true));
        }
    }
    pairs
}

/// Lets Alertmanager judge pairs, each of a job of its own.
#[track_caller]
fn assert_explained(pairs: Vec<(Value, Value, bool)>) {
    let webhook = Webhook::start();
    let alertmanager = Alertmanager::start(&with_webhooks(&text(CONFIG), webhook.address()));
    let of_job = |labels: &Value, job: usize| {
        let mut labels = labels.clone();
        labels["job"] = format!("backend-{job}").into();
        labels
    };
    let labels: Vec<(Value, Value, bool)> = pairs
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

#[test]
#[ignore = "needs Alertmanager: run scripts/test"]
fn an_alert_that_another_one_explains_is_silent() {
    assert_explained([pairs(), groups()].concat());
}

/// The exchange is the same for all jobs, so these pairs have an Alertmanager of their own.
#[test]
#[ignore = "needs Alertmanager: run scripts/test"]
fn a_closed_market_explains_that_nobody_is_active_and_nothing_else() {
    let closed = json!({"alertname": "MarketClosed", "severity": "none"});
    let pair = |alert: Alert| {
        let mut labels = json!(alert.labels);
        labels["alertname"] = alert.name.as_str().into();
        (closed.clone(), labels, alert.name == "NoActiveUsers")
    };
    // A service that is down explains all else of its job, this one too.
    let but = ["MarketClosed", "BackendServiceDown", "AllInstancesDown"];
    let others = alerts().into_iter().filter(|alert| !but.contains(&&*alert.name));
    assert_explained(others.map(pair).collect());
}

/// Each alert with the receiver that it goes to.
#[rustfmt::skip]
const RECEIVERS: &[(&str, &[&str])] = &[
    ("pager", &[
        "BackendServiceDown", "HighAPIErrorRate", "DatabasePoolExhausted", "DatabaseAcquireTimeouts",
        "CriticalAPILatency", "RedisConnectionFailure", "CircuitBreakerOpen", "TickerTicksStale",
        "SLOErrorBudgetBurn page", "MostRequestsDropped", "InstancesLost", "BackendCrashLooping", "TrafficStopped",
        "MostRequestsRefused", "EndpointFailing", "InstanceFailing", "FirstRequestsFailing", "OrdersFailing",
        "DatabaseQueriesFailing", "RedisOperationsFailing", "WebSocketClientsLost", "TickerTicksLate",
        "AlertsNotDelivered", "RuleEvaluationFailing",
    ]),
    ("chat,pager", &["NotificationsFailing"]),
    ("tickets", &["SLOErrorBudgetBurn ticket"]),
    ("chat", &[
        "HighAPILatency", "ElevatedDatabaseLatency", "HighDatabasePoolUtilization", "LowCacheHitRate",
        "HighOrderRejectionRate", "StrategyM2MCalculationErrors", "TickerServiceHighLatency",
        "HighAuthenticationFailureRate", "WebSocketConnectionsHigh", "BackgroundWorkerQueueBacklog",
        "HighRateLimitViolations", "API_SLA_Breach_Latency", "API_SLA_Breach_Availability", "MarketDataStale",
        "FOInstrumentCacheStale", "StrategyM2MStale", "PeriodicWorkerStale", "WorkerWithoutSuccess",
        "APIErrorRateAboveTarget", "DatabasePoolUtilizationAboveTarget", "RedisHitRateBelowTarget",
        "MemoryHitRateBelowTarget", "HighDroppedRequestRate", "MetricLabelOverflow",
        "MetricsCallbackFailing", "OrderValidationsFailing", "StrategyM2MMostlyFailing", "WorkerStuck",
        "TickerSubscriptionsLost", "ClockAhead", "TradingCalendarEnds", "ConfigurationReloadFailed",
        "MonitoringTargetDown", "PostgresUnreachable", "RedisUnreachable", "ScrapeNearDeadline",
    ]),
    ("digest", &[
        "NoActiveUsers", "FOQueryLatencyIncreasing", "StatementParsingErrors", "CacheMissRateHigh",
    ]),
    ("watchdog", &["Watchdog"]),
    ("nobody", &["AllInstancesDown", "MarketClosed"]),
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
        // No route asks for one that is written with a template.
        let labels = alert.labels.iter().filter(|(_, value)| !value.contains("{{"));
        let labels = labels.map(|(name, value)| format!("{name}={value}"));
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
