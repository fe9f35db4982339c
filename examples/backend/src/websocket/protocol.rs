//! What clients and the service say to each other, as JSON.

use std::time::Instant;

use backend_metrics::labels::{IndicatorType, SubscriptionType};
use hyper_tungstenite::tungstenite::Utf8Bytes;
use serde::{Deserialize, Serialize};

/// The longest name of an instrument, in bytes.
const LONGEST_SYMBOL: usize = 64;

/// What a client asks for.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", tag = "action")]
pub enum Request {
    /// Tell me about these from now on.
    Subscribe(Selection),
    /// Tell me about these no more.
    Unsubscribe(Selection),
    /// Are you there?
    Ping,
}

impl Request {
    /// Its name in labels.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Subscribe(_) => "subscribe",
            Self::Unsubscribe(_) => "unsubscribe",
            Self::Ping => "ping",
        }
    }
}

/// What a client wants to be told about.
#[derive(Debug, Deserialize)]
pub struct Selection {
    #[serde(default)]
    symbols: Vec<String>,
    indicator: Option<String>,
    #[serde(default)]
    strategies: bool,
}

/// What an endpoint makes of a selection by an account.
pub type Select = fn(Selection, &str) -> Result<Vec<Topic>, &'static str>;

impl Selection {
    /// Ticks, and the strategies of the account.
    pub fn of_market(self, account: &str) -> Result<Vec<Topic>, &'static str> {
        let strategies = self.strategies.then(|| Topic::Strategies(account.to_owned()));
        topics(self.symbols.into_iter().map(Topic::Ticks).chain(strategies))
    }

    /// Values of one indicator.
    pub fn of_indicators(self, _account: &str) -> Result<Vec<Topic>, &'static str> {
        let name = self.indicator.ok_or("no indicator is selected")?;
        let known = IndicatorType::ALL.iter().copied();
        let indicator =
            known.into_iter().find(|known| known.as_str() == name).ok_or("no such indicator")?;
        topics(self.symbols.into_iter().map(|symbol| Topic::Indicator(indicator, symbol)))
    }
}

fn topics(topics: impl Iterator<Item = Topic>) -> Result<Vec<Topic>, &'static str> {
    let topics: Vec<_> = topics.collect();
    if topics.is_empty() {
        return Err("nothing is selected");
    }
    // What is kept for a client shall not depend on what it sends.
    let too_long = |topic: &Topic| match topic {
        Topic::Ticks(symbol) | Topic::Indicator(_, symbol) => symbol.len() > LONGEST_SYMBOL,
        Topic::Strategies(_) => false,
    };
    if topics.iter().any(too_long) { Err("no such instrument") } else { Ok(topics) }
}

/// What one can listen to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// The ticks of an instrument.
    Ticks(String),
    /// The values of an indicator of an instrument.
    Indicator(IndicatorType, String),
    /// The strategies of an account.
    Strategies(String),
}

impl Topic {
    /// What a subscription to it is counted as.
    #[must_use]
    pub fn subscription_type(&self) -> SubscriptionType {
        match self {
            Self::Ticks(_) => SubscriptionType::Instruments,
            Self::Indicator(..) => SubscriptionType::Indicators,
            Self::Strategies(_) => SubscriptionType::Strategies,
        }
    }
}

/// A message to clients. A clone shares its text.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// Its type, in the message and in labels.
    pub message_type: &'static str,
    /// As it is sent.
    pub text: Utf8Bytes,
    /// Since when it could be sent.
    pub ready: Instant,
}

impl Outgoing {
    /// A message with the fields of `body`.
    #[must_use]
    pub fn new(message_type: &'static str, body: &impl Serialize) -> Self {
        #[derive(Serialize)]
        struct Tagged<'a, T> {
            r#type: &'static str,
            #[serde(flatten)]
            body: &'a T,
        }

        let ready = Instant::now();
        // Only a key that is no text could fail, and there is none.
        let text =
            serde_json::to_string(&Tagged { r#type: message_type, body }).unwrap_or_default();
        Self { message_type, text: text.into(), ready }
    }

    /// Says what is wrong.
    #[must_use]
    pub fn error(error: &str) -> Self {
        Self::new("error", &serde_json::json!({ "error": error }))
    }
}
