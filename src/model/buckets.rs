//! The buckets of a histogram: the search, and upper bounds that several families share.

/// Seconds: a request to the public API, 5 ms to 10 s.
pub const REQUEST: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Seconds: a query or a wait for a connection, 1 ms to 5 s.
pub const QUERY: &[f64] = &[0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

/// Bytes: a message or a request body, 100 B to 1 MB.
pub const SIZE: &[f64] = &[100.0, 1_000.0, 10_000.0, 100_000.0, 1_000_000.0];

/// At most this many bounds to a histogram.
pub(crate) const MAX_BOUNDS: usize = 32;

/// The upper bounds of a histogram, and the search for the bucket of an observation.
///
/// A histogram stores integers: nanoseconds for seconds, billionths for other fractions, bytes and counts
/// as they are. The highest bit of a value picks its octave, which says how many bounds lie wholly below
/// it, and the first one in it: one comparison decides the rest. Where some octave holds several bounds, those behind
/// the first are tried one after the other.
#[derive(Debug)]
pub struct Buckets {
    bounds: &'static [f64],
    scale: f64,
    integers: [u64; MAX_BOUNDS],
    octaves: [Octave; 64],
    one_bound_each: bool,
    broken_rule: Option<&'static str>,
}

#[derive(Clone, Copy, Debug)]
struct Octave {
    below: u32,
    bound: u64,
}

impl Buckets {
    /// Buckets up to each of `bounds`, for observations stored as multiples of 1 / `scale`.
    ///
    /// A rule that they break is reported by [`Definition::checked`](super::Definition::checked), under the
    /// name of the family's field.
    #[must_use]
    pub const fn new(bounds: &'static [f64], scale: f64) -> Self {
        let mut this = Self {
            bounds,
            scale,
            integers: [u64::MAX; MAX_BOUNDS],
            octaves: [Octave { below: 0, bound: u64::MAX }; 64],
            one_bound_each: true,
            broken_rule: None,
        };
        this.broken_rule = this.fill_integers();
        if this.broken_rule.is_some() {
            return this;
        }
        let mut octave = 0;
        while octave < 64 {
            this.fill_octave(octave);
            octave += 1;
        }
        this
    }

    /// Turns the bounds into stored units; the first rule that they break.
    const fn fill_integers(&mut self) -> Option<&'static str> {
        if self.bounds.is_empty() {
            return Some("a histogram has at least one bucket bound");
        }
        if self.bounds.len() > MAX_BOUNDS {
            return Some("a histogram has at most 32 bucket bounds");
        }
        let mut i = 0;
        while i < self.bounds.len() {
            let bound = self.bounds[i];
            if !bound.is_finite() {
                return Some("a bucket bound is finite: +Inf is added");
            }
            if bound < 0.0 {
                return Some("a bucket bound is not negative");
            }
            self.integers[i] = self.units(bound);
            // What is larger than everything is stored as the largest integer: it is above all bounds.
            if self.integers[i] == u64::MAX {
                return Some(
                    "a bucket bound is below 2^64 units: nanoseconds, billionths or things",
                );
            }
            if i > 0 && (self.bounds[i - 1] >= bound || self.integers[i - 1] >= self.integers[i]) {
                return Some("bucket bounds increase, by a whole unit at least");
            }
            i += 1;
        }
        None
    }

    /// The largest observation in stored units that is no larger than a bound.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "a bound is finite and not negative; one past the largest integer saturates"
    )]
    const fn units(&self, bound: f64) -> u64 {
        // The product may be off by its rounding, either way; the quotient is what a reader makes of the units.
        let nearest = (bound * self.scale + 0.5) as u64;
        if nearest as f64 / self.scale > bound { nearest - 1 } else { nearest }
    }

    /// The rule for buckets that is broken, if one is.
    pub(super) const fn broken_rule(&self) -> Option<&'static str> {
        self.broken_rule
    }

    /// Looks at the values from 2^`octave` up to the next power of two; 0 is with 1.
    const fn fill_octave(&mut self, octave: usize) {
        let low = if octave == 0 { 0 } else { 1 << octave };
        let high = u64::MAX >> (63 - octave);
        let mut inside = 0;
        let mut i = 0;
        while i < self.bounds.len() {
            let bound = self.integers[i];
            if bound < low {
                self.octaves[octave].below += 1;
            } else if bound < high {
                if inside == 0 {
                    self.octaves[octave].bound = bound;
                }
                inside += 1;
            }
            i += 1;
        }
        if inside > 1 {
            self.one_bound_each = false;
        }
    }

    /// The upper bounds in the base unit of the family, `+Inf` left out.
    #[must_use]
    pub const fn bounds(&self) -> &'static [f64] {
        self.bounds
    }

    /// The upper bounds as `le` has them, `+Inf` at the end, and what stands behind them: `0.5"} `.
    pub(crate) fn texts(&self) -> Vec<String> {
        let bounds = self.bounds.iter().map(|bound| text(*bound)).chain([String::from("+Inf")]);
        bounds.map(|bound| bound + "\"} ").collect()
    }

    /// Stored units to one base unit: 1e9 for seconds.
    #[must_use]
    pub const fn scale(&self) -> f64 {
        self.scale
    }

    /// The number of bounds below `value`: the index of its bucket, as `le` wants it.
    #[inline]
    pub(crate) fn index(&self, value: u64) -> usize {
        let octave = self.octaves[(value | 1).ilog2() as usize];
        let mut index = octave.below as usize + usize::from(value > octave.bound);
        if !self.one_bound_each {
            while self.integers.get(index).is_some_and(|bound| *bound < value) {
                index += 1;
            }
        }
        index
    }
}

