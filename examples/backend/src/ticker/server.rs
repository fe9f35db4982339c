//! The ticker service itself, with a random walk for a market.

use std::{io, net::SocketAddr};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::faults::Faults;

/// Starts the service on a free port of loopback; gives where.
pub async fn start(
    _faults: Faults,
    _tasks: &TaskTracker,
    _stop: CancellationToken,
) -> io::Result<SocketAddr> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    listener.local_addr()
}
