//! `Accept` and `Accept-Encoding`: a header that follows the grammar is answered as RFC 9110 says, any other
//! bytes like their equals.

#![no_main]

use arbitrary::Arbitrary;
use backend_metrics::{Format, fuzzing::accepts_gzip};
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{ACCEPT, ACCEPT_ENCODING},
};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
enum Input {
    Accept(Vec<Element<Range>>),
    Encoding(Vec<Element<Coding>>),
    Bytes(Vec<Vec<u8>>),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
struct Element<T> {
    value: T,
    /// In thousandths.
    quality: Option<u16>,
    /// Without a digit before the point.
    lenient: bool,
    /// A parameter before the q-value that nobody knows.
    unknown: bool,
    capitals: bool,
    spaces: bool,
    /// Whether it begins a line of its own.
    new_line: bool,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Range {
    OpenMetrics(Version),
    Text(Version),
    AnyApplication,
    AnyText,
    Any,
    Image,
}

#[derive(Arbitrary, Clone, Copy, Debug, PartialEq)]
enum Version {
    None,
    Offered,
    Quoted,
    Unknown,
}

#[derive(Arbitrary, Clone, Copy, Debug, PartialEq)]
enum Coding {
    Gzip,
    XGzip,
    Identity,
    Any,
    Brotli,
}

impl<T> Element<T> {
    fn quality(&self) -> u16 {
        self.quality.map_or(1_000, |quality| quality % 1_001)
    }

    fn written(&self, value: &str) -> String {
        let mut text = value.to_owned();
        if self.unknown {
            text += ";note=\"a,b;q=0\"";
        }
        if self.quality.is_some() {
            let quality = format!("{:.3}", f64::from(self.quality()) / 1_000.0);
            text += ";q=";
            text += if self.lenient { quality.trim_start_matches('0') } else { &quality };
        }
        if self.spaces {
            text = format!(" \t{} ", text.replace(';', " ;\t "));
        }
        if self.capitals { text.to_ascii_uppercase() } else { text }
    }
}

impl Range {
    fn text(self) -> String {
        let (kind, offered) = match self {
            Self::OpenMetrics(_) => ("application/openmetrics-text", "1.0.0"),
            Self::Text(_) => ("text/plain", "0.0.4"),
            Self::AnyApplication => ("application/*", ""),
            Self::AnyText => ("text/*", ""),
            Self::Any => ("*/*", ""),
            Self::Image => ("image/png", ""),
        };
        match self {
            Self::OpenMetrics(version) | Self::Text(version) => match version {
                Version::None => kind.to_owned(),
                Version::Offered => format!("{kind};version={offered}"),
                Version::Quoted => format!("{kind};version=\"{offered}\""),
                Version::Unknown => format!("{kind};version=7"),
            },
            _ => kind.to_owned(),
        }
    }

