//! The options of an underlying by strike, and what can be read off them.

use std::sync::Arc;

use backend_metrics::Metrics;
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use super::{black_scholes::Greeks, contract, measured};
use crate::{
    calendar,
    market::Market,
    reply::Problem,
    ticker::protocol::{Candle, InstrumentKind, Tick},
};

/// The options of an expiry by strike, with a `T` for each.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct Board<T> {
    underlying: String,
    expiry: NaiveDate,
    /// The lowest first.
    pub(super) strikes: Vec<ByStrike<T>>,
}

/// The call and the put of a strike, as far as they are traded.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct ByStrike<T> {
    strike: f64,
    call: Option<T>,
    put: Option<T>,
}

/// An option of a chain.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct Quote {
    symbol: String,
    price: f64,
    bid: f64,
    ask: f64,
    open_interest: u64,
    /// None where no volatility leads to the price.
    greeks: Option<Greeks>,
}

/// An option's part of what is open and on offer.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct Part {
    open_interest: u64,
    /// Of the open interest of all strikes, calls or puts alike; from 0 to 1.
    share: f64,
    /// What is asked for and offered at the best prices.
    quoted: u64,
}

/// What the open interest says of where the market is held to be going.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct OpenInterest {
    /// Of the puts, by that of the calls.
    put_call_ratio: Option<f64>,
    /// The price at which the options would pay out least.
    max_pain: Option<f64>,
    /// The strike with the most puts: whoever has written them expects the price to stay above.
    support: Option<f64>,
    /// The strike with the most calls.
    resistance: Option<f64>,
    #[serde(flatten)]
    pub(super) board: Board<u64>,
}

/// Whether it would pay to exercise an option.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Moneyness {
    /// In the money: it would.
    Itm,
    /// At the money: its strike is the one next to the price.
    Atm,
    /// Out of the money: it would not.
    Otm,
}

/// How the options stood at the end of a minute.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct Minute {
    /// When it began, in milliseconds since 1970.
    begin: i64,
    price: f64,
    pub(super) strikes: Vec<ByStrike<Moneyness>>,
}

impl Board<Arc<Tick>> {
    /// The options that the market has quoted: of `expiry`, or of the next.
    pub(super) fn new(
        market: &Market,
        underlying: &str,
        expiry: Option<NaiveDate>,
        now: DateTime<Utc>,
    ) -> Result<Self, Problem> {
        let instruments = market.instruments();
        let of_underlying = || instruments.iter().filter(|found| found.underlying == underlying);
        let options = || {
            of_underlying().filter_map(|found| match found.kind {
                InstrumentKind::Option { expiry, strike, call } => {
                    Some((expiry, strike, call, &found.symbol))
                }
                _ => None,
            })
        };
        if of_underlying().next().is_none() {
            return Err(Problem::NotFound("underlying"));
        }
        let expiry = options()
            .map(|(found, ..)| found)
            .filter(|found| match expiry {
                Some(expiry) => *found == expiry,
                None => calendar::close_of(*found).is_some_and(|close| close > now),
            })
            .min()
            .ok_or(Problem::NotFound("expiry"))?;

        let mut quoted: Vec<_> = options()
            .filter(|(found, ..)| *found == expiry)
            .filter_map(|(_, strike, call, symbol)| Some((strike, call, market.last(symbol)?)))
            .collect();
        quoted.sort_by(|(one, ..), (other, ..)| one.total_cmp(other));
        let strikes = quoted.chunk_by(|(one, ..), (other, ..)| one.total_cmp(other).is_eq());
        let strikes = strikes.map(|of_strike| {
            let side = |wanted| {
                of_strike
                    .iter()
                    .find(|(_, call, _)| *call == wanted)
                    .map(|(.., tick)| Arc::clone(tick))
            };
            ByStrike { strike: of_strike[0].0, call: side(true), put: side(false) }
        });
        Ok(Self { underlying: underlying.to_owned(), expiry, strikes: strikes.collect() })
    }

    /// Every option with its greeks.
    pub(super) fn chain(&self, spot: f64, now: DateTime<Utc>, metrics: Metrics) -> Board<Quote> {
        self.map(|tick, strike, call| {
            let contract = contract(self.expiry, strike, call, spot, now);
            Quote {
                symbol: tick.symbol.clone(),
                price: tick.price,
                bid: tick.bid,
                ask: tick.ask,
                open_interest: tick.open_interest,
                greeks: measured(metrics, || contract.greeks_at_price(tick.price)).ok(),
            }
        })
    }

    /// How open interest and quotes are spread over the strikes.
    pub(super) fn distribution(&self) -> Board<Part> {
        let open_interest = self.map(|tick, _, _| tick.open_interest);
        let all = as_f64(open_interest.calls() + open_interest.puts());
        self.map(|tick, _, _| Part {
            open_interest: tick.open_interest,
            share: if all > 0.0 { as_f64(tick.open_interest) / all } else { 0.0 },
            quoted: tick.bid_quantity + tick.ask_quantity,
        })
    }

