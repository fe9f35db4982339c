//! Thresholds of one idea agree, wherever they are written.

use crate::{
    duration::milliseconds,
    rules::{Alert, alerts, list, rules, string, yaml},
};

/// Alerts whose description names no limit: a state is what they are about, or a rate that it names itself.
const WITHOUT_LIMIT: [&str; 23] = [
    "AlertsNotDelivered",
    "AllInstancesDown",
    "BackendCrashLooping",
    "BackendServiceDown",
    "CircuitBreakerOpen",
    "ConfigurationReloadFailed",
    "InstancesLost",
    "MarketClosed",
    "MetricLabelOverflow",
    "MetricsCallbackFailing",
    "MonitoringTargetDown",
    "NoActiveUsers",
    "NotificationsFailing",
    "PostgresUnreachable",
    "RedisUnreachable",
    "RuleEvaluationFailing",
    "SLOErrorBudgetBurn",
    "SLOErrorBudgetBurn",
    "TickerSubscriptionsLost",
    "TradingCalendarEnds",
    "TrafficStopped",
    "Watchdog",
    "WebSocketClientsLost",
];

/// The numbers that an expression compares with.
fn compared(expr: &str) -> Vec<f64> {
    let words: Vec<&str> = expr.split_whitespace().collect();
    let pairs = words.windows(2).filter(|pair| ["==", ">", ">=", "<", "<="].contains(&pair[0]));
    pairs.filter_map(|pair| pair[1].parse().ok()).collect()
}

/// The limit that a description names, as a number.
fn named(description: &str) -> Option<f64> {
    const BEFORE: [&str; 5] = [
        "the limit is ",
        "the limit of this alert is ",
        "the target is below ",
        "the target is above ",
        "the agreement says ",
    ];
    let words = BEFORE.iter().find_map(|before| Some(description.split_once(before)?.1))?;
    // A point inside a number is no full stop.
    let limit = words.split(". ").next()?.trim_end_matches('.');
    Some(match (limit.strip_suffix('%'), limit.parse()) {
        (Some(percent), _) => percent.parse::<f64>().ok()? / 100.0,
        (None, Ok(number)) => number,
        (None, Err(_)) if limit == "one day" => 86_400.0,
        (None, Err(_)) => seconds(limit),
    })
}

#[expect(clippy::cast_precision_loss, reason = "they are small")]
fn seconds(duration: &str) -> f64 {
    milliseconds(duration) as f64 / 1000.0
}

#[track_caller]
fn find(name: &str) -> Alert {
    alerts().into_iter().find(|alert| alert.name == name).expect(name)
}

/// The one number that an alert compares its value with, once or more; after `and` stand its guards.
#[track_caller]
fn threshold(name: &str) -> f64 {
    let expr = find(name).expr;
    let value: Vec<&str> = expr.split_whitespace().take_while(|word| *word != "and").collect();
    match compared(&value.join(" ")).as_slice() {
        [number, others @ ..] if others.iter().all(|other| equal(*other, *number)) => *number,
        numbers => panic!("{name} compares with {numbers:?}: {expr}"),
    }
}

fn equal(left: f64, right: f64) -> bool {
    (left - right).abs() < 1e-9
}

#[test]
fn a_description_names_the_limit_of_its_expression() {
    let mut without = Vec::new();
    for Alert { name, expr, annotations, .. } in alerts() {
        let Some(limit) = named(&annotations["description"]) else {
            without.push(name);
            continue;
        };
        let compared = compared(&expr);
        assert!(
            compared.iter().any(|number| equal(*number, limit)),
            "{name} names {limit} and compares with {compared:?}"
        );
    }
    without.sort_unstable();
    assert_eq!(without, WITHOUT_LIMIT);
}

#[test]
fn the_harsher_alert_has_the_harsher_limit() {
    for (milder, harsher) in [
        ("HighAPILatency", "CriticalAPILatency"),
        ("APIErrorRateAboveTarget", "HighAPIErrorRate"),
        ("HighDatabasePoolUtilization", "DatabasePoolExhausted"),
        ("DatabasePoolUtilizationAboveTarget", "DatabasePoolExhausted"),
        ("HighDroppedRequestRate", "MostRequestsDropped"),
    ] {
        assert!(threshold(milder) < threshold(harsher), "{milder} and {harsher}");
    }
    assert!(threshold("LowCacheHitRate") < threshold("RedisHitRateBelowTarget"));
}

/// What a service level objective is made of.
struct Objective {
    slo: String,
    share: f64,
    /// The expression of its bad events.
    bad: String,
}

