//! The clients are gone, or refused.

use crate::{
    incident::Incident,
    runbooks::Excuse::{Maybe, Nothing},
};

/// More than the rules compare with, half a minute ago.
const BUSY: &str = r#"
    max_over_time(avg_over_time(job:http_requests:rate5m{job="backend"}[1h])[4h:10m] offset 10m) > 5
"#;

#[test]
#[ignore = "needs PostgreSQL, Redis, Prometheus and Alertmanager: run scripts/test"]
fn requests_that_stop_are_told_of_until_they_come_again() {
    let mut incident = Incident::healthy("requests gone");
    incident.comes_true(BUSY);
    incident.stop_load();
    incident.fires("pager", "TrafficStopped");
    incident.start_load();
    incident.resolves("pager", "TrafficStopped");
    let shows_nothing = [
        Maybe("(rate(http_requests_total{", "0 is what it says in the end"),
        Nothing("websocket_connections_active", "nobody has a WebSocket"),
        Nothing("process_start_time_seconds", "it was not restarted"),
    ];
    incident.is_over(&["TrafficStopped"], &shows_nothing);
    incident.nothing_has_drifted();
}

#[test]
#[ignore = "needs PostgreSQL, Redis, Prometheus and Alertmanager: run scripts/test"]
fn requests_that_are_refused_are_told_of_until_they_are_let_in() {
    let mut incident = Incident::healthy("requests refused");
    incident.comes_true(BUSY);
    incident.stop_load();
    // As after a key was rotated.
    incident.start_load_with("signed with the key of yesterday");
    incident.fires("pager", "MostRequestsRefused");
    incident.stop_load();
    incident.start_load();
    incident.resolves("pager", "MostRequestsRefused");
    let shows_nothing = [
        Nothing("auth_attempts_total", "nobody logs in"),
        Nothing("api_key_validations_total", "nobody comes with a key"),
        Maybe(
            r#"MostRequestsRefused: job:http_successes:rate5m{job="backend"}"#,
            "0 is what it says in the end",
        ),
    ];
    incident.is_over(&["MostRequestsRefused"], &shows_nothing);
    incident.nothing_has_drifted();
}