/// A bound in the canonical form of `OpenMetrics`: `0.5`, `1.0`, `100000.0`, `1e+06`.
///
/// Prometheus 3 normalises to it and Prometheus 2 keeps what it is given, so both store the same series.
fn text(value: f64) -> String {
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let significant = digits.len() - usize::from(digits.contains('.'));
    let precision = significant.max(6);
    if exponent < -4 || usize::try_from(exponent).is_ok_and(|exponent| exponent >= precision) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.abs());
    }
    let mut text = value.to_string();
    if !text.contains('.') {
        text.push_str(".0");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Buckets, MAX_BOUNDS, text};

    fn agree(bounds: &'static [f64], one_bound_each: bool) {
        agree_in(1.0, bounds, one_bound_each);
    }

    #[expect(clippy::cast_precision_loss, reason = "the bounds are small")]
    fn agree_in(scale: f64, bounds: &'static [f64], one_bound_each: bool) {
        let buckets = Buckets::new(bounds, scale);
        assert_eq!(buckets.broken_rule(), None);
        assert_eq!(buckets.one_bound_each, one_bound_each);
        for value in (0..2_000).chain([u64::MAX, u64::MAX - 1, 1 << 63, (1 << 63) - 1]) {
            let below = bounds.iter().filter(|bound| **bound < value as f64 / scale).count();
            assert_eq!(buckets.index(value), below, "{value} in {bounds:?}");
        }
    }

    #[test]
    fn an_index_counts_the_bounds_below() {
        agree(&[5.0, 10.0, 25.0, 50.0], true);
        agree(&[0.0, 1.0, 10.0, 100.0], true);
        agree(&[0.0], true);
        agree(&[1.0, 2.0, 3.0, 4.0, 1000.0], true);
        agree(&[5.0, 6.0, 7.0, 1000.0], false);
        let most: Vec<_> = (1..=32).map(f64::from).collect();
        assert_eq!(most.len(), MAX_BOUNDS);
        agree(most.leak(), false);
    }

    #[test]
    fn a_bound_between_two_units_is_that_of_the_lower_one() {
        agree(&[0.5, 1.5, 2.5], true);
        agree(&[0.999_999_999_999_999_9, 1.25, 99.9, 1000.5], true);
        agree(&[5.5, 6.1, 7.9], false);
        agree_in(1e9, &[0.000_000_000_5, 0.000_000_001_9, 0.000_000_7, 0.000_003_000_9], true);
    }

    #[test]
    fn a_bound_is_the_number_that_its_text_names() {
        // Of some, the product with the scale is a little less.
        for bound in (1..10_000).map(|thousandths: u32| f64::from(thousandths) / 1e3) {
            let buckets = Buckets::new(Box::leak(Box::new([bound])), 1e9);
            let nanoseconds: u64 = format!("{bound:.3}000000").replace('.', "").parse().unwrap();
            assert_eq!(buckets.integers[0], nanoseconds, "{bound}");
        }
    }

    #[test]
    fn bounds_are_canonical() {
        for (value, expected) in [
            (0.0, "0.0"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (0.5, "0.5"),
            (1.0, "1.0"),
            (2.5, "2.5"),
            (100_000.0, "100000.0"),
            (123_456.7, "123456.7"),
            (1e6, "1e+06"),
            (2.5e6, "2.5e+06"),
            (1e8, "1e+08"),
        ] {
            assert_eq!(text(value), expected);
        }
    }

    #[test]
    fn broken_rules_are_known() {
        for (bounds, rule) in [
            (&[][..], "at least one"),
            (&[1.0; 33], "at most 32"),
            (&[f64::NAN], "finite"),
            (&[1.0, f64::INFINITY], "finite"),
            (&[-1.0], "not negative"),
            (&[2.0, 1.0], "increase"),
            (&[1.0, 1.0], "increase"),
            (&[0.1, 0.2], "increase"),
            (&[1.0, 1e20], "below 2^64"),
        ] {
            let broken = Buckets::new(bounds, 1.0).broken_rule().unwrap();
            assert!(broken.contains(rule), "{bounds:?}: {broken}");
        }
    }
}
