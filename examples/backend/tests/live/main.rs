//! The backend on a real `PostgreSQL` and a real Redis, seen by a real Prometheus and a real `VictoriaMetrics`.
//!
//! The tests are ignored unless they are asked for: `scripts/test` installs the servers and runs them. Asked
//! for where one is missing, they fail.

mod agreement;
#[allow(dead_code, reason = "shared with the tests under faults")]
mod backend;
#[path = "../../../../tests/alerts/duration.rs"]
mod duration;
#[path = "../../../../tests/common/expressions.rs"]
mod expressions;
#[path = "../../../../tests/live/faster.rs"]
mod faster;
mod grafana;
#[path = "../../../../tests/live/http.rs"]
#[allow(dead_code, reason = "shared with the tests of the library")]
mod http;
mod jobs;
mod outages;
mod panels;
#[allow(dead_code, reason = "shared with other tests")]
mod postgres;
#[path = "../../../../tests/live/process.rs"]
#[allow(dead_code, reason = "shared with the tests of the library")]
mod process;
#[path = "../../../../tests/live/prometheus.rs"]
#[allow(dead_code, reason = "shared with the tests of the library")]
mod prometheus;
#[allow(dead_code, reason = "shared with the tests under faults")]
mod redis;
mod scale_out;
mod script;
mod start;
#[path = "../../../../tests/live/tempdir.rs"]
mod tempdir;
#[path = "../../../../tests/live/victoria.rs"]
#[allow(dead_code, reason = "shared with the tests of the library")]
mod victoria;
#[path = "../../../../tests/live/wait.rs"]
mod wait;
#[path = "../faults/watch.rs"]
#[allow(dead_code, reason = "shared with the tests under faults")]
mod watch;
