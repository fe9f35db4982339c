//! Reads `OpenMetrics` text as `prometheus-client` and this crate write it, family by family.

/// A family and its samples. What it holds is checked; its texts are escaped as they stood.
#[derive(Debug)]
pub(super) struct Family<'a> {
    pub(super) name: &'a str,
    pub(super) help: &'a str,
    pub(super) kind: &'static Kind,
    pub(super) unit: Option<&'a str>,
    pub(super) samples: Vec<Sample<'a>>,
}

/// A sample of a family.
#[derive(Debug)]
pub(super) struct Sample<'a> {
    /// What follows the family's name in the sample's.
    pub(super) suffix: &'static str,
    /// `name="value"` pairs, separated by commas.
    pub(super) labels: &'a str,
    pub(super) value: &'a str,
    pub(super) exemplar: Option<Exemplar<'a>>,
    /// Whether it has an exemplar that cannot be read.
    pub(super) has_broken_exemplar: bool,
}

/// An example of what a sample counts.
#[derive(Debug)]
pub(super) struct Exemplar<'a> {
    pub(super) labels: &'a str,
    pub(super) value: &'a str,
    /// In seconds.
    pub(super) timestamp: Option<&'a str>,
}

/// The type of a family.
#[derive(Debug, PartialEq)]
pub(super) struct Kind {
    /// The word of the `# TYPE` line.
    pub(super) word: &'static str,
    /// The same in text 0.0.4.
    pub(super) text: &'static str,
    /// What follows the family's name in those of its samples.
    suffixes: &'static [&'static str],
    /// What follows it in the names that no other family may have.
    pub(super) reserved: &'static [&'static str],
}

/// The types of `prometheus-client`.
const KINDS: &[Kind] = &[
    Kind {
        word: "counter",
        text: "counter",
        suffixes: &["_total"],
        reserved: &["", "_total", "_created"],
    },
    Kind { word: "gauge", text: "gauge", suffixes: &[""], reserved: &[""] },
    Kind {
        word: "histogram",
        text: "histogram",
        suffixes: &["_bucket", "_sum", "_count"],
        reserved: &["", "_bucket", "_sum", "_count", "_created"],
    },
    Kind { word: "info", text: "gauge", suffixes: &["_info"], reserved: &["", "_info"] },
    Kind { word: "unknown", text: "untyped", suffixes: &[""], reserved: &[""] },
];

/// The seconds before which a moment is; scrapers hold milliseconds in 64 bits.
const LATEST: f64 = 9.2e15;

/// Cuts a text before each `# HELP` line: a block is a family, if it is anything.
pub(super) fn blocks(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let end = rest.find("\n# HELP ").map_or(rest.len(), |newline| newline + 1);
        let (block, after) = rest.split_at(end);
        rest = after;
        (!block.is_empty()).then_some(block)
    })
}

/// The family of a block, if every line of it can be read and belongs to it.
pub(super) fn family(block: &str) -> Option<Family<'_>> {
    let mut lines = block.strip_suffix('\n')?.split('\n').peekable();
    let (name, help) = lines.next()?.strip_prefix("# HELP ")?.split_once(' ')?;
    let word = lines.next()?.strip_prefix("# TYPE ")?.strip_prefix(name)?.strip_prefix(' ')?;
    let kind = KINDS.iter().find(|kind| kind.word == word)?;
    let unit = match lines.next_if(|line| line.starts_with("# UNIT ")) {
        Some(line) => Some(line["# UNIT ".len()..].strip_prefix(name)?.strip_prefix(' ')?),
        None => None,
    };
    let samples = lines.map(|line| sample(line, name, kind)).collect::<Option<_>>()?;
    is_name(name, true).then_some(Family { name, help, kind, unit, samples })
}

fn sample<'a>(line: &'a str, family: &str, kind: &'static Kind) -> Option<Sample<'a>> {
    let (name, rest) = line.split_at(line.find(['{', ' '])?);
    let suffix = name.strip_prefix(family)?;
    let suffix = kind.suffixes.iter().copied().find(|allowed| *allowed == suffix)?;
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => label_set(rest)?,
        None => ("", rest),
    };
    let (value, exemplar) = match rest.split_once(" # {") {
        Some((value, exemplar)) => (value, Some(self::exemplar(exemplar))),
        None => (rest, None),
    };
    let value = number(value.strip_prefix(' ')?)?;
    let has_broken_exemplar = matches!(exemplar, Some(None));
    Some(Sample { suffix, labels, value, exemplar: exemplar.flatten(), has_broken_exemplar })
}

