//! Are the promises kept: objectives, error budgets, burn rates, alerts.

use crate::{
    dashboard::{Dashboard, Row, Scope, row},
    panel::{Panel, bars, stat, table, timeseries, unit},
};

pub(crate) fn dashboard() -> Dashboard {
    Dashboard {
        file: "dashboard-4-slo.json",
        uid: "backend-slo",
        title: "Backend: service level objectives",
        description: "Whether the promises are kept: error budgets, burn rates, each objective against its target, alerts.",
        tags: &["slo"],
        refresh: "1m",
        from: "now-7d",
        logs: false,
        scope: Scope::Slo,
        rows: vec![overview(), api(), database(), cache(), websockets()],
    }
}

fn overview() -> Row {
    row(
        "SLO",
        "SLOErrorBudgetBurn",
        [
            stat("Alerts firing", unit::NUMBER)
                .says("Critical: act now. Warning: this week. Info: when you look.")
                .nothing("Rules are not loaded")
                .query("critical", r#"count(ALERTS{alertstate="firing", severity="critical", job=~"$job"}) or 0 * count(slo:objective:ratio{job=~"$job"})"#)
                .query("warning", r#"count(ALERTS{alertstate="firing", severity="warning", job=~"$job"}) or 0 * count(slo:objective:ratio{job=~"$job"})"#)
                .query("info", r#"count(ALERTS{alertstate="firing", severity="info", job=~"$job"}) or 0 * count(slo:objective:ratio{job=~"$job"})"#)
                .series_limit("critical", 1.0, "red")
                .series_limit("warning", 1.0, "yellow")
                .details("Overview", "backend-api")
                .size(6, 9),
            table("Firing alerts")
                .says("What fires now, and for how long. A name leads to its runbook.")
                .query("", r#"sort_desc(time() - (ALERTS_FOR_STATE{job=~"$job"} and ignoring(alertstate) ALERTS{alertstate="firing", job=~"$job"}))"#)
                .columns(&[
                    ("alertname", "Alert"),
                    ("severity", "Severity"),
                    ("Value", "For"),
                    ("slo", "Objective"),
                    ("instance", "Instance"),
                    ("endpoint", "Endpoint"),
                    ("worker_type", "Worker"),
                    ("data_type", "Data"),
                ])
                .linked("Alert", "Runbook", "${runbooks}/${__value.raw}.md")
                .column_unit("For", unit::SECONDS)
                .nothing("No alert is firing")
                .size(18, 9),
            bars("Error budget remaining (30d)", unit::RATIO)
                .says("The share of the bad events allowed by the objective that is left, of the events in the last 30 days. Each event counts alike, at night as at the opening. At 0 the budget is spent: stop risky deployments until it recovers. -100% means spent twice, or worse. In a service younger than 30 days the same trouble weighs more.")
                .query("{{slo}}", r#"sort(clamp_min(1 - (sum_over_time(slo:bad_events:rate5m{job=~"$job", slo=~"$slo"}[30d]) / (sum_over_time(slo:events:rate5m{job=~"$job", slo=~"$slo"}[30d]) > 0)) / on (job, slo) slo:error_budget:ratio{job=~"$job", slo=~"$slo"}, -1))"#)
                .at_least(0.0, 0.25)
                .range(-1.0, 1.0)
                .decimals(1)
                .alert("SLOErrorBudgetBurn")
                .size(12, 10),
            timeseries("Burn rate", unit::NUMBER)
                .says("How many times as fast as allowed the budget goes, over 5 minutes: at 1 it lasts 30 days. A page comes at 14.4 over an hour and at 6 over six hours, a ticket at 3 over a day and at 1 over three.")
                .query("{{slo}}", r#"slo:current_burn_rate:ratio{job=~"$job", slo=~"$slo"}"#)
                .logarithmic()
                // All events bad, where one in a thousand is allowed. An axis of powers knows no softer end.
                .max(1000.0)
                .steps(&[(1.0, "yellow"), (3.0, "yellow"), (6.0, "orange"), (14.4, "red")])
                .alert("SLOErrorBudgetBurn")
                .size(12, 10),
            timeseries("Events by objective", unit::EVENTS)
                .says("How much each objective is measured on. A ratio of a handful of events at night says little.")
                .query("{{slo}}", r#"slo:events:rate5m{job=~"$job", slo=~"$slo"}"#)
                .logarithmic()
                .size(24, 8),
        ],
    )
}

/// The good share of an hour, above its objective.
fn sli(title: &'static str, slo: &str, objective: f64) -> Panel {
    timeseries(title, unit::RATIO)
        .query("{{job}}", format!(r#"1 - slo:sli_error:ratio_rate1h{{job=~"$job", slo="{slo}"}}"#))
        .nothing("No events recorded in the last hour")
        .signed()
        .max(1.0)
        // As much below the objective as the best is above it, so that the line of the objective is in sight.
        .soft_min(2.0 * objective - 1.0)
        .decimals(3)
        .floor(objective)
        .alert("SLOErrorBudgetBurn")
}

fn api() -> Row {
    row(
        "API",
        "SLOErrorBudgetBurn",
        [
            sli("API latency: 95% within 500 ms", "api-latency-p95-500ms", 0.95)
                .says("Requests answered within 500 ms, over the last hour.")
                .alert("HighAPILatency"),
            sli("API latency: 99% within 1 s", "api-latency-p99-1s", 0.99)
                .says("Requests answered within 1 s, over the last hour.")
                .alert("CriticalAPILatency"),
            sli("API availability: 99.9%", "api-availability", 0.999)
                .says("Requests not answered with 5xx, over the last hour.")
                .alert("API_SLA_Breach_Availability"),
            timeseries("API error rate: below 1%", unit::RATIO)
                .says("Requests answered with 5xx, over five minutes. A level, looser than availability.")
                .query("5xx", r#"job:http_errors:ratio_rate5m{job=~"$job"}"#)
                .limit(0.01)
                .alert("APIErrorRateAboveTarget"),
            timeseries("Request rate of the service", unit::REQUESTS)
                .says("What the ratios of this row are measured on.")
                .query("{{job}}", r#"job:http_requests:rate5m{job=~"$job"}"#),
        ],
    )
}

fn database() -> Row {
    row(
        "Database",
        "SLOErrorBudgetBurn",
        [
            sli("Query latency: 95% within 100 ms", "db-latency-p95-100ms", 0.95)
                .says("Queries answered within 100 ms, over the last hour.")
                .alert("ElevatedDatabaseLatency"),
            sli("Connections without a timeout: 99.9%", "db-acquire-timeouts", 0.999)
                .says("Waits for a connection that got one, over the last hour.")
                .alert("DatabaseAcquireTimeouts"),
            timeseries("Pool utilisation: below 80%", unit::RATIO)
                .says("The fullest pool, on average over 15 minutes.")
                .query(
                    "{{job}}",
                    r#"avg_over_time(job:database_pool_utilization:max{job=~"$job"}[15m])"#,
                )
                .limit(0.8)
                .range(0.0, 1.0)
                .alert("DatabasePoolUtilizationAboveTarget"),
        ],
    )
}

fn cache() -> Row {
    row(
        "Cache",
        "SLOErrorBudgetBurn",
        [
            sli("Cache latency: 95% within 10 ms", "cache-latency-p95-10ms", 0.95)
                .says("Operations done within 10 ms, over the last hour.")
                .alert("RedisConnectionFailure"),
            timeseries("Redis hit rate: above 80%", unit::RATIO)
                .says("Reads that found a value in Redis, over the last hour. A read that Redis did not answer is neither a hit nor a miss.")
                .nothing("Redis answered no read in the last hour: is it up?")
                .query("{{job}}", r#"job:cache_redis_hit:ratio_rate1h{job=~"$job"}"#)
                .floor(0.8)
                .range(0.0, 1.0)
                .alert("RedisHitRateBelowTarget"),
            timeseries("Memory hit rate: above 90%", unit::RATIO)
                .says("Reads that found a value in memory, over the last hour.")
                .nothing("No reads recorded in the last hour")
                .query("{{job}}", r#"job:cache_memory_hit:ratio_rate1h{job=~"$job"}"#)
                .floor(0.9)
                .range(0.0, 1.0)
                .alert("MemoryHitRateBelowTarget"),
        ],
    )
}

fn websockets() -> Row {
    row(
        "WebSocket",
        "SLOErrorBudgetBurn",
        [
            sli("WebSocket establishment: 95% within 1 s", "ws-establishment-1s", 0.95)
                .says("Connections established within 1 s, over the last hour."),
            sli("WebSocket message latency: 95% within 100 ms", "ws-message-latency-100ms", 0.95)
                .says("Messages sent within 100 ms of their event, over the last hour."),
            sli("WebSocket messages without an error: 99.9%", "ws-errors", 0.999)
                .says("Messages without an error, over the last hour."),
        ],
    )
}
