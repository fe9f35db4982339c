//! A path as the endpoint of a request that nothing else names.

/// A path with the segments that are ids replaced, as far as a label value is long.
pub(crate) struct NormalisedPath {
    text: [u8; Self::LEN],
    len: usize,
    /// Whether it was cut.
    is_cut: bool,
}

impl NormalisedPath {
    /// What a label value is cut at.
    const LEN: usize = crate::storage::intern::MAX_VALUE_BYTES;

    /// The bytes of a path that are read. Ids make it longer than what stands for them.
    const READ: usize = 4 * Self::LEN;

    pub(crate) fn new(path: &str) -> Self {
        Self::of_segments(path[..path.floor_char_boundary(Self::READ)].split('/'))
    }

    /// Takes segments until it is full.
    fn of_segments<'a>(segments: impl Iterator<Item = &'a str>) -> Self {
        let mut this = Self { text: [0; Self::LEN], len: 0, is_cut: false };
        for (position, segment) in segments.enumerate() {
            if position > 0 {
                this.push("/");
            }
            if this.is_cut {
                break;
            }
            this.push(placeholder(segment).unwrap_or(segment));
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

/// What stands for a segment that is an id.
fn placeholder(segment: &str) -> Option<&'static str> {
    let segment = segment.as_bytes();
    let is_of_word = |byte: &u8| !byte.is_ascii_digit() && !matches!(byte, b'@' | b'%');
    if segment.iter().all(is_of_word) {
        None
    } else if segment.contains(&b'%') {
        decoded_placeholder(segment)
    } else {
        shape(segment)
    }
}

/// The same for a segment in which something is percent-encoded.
#[cold]
fn decoded_placeholder(segment: &[u8]) -> Option<&'static str> {
    let mut decoded = [0; NormalisedPath::READ];
    let (mut len, mut rest) = (0, segment);
    while let [byte, after @ ..] = rest {
        (decoded[len], rest) = match rest {
            [b'%', high, low, after @ ..] => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, after),
                _ => (b'%', &rest[1..]),
            },
            _ => (*byte, after),
        };
        len += 1;
    }
    shape(&decoded[..len])
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| digit.try_into().ok())
}

/// What stands for a segment of this shape.
fn shape(segment: &[u8]) -> Option<&'static str> {
    let stem = without_extension(segment);
    if is_uuid(stem) {
        Some("{uuid}")
    } else if is_number(stem) || is_mail_address(segment) || has_token(segment) {
        Some("{id}")
    } else {
        None
    }
}

/// A file name without its extension, of a letter and one to four letters or digits.
fn without_extension(segment: &[u8]) -> &[u8] {
    match segment.iter().rposition(|byte| *byte == b'.') {
        Some(dot) => match &segment[dot + 1..] {
            [first, rest @ ..]
                if first.is_ascii_alphabetic()
                    && (1..=4).contains(&rest.len())
                    && rest.iter().all(u8::is_ascii_alphanumeric) =>
            {
                &segment[..dot]
            }
            _ => segment,
        },
        None => segment,
    }
}

