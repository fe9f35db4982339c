//! Analytics of futures and options.

pub mod black_scholes;
pub(crate) mod board;

use std::{sync::Arc, time::Duration};

use backend_metrics::{
    Metrics,
    labels::{ErrorSeverity, FoQueryType, GreeksStatus},
};
use chrono::{DateTime, NaiveDate, Utc};
use http::StatusCode;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::task;
use tracing::Span;

use self::{
    black_scholes::{Contract, Greeks, Impossible},
    board::{Board, Minute, Quote},
};
use crate::{
    app::App,
    calendar,
    market::Market,
    reply::{self, Problem, Reply},
    routes::Call,
    ticker::{
        client::{TickerClient, TickerError},
        protocol::{Candle, Instrument, Tick},
    },
};

/// The interest that money bears without a risk, by year.
const RATE: f64 = 0.07;
/// How long an answer with prices in it is kept.
const PRICES_KEPT: Duration = Duration::from_secs(5);
/// How long others are: open interest changes slowly, and so do the minutes of a series.
const OTHERS_KEPT: Duration = Duration::from_secs(30);
/// The longest series, in minutes.
const LONGEST_SERIES: u32 = 60;

#[derive(Debug, Deserialize)]
struct BoardQuery {
    /// The next one, unless it is given.
    expiry: Option<NaiveDate>,
}

#[derive(Debug, Deserialize)]
struct SeriesQuery {
    #[serde(default = "quarter_of_an_hour")]
    minutes: u32,
}

fn quarter_of_an_hour() -> u32 {
    15
}

#[derive(Debug, Deserialize)]
struct GreeksRequest {
    /// Of the underlying.
    price: f64,
    strike: f64,
    /// Until it expires.
    days: f64,
    volatility: f64,
    rate: f64,
    call: bool,
}

#[derive(Debug, Deserialize, Serialize)]
struct OptionChain {
    /// Of the underlying.
    price: f64,
    #[serde(flatten)]
    board: Board<Quote>,
}

/// `GET /fo/{underlying}/option-chain`: every strike of `expiry` or of the next, with greeks.
pub async fn option_chain(call: Call) -> Result<Reply, Problem> {
    let BoardQuery { expiry } = call.query()?;
    answer(&call, FoQueryType::OptionChain, key_of(expiry), PRICES_KEPT, async {
        let board = board(&call, expiry)?;
        let app = &call.app;
        let price = last_price(&app.market, &app.ticker, call.parameter("underlying")).await?;
        let (metrics, span) = (app.metrics, Span::current());
        // With hundreds of options, each with a search, too long for a thread that others wait for. It takes the
        // span along, so that what is recorded is known to be of this request.
        let chain = move || span.in_scope(|| board.chain(price, Utc::now(), metrics));
        let board = task::spawn_blocking(chain).await.map_err(|e| Problem::Internal(e.into()))?;
        Ok((board.strikes.len(), OptionChain { price, board }))
    })
    .await
}

/// `GET /fo/{underlying}/strike-distribution`: open interest and quotes by strike.
pub async fn strike_distribution(call: Call) -> Result<Reply, Problem> {
    let BoardQuery { expiry } = call.query()?;
    answer(&call, FoQueryType::StrikeDistribution, key_of(expiry), OTHERS_KEPT, async {
        let distribution = board(&call, expiry)?.distribution();
        Ok((distribution.strikes.len(), distribution))
    })
    .await
}

/// `GET /fo/{underlying}/open-interest`: what it says of where the market is held to be going.
pub async fn open_interest(call: Call) -> Result<Reply, Problem> {
    let BoardQuery { expiry } = call.query()?;
    answer(&call, FoQueryType::OiAnalysis, key_of(expiry), OTHERS_KEPT, async {
        let analysis = board(&call, expiry)?.open_interest();
        Ok((analysis.board.strikes.len(), analysis))
    })
    .await
}

/// `GET /fo/{underlying}/moneyness`: which options were in the money over the last `minutes`.
pub async fn moneyness(call: Call) -> Result<Reply, Problem> {
    let SeriesQuery { minutes } = call.query()?;
    if !(1..=LONGEST_SERIES).contains(&minutes) {
        return Err(Problem::BadRequest(format!("minutes: from 1 to {LONGEST_SERIES}")));
    }
    answer(&call, FoQueryType::MoneynessSeries, minutes.to_string(), OTHERS_KEPT, async {
        let board = board(&call, None)?;
        let underlying = call.parameter("underlying");
        let history = match call.app.ticker.history(underlying, minutes).await {
            Ok(history) => history,
            // The last tick is known here, and is better than no answer.
            Err(error) => match call.app.market.last(underlying) {
                Some(tick) => {
                    tracing::warn!(%error, underlying, "the series is of the last tick");
                    let severity = ErrorSeverity::Warning;
                    call.app.metrics.track_application_error("no_history", severity);
                    vec![Candle::of(&tick)]
                }
                None => return Err(Problem::Upstream(error.into())),
            },
        };
        let series = board.moneyness(&history);
        let rows = series.iter().map(|minute: &Minute| minute.strikes.len()).sum();
        Ok((rows, series))
    })
    .await
}