    /// What the open interest says.
    pub(super) fn open_interest(&self) -> OpenInterest {
        let board = self.map(|tick, _, _| tick.open_interest);
        let (calls, puts) = (as_f64(board.calls()), as_f64(board.puts()));
        let most = |side: fn(&ByStrike<u64>) -> Option<u64>| {
            let open = board.strikes.iter().filter(|row| side(row) > Some(0));
            open.max_by_key(|row| side(row)).map(|row| row.strike)
        };
        OpenInterest {
            put_call_ratio: (calls > 0.0).then(|| puts / calls),
            max_pain: if calls + puts > 0.0 { board.max_pain() } else { None },
            support: most(|row| row.put),
            resistance: most(|row| row.call),
            board,
        }
    }

    /// Which options were in the money, by the minutes of the underlying.
    pub(super) fn moneyness(&self, minutes: &[Candle]) -> Vec<Minute> {
        let strikes = |price: f64| -> Vec<ByStrike<Moneyness>> {
            let distance = |row: &&ByStrike<_>| (row.strike - price).abs();
            let nearest = self
                .strikes
                .iter()
                .min_by(|one, other| distance(one).total_cmp(&distance(other)))
                .map(|row| row.strike);
            let of = |strike: f64, call: bool| {
                if nearest.is_some_and(|nearest| nearest.total_cmp(&strike).is_eq()) {
                    Moneyness::Atm
                } else if (strike < price) == call {
                    Moneyness::Itm
                } else {
                    Moneyness::Otm
                }
            };
            self.map(|_, strike, call| of(strike, call)).strikes
        };
        let of = |minute: &Candle| Minute {
            begin: minute.begin,
            price: minute.close,
            strikes: strikes(minute.close),
        };
        minutes.iter().map(of).collect()
    }
}

impl Board<u64> {
    fn calls(&self) -> u64 {
        self.strikes.iter().filter_map(|row| row.call).sum()
    }

    fn puts(&self) -> u64 {
        self.strikes.iter().filter_map(|row| row.put).sum()
    }

    fn max_pain(&self) -> Option<f64> {
        let pays_out = |price: f64| -> f64 {
            let by_strike = self.strikes.iter().map(|row| {
                as_f64(row.call.unwrap_or(0)) * (price - row.strike).max(0.0)
                    + as_f64(row.put.unwrap_or(0)) * (row.strike - price).max(0.0)
            });
            by_strike.sum()
        };
        let strikes = self.strikes.iter().map(|row| row.strike);
        strikes.min_by(|one, other| pays_out(*one).total_cmp(&pays_out(*other)))
    }
}

impl<T> Board<T> {
    /// The same options, with what `change` makes of each, its strike, and whether it is a call.
    fn map<U>(&self, change: impl Fn(&T, f64, bool) -> U) -> Board<U> {
        let of = |row: &ByStrike<T>| ByStrike {
            strike: row.strike,
            call: row.call.as_ref().map(|option| change(option, row.strike, true)),
            put: row.put.as_ref().map(|option| change(option, row.strike, false)),
        };
        Board {
            underlying: self.underlying.clone(),
            expiry: self.expiry,
            strikes: self.strikes.iter().map(of).collect(),
        }
    }
}

/// A number of contracts, to calculate with.
#[expect(clippy::cast_precision_loss, reason = "far below 2^53 contracts are open")]
pub(crate) fn as_f64(contracts: u64) -> f64 {
    contracts as f64
}

#[cfg(test)]
mod tests {
    use backend_metrics::Metrics;
    use chrono::{DateTime, NaiveDate, Utc};

    use super::{Board, ByStrike, Moneyness};
    use crate::{
        fno::testing::{self, market, tick},
        market::Market,
        reply::Problem,
        ticker::protocol::Candle,
    };

    fn now() -> DateTime<Utc> {
        testing::NOW.parse().unwrap()
    }

    fn board(market: &Market) -> Board<std::sync::Arc<crate::ticker::protocol::Tick>> {
        Board::new(market, "NIFTY", None, now()).unwrap()
    }

    #[test]
    fn a_board_has_the_next_expiry_by_strike() {
        let market = market();
        let board = board(&market);
        assert_eq!(board.expiry.to_string(), testing::EXPIRY);
        let strikes: Vec<f64> = board.strikes.iter().map(|row| row.strike).collect();
        assert_eq!(strikes, [23_900.0, 24_000.0, 24_100.0]);
        let symbols: Vec<_> = board
            .strikes
            .iter()
            .map(|row| row.call.as_ref().map(|tick| tick.symbol.as_str()))
            .collect();
        assert_eq!(symbols, [Some("C23900"), Some("C24000"), None], "only what has a quote");
        // On its last day after the close an expiry is over.
        let evening = "2026-12-24T10:00:01Z".parse().unwrap();
        let next = Board::new(&market, "NIFTY", None, evening).unwrap();
        assert_eq!(next.expiry.to_string(), testing::LATER);
    }

