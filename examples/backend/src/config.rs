//! What can be set, by flag or from the environment.

use std::net::SocketAddr;

use clap::Parser;

use crate::faults::Fault;

/// A small trading backend that shows every family of backend-metrics alive.
///
/// With no flag it needs nothing installed: its database is a temporary file, its Redis a stand-in, and its
/// traffic its own.
// Without `Debug`: it has passwords.
#[derive(Clone, Parser)]
#[command(version, about)]
pub struct Config {
    /// Where to listen
    #[arg(long, env = "BACKEND_LISTEN", default_value = "127.0.0.1:8081")]
    pub listen: SocketAddr,

    /// The database: a SQLite file or the URL of a PostgreSQL; without it a SQLite in a temporary file
    #[arg(
        long,
        env = "DATABASE_URL",
        value_name = "FILE or postgres://...",
        hide_env_values = true
    )]
    pub database: Option<String>,

    /// The Redis behind the cache; without it an embedded stand-in
    #[arg(long, env = "REDIS_URL", value_name = "redis://...", hide_env_values = true)]
    pub redis: Option<String>,

    /// The bearer token that a scraper of /metrics has to send; without it anyone may scrape
    #[arg(long, env = "BACKEND_METRICS_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub metrics_token: Option<String>,

    /// Leave the metrics layer and /metrics out, to see what they cost; handlers record as ever
    #[arg(
        long,
        env = "BACKEND_WITHOUT_METRICS",
        value_parser = clap::builder::FalseyValueParser::new()
    )]
    pub without_metrics: bool,

    /// Requests in a second that a caller may ask of most endpoints, and twice as many at once
    #[arg(
        long,
        env = "BACKEND_RATE_LIMIT",
        value_name = "RPS",
        default_value_t = 50,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000)
    )]
    pub rate_limit: u32,

    /// Requests in a second that the backend sends to itself, at most 1000; 0 for none
    #[arg(
        long,
        env = "BACKEND_TRAFFIC",
        value_name = "RPS",
        default_value_t = 20,
        value_parser = clap::value_parser!(u32).range(..=1000)
    )]
    pub traffic: u32,

    /// Trouble to make on purpose, by name
    #[arg(long, env = "BACKEND_FAULTS", value_name = "NAME", value_delimiter = ',', value_enum)]
    pub faults: Vec<Fault>,
}
