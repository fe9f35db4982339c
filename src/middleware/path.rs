//! A path as the endpoint of a request that nothing else names.

/// A path with the segments that vary replaced, as far as a label value is long.
pub(crate) struct NormalisedPath {
    text: [u8; Self::LEN],
    len: usize,
    /// Whether it was cut.
    is_cut: bool,
}

impl NormalisedPath {
    /// What a label value is cut at.
    const LEN: usize = crate::storage::intern::MAX_VALUE_BYTES;

    pub(crate) fn new(path: &str) -> Self {
        let mut this = Self { text: [0; Self::LEN], len: 0, is_cut: false };
        for (position, segment) in path.split('/').enumerate() {
            if position > 0 {
                this.push("/");
            }
            this.push(normalised(segment));
        }
        this
    }

    /// Adds as much as there is room for, and nothing after what was cut.
    fn push(&mut self, part: &str) {
        if self.is_cut {
            return;
        }
        let room = &mut self.text[self.len..];
        let fits = part.floor_char_boundary(room.len());
        room[..fits].copy_from_slice(&part.as_bytes()[..fits]);
        self.len += fits;
        self.is_cut = fits < part.len();
    }

    pub(crate) fn as_str(&self) -> &str {
        // It is made of whole characters.
        std::str::from_utf8(&self.text[..self.len]).unwrap_or_default()
    }
}

/// What stands for a segment of a path.
fn normalised(segment: &str) -> &str {
    let bytes = segment.as_bytes();
    let digits = bytes.iter().filter(|byte| byte.is_ascii_digit()).count();
    if digits > 0 && digits == bytes.len() {
        "{id}"
    } else if is_uuid(bytes) {
        "{uuid}"
    } else if digits > 0
        && segment.chars().nth(8).is_some()
        && bytes.iter().any(u8::is_ascii_alphabetic)
    {
        "{id}"
    } else {
        segment
    }
}

fn is_uuid(segment: &[u8]) -> bool {
    segment.len() == 36
        && segment.iter().enumerate().all(|(position, byte)| match position {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::NormalisedPath;

    #[track_caller]
    fn check(path: &str, expected: &str) {
        assert_eq!(NormalisedPath::new(path).as_str(), expected);
    }

    #[test]
    fn segments_that_vary_are_replaced() {
        check("/", "/");
        check("", "");
        check("*", "*");
        check("/orders", "/orders");
        check("/orders/17", "/orders/{id}");
        check("/orders/17/", "/orders/{id}/");
        check("/orders//17", "/orders//{id}");
        check("/a/6ba7b810-9dad-11d1-80b4-00c04fd430c8/b", "/a/{uuid}/b");
        check("/a/6BA7B810-9DAD-11D1-80B4-00C04FD430C8", "/a/{uuid}");
        check("/a/6ba7b810-9dad-11d1-80b4-00c04fd430cg", "/a/{id}");
        check("/tokens/a1b2c3d4e", "/tokens/{id}");
        check("/tokens/a1b2c3d4", "/tokens/a1b2c3d4");
        check("/api/v1/instruments", "/api/v1/instruments");
        check("/NIFTY24DECFUT/quote", "/{id}/quote");
        check("/strategies-of-the-day", "/strategies-of-the-day");
        check("/2026-11-22", "/2026-11-22");
    }

    #[test]
    fn a_long_path_is_cut_between_characters() {
        check(&format!("/{}", "x".repeat(500)), &format!("/{}", "x".repeat(127)));
        check(&format!("/{}", "é".repeat(500)), &format!("/{}", "é".repeat(63)));
        check(&format!("/{}/7", "x".repeat(124)), &format!("/{}/{{i", "x".repeat(124)));
        // A shorter segment would fit where a character did not.
        check(&format!("/{}/é/a", "x".repeat(125)), &format!("/{}/", "x".repeat(125)));
    }
}