    #[test]
    fn what_is_not_traded_is_not_found() {
        let market = market();
        let missing = |underlying, expiry| match Board::new(&market, underlying, expiry, now())
            .unwrap_err()
        {
            Problem::NotFound(what) => what,
            other => panic!("{other}"),
        };
        assert_eq!(missing("NOTHING", None), "underlying");
        assert_eq!(missing("NIFTY", NaiveDate::from_ymd_opt(2026, 12, 25)), "expiry");
    }

    #[test]
    fn a_chain_has_greeks_where_the_price_allows_them() {
        let market = market();
        // Less than it would bring at once.
        market.apply(tick("C23900", 10.0, 100));
        let metrics = Metrics::new();
        let chain = board(&market).chain(24_000.0, now(), metrics);
        assert_eq!(chain.strikes[0].call.as_ref().unwrap().greeks, None);
        let at_the_money = chain.strikes[1].call.as_ref().unwrap().greeks.unwrap();
        assert!((0.5..0.65).contains(&at_the_money.delta), "{at_the_money:?}");
        let put = chain.strikes[1].put.as_ref().unwrap().greeks.unwrap();
        assert!((-0.5..-0.35).contains(&put.delta), "{put:?}");
        let text = metrics.to_text();
        assert!(text.contains("fo_greeks_calculations_total{status=\"success\"} 4\n"), "{text}");
        assert!(text.contains("fo_greeks_calculations_total{status=\"error\"} 1\n"), "{text}");
        assert!(text.contains("fo_greeks_calculation_duration_seconds_count 5\n"), "{text}");
    }

    #[test]
    fn the_open_interest_is_spread_over_the_strikes() {
        let distribution = board(&market()).distribution();
        let shares: Vec<_> = distribution
            .strikes
            .iter()
            .map(|row| (row.call.as_ref().map(|of| of.share), row.put.as_ref().map(|of| of.share)))
            .collect();
        // 100 and 300 calls, 200, 100 and 300 puts.
        assert_eq!(shares, [(Some(0.1), Some(0.2)), (Some(0.3), Some(0.1)), (None, Some(0.3))]);
        assert_eq!(distribution.strikes[0].call.as_ref().unwrap().quoted, 150);
    }

    #[test]
    fn the_open_interest_says_where_the_market_is_going() {
        let market = market();
        let found = board(&market).open_interest();
        assert_eq!(found.put_call_ratio, Some(1.5));
        // At 23,900 the puts above pay 100 x 100 + 300 x 200; at 24,000 the call below 100 x 100 and the put
        // above 300 x 100; at 24,100 the calls below 100 x 200 + 300 x 100.
        assert_eq!(found.max_pain, Some(24_000.0));
        assert_eq!(found.support, Some(24_100.0));
        assert_eq!(found.resistance, Some(24_000.0));
        for symbol in ["C23900", "P23900", "C24000", "P24000", "P24100"] {
            market.apply(tick(symbol, 100.0, 0));
        }
        let nothing = board(&market).open_interest();
        assert_eq!((nothing.put_call_ratio, nothing.max_pain), (None, None));
        assert_eq!((nothing.support, nothing.resistance), (None, None));
    }

    #[test]
    fn moneyness_follows_the_price() {
        use Moneyness::{Atm, Itm, Otm};
        let candle = |begin, close| Candle { begin, open: close, high: close, low: close, close };
        let board = board(&market());
        let minutes = board.moneyness(&[candle(0, 23_960.0), candle(60_000, 24_090.0)]);
        let row = |strike, call, put| ByStrike { strike, call, put };
        assert_eq!(
            minutes[0].strikes,
            [
                row(23_900.0, Some(Itm), Some(Otm)),
                row(24_000.0, Some(Atm), Some(Atm)),
                row(24_100.0, None, Some(Itm)),
            ]
        );
        assert_eq!(
            minutes[1].strikes,
            [
                row(23_900.0, Some(Itm), Some(Otm)),
                row(24_000.0, Some(Itm), Some(Otm)),
                row(24_100.0, None, Some(Atm)),
            ]
        );
    }

    #[test]
    fn an_answer_is_the_same_out_of_the_cache() {
        let found = board(&market()).open_interest();
        let text = serde_json::to_string(&found).unwrap();
        assert_eq!(serde_json::from_str::<super::OpenInterest>(&text).unwrap(), found);
    }
}
