//! What is exposed, seen by a real Prometheus.
//!
//! The tests are ignored unless they are asked for: `scripts/test` installs the server and runs them. Asked
//! for where it is missing, they fail.

#[path = "../drive/mod.rs"]
mod drive;
mod example;
#[cfg(feature = "exemplars")]
mod exemplars;
mod exposed;
mod harness;
mod http;
mod process;
mod prometheus;
mod promtool;
mod proxy;
mod server;
mod stored;
mod tempdir;
mod wait;
