//! The path normaliser: a label value of bounded length in which no id is left, told by its shape.

#![no_main]

use backend_metrics::fuzzing::normalised_path;
use libfuzzer_sys::fuzz_target;

const LONGEST: usize = 128;
const READ: usize = 512;

fuzz_target!(|path: &str| {
    let found = normalised_path(path);
    let read = &path[..path.floor_char_boundary(READ)];
    let whole: Vec<String> = read.split('/').map(expected).collect();
    let whole = whole.join("/");
    assert_eq!(found, whole[..whole.floor_char_boundary(LONGEST)], "{path:?}");
    // What was cut may look like something else.
    if whole.len() <= LONGEST {
        assert_eq!(normalised_path(&found), found, "twice is once");
        let segments = |text: &str| text.matches('/').count();
        assert_eq!(segments(&found), segments(read));
    }
});

/// What stands for a segment, told by its characters.
fn expected(segment: &str) -> String {
    let plain = decoded(segment);
    let stem = stem(&plain);
    let groups: Vec<&str> = stem.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    if lengths == [8, 4, 4, 4, 12] && stem.contains(digit) && groups.concat().chars().all(hex) {
        "{uuid}".to_owned()
    } else if is_number(stem) || is_mail_address(&plain) || has_token(&plain) {
        "{id}".to_owned()
    } else {
        segment.to_owned()
    }
}

fn digit(character: char) -> bool {
    character.is_ascii_digit()
}

fn hex(character: char) -> bool {
    character.is_ascii_hexdigit()
}

/// The segment without percent-encoding. Only what is ASCII matters.
fn decoded(segment: &str) -> String {
    let mut pieces = segment.split('%');
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let code = piece.get(..2).filter(|code| code.chars().all(hex));
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                out.push(if byte.is_ascii() { char::from(byte) } else { '\u{fffd}' });
                out.push_str(&piece[2..]);
            }
            None => out.extend(["%", piece]),
        }
    }
    out
}

/// The segment without a file extension.
fn stem(segment: &str) -> &str {
    match segment.rsplit_once('.') {
        Some((stem, extension))
            if (2..=5).contains(&extension.len())
                && extension.starts_with(|c: char| c.is_ascii_alphabetic())
                && extension.chars().all(|c| c.is_ascii_alphanumeric()) =>
        {
            stem
        }
        _ => segment,
    }
}

fn is_number(stem: &str) -> bool {
    // A `T` or a `Z` behind a digit is as good as a colon.
    let mut text = String::new();
    for character in stem.chars() {
        let of_time = matches!(character, 'T' | 'Z') && text.ends_with(digit);
        text.push(if of_time { ':' } else { character });
    }
    text.contains(digit)
        && text.chars().all(|c| c == ' ' || (c.is_ascii_graphic() && !c.is_ascii_alphabetic()))
}

fn is_mail_address(segment: &str) -> bool {
    segment.rsplit_once('@').is_some_and(|(name, domain)| {
        let top = domain.rsplit_once('.').map(|(_, top)| top);
        !name.is_empty()
            && domain.starts_with(|c: char| c.is_ascii_alphabetic())
            && top.is_some_and(|top| top.len() >= 2 && top.chars().all(|c| c.is_ascii_alphabetic()))
    })
}

/// How many numbers stand in a text.
fn numbers(text: &str) -> usize {
    text.split(|c| !digit(c)).filter(|number| !number.is_empty()).count()
}

fn has_token(segment: &str) -> bool {
    let parts = segment.split(|c: char| !c.is_ascii_alphanumeric());
    let runs = segment.split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_');
    parts.into_iter().any(is_token) || runs.into_iter().any(is_mixed_token)
}

fn is_token(part: &str) -> bool {
    let is_hex = part.len() >= 16 && part.chars().all(hex) && part.contains(digit);
    let is_ulid = part.len() == 26
        && part.starts_with(|c| matches!(c, '0'..='7'))
        && !part.contains(|c: char| "ILOUilou".contains(c));
    let is_numbered = part.split(|c| !digit(c)).any(|number| number.len() >= 8);
    let has_one_case = part == part.to_lowercase() || part == part.to_uppercase();
    is_hex || is_ulid || is_numbered || (part.len() >= 12 && numbers(part) >= 3 && has_one_case)
}

fn is_mixed_token(run: &str) -> bool {
    let pairs = || run.chars().zip(run.chars().skip(1));
    let further: usize = run.split(['-', '_']).map(|part| numbers(part).saturating_sub(1)).sum();
    run.len() >= 16
        && further >= 2
        && pairs().any(|(one, other)| digit(one) && other.is_ascii_lowercase())
        && pairs().any(|(one, other)| {
            (digit(one) || one.is_ascii_lowercase()) && other.is_ascii_uppercase()
        })
}
