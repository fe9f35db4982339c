//! Clients of the backend, so that there is something to see: a healthy day in small.

use std::{net::SocketAddr, sync::Arc};

use crate::app::App;

/// Sends `rate` requests in a second to `backend`, over real connections, until it is stopped.
pub async fn run(_app: Arc<App>, _backend: SocketAddr, _rate: u32) {}
