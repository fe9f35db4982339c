//! What handlers and workers share.

use std::sync::Arc;

use backend_metrics::Metrics;
use tokio_util::sync::CancellationToken;

use crate::{
    auth::Auth, cache::Cache, database::Database, faults::Faults, indicators::Indicators,
    market::Market, orders::Orders, rate_limit::RateLimits, ticker::client::TickerClient,
    websocket::Websockets, workers::Workers,
};

/// The parts of the backend. Each records into the one metrics instance.
#[derive(Debug)]
pub struct App {
    /// Where everything is recorded.
    pub metrics: Metrics,
    /// Trouble made on purpose.
    pub faults: Faults,
    /// Orders, strategies, accounts.
    pub database: Database,
    /// What need not be asked or computed again.
    pub cache: Cache,
    /// What the market did last.
    pub market: Market,
    /// What follows from it.
    pub indicators: Indicators,
    /// The orders that are open.
    pub orders: Orders,
    /// The service that knows the market.
    pub ticker: TickerClient,
    /// Who calls.
    pub auth: Auth,
    /// How often they may.
    pub limits: RateLimits,
    /// Clients that are told what happens.
    pub websockets: Arc<Websockets>,
    /// Work that nobody waits for.
    pub workers: Workers,
    /// Cancelled when the backend is to stop.
    pub stop: CancellationToken,
}
