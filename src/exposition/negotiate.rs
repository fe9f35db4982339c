//! What a scraper accepts: the format by `Accept`, gzip by `Accept-Encoding`.
//!
//! Reads the bytes of any header without allocating. What cannot be read is skipped.

use std::cmp::Reverse;

use http::{
    HeaderMap, HeaderValue,
    header::{ACCEPT, ACCEPT_ENCODING},
};

use super::Format;

impl Format {
    /// The exact `Content-Type` of the format.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// The format that a request accepts most, by the q-values of its `Accept` headers.
    ///
    /// Of equal q-values the more specific wins, then the one named first. A q-value may lack the digit before or
    /// after its point (`.5`, `1.`). A version counts: the
    /// `OpenMetrics` of other versions than 1.0.0 and the text of others than 0.0.4 are not offered. Where
    /// nothing is acceptable, the answer is text 0.0.4.
    ///
    /// ```
    /// use backend_metrics::Format;
    /// use http::{HeaderMap, HeaderValue, header::ACCEPT};
    ///
    /// let mut headers = HeaderMap::new();
    /// assert_eq!(Format::negotiate(&headers), Format::Text);
    /// let accept = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2";
    /// headers.insert(ACCEPT, HeaderValue::from_static(accept));
    /// assert_eq!(Format::negotiate(&headers), Format::OpenMetrics);
    /// ```
    #[must_use]
    pub fn negotiate(headers: &HeaderMap) -> Self {
        let (openmetrics, text) = (Self::OpenMetrics.rank(headers), Self::Text.rank(headers));
        if openmetrics > text { Self::OpenMetrics } else { Self::Text }
    }

    /// How much a request wants the format; none if it does not accept it.
    fn rank(self, headers: &HeaderMap) -> Option<(u16, u8, Reverse<usize>)> {
        let ranges = elements(headers, &ACCEPT).enumerate();
        // The most specific range that matches tells the q-value.
        let (specificity, quality, position) = ranges
            .filter_map(|(position, range)| {
                Some((self.specificity(&range)?, range.quality, Reverse(position)))
            })
            .max()?;
        (quality > 0).then_some((quality, specificity, position))
    }

    /// How closely a media range names the format; none if it does not match.
    fn specificity(self, range: &Element<'_>) -> Option<u8> {
        let (whole, kind, version): (&[u8], &[u8], &[u8]) = match self {
            Self::OpenMetrics => (b"application/openmetrics-text", b"application/*", b"1.0.0"),
            Self::Text => (b"text/plain", b"text/*", b"0.0.4"),
        };
        if range.value.eq_ignore_ascii_case(whole) {
            match range.parameter(b"version") {
                Some(wanted) => (wanted == version).then_some(3),
                None => Some(2),
            }
        } else if range.value.eq_ignore_ascii_case(kind) {
            Some(1)
        } else {
            (range.value == b"*/*").then_some(0)
        }
    }
}

/// Whether a request would rather have gzip than plain bytes. Without `Accept-Encoding` it would not.
#[cfg_attr(
    not(any(feature = "gzip", test)),
    expect(dead_code, reason = "asked where gzip can be written")
)]
pub(crate) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let quality = |coding: &[u8]| {
        elements(headers, &ACCEPT_ENCODING)
            .filter(|element| element.value.eq_ignore_ascii_case(coding))
            .map(|element| element.quality)
            .max()
    };
    let gzip = quality(b"gzip").or_else(|| quality(b"x-gzip")).or_else(|| quality(b"*"));
    gzip.is_some_and(|gzip| gzip > 0 && gzip >= quality(b"identity").unwrap_or(0))
}

/// An element of a header that is a list: a value with parameters.
struct Element<'a> {
    value: &'a [u8],
    parameters: Split<'a>,
    /// The q-value in thousandths.
    quality: u16,
}

impl<'a> Element<'a> {
    /// The element, if its q-value can be read.
    fn parse(text: &'a [u8]) -> Option<Self> {
        let mut parameters = Split { rest: Some(text), separator: b';' };
        let value = parameters.next()?;
        let mut element = Self { value, parameters, quality: 1_000 };
        if let Some(text) = element.parameter(b"q") {
            element.quality = quality(text)?;
        }
        Some(element)
    }

