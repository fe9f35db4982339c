//! Indicators of an instrument, out of what the market did last.

use std::time::Duration;

use backend_metrics::{Metrics, labels::IndicatorType};
use chrono::{DateTime, Utc};
use http::StatusCode;
use moka::future::Cache;
use serde_json::json;

use crate::{
    app::App,
    fno::{self, board::as_f64},
    market::Market,
    reply::{self, Problem, Reply},
    routes::Call,
    ticker::{
        client::TickerClient,
        protocol::{Instrument, InstrumentKind},
    },
};

/// How long a value is good for.
const KEPT: Duration = Duration::from_secs(1);
/// The most values that are kept.
const MOST: u64 = 10_000;

/// Calculates indicators, and keeps them for a moment.
///
/// In memory only: to ask Redis takes longer than to calculate.
#[derive(Debug)]
pub struct Indicators {
    metrics: Metrics,
    values: Cache<(IndicatorType, String), f64>,
}

impl Indicators {
    /// Nothing is calculated yet.
    #[must_use]
    pub fn new(metrics: Metrics) -> Self {
        Self::keeping_for(KEPT, metrics)
    }

    fn keeping_for(kept: Duration, metrics: Metrics) -> Self {
        Self { metrics, values: Cache::builder().max_capacity(MOST).time_to_live(kept).build() }
    }

    async fn value(
        &self,
        (market, ticker): (&Market, &TickerClient),
        indicator: IndicatorType,
        symbol: &str,
        now: DateTime<Utc>,
    ) -> Result<f64, Problem> {
        let instrument = market.instrument(symbol).ok_or(Problem::NotFound("instrument"))?;
        let key = (indicator, instrument.symbol.clone());
        let kept = self.values.get(&key).await;
        self.metrics.track_indicator_cache(indicator, kept.is_some());
        if let Some(value) = kept {
            return Ok(value);
        }
        let calculation = self.metrics.start_indicator_calculation(indicator);
        let value = self.calculate((market, ticker), indicator, &instrument, now).await;
        calculation.finish(&value);
        if let Ok(value) = value {
            self.values.insert(key, value).await;
        }
        value
    }

    async fn calculate(
        &self,
        (market, ticker): (&Market, &TickerClient),
        indicator: IndicatorType,
        instrument: &Instrument,
        now: DateTime<Utc>,
    ) -> Result<f64, Problem> {
        if indicator == IndicatorType::Oi {
            let tick = market.last(&instrument.symbol).ok_or(Problem::NotFound("tick"))?;
            return Ok(as_f64(tick.open_interest));
        }
        let InstrumentKind::Option { expiry, strike, call } = instrument.kind else {
            return Err(Problem::Refused(format!("{} is not an option", instrument.symbol)));
        };
        let spot = fno::last_price(market, ticker, &instrument.underlying).await?;
        let price = fno::last_price(market, ticker, &instrument.symbol).await?;
        let contract = fno::contract(expiry, strike, call, spot, now);
        let greeks = fno::measured(self.metrics, || contract.greeks_at_price(price))
            .map_err(|impossible| Problem::Refused(impossible.to_string()))?;
        match indicator {
            IndicatorType::Iv => Ok(greeks.volatility),
            IndicatorType::Delta => Ok(greeks.delta),
            IndicatorType::Gamma => Ok(greeks.gamma),
            IndicatorType::Theta => Ok(greeks.theta),
            IndicatorType::Vega => Ok(greeks.vega),
            _ => Err(Problem::NotFound("indicator")),
        }
    }
}

/// The value of an indicator, at most a second old.
pub async fn calculate(app: &App, indicator: IndicatorType, symbol: &str) -> Result<f64, Problem> {
    app.indicators.value((&app.market, &app.ticker), indicator, symbol, Utc::now()).await
}