/// Labels up to the closing brace, a value and perhaps a timestamp, each after a space.
fn exemplar(text: &str) -> Option<Exemplar<'_>> {
    let (labels, rest) = label_set(text)?;
    let rest = rest.strip_prefix(' ')?;
    let (value, timestamp) = match rest.split_once(' ') {
        Some((value, timestamp)) => (value, Some(timestamp)),
        None => (rest, None),
    };
    if let Some(timestamp) = timestamp
        && !(-LATEST..LATEST).contains(&timestamp.parse().ok()?)
    {
        return None;
    }
    Some(Exemplar { labels, value: number(value)?, timestamp })
}

/// A number as both formats write it.
fn number(text: &str) -> Option<&str> {
    Some(match text.parse::<f64>().ok()? {
        value if value.is_nan() => "NaN",
        f64::INFINITY => "+Inf",
        f64::NEG_INFINITY => "-Inf",
        _ => text,
    })
}

/// Labels up to the closing brace, and what follows it. A comma after the last label is left out.
fn label_set(text: &str) -> Option<(&str, &str)> {
    let (mut end, mut rest) = (0, text);
    while !rest.starts_with('}') {
        let (_, _, after) = label(rest)?;
        end = text.len() - after.len();
        rest = match after.strip_prefix(',') {
            Some(rest) => rest,
            None if after.starts_with('}') => after,
            None => return None,
        };
    }
    Some((&text[..end], &rest[1..]))
}

/// The names and values of checked labels; the values are escaped.
pub(super) fn labels(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (name, value, after) = label(rest)?;
        rest = after.strip_prefix(',').unwrap_or(after);
        Some((name, value))
    })
}

/// The name and the value of the first label, and what follows it.
fn label(text: &str) -> Option<(&str, &str, &str)> {
    let (name, text) = text.split_once('=')?;
    let text = text.strip_prefix('"')?;
    let mut escaped = false;
    let end = text.bytes().position(|byte| match byte {
        b'\\' | b'n' | b'"' if escaped => {
            escaped = false;
            false
        }
        b'\\' => {
            escaped = true;
            false
        }
        byte => byte == b'"' || escaped,
    })?;
    let (value, rest) = text.split_at(end);
    // Prometheus takes `__name__` for the name of the series, and others refuse all of these.
    let is_valid = is_name(name, false) && !name.starts_with("__");
    Some((name, value, rest.strip_prefix('"').filter(|_| is_valid)?))
}

