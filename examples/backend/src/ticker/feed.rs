//! The stream of ticks: read from the ticker service, applied to the market.

use std::sync::Arc;

use crate::app::App;

/// Reads ticks until the backend stops; connects again when the stream breaks.
pub async fn run(_app: Arc<App>) {}