/// `GET /indicators/{indicator}/{instrument}`
pub async fn show(call: Call) -> Result<Reply, Problem> {
    let name = call.parameter("indicator");
    let indicator = IndicatorType::ALL.iter().find(|indicator| indicator.as_str() == name);
    let indicator = *indicator.ok_or(Problem::NotFound("indicator"))?;
    let instrument = call.parameter("instrument");
    let value = calculate(&call.app, indicator, instrument).await?;
    let answer = json!({ "indicator": name, "instrument": instrument, "value": value });
    reply::json(StatusCode::OK, &answer)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use backend_metrics::{Metrics, labels::IndicatorType};

    use super::Indicators;
    use crate::{
        fno::testing::{self, tick},
        market::Market,
        reply::Problem,
        ticker::client::TickerClient,
    };

    struct Fixture {
        metrics: Metrics,
        indicators: Indicators,
        market: Market,
        ticker: TickerClient,
    }

    impl Fixture {
        fn new() -> Self {
            Self::keeping_for(Duration::from_hours(1))
        }

        fn keeping_for(kept: Duration) -> Self {
            let metrics = Metrics::new();
            // Nothing that is tested here asks it.
            let nowhere = ([127, 0, 0, 1], 9).into();
            Self {
                metrics,
                indicators: Indicators::keeping_for(kept, metrics),
                market: testing::market(),
                ticker: TickerClient::new(nowhere, metrics),
            }
        }

        async fn value(&self, indicator: IndicatorType, symbol: &str) -> Result<f64, Problem> {
            let now = testing::NOW.parse().unwrap();
            self.indicators.value((&self.market, &self.ticker), indicator, symbol, now).await
        }

        fn assert_exposed(&self, line: &str) {
            let text = self.metrics.to_text();
            assert!(text.lines().any(|exposed| exposed == line), "{line} is not in\n{text}");
        }
    }

    #[tokio::test]
    async fn an_indicator_is_calculated_once_for_a_while() {
        let test = Fixture::new();
        let first = test.value(IndicatorType::Oi, "C24000").await.unwrap();
        test.market.apply(tick("C24000", 450.0, 7_000));
        let again = test.value(IndicatorType::Oi, "C24000").await.unwrap();
        assert_eq!((first.to_string(), again.to_string()), ("300".to_owned(), "300".to_owned()));
        test.assert_exposed(
            r#"indicator_calculations_total{indicator_type="oi",status="success"} 1"#,
        );
        test.assert_exposed(r#"indicator_cache_hit_rate{indicator_type="oi"} 50"#);
        test.assert_exposed(r#"indicator_cache_hit_rate{indicator_type="iv"} NaN"#);
    }

    #[tokio::test]
    async fn a_value_that_is_too_old_is_calculated_anew() {
        let test = Fixture::keeping_for(Duration::ZERO);
        test.value(IndicatorType::Oi, "C24000").await.unwrap();
        test.market.apply(tick("C24000", 450.0, 7_000));
        let again = test.value(IndicatorType::Oi, "C24000").await.unwrap();
        assert_eq!(again.to_string(), "7000");
        test.assert_exposed(r#"indicator_cache_hit_rate{indicator_type="oi"} 0"#);
    }

    #[tokio::test]
    async fn an_option_has_every_indicator() {
        let test = Fixture::new();
        for indicator in IndicatorType::ALL {
            let value = test.value(*indicator, "C24000").await.unwrap();
            let negative = *indicator == IndicatorType::Theta;
            assert_eq!(value < 0.0, negative, "{indicator:?} is {value}");
        }
        test.assert_exposed(r#"fo_greeks_calculations_total{status="success"} 5"#);
    }

    #[tokio::test]
    async fn what_has_no_indicator_is_an_error_and_is_not_kept() {
        let test = Fixture::new();
        for _ in 0..2 {
            let refused = test.value(IndicatorType::Delta, "NIFTY").await;
            assert!(matches!(refused, Err(Problem::Refused(_))), "{refused:?}");
        }
        test.assert_exposed(
            r#"indicator_calculations_total{indicator_type="delta",status="error"} 2"#,
        );
        test.assert_exposed(r#"indicator_cache_hit_rate{indicator_type="delta"} 0"#);
        let missing = test.value(IndicatorType::Oi, "C24100").await;
        assert!(matches!(missing, Err(Problem::NotFound("tick"))), "{missing:?}");
    }

    #[tokio::test]
    async fn an_instrument_that_is_not_known_is_not_looked_up() {
        let test = Fixture::new();
        let missing = test.value(IndicatorType::Iv, "NOTHING").await;
        assert!(matches!(missing, Err(Problem::NotFound("instrument"))), "{missing:?}");
        test.assert_exposed(
            r#"indicator_calculations_total{indicator_type="iv",status="error"} 0"#,
        );
        test.assert_exposed(r#"indicator_cache_hit_rate{indicator_type="iv"} NaN"#);
    }
}
