//! Who listens to what, and the messages for them.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
    time::Duration,
};

use backend_metrics::labels::IndicatorType;
use futures_util::{StreamExt, future, stream};
use parking_lot::RwLock;
use serde_json::json;
use tokio::{
    sync::broadcast::error::RecvError,
    time::{self, MissedTickBehavior},
};

use super::{
    protocol::{Outgoing, Topic},
    session::Outbox,
};
use crate::{app::App, indicators};

/// How often indicators are calculated.
const INDICATORS_EVERY: Duration = Duration::from_secs(1);
/// How many are calculated at a time.
const INDICATORS_AT_A_TIME: usize = 8;

/// The queues of the connections, by what they listen to.
///
/// A message is written once for all of them, and none of them is waited for.
#[derive(Debug, Default)]
pub(super) struct Hub {
    listeners: RwLock<HashMap<Topic, Vec<Arc<Outbox>>>>,
}

impl Hub {
    /// Tells `outbox` about `topic`, once for every call.
    pub(super) fn join(&self, topic: Topic, outbox: Arc<Outbox>) {
        self.listeners.write().entry(topic).or_default().push(outbox);
    }

    /// Tells `outbox` about `topic` no more.
    pub(super) fn leave(&self, topic: Topic, outbox: &Arc<Outbox>) {
        if let Entry::Occupied(mut listeners) = self.listeners.write().entry(topic) {
            listeners.get_mut().retain(|listener| !Arc::ptr_eq(listener, outbox));
            if listeners.get().is_empty() {
                listeners.remove();
            }
        }
    }

    pub(super) fn strategy_changed(&self, account: &str, strategy: &str, profit_paise: i64) {
        self.publish(&Topic::Strategies(account.to_owned()), || {
            let body = json!({ "strategy": strategy, "profit_paise": profit_paise });
            Outgoing::new("strategy", &body)
        });
    }

    fn publish(&self, topic: &Topic, message: impl FnOnce() -> Outgoing) {
        if let Some(listeners) = self.listeners.read().get(topic) {
            let message = message();
            for outbox in listeners {
                outbox.put(message.clone());
            }
        }
    }

    fn indicators(&self) -> Vec<(IndicatorType, String)> {
        let listeners = self.listeners.read();
        let indicators = listeners.keys().filter_map(|topic| match topic {
            Topic::Indicator(indicator, symbol) => Some((*indicator, symbol.clone())),
            _ => None,
        });
        indicators.collect()
    }
}

/// Passes on what happens from now on, until it is dropped.
pub fn run(app: Arc<App>) -> impl Future<Output = ()> + Send {
    let mut ticks = app.market.ticks();
    async move {
        let hub = &app.websockets.hub;
        let ticks = async {
            loop {
                match ticks.recv().await {
                    Ok(tick) => hub.publish(&Topic::Ticks(tick.symbol.clone()), || {
                        Outgoing::new("tick", &*tick)
                    }),
                    Err(RecvError::Lagged(missed)) => {
                        tracing::warn!(missed, "ticks come faster than they are passed on");
                    }
                    Err(RecvError::Closed) => break,
                }
            }
        };
        let indicators = async {
            let mut every = time::interval(INDICATORS_EVERY);
            every.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                every.tick().await;
                stream::iter(hub.indicators())
                    .for_each_concurrent(INDICATORS_AT_A_TIME, |(indicator, symbol)| {
                        publish_indicator(&app, indicator, symbol)
                    })
                    .await;
            }
        };
        future::join(ticks, indicators).await;
    }
}

/// Calculates an indicator once for all who listen.
async fn publish_indicator(app: &App, indicator: IndicatorType, symbol: String) {
    let message = match indicators::calculate(app, indicator, &symbol).await {
        Ok(value) => {
            let body = json!({ "indicator": indicator.as_str(), "symbol": symbol, "value": value });
            Outgoing::new("indicator", &body)
        }
        Err(problem) => {
            let name = indicator.as_str();
            Outgoing::error(&format!("{name} of {symbol}: {problem}"))
        }
    };
    app.websockets.hub.publish(&Topic::Indicator(indicator, symbol), || message);
}

#[cfg(test)]
mod tests {
    use backend_metrics::{Metrics, labels::IndicatorType};
    use clap::Parser;
    use tokio::time::{self, Instant};

    use super::{INDICATORS_EVERY, Outbox, Topic, run};
    use crate::{Backend, config::Config};

    #[tokio::test]
    async fn indicators_come_once_a_second() {
        let config = ["", "--listen", "127.0.0.1:0", "--traffic", "0"];
        let metrics = Metrics::new();
        let backend = Backend::start(Config::parse_from(config), metrics).await.unwrap();
        let app = backend.app();
        // The hub of this test is the only one.
        app.stop.cancel();
        backend.background.close();
        backend.background.wait().await;

        let (outbox, mut queue) = Outbox::new(metrics.start_websocket_session("/ws/indicators"));
        let topic = Topic::Indicator(IndicatorType::Oi, "NIFTY".to_owned());
        app.websockets.hub.join(topic, outbox);
        time::pause();
        let listen = async {
            queue.recv().await.unwrap();
            for _ in 0..5 {
                let since = Instant::now();
                queue.recv().await.unwrap();
                let waited = since.elapsed();
                assert!((INDICATORS_EVERY..2 * INDICATORS_EVERY).contains(&waited), "{waited:?}");
            }
        };
        tokio::select! {
            () = run(app.clone()) => panic!("it has ended"),
            () = listen => {}
        }
    }
}
