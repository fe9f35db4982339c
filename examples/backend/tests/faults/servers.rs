//! The database and Redis are gone.

use crate::{burn, incident::Incident};

#[test]
#[ignore = "needs PostgreSQL, Redis, Prometheus and Alertmanager: run scripts/test"]
fn a_database_that_is_killed_is_told_of_until_it_is_back() {
    // Callers wait for a second before they are refused.
    let expected = [
        "API_SLA_Breach_Availability",
        "API_SLA_Breach_Latency",
        "DatabaseAcquireTimeouts",
        "HighAPIErrorRate",
        "HighAPILatency",
        burn!("api-availability"),
        burn!("api-latency-p99-1s"),
        burn!("db-acquire-timeouts"),
    ];
    let mut incident = Incident::healthy("database killed");
    incident.postgres().kill();
    incident.fires("pager", "DatabaseAcquireTimeouts");
    incident.fires("pager", "HighAPIErrorRate");
    incident.all_fire(&expected);
    incident.postgres().run();
    incident.resolves("pager", "DatabaseAcquireTimeouts");
    incident.resolves("pager", "HighAPIErrorRate");
    incident.is_over(&expected);
    incident.nothing_has_drifted();
}

#[test]
#[ignore = "needs PostgreSQL, Redis, Prometheus and Alertmanager: run scripts/test"]
fn a_redis_that_is_gone_is_told_of_until_it_is_back() {
    let mut incident = Incident::healthy("redis gone");
    incident.redis.stop();
    incident.fires("pager", "RedisConnectionFailure");
    incident.redis.run();
    incident.resolves("pager", "RedisConnectionFailure");
    incident.is_over(&["RedisConnectionFailure"]);
    incident.nothing_has_drifted();
}
