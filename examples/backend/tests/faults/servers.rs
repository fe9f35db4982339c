//! The database and Redis are gone, or do not do what they are asked.

use std::time::Duration;

use crate::{
    burn,
    incident::Incident,
    load::Request,
    runbooks::{
        Excuse::{Maybe, Nothing},
        NO_PANIC, NO_SOCKET, TICKER_ANSWERS,
    },
};

/// A statement without a transaction: has what Redis knows of the account's statements forgotten.
const FORGETS: Request =
    ("POST", "/statements", "/statements", "Date,Description,Category,Amount\n");

#[test]
#[ignore = "needs PostgreSQL, Redis, Prometheus and Alertmanager: run scripts/test"]
fn a_database_that_is_killed_is_told_of_until_it_is_back() {
    // Callers wait for a second before they are refused.
    let expected = [
        "APIErrorRateAboveTarget",
        "API_SLA_Breach_Availability",
        "API_SLA_Breach_Latency",
        "DatabaseAcquireTimeouts",
        "EndpointFailing",
        "HighAPIErrorRate",
        "HighAPILatency",
        "OrderValidationsFailing",
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
    let shows_nothing = [
        NO_PANIC,
        Nothing("redis_connection_errors_total", "Redis is well"),
        Nothing(r#"cache_layer="l2_redis""#, "nothing is asked of Redis"),
        Nothing("unhandled_exceptions_total", "nothing panics"),
        Maybe("database_errors_total", "nobody gets a connection on which there could be an error"),
        Maybe("database_query_duration_seconds_bucket", "nobody gets a connection for a query"),
    ];
    incident.is_over(&expected, &[&shows_nothing[..], &TICKER_ANSWERS, &NO_SOCKET].concat());
    incident.nothing_has_drifted();
}

#[test]
#[ignore = "needs PostgreSQL, Redis, Prometheus and Alertmanager: run scripts/test"]
fn a_redis_that_is_gone_is_told_of_until_it_is_back() {
    let mut incident = Incident::healthy("redis gone");
    incident.start_load_of(FORGETS, Duration::from_millis(300));
    incident.redis.stop();
    incident.fires("pager", "RedisConnectionFailure");
    incident.fires("pager", "RedisOperationsFailing");
    incident.redis.run();
    incident.resolves("pager", "RedisConnectionFailure");
    let shows_nothing = [
        Nothing("redis_reconnects_total", "nobody is connected again until it is over"),
        Maybe("redis_commands_total", "nobody gets a connection for a command"),
    ];
    incident.is_over(&["RedisConnectionFailure", "RedisOperationsFailing"], &shows_nothing);
    incident.nothing_has_drifted();
}

#[test]
#[ignore = "needs PostgreSQL, Redis, Prometheus and Alertmanager: run scripts/test"]
fn a_database_that_is_read_only_is_told_of_until_it_can_be_written_to() {
    let expected = [
        "APIErrorRateAboveTarget",
        "API_SLA_Breach_Availability",
        "DatabaseQueriesFailing",
        "EndpointFailing",
        "HighAPIErrorRate",
        "OrdersFailing",
        burn!("api-availability"),
    ];
    let mut incident = Incident::healthy("database read-only");
    incident.postgres().set("default_transaction_read_only", Some("on"));
    incident.fires("pager", "DatabaseQueriesFailing");
    // By the kind that it refuses.
    incident.comes_true(
        r#"ALERTS{alertname="DatabaseQueriesFailing",alertstate="firing",query_type="insert"}"#,
    );
    incident.all_fire(&expected);
    incident.postgres().set("default_transaction_read_only", None);
    incident.resolves("pager", "DatabaseQueriesFailing");
    let shows_nothing = [
        NO_PANIC,
        Nothing("redis_connection_errors_total", "Redis is well"),
        Nothing("database_pool_acquire_timeouts_total", "nobody waits for a connection"),
    ];
    incident.is_over(&expected, &[&shows_nothing[..], &TICKER_ANSWERS, &NO_SOCKET].concat());
    let reads = r#"sum(database_queries_total{status="error",query_type="select"}) or vector(0)"#;
    assert_eq!(incident.prometheus.value(reads), Ok(0.0));
    incident.nothing_has_drifted();
}

#[test]
#[ignore = "needs PostgreSQL, Redis, Prometheus and Alertmanager: run scripts/test"]
fn an_endpoint_whose_table_is_missing_is_told_of_until_it_is_there() {
    // One request in thirty: too few for the alert on all of them.
    let expected = [
        "APIErrorRateAboveTarget",
        "API_SLA_Breach_Availability",
        "EndpointFailing",
        burn!("api-availability"),
    ];
    let mut incident = Incident::healthy("table missing");
    incident.postgres().query("ALTER TABLE statement_transactions RENAME TO hidden");
    incident.start_load_of(("GET", "/statements", "/statements", ""), Duration::from_secs(1));
    incident.fires("pager", "EndpointFailing");
    incident.all_fire(&expected);
    incident.postgres().query("ALTER TABLE hidden RENAME TO statement_transactions");
    incident.resolves("pager", "EndpointFailing");
    let shows_nothing = [
        NO_PANIC,
        Nothing("database_pool_acquire_timeouts_total", "nobody waits for a connection"),
    ];
    incident.is_over(&expected, &[&shows_nothing[..], &TICKER_ANSWERS, &NO_SOCKET].concat());
    incident.nothing_has_drifted();
}

#[test]
#[ignore = "needs PostgreSQL, Redis, Prometheus and Alertmanager: run scripts/test"]
fn a_redis_that_refuses_commands_is_told_of_until_it_obeys() {
    let mut incident = Incident::healthy("redis refuses");
    incident.start_load_of(FORGETS, Duration::from_millis(300));
    incident.redis.refuse(true);
    incident.fires("pager", "RedisOperationsFailing");
    incident.redis.refuse(false);
    incident.resolves("pager", "RedisOperationsFailing");
    let shows_nothing = [
        Nothing("redis_connection_errors_total", "clients stay connected"),
        Nothing("redis_reconnects_total", "clients stay connected"),
    ];
    incident.is_over(&["RedisOperationsFailing"], &shows_nothing);
    incident.nothing_has_drifted();
}
