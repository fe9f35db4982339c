//! The Grafana dashboards and Prometheus rules of this version, as constants.
//!
//! They ask for what this version emits, so it is worth taking them from the same place as the code: write them
//! out at build or deployment time, or serve them from an endpoint of your own.
//!
//! ```
//! use backend_metrics::assets;
//!
//! for asset in assets::DASHBOARDS.iter().chain(assets::RULES) {
//!     println!("{}: {} bytes", asset.path, asset.text.len());
//! }
//! ```
//!
//! The example `export-assets` writes them into a folder, with another job name, data source or label if asked:
//!
//! ```text
//! cargo run --example export-assets -- --to DIR
//! ```
//!
//! A constant that is not used is not in the program.

/// A file that comes with the crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Asset {
    /// Where it is in the crate, with `/` between folders.
    pub path: &'static str,
    /// What is in it.
    pub text: &'static str,
}

macro_rules! assets {
    ($($path:literal),+ $(,)?) => {
        &[$(Asset { path: $path, text: include_str!(concat!("../", $path)) }),+]
    };
}

/// The dashboards, in Grafana's classic JSON.
pub const DASHBOARDS: &[Asset] = assets![
    "dashboards/dashboard-1-api-performance.json",
    "dashboards/dashboard-2-database-cache.json",
    "dashboards/dashboard-3-business-trading.json",
    "dashboards/dashboard-4-slo.json",
];

/// Alerts, objectives and their recordings, in the form of Prometheus' rule files.
///
/// They expect the scrape job to be named `backend`; `alerts/meta.yml` names other jobs as well, those of the
/// monitoring itself. `alerts/calendar.yml` is a list of dates to keep up to date. The runbooks that `runbook_url` names are in the
/// repository, in `monitoring/runbooks`.
pub const RULES: &[Asset] = assets![
    "alerts/backend-alerts.yml",
    "alerts/calendar.yml",
    "alerts/freshness.yml",
    "alerts/meta.yml",
    "alerts/outages.yml",
    "alerts/slo.yml",
    "alerts/telemetry.yml",
];
