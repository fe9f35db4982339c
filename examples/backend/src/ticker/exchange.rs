//! A market to trade in: a random walk of a few underlyings, and what is derived from them.

use std::{collections::VecDeque, f64::consts::SQRT_2, iter};

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, Utc, Weekday};
use statrs::function::erf::erfc;

use super::protocol::{Candle, Instrument, InstrumentKind, Margin, MarginRequest, Tick};

/// What things are derived from.
#[derive(Debug)]
struct Underlying {
    name: &'static str,
    /// Around which its price walks, in rupees.
    price: f64,
    /// In a year.
    volatility: f64,
    /// The lot of what is derived from it.
    lot: u32,
    /// From a strike to the next; without it there are no options.
    strikes: Option<f64>,
}

#[rustfmt::skip]
const UNDERLYINGS: [Underlying; 6] = [
    Underlying { name: "NIFTY", price: 24_500.0, volatility: 0.13, lot: 75, strikes: Some(50.0) },
    Underlying { name: "BANKNIFTY", price: 52_000.0, volatility: 0.16, lot: 35, strikes: Some(100.0) },
    Underlying { name: "RELIANCE", price: 1_400.0, volatility: 0.22, lot: 500, strikes: None },
    Underlying { name: "INFY", price: 1_500.0, volatility: 0.24, lot: 400, strikes: None },
    Underlying { name: "TCS", price: 3_400.0, volatility: 0.22, lot: 175, strikes: None },
    Underlying { name: "HDFCBANK", price: 950.0, volatility: 0.18, lot: 550, strikes: None },
];

/// Strikes on each side of the one nearest to the money.
const STRIKES: i32 = 10;
/// The outermost of them, which nobody trades for the later expiry.
const ILLIQUID: i32 = 9;
/// Ticks in a beat beside that of an underlying.
const TICKS: usize = 7;
/// The largest step of an underlying, as a share of its price.
const STEP: f64 = 0.000_2;
/// How much of the way back to where it started a step is: so the strikes stay near the money for ever.
const PULL: f64 = 0.000_2;
/// The rate of interest in a year.
const RATE: f64 = 0.07;
/// How many beats it is from one tick that gets lost to the next: half a minute, as it beats ten times a second.
const BEATS_TO_A_LOSS: usize = 300;
/// Minutes that are kept: a day of trading.
const MINUTES: usize = 375;

/// The market.
#[derive(Debug)]
pub(super) struct Exchange {
    /// The price of each underlying.
    spots: [f64; UNDERLYINGS.len()],
    /// How often it has moved on.
    beats: usize,
    /// The underlyings themselves come first, in their order.
    listings: Vec<Listing>,
}

/// An instrument and its trade.
#[derive(Debug)]
struct Listing {
    instrument: Instrument,
    /// Which of the underlyings.
    underlying: usize,
    /// Whether it is traded at all times.
    liquid: bool,
    subscribed: bool,
    /// The number of the last tick.
    sequence: u64,
    open_interest: u64,
    /// The minutes that are over.
    past: VecDeque<Candle>,
    /// The minute under way.
    minute: Candle,
}

impl Exchange {
    /// A market that opens now.
    pub(super) fn open() -> Self {
        let now = Utc::now();
        let spots = UNDERLYINGS.map(|underlying| underlying.price);
        let listings = instruments(now.date_naive());
        let listings = listings
            .map(|(underlying, liquid, instrument)| {
                Listing::new(instrument, underlying, liquid, spots[underlying], now)
            })
            .collect();
        Self { spots, beats: 0, listings }
    }

