//! Expressions that break a rule, each with what is said of it.

use crate::{
    evaluation::evaluate,
    expressions::Kind,
    kept::{prose, vocabulary, written},
};

#[track_caller]
fn assert_broken(examples: &[(&str, &str)]) {
    for (text, fault) in examples {
        let found = evaluate(vocabulary(), &prose(text)).faults;
        assert_eq!(found, [*fault], "{text}");
    }
}

#[test]
fn metrics_exist() {
    assert_broken(&[
        (
            r#"sum(rate(http_request_total{job="backend"}[5m]))"#,
            "no metric is named http_request_total",
        ),
        (r#"rate(http_requests{job="backend"}[5m])"#, "no metric is named http_requests"),
        (
            r#"database_query_duration_seconds{job="backend"}"#,
            "database_query_duration_seconds is a histogram: its series end in _bucket, _sum or _count",
        ),
        (r#"{job="backend"}"#, r#"{job="backend"} has no name of a metric"#),
        (
            r#"up{job="backend" or job="backend",instance="a"}"#,
            "up: `or` between matchers is no PromQL",
        ),
        (r#"sum(up{job="backend"}"#, "unclosed left parenthesis"),
    ]);
}

#[test]
fn labels_exist() {
    assert_broken(&[
        (
            r#"http_active_requests{job="backend",method="GET"}"#,
            "http_active_requests has no label method",
        ),
        (
            r#"sum by (route) (http_active_requests{job="backend"})"#,
            "http_active_requests has no label route for this sum",
        ),
        (
            r#"max without (pod) (http_active_requests{job="backend"})"#,
            "http_active_requests has no label pod for this max",
        ),
        // It was there, until the inner sum.
        (
            r#"max by (endpoint) (sum by (job) (http_active_requests{job="backend"}))"#,
            "http_active_requests has no label endpoint for this max",
        ),
        // Buckets alone have bounds.
        (
            r#"sum by (le) (rate(database_query_duration_seconds_count{job="backend"}[5m]))"#,
            "database_query_duration_seconds_count has no label le for this sum",
        ),
        (
            r#"label_replace(active_sessions{job="backend"}, "class", "$1", "status", "(.).*")"#,
            "active_sessions has no label status to take",
        ),
        (
            r#"label_join(active_sessions{job="backend"}, "both", "-", "job", "pod")"#,
            "active_sessions has no label pod to take",
        ),
        // What a rule records has the labels of its result and its own.
        (
            r#"job:requests:rate5m{job="backend",endpoint="/"}"#,
            "job:requests:rate5m has no label endpoint",
        ),
        (r#"nse:market_open:bool{job="backend"}"#, "nse:market_open:bool has no label job"),
    ]);
}

#[test]
fn values_are_real() {
    assert_broken(&[
        (
            r#"database_pool_connections{job="backend",state="busy"}"#,
            "database_pool_connections: state is never busy",
        ),
        (
            r#"database_pool_connections{job="backend",state!="busy"}"#,
            "database_pool_connections: state is never busy",
        ),
        (
            r#"database_pool_connections{job="backend",state=~"active|busy"}"#,
            "database_pool_connections: state is never busy",
        ),
        (
            r#"database_pool_connections{job="backend",state!~"(busy|full)"}"#,
            "database_pool_connections: state is never (busy|full)",
        ),
        (
            r#"database_pool_connections{job="backend",state!~".+"}"#,
            r#"database_pool_connections: no state is left by state!~".+""#,
        ),
        (
            r#"rate(http_requests_total{job="backend",status="5xx"}[5m])"#,
            "http_requests_total: status is never 5xx",
        ),
        (
            r#"rate(http_requests_total{job="backend",status=~"6.."}[5m])"#,
            "http_requests_total: status is never 6..",
        ),
        (
            r#"rate(http_requests_total{job="backend",method="get"}[5m])"#,
            "http_requests_total: method is never get",
        ),
        (
            r#"rate(http_request_duration_seconds_bucket{job="backend",le="1"}[5m])"#,
            "http_request_duration_seconds_bucket: le is never 1",
        ),
        (
            r#"rate(http_request_duration_seconds_bucket{job="backend",le="0.2"}[5m])"#,
            "http_request_duration_seconds_bucket: le is never 0.2",
        ),
        (
            r#"rate(http_request_size_bytes_bucket{job="backend",le="1000000.0"}[5m])"#,
            "http_request_size_bytes_bucket: le is never 1000000.0",
        ),
        (
            r#"job_le:request_duration_seconds_bucket:rate5m{job="backend",le="0.2"}"#,
            "job_le:request_duration_seconds_bucket:rate5m: le is never 0.2",
        ),
        (
            r#"slo:objective:ratio{job="backend",slo="latency"}"#,
            "slo:objective:ratio: slo is never latency",
        ),
        (r#"ALERTS{job="backend",alertname="Slwo"}"#, "ALERTS: alertname is never Slwo"),
    ]);
}

#[test]
fn functions_get_the_numbers_that_they_are_for() {
    let counter = "number counts from the start of a process: take the rate or the increase";
    assert_broken(&[
        (
            r#"rate(active_sessions{job="backend"}[5m])"#,
            "active_sessions: rate is for counters, which it is not",
        ),
        // A gauge, for all its name.
        (
            r#"increase(cache_entries_total{job="backend"}[5m])"#,
            "cache_entries_total: increase is for counters, which it is not",
        ),
        (
            r#"rate(rate(http_panics_total{job="backend"}[5m])[5m:])"#,
            "http_panics_total: rate is for counters, which it is not",
        ),
        (
            r#"rate(sum(http_panics_total{job="backend"})[5m:])"#,
            "http_panics_total: rate comes before anything else, or restarts are lost",
        ),
        (
            r#"max_over_time(http_panics_total{job="backend"}[5m])"#,
            &format!("http_panics_total: its {counter}"),
        ),
        (
            r#"delta(http_panics_total{job="backend"}[5m])"#,
            &format!("http_panics_total: its {counter}"),
        ),
        (
            r#"deriv(http_panics_total{job="backend"}[5m])"#,
            &format!("http_panics_total: its {counter}"),
        ),
        (r#"http_panics_total{job="backend"}"#, &format!("http_panics_total: its {counter}")),
        (
            r#"sum(http_panics_total{job="backend"} unless on (instance) up{job="backend"} offset 5m)"#,
            &format!("http_panics_total: its {counter}"),
        ),
        (r#"sum(http_panics_total{job="backend"})"#, &format!("http_panics_total: its {counter}")),
        (
            r#"sum(http_panics_total{job="backend"}) > 5"#,
            &format!("http_panics_total: its {counter}"),
        ),
        (
            r#"up{job="backend"} and on (instance) http_panics_total{job="backend"} > 5"#,
            &format!("http_panics_total: its {counter}"),
        ),
        (
            r#"60 * sum(database_query_duration_seconds_count{job="backend"})"#,
            &format!("database_query_duration_seconds_count: its {counter}"),
        ),
    ]);
}

#[test]
fn quantiles_are_of_buckets() {
    let buckets = "histogram_quantile is for buckets with their le";
    assert_broken(&[
        (
            r#"histogram_quantile(0.9, rate(database_query_duration_seconds_sum{job="backend"}[5m]))"#,
            &format!("database_query_duration_seconds_sum: {buckets}"),
        ),
        (
            r#"histogram_quantile(0.9, rate(database_query_duration_seconds_bucket{job="backend",le="0.1"}[5m]))"#,
            &format!("database_query_duration_seconds_bucket: {buckets}"),
        ),
        (
            r#"histogram_quantile(95, sum by (le) (rate(database_query_duration_seconds_bucket{job="backend"}[5m])))"#,
            "database_query_duration_seconds_bucket: the quantile 95 is not from 0 to 1",
        ),
        (
            r#"histogram_quantile(0.9, sum by (le) (database_query_duration_seconds_bucket{job="backend"}))"#,
            "database_query_duration_seconds_bucket: its number counts from the start of a process: \
             take the rate or the increase",
        ),
        (
            r#"sum by (query_type) (rate(database_query_duration_seconds_bucket{job="backend"}[5m]))"#,
            "database_query_duration_seconds_bucket: sum over buckets, each of which counts those below it",
        ),
        (
            r#"quantile(2, active_sessions{job="backend"})"#,
            "active_sessions: the quantile 2 is not from 0 to 1",
        ),
        (
            r#"quantile_over_time(2, active_sessions{job="backend"}[5m])"#,
            "active_sessions: the quantile 2 is not from 0 to 1",
        ),
    ]);
    // Two faults: without `le` there is neither a sum nor a quantile.
    let text = r#"histogram_quantile(0.9, sum by (job) (rate(database_query_duration_seconds_bucket{job="backend"}[5m])))"#;
    let found = evaluate(vocabulary(), &prose(text)).faults;
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found[1], format!("database_query_duration_seconds_bucket: {buckets}"));
}

#[test]
fn what_replicas_share_is_not_added_up() {
    let fault = |metric: &str, op: &str| {
        format!(
            "{metric}: {op} over replicas, which all report the same number: take their max first"
        )
    };
    assert_broken(&[
        (r#"sum(strategies_total{job="backend"})"#, &fault("strategies_total", "sum")),
        (
            r#"sum by (account_id) (strategy_pnl_total{job="backend"})"#,
            &fault("strategy_pnl_total", "sum"),
        ),
        (r#"avg without (instance) (active_users{job="backend"})"#, &fault("active_users", "avg")),
        (r#"count(strategies_total{job="backend"})"#, &fault("strategies_total", "count")),
        // The max keeps the replicas apart.
        (
            r#"sum(max by (instance, account_id) (strategies_total{job="backend"}))"#,
            &fault("strategies_total", "sum"),
        ),
        // Of one value alone.
        (
            r#"sum by (cache_layer) (cache_entries_total{job="backend"})"#,
            &fault("cache_entries_total", "sum"),
        ),
        (
            r#"sum(cache_entries_total{job="backend",cache_layer="l2_redis"})"#,
            &fault("cache_entries_total", "sum"),
        ),
        (
            r#"sum(max_over_time(daily_active_users{job="backend"}[1h]))"#,
            &fault("daily_active_users", "sum"),
        ),
    ]);
}

#[test]
fn replicas_have_no_mean() {
    assert_broken(&[(
        r#"avg by (indicator_type) (indicator_cache_hit_rate{job="backend"})"#,
        "indicator_cache_hit_rate: avg over replicas, where one NaN makes it NaN and each weighs the same",
    )]);
}

#[test]
fn both_sides_of_an_operator_meet() {
    assert_broken(&[
        (
            r#"database_pool_connections{job="backend",state="active"} / database_pool_connections{job="backend",state="total"}"#,
            "database_pool_connections / database_pool_connections: state is active on the left and total on the right",
        ),
        (
            r#"sum by (job) (active_sessions{job="backend"}) / sum(active_sessions{job="backend"})"#,
            "active_sessions / active_sessions: the left side has the labels job, the right none",
        ),
        (
            r#"sum by (job) (active_sessions{job="backend"}) and nse:market_open:bool == 1"#,
            "active_sessions and nse:market_open:bool: the left side has the labels job, the right none",
        ),
        (
            r#"active_sessions{job="backend"} / on (job, instance, pod) up{job="backend"}"#,
            "active_sessions / up: pod is no label of both",
        ),
        (
            r#"active_sessions{job="backend"} / ignoring (pod) up{job="backend"}"#,
            "active_sessions / up: pod is no label of either",
        ),
        (
            r#"sum by (job) (active_sessions{job="backend"}) / on (job) up{job="backend"}"#,
            "active_sessions / up: series of the right side differ by instance alone",
        ),
        (
            r#"active_sessions{job="backend"} / on (job) group_left (pod) sum by (job) (up{job="backend"})"#,
            "active_sessions / up: pod cannot be included",
        ),
        (
            r#"sum by (job) (active_sessions{job="backend"}) or vector(0)"#,
            "active_sessions or vector: the right side has no labels, so it is there beside the left one",
        ),
        // The result has the labels of `on`, no more.
        (
            r#"sum by (endpoint) (sum by (job, endpoint) (http_active_requests{job="backend",endpoint="/"}) / on (job) sum by (job) (up{job="backend"}))"#,
            "http_active_requests has no label endpoint for this sum",
        ),
    ]);
}

#[test]
fn the_target_is_named() {
    let target = || Kind::Target { instant: false };
    let variable = |name: &str| Kind::Variable(name.to_owned());
    for (kind, text, fault) in [
        (Kind::Prose, "up", r#"up is selected without job="backend""#),
        (Kind::Prose, r#"up{job=~"backend"}"#, r#"up is selected without job="backend""#),
        (Kind::Prose, r#"up{job=~"$job"}"#, r#"up is selected without job="backend""#),
        (
            Kind::Prose,
            "job:requests:rate5m",
            r#"job:requests:rate5m is selected without job="backend""#,
        ),
        (Kind::Prose, "ALERTS", r#"ALERTS is selected without job="backend""#),
        // Another job has these alone; this one has nothing that is of the service alone.
        (Kind::Prose, "pg_up", r#"pg_up is selected without job="postgres""#),
        (
            Kind::Prose,
            r#"max_over_time(pg_up{job=~"postgres"}[5m])"#,
            r#"pg_up is selected without job="postgres""#,
        ),
        (Kind::Prose, r#"up{job=~"redis|.+"}"#, r#"up is selected without job="backend""#),
        (
            Kind::Prose,
            r#"active_sessions{job="redis"}"#,
            r#"active_sessions is selected without job="backend""#,
        ),
        (target(), r#"up{job=~"$job"}"#, r#"up is selected without instance=~"$instance""#),
        (
            target(),
            r#"up{job="backend",instance=~"$instance"}"#,
            r#"up is selected without job=~"$job""#,
        ),
        (Kind::Annotation, "up", r#"up is selected without job=~"$job""#),
        (variable("instance"), "group by (instance) (up)", r#"up is selected without job=~"$job""#),
        // Every job has these.
        (
            variable("job"),
            r#"group by (job) (up{job=~".*backend.*"})"#,
            "up is not of this service alone",
        ),
        (
            variable("job"),
            r#"group by (job) ({__name__=~"backend_service_info|process_start_time_seconds"})"#,
            "process_start_time_seconds is not of this service alone",
        ),
        (
            variable("job"),
            r#"group by (job) ({__name__=~"backend_service_info|backend_info"})"#,
            "no metric is named backend_info",
        ),
        // By one name, wherever it is not about the jobs.
        (
            target(),
            r#"{__name__=~"up|active_sessions"}"#,
            r#"{__name__=~"up|active_sessions"} has no name of a metric"#,
        ),
    ] {
        let found = evaluate(vocabulary(), &written(text, kind)).faults;
        assert_eq!(found, [fault], "{text}");
    }
}

#[test]
fn what_is_printed_is_there() {
    let mut expression = prose(r#"sum by (job) (active_sessions{job="backend"})"#);
    expression.printed = vec!["job".into(), "instance".into()];
    let found = evaluate(vocabulary(), &expression).faults;
    assert_eq!(found, ["active_sessions: instance is printed, which the result does not have"]);
}
