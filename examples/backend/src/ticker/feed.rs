//! The stream of ticks: read from the ticker service, applied to the market.

use std::{collections::HashMap, error::Error, sync::Arc, time::Duration};

use backend_metrics::{Metrics, labels::MarketDataType};
use backon::{ExponentialBuilder, Retryable};
use chrono::Utc;
use futures_util::{Stream, StreamExt};
use tokio::{
    sync::mpsc,
    time::{self, MissedTickBehavior},
};

use super::{
    client::{TickerClient, TickerError},
    protocol::{Candle, Tick},
};
use crate::{app::App, fno, market::Market};

/// How often the service is asked whether it is well.
const HEALTH: Duration = Duration::from_secs(5);
/// A stream without a tick for so long is broken, whatever the connection says.
const SILENCE: Duration = Duration::from_secs(10);
/// Ticks that are recorded at once, if as many are there.
const BATCH: usize = 64;
/// Symbols with a gap that may wait to be subscribed to anew.
const GAPS: usize = 64;
/// How long to wait after a stream that broke.
const PAUSE: Duration = Duration::from_millis(200);
/// When the next attempt to connect is made.
const RECONNECT: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(PAUSE)
    .with_max_delay(Duration::from_secs(5))
    .without_max_times()
    .with_jitter();

/// Reads ticks until the backend stops; connects again when the stream breaks.
pub async fn run(app: Arc<App>) {
    tokio::join!(read_for_ever(&app), ask_for_health(&app.ticker));
}

async fn ask_for_health(ticker: &TickerClient) {
    let mut times = time::interval(HEALTH);
    times.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        times.tick().await;
        if let Err(error) = ticker.health().await {
            tracing::warn!(%error, "the ticker service is not well");
        }
    }
}

async fn read_for_ever(app: &App) {
    loop {
        // Without a limit on attempts it ends with a stream.
        let connect = (|| connect(app)).retry(RECONNECT).notify(|error, _| {
            let cause = error.source().map(ToString::to_string);
            tracing::warn!(%error, cause, "no stream of ticks");
        });
        if let Ok(stream) = connect.await {
            let (gaps, symbols) = mpsc::channel(GAPS);
            // Beside each other: ticks do not wait for the answer to a call.
            let error = tokio::select! {
                error = Feed::new(app.metrics, &app.market, gaps).read(stream) => error,
                Err(error) = subscribe_anew(app, symbols) => error,
            };
            tracing::warn!(%error, "the stream of ticks broke");
        }
        app.metrics.set_ticker_subscriptions(0);
        time::sleep(PAUSE).await;
    }
}

/// Subscribes to every instrument, and opens the stream.
async fn connect(
    app: &App,
) -> Result<impl Stream<Item = Result<Tick, TickerError>> + use<>, Box<dyn Error + Send + Sync>> {
    fno::refresh_instruments(app).await?;
    let instruments = app.market.instruments();
    let symbols: Vec<_> = instruments.iter().map(|it| it.symbol.clone()).collect();
    app.ticker.subscribe(&symbols).await?;
    let stream = app.ticker.stream().await?;
    app.metrics.set_ticker_subscriptions(symbols.len().try_into()?);
    Ok(stream)
}

/// Subscribes anew to what had a gap: the service then sends how it stands now.
async fn subscribe_anew(app: &App, mut symbols: mpsc::Receiver<String>) -> Result<(), TickerError> {
    while let Some(symbol) = symbols.recv().await {
        let symbol = [symbol];
        app.ticker.unsubscribe(&symbol).await?;
        app.metrics.track_ticker_subscriptions(-1);
        app.ticker.subscribe(&symbol).await?;
        app.metrics.track_ticker_subscriptions(1);
    }
    Ok(())
}

/// One stream, from its head to its end.
#[derive(Debug)]
struct Feed<'a> {
    metrics: Metrics,
    market: &'a Market,
    /// Where symbols with a gap are sent.
    gaps: mpsc::Sender<String>,
    /// The number of the last tick of each symbol.
    sequences: HashMap<String, u64>,
    /// The minute under way of each symbol.
    minutes: HashMap<String, Candle>,
}

impl<'a> Feed<'a> {
    fn new(metrics: Metrics, market: &'a Market, gaps: mpsc::Sender<String>) -> Self {
        Self { metrics, market, gaps, sequences: HashMap::new(), minutes: HashMap::new() }
    }

    /// Reads until the stream breaks; gives why.
    async fn read(mut self, stream: impl Stream<Item = Result<Tick, TickerError>>) -> TickerError {
        let mut batches = std::pin::pin!(stream.ready_chunks(BATCH));
        loop {
            match time::timeout(SILENCE, batches.next()).await {
                Ok(Some(batch)) => match batch.into_iter().collect() {
                    Ok(ticks) => self.receive(ticks, Utc::now().timestamp_micros()),
                    Err(error) => return error,
                },
                Ok(None) => return TickerError::Connection("the stream ended".to_owned()),
                Err(_) => return TickerError::Timeout,
            }
        }
    }

