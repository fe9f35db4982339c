//! The backend under faults: from the fault to whoever is told of it, and back.
//!
//! Every test has a backend of its own with a real `PostgreSQL` or `SQLite`, a real Redis, clients, a real
//! Prometheus with the shipped rules and a real Alertmanager with the shipped routes, which run [`TIMES`] times as
//! fast. So all tests can run at once, and do little but wait.
//!
//! [`TIMES`]: watch::TIMES

#[path = "../../../../tests/live/alertmanager.rs"]
#[allow(dead_code, reason = "shared with the tests of the library")]
mod alertmanager;
#[path = "../live/backend.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod backend;
mod clients;
mod crowd;
mod disk;
#[path = "../../../../tests/alerts/duration.rs"]
mod duration;
#[path = "../../../../tests/common/expressions.rs"]
mod expressions;
#[path = "../../../../tests/live/faster.rs"]
mod faster;
#[path = "../../../../tests/live/http.rs"]
#[allow(dead_code, reason = "shared with the tests of the library")]
mod http;
mod incident;
mod load;
mod monitoring;
#[path = "../live/postgres.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod postgres;
#[path = "../../../../tests/live/process.rs"]
#[allow(dead_code, reason = "shared with the tests of the library")]
mod process;
#[path = "../../../../tests/live/prometheus.rs"]
#[allow(dead_code, reason = "shared with the tests of the library")]
mod prometheus;
#[path = "../live/redis.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod redis;
mod runbooks;
#[path = "../../../../tests/live/server.rs"]
#[allow(dead_code, reason = "shared with the tests of the library")]
mod server;
mod servers;
mod stop;
#[path = "../../../../tests/live/tempdir.rs"]
mod tempdir;
mod ticker;
#[path = "../../../../tests/live/wait.rs"]
mod wait;
#[allow(dead_code, reason = "shared with other tests")]
mod watch;
#[path = "../../../../tests/live/webhook.rs"]
#[allow(dead_code, reason = "shared with the tests of the library")]
mod webhook;