/// `POST /fo/greeks`: of an option that need not be traded.
pub async fn greeks(mut call: Call) -> Result<Reply, Problem> {
    let GreeksRequest { price, strike, days, volatility, rate, call: is_call } =
        call.json().await?;
    let contract = Contract { spot: price, strike, years: days / 365.0, rate, call: is_call };
    let greeks = measured(call.app.metrics, || contract.greeks(volatility))
        .map_err(|impossible| Problem::Refused(impossible.to_string()))?;
    reply::json(StatusCode::OK, &greeks)
}

/// Asks the ticker service for the list of instruments, and keeps it in the market.
pub async fn refresh_instruments(app: &App) -> Result<(), Problem> {
    keep_instruments(&app.market, app.metrics, app.ticker.instruments().await)
}

fn keep_instruments(
    market: &Market,
    metrics: Metrics,
    answer: Result<Vec<Instrument>, TickerError>,
) -> Result<(), Problem> {
    let kept = match answer {
        // The old list is worth more than an empty one.
        Ok(instruments) if instruments.is_empty() => Err("no instruments".into()),
        Ok(instruments) => Ok(instruments),
        Err(error) => Err(error.into()),
    };
    match kept {
        Ok(instruments) => {
            metrics.track_fo_cache_refreshed(u32::try_from(instruments.len()).unwrap_or(u32::MAX));
            market.set_instruments(instruments);
            Ok(())
        }
        Err(error) => {
            metrics.track_fo_cache_refresh_failed();
            Err(Problem::Upstream(error))
        }
    }
}

/// The last price of an instrument. The ticker service is asked where no tick has come yet.
pub(crate) async fn last_price(
    market: &Market,
    ticker: &TickerClient,
    symbol: &str,
) -> Result<f64, Problem> {
    if let Some(tick) = market.last(symbol) {
        return Ok(tick.price);
    }
    let history = ticker.history(symbol, 1).await;
    let last = history.map_err(|error| Problem::Upstream(error.into()))?.pop();
    last.map(|minute| minute.close).ok_or(Problem::NotFound("price"))
}

/// A traded option as of `now`. One that has expired has no time left, and no greeks.
pub(crate) fn contract(
    expiry: NaiveDate,
    strike: f64,
    call: bool,
    spot: f64,
    now: DateTime<Utc>,
) -> Contract {
    let left = calendar::close_of(expiry).map(|close| close.to_utc() - now).unwrap_or_default();
    let years = left.as_seconds_f64() / (365.0 * 86_400.0);
    Contract { spot, strike, years, rate: RATE, call }
}

/// Calculates greeks, and records it.
pub(crate) fn measured(
    metrics: Metrics,
    calculate: impl FnOnce() -> Result<Greeks, Impossible>,
) -> Result<Greeks, Impossible> {
    let watch = metrics.stopwatch();
    let greeks = calculate();
    let status = if greeks.is_ok() { GreeksStatus::Success } else { GreeksStatus::Error };
    metrics.track_greeks_calculation(watch.elapsed(), status);
    greeks
}

/// The board of the underlying that is asked for.
fn board(call: &Call, expiry: Option<NaiveDate>) -> Result<Board<Arc<Tick>>, Problem> {
    Board::new(&call.app.market, call.parameter("underlying"), expiry, Utc::now())
}

/// A query's part of the key of its answer.
fn key_of(expiry: Option<NaiveDate>) -> String {
    expiry.map_or_else(|| "next".to_owned(), |expiry| expiry.to_string())
}

