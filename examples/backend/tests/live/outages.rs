//! Servers that go away, and come back.

use crate::{
    backend::Backend,
    postgres::Postgres,
    prometheus::Prometheus,
    redis::Redis,
    wait::{DEADLINE, eventually},
};

/// A value by a scrape of Prometheus, at least this large.
#[track_caller]
fn at_least(prometheus: &Prometheus, promql: &str, least: f64) {
    eventually(DEADLINE, || match prometheus.value(promql)? {
        value if value >= least => Ok(()),
        value => Err(format!("{promql} is {value}")),
    });
}

#[test]
#[ignore = "needs PostgreSQL, Redis and Prometheus: run scripts/test"]
fn without_its_servers_the_backend_stays_up_and_counts_it() {
    let (mut postgres, mut redis) = (Postgres::start(), Redis::start());
    let (database, cache) = (postgres.url(), redis.url());
    let backend = Backend::start(&["--traffic", "10", "--database", &database, "--redis", &cache]);
    let prometheus = Prometheus::scraping(&[("backend", backend.address)]);
    prometheus.wait_until_up();
    at_least(&prometheus, r#"sum(http_requests_total{status="200"})"#, 50.0);
    at_least(&prometheus, r#"redis_commands_total{command="get",status="success"}"#, 1.0);

    redis.stop();
    at_least(&prometheus, "redis_connection_errors_total", 5.0);
    assert_eq!(backend.ask("GET", "/health", "", "").status, 200);
    redis.run();
    at_least(&prometheus, "redis_reconnects_total", 1.0);

    postgres.kill();
    let failed = "sum(database_pool_acquire_timeouts_total) + sum(database_errors_total)";
    at_least(&prometheus, failed, 5.0);
    at_least(&prometheus, r#"sum(http_requests_total{status="503"})"#, 3.0);
    assert_eq!(backend.ask("GET", "/health", "", "").status, 200);
    assert_eq!(prometheus.value("up"), Ok(1.0));
    postgres.run();
    // It answers as before.
    eventually(DEADLINE, || {
        let body = r#"{"account":"A-05","password":"demo"}"#;
        match backend.ask("POST", "/auth/login", "", body).status {
            200 => Ok(()),
            status => Err(status.to_string()),
        }
    });

    let (status, log) = backend.stop("TERM");
    assert!(status.success(), "{status}");
    assert_eq!(log.last().expect("it logs")["message"], "stopped");
    assert!(log.iter().any(|line| line["level"] == "ERROR" && line["error_type"] == "database"));
}

#[test]
#[ignore = "needs PostgreSQL: run scripts/test"]
fn a_query_that_is_given_up_ends_at_the_server_as_well() {
    let postgres = Postgres::start();
    let backend = Backend::start(&["--traffic", "0", "--database", &postgres.url()]);
    let log_in = || {
        let body = r#"{"account":"A-05","password":"demo"}"#;
        backend.ask("POST", "/auth/login", "", body).status
    };
    assert_eq!(log_in(), 200);

    let _client = postgres.lock("accounts");
    assert_eq!(log_in(), 503);
    let waiting = "SELECT query FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    assert_eq!(postgres.query(waiting), "");
    let idle = backend.ask("GET", "/metrics", "", "").text();
    assert!(idle.contains("database_pool_connections{state=\"active\"} 0\n"), "{idle}");

    postgres.unlock("accounts");
    assert_eq!(log_in(), 200);
}