    /// The first parameter of a name, without quotes.
    fn parameter(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.parameters.clone().find_map(|parameter| {
            let equals = parameter.iter().position(|byte| *byte == b'=')?;
            let (found, value) = (&parameter[..equals], &parameter[equals + 1..]);
            found.trim_ascii().eq_ignore_ascii_case(name).then(|| unquoted(value.trim_ascii()))
        })
    }
}

/// The readable elements of every line of a header.
fn elements<'a>(
    headers: &'a HeaderMap,
    name: &http::HeaderName,
) -> impl Iterator<Item = Element<'a>> {
    headers
        .get_all(name)
        .iter()
        .map(HeaderValue::as_bytes)
        .flat_map(|line| Split { rest: Some(line), separator: b',' })
        .filter_map(Element::parse)
}

/// The parts between separators that stand outside of quotes, trimmed.
#[derive(Clone)]
struct Split<'a> {
    rest: Option<&'a [u8]>,
    separator: u8,
}

impl<'a> Iterator for Split<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        let (mut quoted, mut escaped) = (false, false);
        let end = rest.iter().position(|byte| {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = quoted,
                b'"' => quoted = !quoted,
                byte => return *byte == self.separator && !quoted,
            }
            false
        });
        self.rest = end.map(|end| &rest[end + 1..]);
        Some(rest[..end.unwrap_or(rest.len())].trim_ascii())
    }
}

fn unquoted(value: &[u8]) -> &[u8] {
    match value {
        [b'"', inner @ .., b'"'] => inner,
        value => value,
    }
}