    fn receive(&mut self, ticks: Vec<Tick>, now: i64) {
        // Two clocks: the other one may be ahead.
        let lag = |tick: &Tick| {
            u64::try_from(now.saturating_sub(tick.sent_at))
                .map(Duration::from_micros)
                .unwrap_or_default()
        };
        self.metrics.track_ticks(ticks.len() as u64, ticks.iter().map(lag));
        for tick in ticks {
            let lag = lag(&tick);
            self.apply(tick, lag);
        }
    }

    fn apply(&mut self, tick: Tick, lag: Duration) {
        let updated = |what| self.metrics.track_market_data_update(what, Some(lag));
        updated(MarketDataType::Tick);
        let before = self.market.last(&tick.symbol);
        if before.is_none_or(|before| depth(&before) != depth(&tick)) {
            updated(MarketDataType::MarketDepth);
        }
        // The tick that begins a minute says that the last one is over.
        let minute = self.minutes.entry(tick.symbol.clone()).or_insert_with(|| Candle::of(&tick));
        if let Some(minute) = minute.add(&tick) {
            updated(MarketDataType::Ohlc);
            self.market.set_minute(&tick.symbol, minute);
        }
        let before = self.sequences.insert(tick.symbol.clone(), tick.sequence);
        if before.is_some_and(|before| tick.sequence > before.saturating_add(1)) {
            self.metrics.track_market_data_gap(MarketDataType::Tick);
            // If too many wait, this one goes on as it is.
            drop(self.gaps.try_send(tick.symbol.clone()));
        }
        self.market.apply(tick);
    }
}

/// What the order book offers and asks for, as far as a tick shows it.
fn depth(tick: &Tick) -> (f64, u64, f64, u64) {
    (tick.bid, tick.bid_quantity, tick.ask, tick.ask_quantity)
}

#[cfg(test)]
mod tests {
    use backend_metrics::{Clock, Metrics};
    use futures_util::{StreamExt, stream};
    use tokio::sync::mpsc;

    use super::{Feed, TickerError};
    use crate::{
        market::Market,
        ticker::protocol::{Candle, Tick},
    };

    const MINUTE: i64 = 60_000_000;

    fn tick(sequence: u64, price: f64, sent_at: i64) -> Tick {
        Tick {
            symbol: "NIFTY".to_owned(),
            sequence,
            price,
            bid: 99.0,
            ask: 101.0,
            bid_quantity: 75,
            ask_quantity: 75,
            open_interest: 0,
            sent_at,
        }
    }

    #[track_caller]
    fn assert_series(metrics: Metrics, expected: &[(&str, f64)]) {
        for (series, value) in expected {
            assert_eq!(metrics.value(series), Some(*value), "{series}");
        }
    }

    #[test]
    fn a_tick_is_an_update_of_what_it_changes() {
        let metrics = Metrics::builder().clock(Clock::manual()).build().unwrap();
        let market = Market::default();
        let (gaps, mut with_gaps) = mpsc::channel(1);
        let mut feed = Feed::new(metrics, &market, gaps);
        feed.receive(
            vec![tick(7, 100.0, 10 * MINUTE), tick(8, 103.0, 10 * MINUTE + 1)],
            10 * MINUTE,
        );
        // One is lost, and the book has changed.
        let late = Tick { bid: 98.0, ..tick(10, 101.0, 10 * MINUTE + 2) };
        feed.receive(vec![late], 10 * MINUTE + 4_002);
        feed.receive(vec![tick(11, 104.0, 11 * MINUTE)], 11 * MINUTE);
        assert_series(
            metrics,
            &[
                ("ticker_service_ticks_received_total", 4.0),
                ("ticker_service_tick_latency_seconds_count", 4.0),
                ("ticker_service_tick_latency_seconds_sum", 0.004),
                (r#"market_data_updates_total{data_type="tick"}"#, 4.0),
                (r#"market_data_updates_total{data_type="market_depth"}"#, 3.0),
                (r#"market_data_updates_total{data_type="ohlc"}"#, 1.0),
                (r#"market_data_gaps_total{data_type="tick"}"#, 1.0),
            ],
        );
        assert_eq!(with_gaps.try_recv().as_deref(), Ok("NIFTY"));
        let minute = Candle { begin: 600_000, open: 100.0, high: 103.0, low: 100.0, close: 101.0 };
        assert_eq!(market.minute("NIFTY"), Some(minute));
        assert_eq!(market.last("NIFTY").unwrap().sequence, 11);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_ends_with_an_error_with_its_end_or_in_silence() {
        let metrics = Metrics::new();
        let market = Market::default();
        let read = async |stream| {
            let (gaps, _with_gaps) = mpsc::channel(1);
            Feed::new(metrics, &market, gaps).read(stream).await
        };
        let ticks = || stream::iter([Ok(tick(1, 100.0, 0))]);
        let error =
            read(ticks().chain(stream::iter([Err(TickerError::CircuitOpen)])).boxed()).await;
        assert!(matches!(error, TickerError::CircuitOpen), "{error}");
        let error = read(ticks().boxed()).await;
        assert!(matches!(error, TickerError::Connection(_)), "{error}");
        let error = read(ticks().chain(stream::pending()).boxed()).await;
        assert!(matches!(error, TickerError::Timeout), "{error}");
    }
}
