//! What the market did last: instruments, quotes, and the stream of ticks.
//!
//! The feed of the ticker service writes it; analytics, orders, strategies and WebSockets read it.

use std::{collections::HashMap, sync::Arc};

use parking_lot::RwLock;
use tokio::sync::broadcast;

use crate::ticker::protocol::{Candle, Instrument, Tick};

/// How many ticks a reader may fall behind before it misses some.
const TICKS_KEPT: usize = 4096;

/// The market as this service knows it.
#[derive(Debug)]
pub struct Market {
    instruments: RwLock<Arc<[Instrument]>>,
    last: RwLock<HashMap<String, Arc<Tick>>>,
    minutes: RwLock<HashMap<String, Candle>>,
    ticks: broadcast::Sender<Arc<Tick>>,
}

impl Default for Market {
    fn default() -> Self {
        Self {
            instruments: RwLock::new(Arc::new([])),
            last: RwLock::default(),
            minutes: RwLock::default(),
            ticks: broadcast::Sender::new(TICKS_KEPT),
        }
    }
}

impl Market {
    /// Every instrument that can be traded.
    #[must_use]
    pub fn instruments(&self) -> Arc<[Instrument]> {
        Arc::clone(&self.instruments.read())
    }

    /// The instrument of a symbol.
    #[must_use]
    pub fn instrument(&self, symbol: &str) -> Option<Instrument> {
        self.instruments.read().iter().find(|instrument| instrument.symbol == symbol).cloned()
    }

    /// Takes over a new list of instruments.
    pub fn set_instruments(&self, instruments: Vec<Instrument>) {
        *self.instruments.write() = instruments.into();
    }

    /// The last tick of a symbol.
    #[must_use]
    pub fn last(&self, symbol: &str) -> Option<Arc<Tick>> {
        self.last.read().get(symbol).cloned()
    }

    /// Takes a tick over, and passes it on to whoever listens.
    pub fn apply(&self, tick: Tick) {
        let tick = Arc::new(tick);
        self.last.write().insert(tick.symbol.clone(), Arc::clone(&tick));
        // An error means that nobody listens.
        drop(self.ticks.send(tick));
    }

    /// The last minute of a symbol that is over.
    #[must_use]
    pub fn minute(&self, symbol: &str) -> Option<Candle> {
        self.minutes.read().get(symbol).cloned()
    }

    /// Takes over a minute that is over.
    pub fn set_minute(&self, symbol: &str, minute: Candle) {
        self.minutes.write().insert(symbol.to_owned(), minute);
    }

    /// The ticks from now on.
    #[must_use]
    pub fn ticks(&self) -> broadcast::Receiver<Arc<Tick>> {
        self.ticks.subscribe()
    }
}
