//! What is exposed, seen by a real Prometheus, and the alerts on it, told by a real Alertmanager.
//!
//! The tests are ignored unless they are asked for: `scripts/test` installs the servers and runs them. Asked
//! for where one is missing, they fail.

mod alerting;
mod alertmanager;
mod conformance;
#[path = "../drive/mod.rs"]
mod drive;
#[path = "../alerts/duration.rs"]
mod duration;
mod example;
#[cfg(feature = "exemplars")]
mod exemplars;
mod exposed;
#[path = "../common/exposition.rs"]
mod exposition;
mod faster;
#[cfg(target_os = "linux")]
mod fuzzers;
mod harness;
mod http;
mod notifications;
#[allow(dead_code, reason = "shared with the tests of the reference backend")]
mod process;
#[allow(dead_code, reason = "shared with the tests of the reference backend")]
mod prometheus;
mod promtool;
mod proxy;
mod python;
mod receivers;
#[path = "../common/refused.rs"]
mod refused;
mod routing;
#[path = "../alerts/rules.rs"]
#[allow(dead_code, reason = "shared with the tests of the alerts")]
mod rules;
mod server;
mod stored;
mod tempdir;
#[allow(dead_code, reason = "shared with the tests of the reference backend")]
mod victoria;
mod wait;
mod webhook;