    /// Moves on: an underlying, and a few at random of what can be traded. Gives the ticks that are subscribed to.
    pub(super) fn beat(&mut self) -> Vec<Tick> {
        self.beats += 1;
        let turn = self.beats % UNDERLYINGS.len();
        let spot = &mut self.spots[turn];
        let pull = PULL * (UNDERLYINGS[turn].price - *spot);
        *spot += *spot * rand::random_range(-STEP..STEP) + pull;
        let others = rand::seq::index::sample(&mut rand::rng(), self.listings.len(), TICKS);
        let moved = iter::once(turn).chain(others);
        let now = Utc::now();
        let lost = self.beats.is_multiple_of(BEATS_TO_A_LOSS).then(|| rand::random_range(0..TICKS));
        moved
            .enumerate()
            .filter_map(|(number, index)| {
                let listing = &mut self.listings[index];
                let tick = listing.trade(self.spots[listing.underlying], now);
                (listing.subscribed && lost != Some(number)).then_some(tick)
            })
            .collect()
    }

    /// Every instrument.
    pub(super) fn instruments(&self) -> Vec<&Instrument> {
        self.listings.iter().map(|listing| &listing.instrument).collect()
    }

    /// Sends the ticks of `symbols` from now on; gives one of each to begin with.
    pub(super) fn subscribe(&mut self, symbols: &[String]) -> Vec<Tick> {
        let now = Utc::now();
        let spots = self.spots;
        let subscribed = self.named(symbols).map(|listing| {
            listing.subscribed = true;
            listing.trade(spots[listing.underlying], now)
        });
        subscribed.collect()
    }

    /// Sends the ticks of `symbols` no more.
    pub(super) fn unsubscribe(&mut self, symbols: &[String]) {
        self.named(symbols).for_each(|listing| listing.subscribed = false);
    }

    /// A tick of everything that is subscribed to.
    pub(super) fn snapshot(&mut self) -> Vec<Tick> {
        let now = Utc::now();
        let subscribed = self.listings.iter_mut().filter(|listing| listing.subscribed);
        subscribed.map(|listing| listing.trade(self.spots[listing.underlying], now)).collect()
    }

    /// The last `candles` minutes of a symbol.
    pub(super) fn history(&self, symbol: &str, candles: usize) -> Option<Vec<&Candle>> {
        let listing = self.find(symbol)?;
        let minutes = listing.past.iter().chain([&listing.minute]);
        Some(minutes.skip((listing.past.len() + 1).saturating_sub(candles)).collect())
    }

    /// What an order blocks: what a bought option costs, and a share of the value of anything else.
    pub(super) fn margin(&self, order: &MarginRequest) -> Option<Margin> {
        let listing = self.find(&order.symbol)?;
        #[allow(clippy::cast_precision_loss, reason = "no order is that large")]
        let quantity = order.quantity.unsigned_abs() as f64;
        let is_index = UNDERLYINGS[listing.underlying].strikes.is_some();
        let share = if is_index { 0.12 } else { 0.2 };
        let rupees = match listing.instrument.kind {
            InstrumentKind::Option { .. } if !order.sell => order.price * quantity,
            InstrumentKind::Option { .. } => share * self.spots[listing.underlying] * quantity,
            InstrumentKind::Equity | InstrumentKind::Future { .. } => {
                share * order.price * quantity
            }
        };
        Some(Margin { rupees })
    }

    fn find(&self, symbol: &str) -> Option<&Listing> {
        self.listings.iter().find(|listing| listing.instrument.symbol == symbol)
    }

    fn named<'a>(&'a mut self, symbols: &'a [String]) -> impl Iterator<Item = &'a mut Listing> {
        self.listings.iter_mut().filter(|listing| symbols.contains(&listing.instrument.symbol))
    }
}

