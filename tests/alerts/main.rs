//! The alerts, their runbooks and promtool tests, and the Alertmanager configuration fit together.
//!
//! What Prometheus and Alertmanager make of them, `promtool` and `amtool` say: see `scripts/test alerts` and the
//! live tests.

mod alertmanager;
mod coverage;
mod duration;
mod limits;
mod rules;
mod specified;
