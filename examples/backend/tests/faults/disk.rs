//! The disk is full.

use std::process::Command;

use crate::{
    backend, burn,
    incident::{Database, Incident},
    runbooks::{Excuse::Nothing, NO_PANIC, NO_SOCKET, TICKER_ANSWERS},
};

#[test]
#[ignore = "needs Redis, Prometheus and Alertmanager: run scripts/test"]
fn a_full_disk_is_told_of_until_there_is_room() {
    // With the signal ignored, a write past the limit of file sizes fails, as one to a full disk does. Anyone may
    // set that limit, and for a process that runs.
    let mut program = Command::new("env");
    let backend = backend::command(&[]);
    program.arg("--ignore-signal=XFSZ").arg(backend.get_program());
    for (name, value) in backend.get_envs() {
        match value {
            Some(value) => program.env(name, value),
            None => program.env_remove(name),
        };
    }
    let expected = [
        "APIErrorRateAboveTarget",
        "API_SLA_Breach_Availability",
        "EndpointFailing",
        "HighAPIErrorRate",
        "OrdersFailing",
        burn!("api-availability"),
    ];
    let mut incident = Incident::prepare("disk full", Database::sqlite(), program, &[]);
    incident.begin();
    limit(&incident, "0");
    incident.fires("pager", "HighAPIErrorRate");
    incident.all_fire(&expected);
    limit(&incident, "unlimited");
    incident.resolves("pager", "HighAPIErrorRate");
    let shows_nothing = [
        NO_PANIC,
        Nothing("redis_connection_errors_total", "Redis is well"),
        Nothing("database_pool_acquire_timeouts_total", "nobody waits for a connection"),
    ];
    incident.is_over(&expected, &[&shows_nothing[..], &TICKER_ANSWERS, &NO_SOCKET].concat());
    incident.nothing_has_drifted();
}

/// Says how large the backend's files may become.
#[track_caller]
fn limit(incident: &Incident, bytes: &str) {
    let status = Command::new("prlimit")
        .args(["--pid", &incident.backend.id().to_string()])
        // The soft limit alone: a hard one could not be undone.
        .arg(format!("--fsize={bytes}:"))
        .status();
    assert!(status.expect("`prlimit` starts").success());
}
