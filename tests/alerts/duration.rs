//! Durations as Prometheus and Alertmanager write them.

/// The milliseconds of `1h30m`, say.
#[track_caller]
pub(crate) fn milliseconds(text: &str) -> u64 {
    let mut sum = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let unit = rest.find(|char: char| !char.is_ascii_digit()).unwrap_or(rest.len());
        let end = rest[unit..]
            .find(|char: char| char.is_ascii_digit())
            .map_or(rest.len(), |end| unit + end);
        let number: u64 = rest[..unit].parse().unwrap_or_else(|_| panic!("a duration: {text}"));
        sum += number
            * match &rest[unit..end] {
                "ms" => 1,
                "s" => 1_000,
                "m" => 60_000,
                "h" => 3_600_000,
                "d" => 86_400_000,
                "w" => 7 * 86_400_000,
                _ => panic!("a duration: {text}"),
            };
        rest = &rest[end..];
    }
    sum
}

#[test]
fn units_add_up() {
    assert_eq!(milliseconds("90s"), 90_000);
    assert_eq!(milliseconds("1h30m15s250ms"), 5_415_250);
    assert_eq!(milliseconds("1w3d"), 10 * 86_400_000);
}
