//! Work that nobody waits for, in queues.

use std::sync::Arc;

use backend_metrics::Metrics;

use crate::app::App;

/// The queues of the workers.
#[derive(Debug)]
pub struct Workers {
    metrics: Metrics,
}

impl Workers {
    /// Queues without work.
    #[must_use]
    pub fn new(metrics: Metrics) -> Self {
        Self { metrics }
    }
}

/// Works until the backend stops.
pub async fn run(_app: Arc<App>) {}
