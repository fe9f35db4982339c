//! What histograms observe, by the rules that the documentation of `Observation` states.

#![expect(
    clippy::cast_precision_loss,
    reason = "what is compared with a bound is near it or far off"
)]

use std::time::Duration;

/// The most that one duration or count adds to a sum.
const MOST: u64 = 1 << 53;

/// An observation, in whole units.
pub(crate) trait Observed: Copy {
    /// How many digits of a sum are decimals.
    const DECIMALS: usize;

    /// Whether it falls into the bucket of a bound.
    fn is_at_most(self, bound: f64) -> bool;

    /// What it adds to the sum.
    fn amount(self) -> u64;
}

impl Observed for Duration {
    const DECIMALS: usize = 9;

    fn is_at_most(self, bound: f64) -> bool {
        nanoseconds(self) as f64 / 1e9 <= bound
    }

    fn amount(self) -> u64 {
        nanoseconds(self).min(MOST)
    }
}

impl Observed for u64 {
    const DECIMALS: usize = 0;

    fn is_at_most(self, bound: f64) -> bool {
        self as f64 <= bound
    }

    fn amount(self) -> u64 {
        self.min(MOST)
    }
}

impl Observed for f64 {
    const DECIMALS: usize = 9;

    fn is_at_most(self, bound: f64) -> bool {
        !self.is_nan() && self < f64::INFINITY && billionths(self) as f64 / 1e9 <= bound
    }

    fn amount(self) -> u64 {
        if self < f64::INFINITY { billionths(self) } else { 0 }
    }
}

fn nanoseconds(of: Duration) -> u64 {
    u64::try_from(of.as_nanos()).unwrap_or(u64::MAX)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it saturates: what is negative is nothing"
)]
fn billionths(of: f64) -> u64 {
    (of * 1e9).round() as u64
}
