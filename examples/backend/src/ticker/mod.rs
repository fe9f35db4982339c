//! The ticker service: another server, which has the market's data and knows what margin an order needs.
//!
//! The backend starts one of its own, and talks to it over HTTP as it would to a real one.

pub mod client;
mod exchange;
pub mod feed;
pub mod protocol;
pub mod server;
