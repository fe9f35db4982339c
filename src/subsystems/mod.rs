//! One file per subsystem: its families, its labels and its `track_*` helpers.

use crate::{
    model::Definition,
    registry::{Now, Registrar, Subsystem},
};

pub mod auth;
pub mod business;
pub mod cache;
pub mod database;
pub mod errors;
pub mod fno;
mod helpers;
pub mod http;
pub mod http_client;
pub mod market_data;
pub mod process;
pub mod rate_limits;
pub mod self_metrics;
pub mod shared;
pub mod smart_orders;
pub mod statements;
pub mod strategies;
pub mod ticker_service;
pub mod websocket;
pub mod workers;

/// Declares the subsystems of [`Metrics`] and the catalog of all of them.
macro_rules! subsystems {
    ($($(#[doc = $doc:literal])+ $field:ident: $Subsystem:ty,)+) => {
        /// The subsystems of an instance, as fields of [`Metrics`](crate::Metrics).
        #[derive(Debug)]
        #[non_exhaustive]
        pub struct Subsystems {
            $($(#[doc = $doc])+ pub $field: $Subsystem,)+
            /// Of those that are on: nobody sees what is read for the others.
            on_scrape: Vec<fn(&Self, &Now)>,
        }

        impl Subsystems {
            /// The names of the subsystems, as [`Builder::without`](crate::Builder::without) takes them.
            pub(crate) const NAMES: &'static [&'static str] = &[$(<$Subsystem>::NAME),+];

            pub(crate) fn register(registrar: &mut Registrar, is_on: impl Fn(&str) -> bool) -> Self {
                let mut on_scrape: Vec<fn(&Self, &Now)> = Vec::new();
                Self {
                    $($field: {
                        let is_on = is_on(<$Subsystem>::NAME);
                        if is_on {
                            on_scrape.push(|this, now| this.$field.on_scrape(now));
                        }
                        registrar.subsystem(is_on)
                    },)+
                    on_scrape,
                }
            }

            pub(crate) fn on_scrape(&self, now: &Now) {
                self.on_scrape.iter().for_each(|on_scrape| on_scrape(self, now));
            }
        }

        const DEFINITIONS: &[(&str, &[Definition])] =
            &[$((<$Subsystem>::NAME, <$Subsystem>::DEFINITIONS)),+];
    };
}

subsystems! {
    /// Requests to the service.
    http: http::HttpMetrics,
    /// Requests to other services.
    http_client: http_client::HttpClientMetrics,
    /// Queries, connections and transactions of the database.
    database: database::DatabaseMetrics,
    /// Cache operations, in memory and in Redis.
    cache: cache::CacheMetrics,
    /// WebSocket connections and messages.
    websocket: websocket::WebsocketMetrics,
    /// Validation, cost and life of orders.
    smart_orders: smart_orders::SmartOrderMetrics,
    /// Strategies and their mark to market.
    strategies: strategies::StrategyMetrics,
    /// Futures and options analytics.
    fno: fno::FnoMetrics,
    /// Requests to the ticker service and the ticks it sends.
    ticker_service: ticker_service::TickerServiceMetrics,
    /// Log-ins, tokens, keys and sessions.
    auth: auth::AuthMetrics,
    /// Uploaded account statements.
    statements: statements::StatementMetrics,
    /// Market data, indicators and the calendar.
    market_data: market_data::MarketDataMetrics,
    /// Background workers and their queues.
    workers: workers::WorkerMetrics,
    /// Users, orders and turnover of the day.
    business: business::BusinessMetrics,
    /// Errors of the application and its log.
    errors: errors::ErrorMetrics,
    /// Rate limits.
    rate_limits: rate_limits::RateLimitMetrics,
    /// The process and its runtime.
    process: process::ProcessMetrics,
    /// The metrics themselves.
    self_metrics: self_metrics::SelfMetrics,
}

/// A row of the [`catalog`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct CatalogEntry {
    /// The name of the subsystem.
    pub subsystem: &'static str,
    /// The family.
    pub family: &'static Definition,
}

/// Every family of the crate in the order of exposition, known without an instance.
///
/// ```
/// let rejected = backend_metrics::catalog()
///     .find(|entry| entry.family.name == "database_pool_acquire_timeouts_total")
///     .expect("it is a family of this crate");
/// assert_eq!(rejected.subsystem, "database");
/// ```
pub fn catalog() -> impl Iterator<Item = CatalogEntry> {
    DEFINITIONS.iter().flat_map(|(subsystem, families)| {
        families.iter().map(|family| CatalogEntry { subsystem, family })
    })
}