/// A q-value in thousandths: a decimal number from 0 to 1, of whose fraction three digits count. More forms are
/// read than the RFC has (`.5`, `1.`, `00.5`, `1.0000`): clients send what Go reads.
fn quality(text: &[u8]) -> Option<u16> {
    let dot = text.iter().position(|byte| *byte == b'.').unwrap_or(text.len());
    let (whole, fraction) = (&text[..dot], text.get(dot + 1..).unwrap_or_default());
    let zeros = |digits: &[u8]| digits.iter().all(|digit| *digit == b'0');
    if whole.len() + fraction.len() == 0 || !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digits = fraction.iter().chain(b"000").take(3);
    let thousandths = digits.fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    match whole {
        [above @ .., b'1'] if zeros(above) && zeros(fraction) => Some(1_000),
        whole => zeros(whole).then_some(thousandths),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROMETHEUS_2: &str = "application/openmetrics-text;version=1.0.0,\
        application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    const PROMETHEUS_3: &str = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
        application/openmetrics-text;version=0.0.1;q=0.5,\
        text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
    const PROMETHEUS_3_PROTOBUF: &str = "application/vnd.google.protobuf;\
        proto=io.prometheus.client.MetricFamily;encoding=delimited;escaping=allow-utf-8;q=0.7,\
        application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
        application/openmetrics-text;version=0.0.1;q=0.5,\
        text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";

    fn headers(name: &http::HeaderName, lines: &[&[u8]]) -> HeaderMap {
        let values = lines.iter().map(|line| HeaderValue::from_bytes(line).unwrap());
        values.map(|value| (name.clone(), value)).collect()
    }

    fn format(lines: &[&str]) -> Format {
        let lines: Vec<_> = lines.iter().map(|line| line.as_bytes()).collect();
        Format::negotiate(&headers(&ACCEPT, &lines))
    }

    #[test]
    fn scrapers_get_the_best_format_they_know() {
        for accept in [
            PROMETHEUS_2,
            PROMETHEUS_3,
            PROMETHEUS_3_PROTOBUF,
            "application/openmetrics-text",
            "application/openmetrics-text; version=\"1.0.0\"; charset=utf-8",
            "APPLICATION/OpenMetrics-Text ; VERSION = 1.0.0",
            "application/*",
            "application/openmetrics-text, */*",
            "text/plain;q=0.3, application/*;q=0.31",
            "*/*;q=0.1, text/*;q=0",
        ] {
            assert_eq!(format(&[accept]), Format::OpenMetrics, "{accept}");
        }
        for accept in [
            "",
            "*/*",
            "text/*",
            "text/plain",
            "text/plain;version=0.0.4;q=1,*/*;q=0.1",
            "text/plain;version=1.0.0",
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "application/openmetrics-text;version=0.0.1,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            "application/openmetrics-text;version=2.0.0",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;q=0.5,text/plain",
            "application/openmetrics-text;q=0.000,*/*",
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily",
            "image/png",
        ] {
            assert_eq!(format(&[accept]), Format::Text, "{accept}");
        }
    }

    #[test]
    fn the_first_of_equals_wins() {
        assert_eq!(format(&["application/openmetrics-text,text/plain"]), Format::OpenMetrics);
        assert_eq!(format(&["text/plain,application/openmetrics-text"]), Format::Text);
        assert_eq!(format(&["text/plain", "application/openmetrics-text"]), Format::Text);
    }

    #[test]
    fn header_lines_are_one_list() {
        let lines = ["text/plain;q=0.2", "application/openmetrics-text;q=0.3", "*/*;q=0.1"];
        assert_eq!(format(&lines), Format::OpenMetrics);
    }

    #[test]
    fn no_accept_means_text() {
        assert_eq!(Format::negotiate(&HeaderMap::new()), Format::Text);
    }

    #[test]
    fn what_cannot_be_read_is_skipped() {
        for garbage in [
            ",,,;;;===",
            "application/openmetrics-text;q=",
            "application/openmetrics-text;q=2",
            "application/openmetrics-text;q=1.5",
            "application/openmetrics-text;q=-1",
            "application/openmetrics-text;q=0.5x",
            "application/openmetrics-text;q=NaN",
            "application/openmetrics-text;version=\"1.0.0",
            "application",
            "\"application/openmetrics-text",
            "image/png;a=\"\\\", application/openmetrics-text",
        ] {
            assert_eq!(format(&[garbage]), Format::Text, "{garbage}");
            let lines = [garbage, "application/openmetrics-text;q=0.001"];
            assert_eq!(format(&lines), Format::OpenMetrics, "{garbage}");
        }
        let accept = "text/plain;note=\"a,b;q=0;\\\"\";q=0.1,application/openmetrics-text;q=0.2";
        assert_eq!(format(&[accept]), Format::OpenMetrics);
    }

    #[test]
    fn gzip_is_written_for_those_who_want_it() {
        let gzip = |line: &str| accepts_gzip(&headers(&ACCEPT_ENCODING, &[line.as_bytes()]));
        for line in [
            "gzip",
            "GZIP",
            "x-gzip",
            "gzip, deflate, br, zstd",
            "deflate, gzip;q=1.0, *;q=0.5",
            "*",
            "*;q=0.1",
            "identity;q=0.5, gzip;q=0.5",
            "br;q=0, gzip;q=0.001",
            "gzip, *;q=0",
        ] {
            assert!(gzip(line), "{line}");
        }
        for line in [
            "",
            "identity",
            "deflate, br",
            "gzip;q=0",
            "gzip;q=0.000",
            "gzip;q=0, *",
            "*;q=0",
            "identity, gzip;q=0.5",
            "gzip;q=nonsense",
            "gzipped",
        ] {
            assert!(!gzip(line), "{line}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
        assert!(accepts_gzip(&headers(&ACCEPT_ENCODING, &[b"br", b"gzip"])));
    }

    #[test]
    fn any_bytes_are_survived() {
        let pieces: [&[u8]; 16] = [
            b"application/openmetrics-text",
            b"text/plain",
            b"*/*",
            b"gzip",
            b"q=",
            b"0.",
            b"1",
            b"version=1.0.0",
            b",",
            b";",
            b"\"",
            b"\\",
            b"=",
            b" \t",
            b"\xff\x80",
            b"9999999999999999999999",
        ];
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        for _ in 0..20_000 {
            let mut line = Vec::new();
            while state & 0xf00 != 0 {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                line.extend_from_slice(pieces[(state >> 32) as usize % pieces.len()]);
            }
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15) | 0x100;
            _ = Format::negotiate(&headers(&ACCEPT, &[&line]));
            accepts_gzip(&headers(&ACCEPT_ENCODING, &[&line]));
        }
    }
}
