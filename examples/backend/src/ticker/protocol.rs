//! What the ticker service and its clients say to each other, as JSON.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

/// What one can trade.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Instrument {
    /// Its name: `NIFTY24DEC24500CE`.
    pub symbol: String,
    /// What it is derived from; for an equity its own name.
    pub underlying: String,
    /// What kind of thing it is.
    pub kind: InstrumentKind,
    /// The least quantity and its steps.
    pub lot: u32,
}

/// What kind of thing an instrument is.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "type")]
pub enum InstrumentKind {
    /// A share or an index.
    Equity,
    /// A future.
    Future {
        /// Its last day.
        expiry: NaiveDate,
    },
    /// An option.
    Option {
        /// Its last day.
        expiry: NaiveDate,
        /// Its strike, in rupees.
        strike: f64,
        /// Whether it is to buy; otherwise it is to sell.
        call: bool,
    },
}

/// A change in the market.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Tick {
    /// Of which instrument.
    pub symbol: String,
    /// Counts the ticks of the instrument, without a gap.
    pub sequence: u64,
    /// The last price, in rupees.
    pub price: f64,
    /// What is offered for it, in rupees.
    pub bid: f64,
    /// What it is offered for, in rupees.
    pub ask: f64,
    /// How many are asked for at `bid`.
    pub bid_quantity: u64,
    /// How many are offered at `ask`.
    pub ask_quantity: u64,
    /// Contracts that are open.
    pub open_interest: u64,
    /// When the exchange sent it, in microseconds since 1970.
    pub sent_at: i64,
}

/// A span of time in the market.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Candle {
    /// When it begins, in milliseconds since 1970.
    pub begin: i64,
    /// The first price.
    pub open: f64,
    /// The highest price.
    pub high: f64,
    /// The lowest price.
    pub low: f64,
    /// The last price.
    pub close: f64,
}

impl Candle {
    /// How long a candle is, in milliseconds.
    pub const MINUTE: i64 = 60_000;

    /// The minute of a tick, as far as the tick tells.
    #[must_use]
    pub fn of(tick: &Tick) -> Self {
        let sent_at = tick.sent_at.div_euclid(1_000);
        let begin = sent_at - sent_at.rem_euclid(Self::MINUTE);
        Self { begin, open: tick.price, high: tick.price, low: tick.price, close: tick.price }
    }

    /// Takes the tick into its candle. If that is another one, gives the old one back, which is over.
    pub fn add(&mut self, tick: &Tick) -> Option<Self> {
        let next = Self::of(tick);
        if next.begin != self.begin {
            return Some(std::mem::replace(self, next));
        }
        self.high = self.high.max(next.high);
        self.low = self.low.min(next.low);
        self.close = next.close;
        None
    }
}

/// Asks what margin an order needs.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct MarginRequest {
    /// Of which instrument.
    pub symbol: String,
    /// How many.
    pub quantity: i64,
    /// At which price, in rupees.
    pub price: f64,
    /// Whether it is sold.
    pub sell: bool,
}

/// Says what margin an order needs.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct Margin {
    /// In rupees.
    pub rupees: f64,
}

/// What is listened to.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Subscription {
    /// The instruments.
    pub symbols: Vec<String>,
}