fn objectives() -> Vec<Objective> {
    let rules = rules();
    let of = |record: &str, slo: &str| {
        let of_slo =
            rules.iter().find(|rule| rule["record"] == record && rule["labels"]["slo"] == slo);
        let of_slo = of_slo.unwrap_or_else(|| panic!("{slo} has no {record}"));
        string(&of_slo["expr"])
    };
    let objectives = rules.iter().filter(|rule| rule["record"] == "slo:objective:ratio");
    let objectives: Vec<Objective> = objectives
        .map(|rule| {
            let slo = string(&rule["labels"]["slo"]);
            let expr = string(&rule["expr"]);
            let share = expr.strip_prefix("vector(").and_then(|rest| rest.strip_suffix(')'));
            let share =
                share.and_then(|share| share.parse().ok()).expect("an objective is a number");
            of("slo:events:rate5m", &slo);
            Objective { bad: of("slo:bad_events:rate5m", &slo), slo, share }
        })
        .collect();
    assert!(!objectives.is_empty());
    objectives
}

#[test]
fn an_objective_is_what_its_name_says() {
    for Objective { slo, share, bad } in objectives() {
        if let Some((_, rest)) = slo.split_once("-p") {
            let percent: f64 =
                rest.split('-').next().and_then(|text| text.parse().ok()).expect(&slo);
            assert!(equal(share, percent / 100.0), "{slo} is {share}");
        }
        // `500ms` at the end is the bucket.
        let last = slo.rsplit('-').next().expect("a split has a last part");
        if last.starts_with(|first: char| first.is_ascii_digit()) {
            let bucket = bad.split("le=\"").filter_map(|rest| rest.split('"').next()?.parse().ok());
            let buckets: Vec<f64> = bucket.filter(|bound: &f64| bound.is_finite()).collect();
            assert!(
                matches!(buckets[..], [bound] if equal(bound, seconds(last))),
                "{slo} counts {buckets:?}: {bad}"
            );
        }
    }
}

#[test]
fn every_budget_can_burn_fast_enough_to_page() {
    let factors = compared(&burn("page"));
    let fastest = factors.iter().copied().fold(0.0, f64::max);
    for Objective { slo, share, .. } in objectives() {
        assert!(
            fastest * (1.0 - share) < 1.0,
            "all events of {slo} are bad, and {fastest} is not reached"
        );
    }
}

fn burn(class: &str) -> String {
    let burns = alerts().into_iter().filter(|alert| alert.label("alert_class") == class);
    let exprs: Vec<String> = burns.map(|alert| alert.expr).collect();
    assert_eq!(exprs.len(), 1, "{class}");
    exprs.into_iter().next().unwrap_or_default()
}

#[test]
fn windows_and_factors_are_those_of_the_workbook() {
    for (class, pairs) in [
        ("page", [("1h", 14.4), ("5m", 14.4), ("6h", 6.0), ("30m", 6.0)]),
        ("ticket", [("1d", 3.0), ("2h", 3.0), ("3d", 1.0), ("6h", 1.0)]),
    ] {
        let expr = burn(class);
        let windows = expr.split("slo:sli_error:ratio_rate").skip(1);
        let windows: Vec<&str> = windows.filter_map(|rest| rest.split('{').next()).collect();
        let found: Vec<(&str, f64)> = windows.into_iter().zip(compared(&expr)).collect();
        assert_eq!(found, pairs, "{class}");
    }
}

#[test]
fn the_agreement_is_the_objective() {
    let objectives = objectives();
    let objective =
        |slo: &str| objectives.iter().find(|objective| objective.slo == slo).expect(slo);
    assert!(equal(threshold("API_SLA_Breach_Availability"), objective("api-availability").share));
    let latency = objective("api-latency-p95-500ms");
    assert!(
        find("API_SLA_Breach_Latency")
            .expr
            .contains(&format!("histogram_quantile({}", latency.share))
    );
    assert!(equal(threshold("API_SLA_Breach_Latency"), seconds("500ms")));
}

/// The recording rule counts in UTC, in which India is five and a half hours ahead all year.
#[test]
fn the_market_has_the_same_hours_for_prometheus_and_alertmanager() {
    let rules = rules();
    let recorded = rules.iter().find(|rule| rule["record"] == "nse:market_open:bool");
    let expr = string(&recorded.expect("the market's hours are recorded")["expr"]);
    let config = yaml("monitoring/alertmanager/alertmanager.yml");
    let hours = &config["time_intervals"][0]["time_intervals"][0];
    assert_eq!(hours["location"], "Asia/Kolkata");
    let minute = |text: &str| {
        let (hours, minutes) = text.split_once(':').expect("hours and minutes");
        let minutes =
            hours.parse::<u64>().expect("hours") * 60 + minutes.parse::<u64>().expect("minutes");
        minutes - (5 * 60 + 30)
    };
    let [times] = list(&hours["times"]) else { panic!("one interval a day: {hours}") };
    let start = minute(&string(&times["start_time"]));
    let end = minute(&string(&times["end_time"]));
    let clock = "hour() * 60 + minute()";
    for part in [format!("({clock} >= bool {start})"), format!("({clock} < bool {end})")] {
        assert!(expr.contains(&part), "no {part} in {expr}");
    }
    assert_eq!(hours["weekdays"], serde_json::json!(["monday:friday"]));
    assert!(expr.contains("(day_of_week() >= bool 1) * (day_of_week() <= bool 5)"), "{expr}");
}
