//! The path normaliser: a label value of bounded length in which nothing is left that varies.

#![no_main]

use backend_metrics::fuzzing::normalised_path;
use libfuzzer_sys::fuzz_target;

const LONGEST: usize = 128;

fuzz_target!(|path: &str| {
    let found = normalised_path(path);
    let whole: Vec<String> = path.split('/').map(expected).collect();
    let whole = whole.join("/");
    assert_eq!(found, whole[..whole.floor_char_boundary(LONGEST)], "{path:?}");
    // What was cut may look like something else.
    if whole.len() <= LONGEST {
        assert_eq!(normalised_path(&found), found, "twice is once");
        let segments = |text: &str| text.matches('/').count();
        assert_eq!(segments(&found), segments(path));
    }
});

/// What stands for a segment, told by its characters.
fn expected(segment: &str) -> String {
    let characters: Vec<char> = segment.chars().collect();
    let digits = characters.iter().filter(|c| c.is_ascii_digit()).count();
    let letters = characters.iter().filter(|c| c.is_ascii_alphabetic()).count();
    let parts: Vec<&str> = segment.split('-').collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    let is_uuid =
        lengths == [8, 4, 4, 4, 12] && parts.concat().chars().all(|c| c.is_ascii_hexdigit());
    if digits > 0 && digits == characters.len() {
        "{id}".to_owned()
    } else if is_uuid {
        "{uuid}".to_owned()
    } else if digits > 0 && letters > 0 && characters.len() > 8 {
        "{id}".to_owned()
    } else {
        segment.to_owned()
    }
}
