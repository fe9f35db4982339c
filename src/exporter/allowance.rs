//! How long a scraper lets the callbacks of a scrape take.

use std::time::Duration;

use http::HeaderMap;

/// How long Prometheus waits for a scrape, in seconds. It sends it with each.
const TIMEOUT: &str = "x-prometheus-scrape-timeout-seconds";

/// What is left of that for encoding and for the way, as exporters of Prometheus do it; half of a shorter one.
const MARGIN: Duration = Duration::from_millis(500);

/// No header makes it shorter: callbacks that do not block return well within.
const MIN: Duration = Duration::from_millis(100);

/// How long the callbacks may take: below the timeout of the scraper, and no longer than `most`.
///
/// The shortest timeout counts if there are several. What is not a positive number says nothing.
pub(super) fn of(headers: &HeaderMap, most: Duration) -> Duration {
    let values = headers.get_all(TIMEOUT).iter().filter_map(|value| value.to_str().ok());
    let seconds = values.flat_map(|value| value.split(','));
    let seconds = seconds.filter_map(|value| value.trim().parse::<f64>().ok());
    // A `Duration` has no room for more than some hundred billion years.
    let timeouts = seconds.filter_map(|seconds| Duration::try_from_secs_f64(seconds).ok());
    match timeouts.filter(|timeout| !timeout.is_zero()).min() {
        Some(timeout) => most.min(timeout.saturating_sub(MARGIN.min(timeout / 2)).max(MIN)),
        None => most,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn allowance(values: &[&[u8]]) -> Duration {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(TIMEOUT, HeaderValue::from_bytes(value).unwrap());
        }
        of(&headers, Duration::from_secs(20))
    }

    #[test]
    fn it_is_below_the_timeout_of_the_scraper() {
        for (value, milliseconds) in [
            (&b"10"[..], 9_500),
            (b"10.25", 9_750),
            (b" 5 ", 4_500),
            (b"1", 500),
            (b"0.6", 300),
            (b"0.2", 100),
            (b"1e1", 9_500),
        ] {
            assert_eq!(allowance(&[value]), Duration::from_millis(milliseconds), "{value:?}");
        }
    }

    #[test]
    fn it_is_neither_zero_nor_more_than_the_service_allows_whatever_the_header_says() {
        for value in [
            &b""[..],
            b"NaN",
            b"inf",
            b"-inf",
            b"-1",
            b"0",
            b"-0",
            b"1e300",
            b"1e-300",
            b"ten",
            b"10s",
            b"0x10",
            b"1_0",
            b"\xff",
            b"60",
            b"20.5",
            b",",
            b"5;5",
        ] {
            assert_eq!(allowance(&[value]), Duration::from_secs(20), "{value:?}");
        }
        for value in [&b"1e-9"[..], b"0.000001", b"0.1", b"0.199"] {
            assert_eq!(allowance(&[value]), MIN, "{value:?}");
        }
        assert_eq!(of(&HeaderMap::new(), Duration::MAX), Duration::MAX);
    }

    #[test]
    fn the_shortest_of_several_counts() {
        assert_eq!(allowance(&[b"12", b"10", b"15"]), Duration::from_millis(9_500));
        assert_eq!(allowance(&[b"12, 10,x", b"NaN"]), Duration::from_millis(9_500));
    }
}
