//! The layer around a service and the layer around a client: what they record of a request, whatever
//! happens to it.
//!
//! Most tests hand the layers services, futures and bodies that are made by hand and follow a script. Others
//! go through hyper over a socket, and through axum.

#![expect(clippy::float_cmp, reason = "counts, and sums that are exact")]
#![expect(clippy::cast_precision_loss, reason = "counts are small")]
#![expect(clippy::format_push_string, reason = "what is expected is short")]

mod bodies;
mod client;
mod client_sockets;
mod crowd;
mod endpoints;
#[cfg(feature = "exemplars")]
mod exemplars;
mod exposed;
#[path = "../common/exposition.rs"]
mod exposition;
mod http2;
mod options;
mod outcomes;
mod panics;
#[cfg(feature = "axum")]
mod routers;
mod scripted;
mod server;
mod sockets;
mod types;
