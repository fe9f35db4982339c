//! Expressions that keep the rules, and what the examples of this test may name.

use std::sync::LazyLock;

use crate::{
    evaluation::evaluate,
    expressions::{Expression, Kind, of_rules},
    vocabulary::Vocabulary,
};

/// The catalog and a few rules.
pub(crate) fn vocabulary() -> &'static Vocabulary {
    static VOCABULARY: LazyLock<Vocabulary> =
        LazyLock::new(|| Vocabulary::new(&of_rules("examples.yml", RULES)));
    &VOCABULARY
}

const RULES: &str = r#"
groups:
  - name: examples
    rules:
      - record: job:requests:rate5m
        expr: sum by (job) (rate(http_requests_total{job="backend"}[5m]))
      - record: job_le:request_duration_seconds_bucket:rate5m
        expr: sum by (job, le) (rate(http_request_duration_seconds_bucket{job="backend"}[5m]))
      - record: slo:objective:ratio
        expr: vector(0.95)
        labels: {job: backend, slo: fast}
      - record: slo:objective:ratio
        expr: vector(0.999)
        labels: {job: backend, slo: available}
      - record: nse:market_open:bool
        expr: day_of_week() < bool 6
      - alert: Slow
        expr: job:requests:rate5m{job="backend"} < 1
        labels: {severity: info}
      - alert: Down
        expr: up{job="backend"} == 0 or absent(up{job="backend"})
        labels: {severity: critical}
"#;

pub(crate) fn prose(text: &str) -> Expression {
    written(text, Kind::Prose)
}

pub(crate) fn written(text: &str, kind: Kind) -> Expression {
    let [file, place] = ["examples", "here"].map(str::to_owned);
    Expression { file, place, text: text.to_owned(), kind, printed: vec![] }
}

#[test]
fn these_keep_the_rules() {
    for text in [
        // Labels and values.
        r#"sum by (endpoint) (rate(http_requests_total{job="backend",status=~"5..|404",method!="GET"}[5m]))"#,
        r#"rate(http_client_requests_total{job="backend",status="error"}[5m])"#,
        r#"database_pool_connections{job="backend",state=~"(active|idle)"}"#,
        r#"rate(http_request_duration_seconds_bucket{job="backend",le=~"1.0|\\+Inf"}[5m])"#,
        r#"rate(http_request_size_bytes_bucket{job="backend",le="1e+06"}[5m])"#,
        r#"rate(database_rows_returned_bucket{job="backend",le="100000.0"}[5m])"#,
        r#"redis_pool_connections{job="backend",instance="127.0.0.1:8081"}"#,
        r#"sum by (class) (label_replace(rate(http_requests_total{job="backend"}[5m]), "class", "${1}xx", "status", "(.).."))"#,
        r#"sum by (direction) (label_replace(up{job="backend"}, "direction", "in", "", ""))"#,
        r#"count_values by (job) ("count", up{job="backend"})"#,
        r#"max by (count) (count_values("count", up{job="backend"}))"#,
        r#"slo:objective:ratio{job="backend",slo="fast"}"#,
        r#"ALERTS{job="backend",alertstate="firing",severity=~"critical|info",instance="a"}"#,
        // Counters whose level is not looked at.
        r#"group by (job) (http_panics_total{job="backend"})"#,
        r#"count by (job) (http_panics_total{job="backend"})"#,
        r#"absent(http_panics_total{job="backend"})"#,
        r#"count_over_time(http_panics_total{job="backend"}[5m])"#,
        r#"up{job="backend"} and on (instance) http_panics_total{job="backend"} > 0"#,
        r#"sum(http_panics_total{job="backend"} > bool 0)"#,
        r#"topk(3, increase(http_panics_total{job="backend"}[1h]))"#,
        // Series that are new count from 0.
        r#"sum(http_panics_total{job="backend"} unless http_panics_total{job="backend"} offset 10m)"#,
        // Quantiles.
        r#"histogram_quantile(0.9, rate(database_query_duration_seconds_bucket{job="backend"}[5m]))"#,
        r#"histogram_quantile(0.9, sum without (instance) (rate(database_query_duration_seconds_bucket{job="backend"}[5m])))"#,
        r#"histogram_quantile(0.9, sum by (le) (job_le:request_duration_seconds_bucket:rate5m{job="backend"}))"#,
        r#"sum(job_le:request_duration_seconds_bucket:rate5m{job="backend",le="0.5"})"#,
        // What replicas share.
        r#"sum(max by (account_id) (strategies_total{job="backend"}))"#,
        r#"max(fo_instruments_cached{job="backend"})"#,
        r#"sum by (instance) (strategies_total{job="backend"})"#,
        r#"sum(strategies_total{job="backend",instance="127.0.0.1:8081"})"#,
        r#"sum(cache_entries_total{job="backend",cache_layer="l1_memory"})"#,
        r#"sum(cache_entries_total{job="backend",cache_layer!="l2_redis"})"#,
        // Two sides.
        r#"database_pool_connections{job="backend",state="active"} / ignoring (state) database_pool_connections{job="backend",state="total"}"#,
        r#"sum(rate(http_panics_total{job="backend"}[5m])) or vector(0)"#,
        r#"sum by (job) (rate(http_panics_total{job="backend"}[5m])) or on () vector(0)"#,
        r#"up{job="backend"} and on () nse:market_open:bool == 1"#,
        r#"active_sessions{job="backend"} / on (job) group_left () job:requests:rate5m{job="backend"}"#,
        r#"sum by (job) (up{job="backend"}) * on (job) group_right () active_sessions{job="backend"}"#,
        r#"sum by (version) (up{job="backend"} * on (job, instance) group_left (version) backend_service_info{job="backend"})"#,
        r#"(time() - process_start_time_seconds{job="backend"}) / 60"#,
        r#"max_over_time((up{job="backend"} == bool 1)[5m:15s])"#,
        // The other jobs of the stack.
        r#"min by (instance) (pg_up{job="postgres"})"#,
        r#"up{job=~"postgres|redis"} == 0"#,
    ] {
        let found = evaluate(vocabulary(), &prose(text)).faults;
        assert!(found.is_empty(), "{text}: {found:?}");
    }
}

#[test]
fn each_kind_names_its_target_in_its_own_way() {
    let target = || Kind::Target { instant: true };
    let variable = |name: &str| Kind::Variable(name.to_owned());
    for (kind, text) in [
        (target(), r#"up{job=~"$job", instance=~"$instance"}"#),
        // Without instances, or not of every series.
        (target(), r#"slo:objective:ratio{job=~"$job", slo=~"$slo"}"#),
        (target(), r#"ALERTS{job=~"$job"}"#),
        (target(), "nse:market_open:bool"),
        (
            target(),
            r#"rate(http_panics_total{job=~"$job", instance=~"$instance"}[$__rate_interval])"#,
        ),
        (
            Kind::Annotation,
            r#"changes(process_start_time_seconds{job=~"$job"}[$__rate_interval]) > 0"#,
        ),
        (variable("job"), r#"group by (job) (backend_service_info{job=~".+"})"#),
        (
            variable("job"),
            r#"group by (job) ({__name__=~"backend_service_info|slo:objective:ratio", job=~".+"})"#,
        ),
        (variable("instance"), r#"group by (instance) (up{job=~"$job"})"#),
    ] {
        let found = evaluate(vocabulary(), &written(text, kind)).faults;
        assert!(found.is_empty(), "{text}: {found:?}");
    }
}
