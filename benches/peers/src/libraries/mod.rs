//! The peers, a file each.

mod fastmetrics;
mod foundations;
mod measured;
mod metrics;
mod opentelemetry;
mod prometheus;
mod prometheus_client;

use crate::{case::Case, library};

pub fn cases() -> Vec<Case> {
    [
        library::cases::<prometheus_client::PrometheusClient>(),
        library::cases::<prometheus::Prometheus>(),
        library::cases::<measured::Measured>(),
        library::cases::<metrics::Metrics>(),
        library::cases::<fastmetrics::FastMetrics>(),
        library::cases::<opentelemetry::OpenTelemetry>(),
        library::cases::<foundations::Foundations>(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
