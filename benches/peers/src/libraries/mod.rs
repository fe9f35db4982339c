//! The peers, a file each.

mod measured;
mod metrics;
mod prometheus;
mod prometheus_client;

use crate::{case::Case, library};

pub fn cases() -> Vec<Case> {
    [
        library::cases::<prometheus_client::PrometheusClient>(),
        library::cases::<prometheus::Prometheus>(),
        library::cases::<measured::Measured>(),
        library::cases::<metrics::Metrics>(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