    /// How closely it names a format.
    fn specificity(self, openmetrics: bool) -> Option<u8> {
        match self {
            Self::OpenMetrics(version) | Self::Text(version)
                if matches!(self, Self::OpenMetrics(_)) == openmetrics =>
            {
                match version {
                    Version::Unknown => None,
                    Version::None => Some(2),
                    Version::Offered | Version::Quoted => Some(3),
                }
            }
            Self::AnyApplication if openmetrics => Some(1),
            Self::AnyText if !openmetrics => Some(1),
            Self::Any => Some(0),
            _ => None,
        }
    }
}

/// The q-value of a format, how closely it was named, and where.
fn wanted(ranges: &[Element<Range>], openmetrics: bool) -> Option<(u16, u8, usize)> {
    let mut found: Option<(u16, u8, usize)> = None;
    for (position, range) in ranges.iter().enumerate() {
        let Some(specificity) = range.value.specificity(openmetrics) else { continue };
        let quality = range.quality();
        if found.is_none_or(|(best, closest, _)| {
            specificity > closest || (specificity == closest && quality > best)
        }) {
            found = Some((quality, specificity, position));
        }
    }
    found.filter(|(quality, ..)| *quality > 0)
}

fn expected_format(ranges: &[Element<Range>]) -> Format {
    match (wanted(ranges, true), wanted(ranges, false)) {
        (Some(_), None) => Format::OpenMetrics,
        (Some((q, close, at)), Some((text_q, text_close, text_at)))
            if q > text_q
                || (q == text_q && close > text_close)
                || (q == text_q && close == text_close && at < text_at) =>
        {
            Format::OpenMetrics
        }
        _ => Format::Text,
    }
}

fn expected_gzip(codings: &[Element<Coding>]) -> bool {
    let quality =
        |coding| codings.iter().filter(|it| it.value == coding).map(Element::quality).max();
    let gzip = quality(Coding::Gzip).or(quality(Coding::XGzip)).or(quality(Coding::Any));
    gzip.is_some_and(|gzip| gzip > 0 && gzip >= quality(Coding::Identity).unwrap_or(0))
}

/// The elements in as many lines as they ask for.
fn lines<T>(elements: &[Element<T>], text: impl Fn(&T) -> String) -> Vec<Vec<u8>> {
    let mut lines: Vec<String> = Vec::new();
    for element in elements {
        let written = element.written(&text(&element.value));
        match lines.last_mut() {
            Some(line) if !element.new_line => {
                line.push(',');
                line.push_str(&written);
            }
            _ => lines.push(written),
        }
    }
    lines.into_iter().map(String::into_bytes).collect()
}

fn headers(name: &HeaderName, lines: &[Vec<u8>]) -> HeaderMap {
    let values = lines.iter().filter_map(|line| HeaderValue::from_bytes(line).ok());
    values.map(|value| (name.clone(), value)).collect()
}

fn format(lines: &[Vec<u8>]) -> Format {
    Format::negotiate(&headers(&ACCEPT, lines))
}

fn gzip(lines: &[Vec<u8>]) -> bool {
    accepts_gzip(&headers(&ACCEPT_ENCODING, lines))
}

fuzz_target!(|input: Input| {
    match input {
        Input::Accept(ranges) => {
            let lines = lines(&ranges, |range| range.text());
            assert_eq!(format(&lines), expected_format(&ranges), "{lines:?}");
        }
        Input::Encoding(codings) => {
            let lines = lines(&codings, |coding| {
                match coding {
                    Coding::Gzip => "gzip",
                    Coding::XGzip => "x-gzip",
                    Coding::Identity => "identity",
                    Coding::Any => "*",
                    Coding::Brotli => "br",
                }
                .to_owned()
            });
            assert_eq!(gzip(&lines), expected_gzip(&codings), "{lines:?}");
        }
        Input::Bytes(mut lines) => {
            lines.retain(|line| HeaderValue::from_bytes(line).is_ok());
            let answer = |lines: &[Vec<u8>]| (format(lines), gzip(lines));
            let expected = answer(&lines);
            let contains = |word: &[u8]| {
                lines.iter().any(|line| {
                    line.to_ascii_lowercase().windows(word.len()).any(|part| part == word)
                })
            };
            // Nothing is offered that was not asked for.
            if expected.0 == Format::OpenMetrics {
                assert!(contains(b"application/") || contains(b"*/*"), "{lines:?}");
            }
            if expected.1 {
                assert!(contains(b"gzip") || contains(b"*"), "{lines:?}");
            }
            let lower: Vec<_> = lines.iter().map(|line| line.to_ascii_lowercase()).collect();
            assert_eq!(answer(&lower), expected, "letters are letters: {lines:?}");
            if !contains(b"\"") {
                let joined = lines.join(&b","[..]);
                assert_eq!(answer(&[joined]), expected, "lines are one list: {lines:?}");
                let mut more = lines.clone();
                more.extend([b"image/png;q=1".to_vec(), b";=,,q".to_vec()]);
                assert_eq!(answer(&more), expected, "what is not offered: {lines:?}");
            }
        }
    }
});
