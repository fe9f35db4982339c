//! How numbers are written.

use std::fmt::Write;

/// Appends a whole number.
#[inline]
pub(crate) fn push_integer(into: &mut String, value: impl itoa::Integer) {
    into.push_str(itoa::Buffer::new().format(value));
}

/// Appends a count. Most have one digit.
#[inline]
pub(crate) fn push_count(into: &mut String, value: u64) {
    match u8::try_from(value) {
        Ok(digit @ 0..=9) => into.push(char::from(b'0' + digit)),
        _ => push_integer(into, value),
    }
}

/// Appends a number as both text formats read it.
pub(crate) fn push_float(into: &mut String, value: f64) {
    /// Below this, whole numbers are exact and written as such.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.is_nan() {
        into.push_str("NaN");
    } else if value.is_infinite() {
        into.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
    } else if value.fract() == 0.0 && value.abs() < EXACT {
        #[expect(clippy::cast_possible_truncation, reason = "whole and in range")]
        push_integer(into, value as i64);
    } else if value.abs() < 1e17 && value.abs() > 1e-7 {
        _ = write!(into, "{value}");
    } else {
        _ = write!(into, "{value:e}");
    }
}

/// Appends a sum of stored units: whole units, or billionths as a decimal fraction, exactly.
#[expect(clippy::cast_possible_truncation, reason = "a remainder is below a billion")]
pub(crate) fn push_units(into: &mut String, units: u128, billionths: bool) {
    const BILLION: u64 = 1_000_000_000;
    if !billionths {
        push_integer(into, units);
        return;
    }
    // Nearly all sums have 64 bits, whose division is one instruction.
    let fraction = if let Ok(units) = u64::try_from(units) {
        push_integer(into, units / BILLION);
        units % BILLION
    } else {
        push_integer(into, units / u128::from(BILLION));
        (units % u128::from(BILLION)) as u64
    };
    if fraction > 0 {
        into.push('.');
        // With a digit in front, so that the zeros that lead are written.
        let mut buffer = itoa::Buffer::new();
        let digits = buffer.format(BILLION + fraction);
        into.push_str(digits[1..].trim_end_matches('0'));
    }
}

#[cfg(test)]
mod tests {
    use super::{push_float, push_units};

    #[test]
    fn floats_are_read_back_as_written() {
        let numbers = [
            0.0,
            -1.5,
            0.1,
            1e-9,
            1e15,
            1e16,
            9.007_199_254_740_993e15,
            1e300,
            -3.0,
            f64::MIN_POSITIVE,
        ];
        for value in numbers {
            let mut text = String::new();
            push_float(&mut text, value);
            assert_eq!(text.parse::<f64>().unwrap().to_bits(), value.to_bits(), "{text}");
        }
        for (value, expected) in
            [(f64::NAN, "NaN"), (f64::INFINITY, "+Inf"), (f64::NEG_INFINITY, "-Inf"), (7.0, "7")]
        {
            let mut text = String::new();
            push_float(&mut text, value);
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn sums_are_exact() {
        for (units, billionths, expected) in [
            (0, true, "0"),
            (5, true, "0.000000005"),
            (1_500_000_000, true, "1.5"),
            (u64::MAX.into(), true, "18446744073.709551615"),
            (u64::MAX.into(), false, "18446744073709551615"),
            (1 << 64, true, "18446744073.709551616"),
            (1 << 64, false, "18446744073709551616"),
            (u128::from(u64::MAX) * 1_000_000_000, true, "18446744073709551615"),
        ] {
            let mut text = String::new();
            push_units(&mut text, units, billionths);
            assert_eq!(text, expected);
        }
    }
}
