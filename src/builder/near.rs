//! What somebody may have meant by a name that nothing has.

/// The candidate that differs from a name by a slip or two, or that the name begins with, as that of a subsystem's
/// family does; none if they have nothing in common.
pub(super) fn nearest<'a>(name: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let name = name.to_lowercase();
    let distances = candidates.iter().map(|candidate| (distance(&name, candidate), *candidate));
    let near = distances.min().filter(|(distance, _)| *distance <= name.len() / 3);
    let begins = candidates
        .iter()
        .copied()
        .filter(|candidate| name.strip_prefix(candidate).is_some_and(|rest| rest.starts_with('_')));
    near.map(|(_, near)| near).or_else(|| begins.max_by_key(|candidate| candidate.len()))
}

/// How many bytes to insert, remove or replace make one text of the other: the Levenshtein distance.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, byte) in one.bytes().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, against) in other.bytes().enumerate() {
            let replaced = diagonal + usize::from(byte != against);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::{distance, nearest};

    #[test]
    fn a_slip_is_found_and_another_word_is_not() {
        let names = ["http", "http_client", "database", "self"];
        for (name, near) in [
            ("databse", Some("database")),
            ("DATABASE", Some("database")),
            ("databases", Some("database")),
            ("http_clients", Some("http_client")),
            ("http_client_requests_total", Some("http_client")),
            ("http_requests_total", Some("http")),
            ("htp", Some("http")),
            ("desk", None),
            ("", None),
            ("orders", None),
        ] {
            assert_eq!(nearest(name, &names), near, "{name}");
        }
        assert_eq!(nearest("http", &[]), None);
    }

    #[test]
    fn a_distance_is_that_of_the_shortest_way() {
        for (one, other, expected) in
            [("", "", 0), ("", "ab", 2), ("kitten", "sitting", 3), ("flaw", "lawn", 2)]
        {
            assert_eq!(distance(one, other), expected);
            assert_eq!(distance(other, one), expected);
        }
    }
}