fn is_name(name: &str, of_family: bool) -> bool {
    !name.starts_with(|first: char| first.is_ascii_digit())
        && !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || (byte == b':' && of_family))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "# HELP x A thing.\n# TYPE x counter\n";

    fn of_sample(line: &str) -> Option<(String, String)> {
        let block = format!("{HEAD}{line}\n");
        let family = family(&block)?;
        let sample = &family.samples[0];
        Some((sample.labels.to_owned(), sample.value.to_owned()))
    }

    #[test]
    fn a_family_is_read_whole() {
        let block = "# HELP x_seconds A thing.\n# TYPE x_seconds counter\n# UNIT x_seconds seconds\n\
            x_seconds_total{a=\"1, }\\\"# {\",b=\"\"} 2 # {id=\"7\"} 0.5 1.25\nx_seconds_total 3\n";
        let family = family(block).unwrap();
        assert_eq!((family.name, family.help), ("x_seconds", "A thing."));
        assert_eq!((family.kind.word, family.unit), ("counter", Some("seconds")));
        let [labelled, bare] = &family.samples[..] else { panic!("{family:?}") };
        assert_eq!((labelled.suffix, labelled.value), ("_total", "2"));
        assert_eq!(labels(labelled.labels).collect::<Vec<_>>(), [("a", "1, }\\\"# {"), ("b", "")]);
        let exemplar = labelled.exemplar.as_ref().unwrap();
        assert_eq!(exemplar.labels, "id=\"7\"");
        assert_eq!((exemplar.value, exemplar.timestamp), ("0.5", Some("1.25")));
        assert_eq!((bare.labels, bare.value), ("", "3"));
    }

    #[test]
    fn numbers_are_as_both_formats_write_them() {
        for (text, value) in
            [("inf", "+Inf"), ("-inf", "-Inf"), ("nan", "NaN"), ("NaN", "NaN"), ("1e21", "1e21")]
        {
            assert_eq!(of_sample(&format!("x_total {text}")).unwrap().1, value);
        }
    }

    #[test]
    fn a_comma_after_the_last_label_is_left_out() {
        assert_eq!(of_sample("x_total{a=\"b\",} 1").unwrap().0, "a=\"b\"");
        assert_eq!(of_sample("x_total{} 1").unwrap().0, "");
    }

    #[test]
    fn what_breaks_a_scrape_is_no_sample() {
        for line in [
            "",
            "x_total",
            "x_total ",
            "x_total one",
            "x_total 1 2",
            "x_total  1",
            "x_sum 1",
            "y_total 1",
            "# EOF",
            "x_total{a=\"b\" 1",
            "x_total{a=\"b} 1",
            "x_total{a=\"b\"c=\"d\"} 1",
            "x_total{,} 1",
            "x_total{a=\"\\x\"} 1",
            "x_total{a-b=\"c\"} 1",
            "x_total{1a=\"c\"} 1",
            "x_total{=\"c\"} 1",
            "x_total{__name__=\"y\"} 1",
            "x_total{__y=\"y\"} 1",
            "x_created 1",
        ] {
            assert_eq!(of_sample(line), None, "{line}");
        }
    }

    #[test]
    fn a_sample_outlives_an_exemplar_that_cannot_be_read() {
        for exemplar in [
            "id=\"1\"} 1 2 3",
            "id=\"1\"} 1 NaN",
            // Found by `fuzz/fuzz_targets/foreign.rs`: in milliseconds they are too large for a scraper.
            "id=\"1\"} 1 1e16",
            "id=\"1\"} 1 -9.3e15",
            "id=\"1\" 1",
            "id=\"1\"}",
            "trace-id=\"1\"} 1",
        ] {
            let block = format!("{HEAD}x_total 1 # {{{exemplar}\n");
            let family = family(&block).unwrap();
            let [sample] = &family.samples[..] else { panic!("{family:?}") };
            assert!(sample.exemplar.is_none() && sample.has_broken_exemplar, "{exemplar}");
            assert_eq!(sample.value, "1");
        }
    }

    #[test]
    fn what_is_no_family_is_refused() {
        for block in [
            "x 1\n",
            "# HELP x A thing.\nx_total 1\n",
            "# HELP x A thing.\nwith a newline\n# TYPE x counter\nx_total 1\n",
            "# HELP x A thing.\n# TYPE y counter\ny_total 1\n",
            "# HELP x A thing.\n# TYPE x number\nx_total 1\n",
            "# HELP x A thing.\n# TYPE x summary\nx_sum 1\n",
            "# HELP x A thing.\n# TYPE x stateset\nx{x=\"on\"} 1\n",
            "# HELP x A thing.\n# TYPE x gaugehistogram\nx_bucket{le=\"+Inf\"} 1\n",
            "# HELP x-y A thing.\n# TYPE x-y gauge\nx-y 1\n",
            "# HELP 1x A thing.\n# TYPE 1x gauge\n1x 1\n",
            "# HELP x A thing.\n# TYPE x counter\n# UNIT y seconds\nx_total 1\n",
            "# HELP x A thing.\n# TYPE x counter\nx_total 1",
        ] {
            assert!(family(block).is_none(), "{block}");
        }
        assert!(family(HEAD).unwrap().samples.is_empty());
    }

    #[test]
    fn blocks_begin_at_help_lines() {
        let text = "stray\n# HELP a # HELP\n# TYPE a gauge\na 1\n# HELP b B\n";
        assert_eq!(
            blocks(text).collect::<Vec<_>>(),
            ["stray\n", "# HELP a # HELP\n# TYPE a gauge\na 1\n", "# HELP b B\n"]
        );
        assert_eq!(blocks("").count(), 0);
    }

    #[test]
    fn any_text_is_survived() {
        let pieces = [
            "# HELP x ",
            "# TYPE x counter",
            "# UNIT x ",
            "x_total",
            "x",
            "\n",
            "{",
            "}",
            "=\"",
            "\"",
            "\\",
            ",",
            " ",
            " # {",
            "1",
            "inf",
            "é😀",
            "a",
        ];
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        for _ in 0..20_000 {
            let mut text = HEAD.repeat((state & 1) as usize);
            for _ in 0..state % 24 {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                text.push_str(pieces[(state >> 32) as usize % pieces.len()]);
            }
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            text.push('\n');
            assert_eq!(blocks(&text).collect::<String>(), text);
            for family in blocks(&text).filter_map(family) {
                family.samples.iter().for_each(|sample| assert!(labels(sample.labels).count() < 9));
            }
        }
    }
}
