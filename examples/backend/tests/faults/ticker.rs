//! The ticker service is slow, or dead.

use crate::{
    backend, burn,
    incident::{Database, Incident},
    runbooks::{Excuse::Nothing, NO_SOCKET},
};

#[test]
#[ignore = "needs PostgreSQL, Redis, Prometheus and Alertmanager: run scripts/test"]
fn a_slow_ticker_service_is_told_of_until_it_is_fast() {
    // Orders wait for their margin.
    let expected = [
        "API_SLA_Breach_Latency",
        "HighAPILatency",
        "TickerServiceHighLatency",
        burn!("api-latency-p99-1s"),
    ];
    let mut incident = with("ticker slow", "ticker-slow");
    incident.backend.signal("USR1");
    incident.fires("chat", "TickerServiceHighLatency");
    incident.all_fire(&expected);
    incident.backend.signal("USR1");
    incident.resolves("chat", "TickerServiceHighLatency");
    let shows_nothing = [
        Nothing(r#"cache_layer="l2_redis""#, "nothing is asked of Redis"),
        Nothing(r#"http_requests_total{job="backend",status=~"5.."}"#, "no request fails"),
        Nothing("database_pool_acquire_timeouts_total", "nobody waits for a connection"),
        Nothing("ticker_service_errors_total", "it answers, late"),
        Nothing("ticker_service_retries_total", "it answers, late"),
        Nothing("ticker_service_circuit_breaker_state", "it answers, late"),
    ];
    incident.is_over(&expected, &[&shows_nothing[..], &NO_SOCKET].concat());
    incident.nothing_has_drifted();
}

#[test]
#[ignore = "needs PostgreSQL, Redis, Prometheus and Alertmanager: run scripts/test"]
fn a_dead_ticker_service_is_told_of_until_it_answers() {
    let mut incident = with("ticker dead", "ticker");
    incident.backend.signal("USR1");
    incident.fires("pager", "CircuitBreakerOpen");
    incident.backend.signal("USR1");
    incident.resolves("pager", "CircuitBreakerOpen");
    // Orders go by an estimate.
    incident.is_over(&["CircuitBreakerOpen"], &[]);
    incident.nothing_has_drifted();
}

/// A backend that makes this trouble at a signal.
#[track_caller]
fn with(name: &'static str, fault: &'static str) -> Incident {
    let arguments = ["--faults", fault];
    let mut incident =
        Incident::prepare(name, Database::postgres(), backend::command(&[]), &arguments);
    // It began with the trouble.
    incident.backend.signal("USR1");
    incident.begin();
    incident
}