impl Listing {
    fn new(
        instrument: Instrument,
        underlying: usize,
        liquid: bool,
        spot: f64,
        now: DateTime<Utc>,
    ) -> Self {
        let contracts = if liquid { rand::random_range(2_000..20_000) } else { 50 };
        let open_interest = match instrument.kind {
            InstrumentKind::Equity => 0,
            _ => contracts * u64::from(instrument.lot),
        };
        let price = in_steps(fair(instrument.kind, underlying, spot, now.date_naive()));
        let mut begin = now.timestamp_millis();
        begin -= begin.rem_euclid(Candle::MINUTE);
        let minute = Candle { begin, open: price, high: price, low: price, close: price };
        let past = before(&minute);
        let (subscribed, sequence) = (false, 0);
        Self { instrument, underlying, liquid, subscribed, sequence, open_interest, past, minute }
    }

    /// Trades at the price that the underlying makes fair.
    fn trade(&mut self, spot: f64, now: DateTime<Utc>) -> Tick {
        let Instrument { symbol, kind, lot, .. } = &self.instrument;
        let price = in_steps(fair(*kind, self.underlying, spot, now.date_naive()));
        let (away, lots) = if self.liquid {
            (price * 0.000_4, rand::random_range(10..100))
        } else {
            (price * 0.06, 0)
        };
        // Less than a lot is left of what is not liquid.
        let quantity = || u64::from(lots * lot.max(&100) + rand::random_range(1..=lot.div_ceil(2)));
        let (bid_quantity, ask_quantity) = (quantity(), quantity());
        if *kind != InstrumentKind::Equity {
            let change = i64::from(*lot) * rand::random_range(-5..=5);
            self.open_interest = self.open_interest.saturating_add_signed(change);
        }
        // What nobody is sent has no number.
        self.sequence += u64::from(self.subscribed);
        let tick = Tick {
            symbol: symbol.clone(),
            sequence: self.sequence,
            price,
            bid: in_steps(price - away.max(0.05)),
            ask: in_steps(price + away.max(0.05)),
            bid_quantity,
            ask_quantity,
            open_interest: self.open_interest,
            sent_at: now.timestamp_micros(),
        };
        if let Some(minute) = self.minute.add(&tick) {
            self.past.push_back(minute);
            if self.past.len() > MINUTES {
                self.past.pop_front();
            }
        }
        tick
    }
}

/// Everything that is listed on a day: its underlying, whether it is liquid, and itself.
fn instruments(today: NaiveDate) -> impl Iterator<Item = (usize, bool, Instrument)> {
    let numbered = || UNDERLYINGS.iter().enumerate();
    let shares = numbered().map(|(number, underlying)| {
        let kind = InstrumentKind::Equity;
        (number, true, instrument(underlying, underlying.name.to_owned(), kind, 1))
    });
    let [near, far] = expiries(today);
    let derived = numbered().flat_map(move |(number, underlying)| {
        [near, far].into_iter().flat_map(move |expiry| {
            let month = expiry.format("%y%b").to_string().to_uppercase();
            let prefix = format!("{}{month}", underlying.name);
            let kind = InstrumentKind::Future { expiry };
            let future = instrument(underlying, format!("{prefix}FUT"), kind, underlying.lot);
            let options = underlying.strikes.into_iter().flat_map(move |step| {
                let prefix = prefix.clone();
                (-STRIKES..=STRIKES).flat_map(move |away| {
                    let strike = (underlying.price / step).round() * step + step * f64::from(away);
                    let liquid = expiry == near || away.abs() < ILLIQUID;
                    [(true, "CE"), (false, "PE")].map(|(call, suffix)| {
                        let symbol = format!("{prefix}{strike}{suffix}");
                        let kind = InstrumentKind::Option { expiry, strike, call };
                        (number, liquid, instrument(underlying, symbol, kind, underlying.lot))
                    })
                })
            });
            iter::once((number, true, future)).chain(options)
        })
    });
    shares.chain(derived)
}

fn instrument(
    underlying: &Underlying,
    symbol: String,
    kind: InstrumentKind,
    lot: u32,
) -> Instrument {
    Instrument { symbol, underlying: underlying.name.to_owned(), kind, lot }
}

