//! Prices and greeks of European options, after Black and Scholes, without dividends.

use serde::{Deserialize, Serialize};
use statrs::distribution::{Continuous, ContinuousCDF, Normal};

/// Volatilities that are searched for the one that a price implies.
const VOLATILITIES: (f64, f64) = (0.000_1, 10.0);
/// How close to it the search ends.
const PRECISION: f64 = 1e-9;

/// An option as of a moment.
#[derive(Clone, Copy, Debug)]
pub struct Contract {
    /// The price of what it is derived from.
    pub spot: f64,
    /// The price that it may be exercised at.
    pub strike: f64,
    /// Years until it expires.
    pub years: f64,
    /// The interest that money bears without a risk, by year.
    pub rate: f64,
    /// Whether it is to buy; otherwise it is to sell.
    pub call: bool,
}

/// What an option is worth at a volatility, and how that changes.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct Greeks {
    /// What it is worth.
    pub price: f64,
    /// The volatility, by year.
    pub volatility: f64,
    /// The change of the price with the underlying.
    pub delta: f64,
    /// The change of delta with the underlying.
    pub gamma: f64,
    /// The change of the price by a day.
    pub theta: f64,
    /// The change of the price with a hundredth of volatility.
    pub vega: f64,
}

/// Why there are no greeks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Impossible {
    /// A price or a time is zero, negative or not a number, or so far out that the greeks are none.
    #[error("there is no such option")]
    Contract,
    /// The option would cost less, or more, at any volatility.
    #[error("no volatility leads to this price")]
    Price,
}

impl Contract {
    /// The greeks at a volatility.
    pub fn greeks(&self, volatility: f64) -> Result<Greeks, Impossible> {
        let Self { spot, strike, years, rate, .. } = *self;
        if !([spot, strike, years, volatility].iter().all(|input| *input > 0.0)) {
            return Err(Impossible::Contract);
        }
        let normal = Normal::standard();
        let (sign, d1, d2) = self.terms(volatility);
        let density = normal.pdf(d1);
        let interest = rate * self.present_strike() * sign * normal.cdf(sign * d2);
        let decay = spot * density * volatility / (2.0 * years.sqrt());
        let greeks = Greeks {
            price: self.price(volatility),
            volatility,
            delta: sign * normal.cdf(sign * d1),
            gamma: density / (spot * volatility * years.sqrt()),
            theta: -(decay + interest) / 365.0,
            vega: spot * density * years.sqrt() / 100.0,
        };
        let Greeks { price, delta, gamma, theta, vega, .. } = greeks;
        let finite = [price, delta, gamma, theta, vega].iter().all(|value| value.is_finite());
        if finite { Ok(greeks) } else { Err(Impossible::Contract) }
    }

    /// The greeks at the volatility that a price implies.
    pub fn greeks_at_price(&self, price: f64) -> Result<Greeks, Impossible> {
        self.greeks(self.implied_volatility(price)?)
    }

    /// The volatility at which the option is worth `price`.
    fn implied_volatility(&self, price: f64) -> Result<f64, Impossible> {
        let (mut low, mut high) = VOLATILITIES;
        if !(self.price(low) <= price && price <= self.price(high)) {
            return Err(Impossible::Price);
        }
        // The price rises with the volatility. Halving needs no slope, which far from the money is all but zero.
        while high - low > PRECISION {
            let middle = f64::midpoint(low, high);
            if self.price(middle) < price {
                low = middle;
            } else {
                high = middle;
            }
        }
        Ok(f64::midpoint(low, high))
    }

    fn price(&self, volatility: f64) -> f64 {
        let normal = Normal::standard();
        let (sign, d1, d2) = self.terms(volatility);
        sign * (self.spot * normal.cdf(sign * d1) - self.present_strike() * normal.cdf(sign * d2))
    }

    /// One for a call, minus one for a put, and the terms that the formulas call d1 and d2.
    fn terms(&self, volatility: f64) -> (f64, f64, f64) {
        let sign = if self.call { 1.0 } else { -1.0 };
        let spread = volatility * self.years.sqrt();
        let drift = (self.rate + volatility * volatility / 2.0) * self.years;
        let d1 = ((self.spot / self.strike).ln() + drift) / spread;
        (sign, d1, d1 - spread)
    }

