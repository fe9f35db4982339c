//! The dashboards in `dashboards/`, as files: that Grafana understands them, that they keep to the rules of
//! dashboards, that their numbers are those of the alerts, and that nothing on them leads nowhere.
//!
//! What their queries ask for is the matter of the test `queries`.

mod alerts;
mod colours;
mod dashboard;
mod drawing;
mod exclusions;
#[path = "../common/expressions.rs"]
mod expressions;
mod layout;
mod linked;
mod linter;
mod promql;
mod sample;
mod schema;
mod settings;
mod targets;
mod thresholds;
mod titles;
mod versions;