/// The last Tuesdays of two months, the first of them at least a week away: nearer to their end, options far from
/// the money cost next to nothing.
fn expiries(today: NaiveDate) -> [NaiveDate; 2] {
    let last_tuesday = |months| {
        let next_month = today - Days::new(today.day0().into()) + Months::new(months + 1);
        let last_day = next_month - Days::new(1);
        last_day - Days::new(last_day.weekday().days_since(Weekday::Tue).into())
    };
    let first = u32::from(last_tuesday(0) < today + Days::new(7));
    [last_tuesday(first), last_tuesday(first + 1)]
}

/// The fair price by the price of the underlying; that of an option by Black and Scholes.
fn fair(kind: InstrumentKind, underlying: usize, spot: f64, today: NaiveDate) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "no expiry is that far away")]
    let years = |expiry: NaiveDate| (expiry - today).num_days().max(1) as f64 / 365.0;
    match kind {
        InstrumentKind::Equity => spot,
        InstrumentKind::Future { expiry } => spot * (RATE * years(expiry)).exp(),
        InstrumentKind::Option { expiry, strike, call } => {
            let years = years(expiry);
            // The smile: what is far from the money is thought to be less certain.
            let volatility = UNDERLYINGS[underlying].volatility + 0.5 * (strike / spot).ln().abs();
            let deviation = volatility * years.sqrt();
            let d1 =
                (spot / strike).ln() / deviation + (RATE * years) / deviation + deviation / 2.0;
            let strike_now = strike * (-RATE * years).exp();
            let price_of_call = spot * normal(d1) - strike_now * normal(d1 - deviation);
            if call { price_of_call } else { price_of_call - spot + strike_now }
        }
    }
}

/// The distribution function of the standard normal distribution.
fn normal(x: f64) -> f64 {
    0.5 * erfc(-x / SQRT_2)
}

/// A price in steps of five paise.
fn in_steps(price: f64) -> f64 {
    (price * 20.0).round().max(1.0) / 20.0
}