/// Answers a query out of the cache, or with the rows and the answer that `find` comes to.
///
/// Either way it is a query, and its time is what the caller waits. A caller that goes away drops the guard,
/// which records the query as cancelled. `detail` is what the answer depends on beside the underlying.
async fn answer<T: DeserializeOwned + Send + Serialize + Sync>(
    call: &Call,
    kind: FoQueryType,
    detail: String,
    keep: Duration,
    find: impl Future<Output = Result<(usize, T), Problem>> + Send,
) -> Result<Reply, Problem> {
    let query = call.app.metrics.start_fo_query(kind);
    let key = format!("fo:{}:{}:{detail}", kind.as_str(), call.parameter("underlying"));
    match call.app.cache.get_or_insert(&key, keep, find).await {
        Ok((rows, answer)) => {
            query.rows(rows as u64).success();
            reply::json(StatusCode::OK, &answer)
        }
        Err(problem) => {
            query.error();
            Err(problem)
        }
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use chrono::NaiveDate;

    use crate::{
        market::Market,
        ticker::protocol::{Instrument, InstrumentKind, Tick},
    };

    /// A moment before the close of `EXPIRY`.
    pub(crate) const NOW: &str = "2026-11-24T06:00:00Z";
    pub(crate) const EXPIRY: &str = "2026-12-24";
    pub(crate) const LATER: &str = "2027-01-28";

    /// A market with an index at 24,000 and some of its options.
    pub(crate) fn market() -> Market {
        let instrument = |symbol: &str, kind| Instrument {
            symbol: symbol.to_owned(),
            underlying: "NIFTY".to_owned(),
            kind,
            lot: 75,
        };
        let option = |symbol, day: &str, strike, call| {
            let expiry = day.parse::<NaiveDate>().unwrap();
            instrument(symbol, InstrumentKind::Option { expiry, strike, call })
        };
        let market = Market::default();
        market.set_instruments(vec![
            instrument("NIFTY", InstrumentKind::Equity),
            option("LATER", LATER, 24_000.0, true),
            option("P24100", EXPIRY, 24_100.0, false),
            option("C24100", EXPIRY, 24_100.0, true),
            option("C24000", EXPIRY, 24_000.0, true),
            option("P24000", EXPIRY, 24_000.0, false),
            option("P23900", EXPIRY, 23_900.0, false),
            option("C23900", EXPIRY, 23_900.0, true),
        ]);
        market.apply(tick("NIFTY", 24_000.0, 0));
        // What they are worth at a volatility of about 0.14; the call of 24,100 is not quoted.
        market.apply(tick("C23900", 500.0, 100));
        market.apply(tick("P23900", 300.0, 200));
        market.apply(tick("C24000", 450.0, 300));
        market.apply(tick("P24000", 330.0, 100));
        market.apply(tick("P24100", 370.0, 300));
        market
    }

    pub(crate) fn tick(symbol: &str, price: f64, open_interest: u64) -> Tick {
        Tick {
            symbol: symbol.to_owned(),
            sequence: 1,
            price,
            bid: price - 0.5,
            ask: price + 0.5,
            bid_quantity: 75,
            ask_quantity: 75,
            open_interest,
            sent_at: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use backend_metrics::Metrics;

    use super::{black_scholes::Impossible, contract, keep_instruments, measured, testing};
    use crate::{reply::Problem, ticker::client::TickerError};

    #[test]
    fn a_refresh_is_counted_and_what_is_known_outlives_a_failure() {
        let (market, metrics) = (testing::market(), Metrics::new());
        let known = market.instruments().len();
        for answer in [Err(TickerError::Timeout), Ok(Vec::new())] {
            let result = keep_instruments(&market, metrics, answer);
            assert!(matches!(result, Err(Problem::Upstream(_))));
            assert_eq!(market.instruments().len(), known);
        }
        let text = metrics.to_text();
        assert!(
            text.contains("fo_instrument_cache_refreshes_total{status=\"error\"} 2\n"),
            "{text}"
        );
        assert!(!text.contains("fo_instrument_cache_last_refresh_timestamp_seconds "), "{text}");

        let new = market.instruments()[..3].to_vec();
        keep_instruments(&market, metrics, Ok(new)).unwrap();
        assert_eq!(market.instruments().len(), 3);
        let text = metrics.to_text();
        assert!(
            text.contains("fo_instrument_cache_refreshes_total{status=\"success\"} 1\n"),
            "{text}"
        );
        assert!(text.contains("fo_instruments_cached 3\n"), "{text}");
        assert!(text.contains("fo_instrument_cache_last_refresh_timestamp_seconds "), "{text}");
    }

    #[test]
    fn an_option_expires_with_the_session_of_its_last_day() {
        let years_left = |now: &str| {
            let expiry = testing::EXPIRY.parse().unwrap();
            contract(expiry, 24_000.0, true, 24_000.0, now.parse().unwrap()).years
        };
        // A day before half past three in India.
        assert!((years_left("2026-12-23T10:00:00Z") - 1.0 / 365.0).abs() < 1e-12);
        assert!(years_left("2026-12-24T10:00:01Z") < 0.0);
    }

    #[test]
    fn an_impossible_input_is_recorded_as_an_error() {
        let metrics = Metrics::new();
        let expiry = testing::EXPIRY.parse().unwrap();
        let at = |now: &str| contract(expiry, 24_000.0, true, 24_000.0, now.parse().unwrap());
        measured(metrics, || at(testing::NOW).greeks(0.14)).unwrap();
        let expired = measured(metrics, || at("2027-01-01T00:00:00Z").greeks(0.14));
        assert_eq!(expired, Err(Impossible::Contract));
        let text = metrics.to_text();
        assert!(text.contains("fo_greeks_calculations_total{status=\"success\"} 1\n"), "{text}");
        assert!(text.contains("fo_greeks_calculations_total{status=\"error\"} 1\n"), "{text}");
    }
}
