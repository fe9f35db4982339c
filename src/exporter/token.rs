//! The bearer token that a scraper must show.

use std::{fmt, hint, sync::Arc};

use http::{HeaderMap, header::AUTHORIZATION};

/// A bearer token cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenError {
    /// It is empty.
    Empty,
    /// It has a character that is not visible ASCII, which no header can carry in a token.
    Character {
        /// Where the character begins, in bytes.
        position: usize,
    },
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("bearer_token: the token is empty"),
            Self::Character { position } => {
                write!(f, "bearer_token: the character at byte {position} is not visible ASCII")
            }
        }
    }
}

impl std::error::Error for TokenError {}

/// A checked token.
#[derive(Clone)]
pub(super) struct Token(Arc<[u8]>);

impl Token {
    pub(super) fn new(token: &str) -> Result<Self, TokenError> {
        if token.is_empty() {
            return Err(TokenError::Empty);
        }
        match token.bytes().position(|byte| !byte.is_ascii_graphic()) {
            Some(position) => Err(TokenError::Character { position }),
            None => Ok(Self(token.as_bytes().into())),
        }
    }

    /// Whether a request shows the token, in one `Authorization` header.
    pub(super) fn is_in(&self, headers: &HeaderMap) -> bool {
        let mut given = headers.get_all(AUTHORIZATION).iter();
        match (given.next(), given.next()) {
            (Some(value), None) => bearer(value.as_bytes()).is_some_and(|given| self.is(given)),
            _ => false,
        }
    }

    /// Compares in a time that depends on the length of what is given alone.
    fn is(&self, given: &[u8]) -> bool {
        let expected = self.0.iter().cycle();
        let differences =
            given.iter().zip(expected).fold(given.len() ^ self.0.len(), |sum, (one, other)| {
                hint::black_box(sum | usize::from(one ^ other))
            });
        differences == 0
    }
}

/// The token of an `Authorization` header of the scheme `Bearer`.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked("bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn tokens_that_no_header_carries_are_refused() {
        for (token, error) in [
            ("", TokenError::Empty),
            (" ", TokenError::Character { position: 0 }),
            ("to ken", TokenError::Character { position: 2 }),
            ("token\n", TokenError::Character { position: 5 }),
            ("tök", TokenError::Character { position: 1 }),
        ] {
            assert_eq!(Token::new(token).err(), Some(error), "{token:?}");
        }
    }

    #[test]
    #[ignore = "a measurement: cargo test --release --lib how_much -- --ignored --nocapture"]
    fn how_much_of_a_token_is_right_does_not_show() {
        let token = Token::new(&"a".repeat(64)).unwrap();
        let given = [0, 1, 32, 63].map(|right| "a".repeat(right) + &"b".repeat(64 - right));
        let mut best = [f64::INFINITY; 4];
        for _ in 0..200 {
            for (best, given) in best.iter_mut().zip(&given) {
                let started = std::time::Instant::now();
                for _ in 0..10_000 {
                    assert!(!token.is(hint::black_box(given.as_bytes())));
                }
                *best = best.min(started.elapsed().as_secs_f64() * 1e5);
            }
        }
        println!("nanoseconds with 0, 1, 32 and 63 of 64 bytes right: {best:.2?}");
        let [least, most] = [f64::min, f64::max].map(|choose| best.into_iter().reduce(choose));
        assert!(most < least.map(|least| least * 1.1));
    }

    #[test]
    fn only_the_token_itself_is_let_in() {
        let token = Token::new("s3cret").unwrap();
        let is_in = |values: &[&[u8]]| {
            let values = values.iter().map(|value| HeaderValue::from_bytes(value).unwrap());
            token.is_in(&values.map(|value| (AUTHORIZATION, value)).collect())
        };
        for value in [&b"Bearer s3cret"[..], b"bearer s3cret", b"BEARER   s3cret "] {
            assert!(is_in(&[value]), "{value:?}");
        }
        for value in [
            &b""[..],
            b"s3cret",
            b"Bearer",
            b"Bearer ",
            b"Bearers3cret",
            b"Basic s3cret",
            b"Bearer s3cre",
            b"Bearer s3crets",
            b"Bearer s3crets3cret",
            b"Bearer S3cret",
            b"Bearer \xff3cret",
            b"Bearer s3cret s3cret",
        ] {
            assert!(!is_in(&[value]), "{value:?}");
        }
        assert!(!is_in(&[]));
        assert!(!is_in(&[b"Bearer s3cret", b"Bearer s3cret"]));
    }
}