/// A day that leads to `minute`.
fn before(minute: &Candle) -> VecDeque<Candle> {
    let mut next = minute.clone();
    let past = (0..MINUTES).map(|_| {
        let close = next.open;
        let open = in_steps(close * rand::random_range(0.999..1.001));
        let (high, low) = (open.max(close), open.min(close));
        next = Candle { begin: next.begin - Candle::MINUTE, open, high, low, close };
        next.clone()
    });
    let mut past: VecDeque<_> = past.collect();
    past.make_contiguous().reverse();
    past
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use chrono::NaiveDate;

    use super::{Exchange, Instrument, InstrumentKind, MINUTES, MarginRequest, expiries, fair};

    fn opened() -> Exchange {
        let mut exchange = Exchange::open();
        let symbols: Vec<_> = exchange.instruments().iter().map(|it| it.symbol.clone()).collect();
        exchange.subscribe(&symbols);
        exchange
    }

    #[test]
    fn one_in_ten_cannot_be_traded_well_and_the_others_can() {
        let mut exchange = opened();
        for _ in 0..1000 {
            exchange.beat();
        }
        let ticks = exchange.snapshot();
        let lots = exchange.instruments().into_iter().map(|it| u64::from(it.lot));
        let bad = ticks.iter().zip(lots).filter(|(tick, lot)| {
            assert!(tick.bid < tick.price && tick.price < tick.ask, "{tick:?}");
            let is_wide = (tick.ask - tick.bid) / tick.price > 0.02;
            let is_small = tick.ask_quantity.min(tick.bid_quantity) < *lot;
            assert_eq!(is_wide, is_small, "{tick:?}");
            is_wide
        });
        let bad = bad.count();
        assert!((ticks.len() / 20..ticks.len() / 9).contains(&bad), "{bad} of {}", ticks.len());
    }

    #[test]
    fn calls_and_puts_are_worth_what_no_arbitrage_allows() {
        let today = NaiveDate::from_ymd_opt(2026, 1, 1).unwrap();
        let expiry = NaiveDate::from_ymd_opt(2027, 1, 1).unwrap();
        let option = |call| InstrumentKind::Option { expiry, strike: 24_500.0, call };
        let [call, put] = [true, false].map(|call| fair(option(call), 0, 24_500.0, today));
        // The textbook's value for a volatility of 13 % and a rate of 7 %.
        assert!((call - 2_228.335).abs() < 0.001, "{call}");
        assert!((call - put - 24_500.0 * (1.0 - (-0.07_f64).exp())).abs() < 1e-6);
    }

    #[test]
    fn options_expire_on_the_last_tuesdays_of_months_and_not_within_a_week() {
        let day = |text: &str| text.parse::<NaiveDate>().unwrap();
        let both = |one, two| [day(one), day(two)];
        assert_eq!(expiries(day("2026-11-01")), both("2026-11-24", "2026-12-29"));
        assert_eq!(expiries(day("2026-11-17")), both("2026-11-24", "2026-12-29"));
        assert_eq!(expiries(day("2026-11-18")), both("2026-12-29", "2027-01-26"));
        assert_eq!(expiries(day("2027-01-31")), both("2027-02-23", "2027-03-30"));
    }

    #[test]
    fn only_what_is_subscribed_to_has_ticks_and_few_are_lost() {
        let mut exchange = Exchange::open();
        assert!(exchange.beat().is_empty());
        let mut exchange_of_all = opened();
        exchange_of_all.unsubscribe(&["NIFTY".to_owned()]);
        let mut sequences: HashMap<_, _> =
            exchange_of_all.snapshot().into_iter().map(|it| (it.symbol, it.sequence)).collect();
        let (mut ticks, mut gaps) = (0, 0);
        for _ in 0..12_000 {
            for tick in exchange_of_all.beat() {
                ticks += 1;
                let before = sequences.insert(tick.symbol, tick.sequence).unwrap();
                gaps += u32::from(tick.sequence > before + 1);
            }
        }
        assert!(!sequences.contains_key("NIFTY"));
        assert!((90_000..96_000).contains(&ticks), "{ticks}");
        assert!((1..60).contains(&gaps), "{gaps}");
        let resumed = exchange_of_all.subscribe(&["NIFTY".to_owned()]);
        // As many as before it was unsubscribed, and this one.
        assert_eq!(resumed[0].sequence, 2);
    }

    #[test]
    fn a_history_is_as_long_as_asked_for_and_leads_to_the_last_price() {
        let mut exchange = opened();
        for _ in 0..100 {
            exchange.beat();
        }
        let history = exchange.history("NIFTY", 30).unwrap();
        assert_eq!(history.len(), 30);
        assert!(history.is_sorted_by(|one, next| one.begin < next.begin && one.high >= one.low));
        assert_eq!(exchange.history("NIFTY", 0).unwrap().len(), 0);
        assert_eq!(exchange.history("NIFTY", usize::MAX).unwrap().len(), MINUTES + 1);
        assert!(exchange.history("nothing", 1).is_none());
    }

    #[test]
    fn a_bought_option_costs_its_price_and_a_sold_one_a_share_of_its_underlying() {
        let exchange = opened();
        let is_option = |it: &&Instrument| matches!(it.kind, InstrumentKind::Option { .. });
        let option = exchange.instruments().into_iter().find(is_option);
        let symbol = option.unwrap().symbol.clone();
        let order =
            |sell| MarginRequest { symbol: symbol.clone(), quantity: 75, price: 10.0, sell };
        assert!((exchange.margin(&order(false)).unwrap().rupees - 750.0).abs() < 1e-6);
        assert!(exchange.margin(&order(true)).unwrap().rupees > 100_000.0);
        let unknown = MarginRequest { symbol: "nothing".to_owned(), ..order(true) };
        assert!(exchange.margin(&unknown).is_none());
    }
}