fn is_uuid(segment: &[u8]) -> bool {
    segment.len() == 36
        && segment.iter().any(u8::is_ascii_digit)
        && segment.iter().enumerate().all(|(position, byte)| match position {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// Whether there is a digit, and no letter but the `T` and the `Z` of a time.
fn is_number(segment: &[u8]) -> bool {
    let mut follows_digit = false;
    let mut has_digit = false;
    segment.iter().all(|byte| {
        let is_numeric = byte.is_ascii_digit()
            || byte.is_ascii_punctuation()
            || *byte == b' '
            || (follows_digit && matches!(byte, b'T' | b'Z'));
        follows_digit = byte.is_ascii_digit();
        has_digit |= follows_digit;
        is_numeric
    }) && has_digit
}

/// Whether it is `name@domain`, where the domain begins with a letter and ends in a top-level domain.
fn is_mail_address(segment: &[u8]) -> bool {
    let Some(at) = segment.iter().rposition(|byte| *byte == b'@') else { return false };
    let (name, domain) = (&segment[..at], &segment[at + 1..]);
    let top = domain.iter().rposition(|byte| *byte == b'.').map(|dot| &domain[dot + 1..]);
    !name.is_empty()
        && domain.first().is_some_and(u8::is_ascii_alphabetic)
        && top.is_some_and(|top| top.len() > 1 && top.iter().all(u8::is_ascii_alphabetic))
}

/// Whether letters and digits stand together as they do in no word.
fn has_token(segment: &[u8]) -> bool {
    segment.split(|byte| !byte.is_ascii_alphanumeric() && !is_separator(*byte)).any(|run| {
        run.len() >= 8
            && (run.split(|byte| is_separator(*byte)).any(is_token) || is_mixed_token(run))
    })
}

/// Whether base64url has it, and words have it between them.
fn is_separator(byte: u8) -> bool {
    matches!(byte, b'-' | b'_')
}

/// Whether letters and digits are hexadecimal, a ULID, or have a long number or many in them.
fn is_token(part: &[u8]) -> bool {
    let numbers = || part.chunk_by(|one, other| one.is_ascii_digit() && other.is_ascii_digit());
    let has = |class: fn(&u8) -> bool| part.iter().any(class);
    (part.len() >= 16 && part.iter().all(u8::is_ascii_hexdigit) && has(u8::is_ascii_digit))
        || is_ulid(part)
        || (part.len() >= 8 && numbers().any(|group| group.len() >= 8))
        || (part.len() >= 12
            && groups_of_digits(part) >= 3
            && !(has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase)))
}

fn is_ulid(part: &[u8]) -> bool {
    let is_crockford =
        |byte: &u8| byte.is_ascii_alphanumeric() && !b"ILOU".contains(&byte.to_ascii_uppercase());
    part.len() == 26 && part[0] <= b'7' && part.iter().all(is_crockford)
}

/// Whether it is base64url or base58. In camel case, no small letter follows a digit.
fn is_mixed_token(run: &[u8]) -> bool {
    let has_pair =
        |is_pair: fn(&u8, &u8) -> bool| run.windows(2).any(|pair| is_pair(&pair[0], &pair[1]));
    run.len() >= 16
        && has_pair(|one, other| one.is_ascii_digit() && other.is_ascii_lowercase())
        && has_pair(|one, other| {
            one.is_ascii_alphanumeric() && !one.is_ascii_uppercase() && other.is_ascii_uppercase()
        })
        && run
            .split(|byte| is_separator(*byte))
            .map(|part| groups_of_digits(part).saturating_sub(1))
            .sum::<usize>()
            >= 2
}

fn groups_of_digits(part: &[u8]) -> usize {
    part.chunk_by(|one, other| one.is_ascii_digit() == other.is_ascii_digit())
        .filter(|group| group[0].is_ascii_digit())
        .count()
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, iter};

    use super::NormalisedPath;

    fn normalised(path: &str) -> String {
        NormalisedPath::new(path).as_str().to_owned()
    }

    #[track_caller]
    fn check(paths: &[(&str, &str)]) {
        for (path, expected) in paths {
            assert_eq!(normalised(path), *expected, "{path}");
            assert_eq!(normalised(expected), *expected, "twice is once: {path}");
        }
    }

    #[test]
    fn separators_stay_as_they_are() {
        check(&[
            ("/", "/"),
            ("", ""),
            ("*", "*"),
            ("/orders", "/orders"),
            ("/orders/17", "/orders/{id}"),
            ("/orders/17/", "/orders/{id}/"),
            ("/orders//17", "/orders//{id}"),
            ("17", "{id}"),
        ]);
    }

    #[test]
    fn numbers_dates_and_times_are_ids() {
        for id in [
            "0",
            "17",
            "-17",
            "+17",
            "1.5",
            "-0.25",
            "%31%37",
            "%2D17",
            "1%2e5",
            "18446744073709551616",
            // A snowflake, a telephone number, a position, an address, an ISBN.
            "1849238472398471168",
            "+91-98765-43210",
            "51.5074,-0.1278",
            "10.0.0.1",
            "978-3-16-148410-0",
            "2026-11-22",
            "2026-11-22T10:30:00Z",
            "2026-11-22T10%3A30%3A00%2B05:30",
            "20261122T103000Z",
            "50%",
            "17.json",
            "1362.png",
            "2026-11-22.csv",
        ] {
            check(&[(&format!("/a/{id}/b"), "/a/{id}/b")]);
        }
    }

    #[test]
    fn tokens_are_ids() {
        for id in [
            // Hexadecimal: an ObjectId, a commit, a digest with a word in front, an Ethereum address.
            "0123456789abcdef",
            "507f1f77bcf86cd799439011",
            "507F1F77BCF86CD799439011",
            "6dcb09b5b57875f334f61aebed695e2e4193db5e",
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "sha256%3Ae3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "0x742d35Cc6634C0532925a3b844Bc9e7595f0bEb",
            "i-0abcd1234ef567890",
            "6ba7b8109dad11d180b400c04fd430c8",
            "urn:uuid:6ba7b810-9dad-11d1-80b4-00c04fd430c8",
            "6ba7b810-9dad-11d1-80b4-00c04fd430cg",
            // ULIDs, a TypeID, a container.
            "01ARZ3NDEKTSV4RRFFQ69G5FAV",
            "01arz3ndektsv4rrffq69g5fav",
            "7ZZZZZZZZZZZZZZZZZZZZZZZZZ",
            "user_01h2xcejqtf2nbrexx3vqjhp41",
            "3f4e8a1b2c5d",
            // A number of eight digits or more in a word.
            "order-1234567890",
            "IMG_20261122_103000.jpg",
            "B08NX12345678",
            // Base58, base62 and base64url.
            "cus_9s6XKzkNRiz8i3",
            "ch_3MmlLrLkdIwHu7ix0snN0B15",
            "price_1MoBy5LkdIwHu7ixZhnattbh",
            "V1StGXR8_Z5jdHi6B-myT",
            "6rqhFgbbKwnb9MLmUQDhG6",
            "1BxiMVs0XRA5nFMdKvBdBZjgmUUqptlbs74OgvE2upms",
            "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWP",
            "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2",
            "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
            "1Z999AA10123456784",
            // Mail addresses.
            "jane.doe@example.com",
            "jane%40example.com",
        ] {
            check(&[(&format!("/a/{id}/b"), "/a/{id}/b")]);
        }
    }

    #[test]
    fn uuids_have_a_placeholder_of_their_own() {
        for id in [
            "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
            "6BA7B810-9DAD-11D1-80B4-00C04FD430C8",
            "6ba7b810%2D9dad-11d1-80b4-00c04fd430c8",
            "6ba7b810-9dad-11d1-80b4-00c04fd430c8.pdf",
            "00000000-0000-0000-0000-000000000000",
        ] {
            check(&[(&format!("/a/{id}/b"), "/a/{uuid}/b")]);
        }
    }

    #[test]
    fn words_stay_though_they_have_digits() {
        for word in [
            "orders.v1.OrderService",
            "risk.v1beta1.RiskService",
            "envoy.service.discovery.v3.AggregatedDiscoveryService",
            "GetOAuth2AccessToken",
            "Utf8ToUtf16Converter",
            "ConvertS3ToEC2V2",
            "IPv4ToIPv6Gateway64",
            "GetI18nStringsV2",
            "oauth2callback",
            "web3accounts",
            "s3-uploads",
            "v1",
            "v1.41",
            "v1beta1",
            "1.5.0-rc1",
            "2.x",
            "react@18.2.0",
            "@babel",
            "logo@2x.png",
            "favicon-32x32.png",
            "1920x1080",
            "x86_64-unknown-linux-gnu",
            "utf8mb4_0900_ai_ci",
            "k8s-a11y-i18n-l10n-guide",
            "v1beta1-to-v2beta2-migration",
            "covid19-h1n1-comparison",
            "top-10-films-of-2026",
            "2026-11-22-release-notes",
            "NIFTY24DECFUT",
            "RELIANCE24NOV2500CE",
            // Names, of people too.
            "jane",
            "jane42",
            "jane.doe.1987",
            "caf%C3%A9",
            "%E0%A4%B9%E0%A4%BF%E0%A4%A8%E0%A5%8D%E0%A4%A6%E0%A5%80",
            "%zz",
            "JIRA-1234",
            "web-0",
            "ip-10-0-12-34.ec2.internal",
            // Too short, or with too few digits, to be told from a word.
            "a1b2c3d",
            "dQw4w9WgXcQ",
            "web-7d4b9c6f5d-x2x9k",
            "deadbeefdeadbeef",
        ] {
            check(&[(&format!("/a/{word}/b"), &format!("/a/{word}/b"))]);
        }
    }

    #[test]
    fn paths_of_known_services() {
        check(&[
            // GitHub.
            (
                "/repos/octocat/Hello-World/commits/6dcb09b5b57875f334f61aebed695e2e4193db5e",
                "/repos/octocat/Hello-World/commits/{id}",
            ),
            ("/repos/octocat/Hello-World/issues/1347", "/repos/octocat/Hello-World/issues/{id}"),
            // Stripe.
            ("/v1/customers/cus_9s6XKzkNRiz8i3/sources", "/v1/customers/{id}/sources"),
            // Kubernetes.
            (
                "/apis/apps/v1/namespaces/kube-system/deployments/coredns",
                "/apis/apps/v1/namespaces/kube-system/deployments/coredns",
            ),
            // S3.
            (
                "/photos/2026/11/22/6ba7b810-9dad-11d1-80b4-00c04fd430c8.jpg",
                "/photos/{id}/{id}/{id}/{uuid}",
            ),
            // gRPC.
            ("/orders.v1.OrderService/Get", "/orders.v1.OrderService/Get"),
            ("/users.v1.UserService/Get", "/users.v1.UserService/Get"),
            ("/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Check"),
            // Maps, exchanges, registries.
            ("/tiles/12/2048/1362.png", "/tiles/{id}/{id}/{id}"),
            ("/quote/NIFTY24DECFUT/depth", "/quote/NIFTY24DECFUT/depth"),
            (
                "/v2/library/nginx/blobs/sha256:\
                 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                "/v2/library/nginx/blobs/{id}",
            ),
        ]);
    }

    #[test]
    fn a_long_path_is_cut_between_characters() {
        for (path, expected) in [
            (format!("/{}", "x".repeat(500)), format!("/{}", "x".repeat(127))),
            (format!("/{}", "é".repeat(500)), format!("/{}", "é".repeat(63))),
            (format!("/{}/7", "x".repeat(124)), format!("/{}/{{i", "x".repeat(124))),
            // A shorter segment would fit where a character did not.
            (format!("/{}/é/a", "x".repeat(125)), format!("/{}/", "x".repeat(125))),
            // Three UUIDs are longer than what stands for them.
            ("/6ba7b810-9dad-11d1-80b4-00c04fd430c8/orders".repeat(8), "/{uuid}/orders".repeat(8)),
        ] {
            assert_eq!(normalised(&path), expected, "{path}");
        }
    }

    #[test]
    fn no_more_segments_are_read_than_fit() {
        let read = Cell::new(0);
        let segments = iter::repeat_n("", 64_000).inspect(|_| read.set(read.get() + 1));
        assert_eq!(NormalisedPath::of_segments(segments).as_str(), "/".repeat(128));
        assert_eq!(read.get(), 130, "one before each slash that fits, and the one after");
    }

    #[test]
    fn no_more_of_a_path_is_read_than_its_first_512_bytes() {
        for repeated in ["7", "a", "/", "a/", "%37", "7f", "é", "1/", "-", "a1"] {
            let long = repeated.repeat(60_000);
            let read = &long[..long.floor_char_boundary(512)];
            assert_eq!(normalised(&long), normalised(read), "{repeated}");
        }
        assert_eq!(normalised(&"7".repeat(60_000)), "{id}");
        assert_eq!(normalised(&format!("/{}/orders", "7".repeat(60_000))), "/{id}");
        assert_eq!(normalised(&format!("/{}", "%37".repeat(60_000))), "/{id}");
    }
}