    /// What the strike is worth today.
    fn present_strike(&self) -> f64 {
        self.strike * (-self.rate * self.years).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::{Contract, Impossible};

    /// The example of Hull, "Options, Futures, and Other Derivatives", in the chapter on greeks: twenty weeks.
    const HULL: Contract =
        Contract { spot: 49.0, strike: 50.0, years: 0.3846, rate: 0.05, call: true };

    fn assert_close(value: f64, expected: f64, tolerance: f64) {
        assert!((value - expected).abs() <= tolerance, "{value} is not {expected}");
    }

    #[test]
    fn the_greeks_are_those_of_the_textbook() {
        let greeks = HULL.greeks(0.2).unwrap();
        assert_close(greeks.price, 2.40, 0.005);
        assert_close(greeks.delta, 0.522, 0.000_5);
        assert_close(greeks.gamma, 0.066, 0.000_5);
        assert_close(greeks.theta * 365.0, -4.31, 0.005);
        assert_close(greeks.vega, 0.121, 0.000_5);
    }

    #[test]
    fn a_call_less_a_put_is_a_forward() {
        for strike in [30.0, 49.0, 50.0, 80.0] {
            let contract = Contract { strike, ..HULL };
            let call = contract.greeks(0.2).unwrap();
            let put = Contract { call: false, ..contract }.greeks(0.2).unwrap();
            let forward = contract.spot - strike * (-contract.rate * contract.years).exp();
            assert_close(call.price - put.price, forward, 1e-9);
            assert_close(call.delta - put.delta, 1.0, 1e-9);
            assert_close(call.gamma, put.gamma, 1e-12);
            assert_close(call.vega, put.vega, 1e-12);
        }
    }

    #[test]
    fn the_greeks_are_the_slopes_of_the_price() {
        let step = 1e-4;
        let price = |contract: Contract, volatility| contract.greeks(volatility).unwrap().price;
        for call in [true, false] {
            let contract = Contract { call, ..HULL };
            let greeks = contract.greeks(0.2).unwrap();
            let at_spot = |spot| price(Contract { spot, ..contract }, 0.2);
            let at_years = |years| price(Contract { years, ..contract }, 0.2);
            let slope = |up: f64, down: f64| (up - down) / (2.0 * step);
            assert_close(slope(at_spot(49.0 + step), at_spot(49.0 - step)), greeks.delta, 1e-6);
            let by_volatility = slope(price(contract, 0.2 + step), price(contract, 0.2 - step));
            assert_close(by_volatility / 100.0, greeks.vega, 1e-6);
            let by_time = -slope(at_years(0.3846 + step), at_years(0.3846 - step));
            assert_close(by_time / 365.0, greeks.theta, 1e-6);
        }
    }

    #[test]
    fn the_price_at_a_volatility_implies_it() {
        for call in [true, false] {
            for strike in [45.0, 50.0, 55.0] {
                for volatility in [0.1, 0.2, 1.5] {
                    let contract = Contract { strike, call, ..HULL };
                    let price = contract.greeks(volatility).unwrap().price;
                    let implied = contract.greeks_at_price(price).unwrap().volatility;
                    assert_close(implied, volatility, 1e-6);
                }
            }
        }
    }

    #[test]
    fn an_impossible_input_has_no_greeks() {
        for impossible in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let contracts = [
                Contract { spot: impossible, ..HULL },
                Contract { strike: impossible, ..HULL },
                Contract { years: impossible, ..HULL },
            ];
            for contract in contracts {
                assert_eq!(contract.greeks(0.2), Err(Impossible::Contract), "{contract:?}");
            }
            assert_eq!(HULL.greeks(impossible), Err(Impossible::Contract), "{impossible}");
            assert!(HULL.greeks_at_price(impossible).is_err(), "{impossible}");
        }
        let expired = Contract { years: -0.1, ..HULL };
        assert!(expired.greeks_at_price(2.0).is_err());
    }

    #[test]
    fn a_price_beyond_the_bounds_of_an_option_implies_no_volatility() {
        // Less than what it would bring at once, and more than what it is derived from.
        let deep = Contract { strike: 30.0, ..HULL };
        assert_eq!(deep.greeks_at_price(18.0), Err(Impossible::Price));
        assert_eq!(HULL.greeks_at_price(50.0), Err(Impossible::Price));
    }
}
