//! A reader of both text formats as a scraper has it: what it refuses would cost the whole scrape.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use backend_metrics::Format;

/// A line with what its family says of it.
#[derive(Debug, PartialEq)]
pub(crate) struct Sample {
    pub(crate) name: String,
    kind: String,
    help: String,
    labels: BTreeMap<String, String>,
    /// The bits of the number; all NaN are one.
    value: u64,
    /// In milliseconds.
    timestamp: Option<i64>,
}

impl Sample {
    /// The sample as text 0.0.4 has it; none if it has no such sample.
    pub(crate) fn in_text(&self) -> Option<Self> {
        let stem = |suffix| self.name.strip_suffix(suffix);
        let name = match &*self.kind {
            "counter" | "histogram" | "summary" if stem("_created").is_some() => return None,
            "gaugehistogram" => match (stem("_gsum"), stem("_gcount")) {
                (Some(stem), _) => format!("{stem}_sum"),
                (_, Some(stem)) => format!("{stem}_count"),
                _ => self.name.clone(),
            },
            _ => self.name.clone(),
        };
        let kind = match &*self.kind {
            "info" | "stateset" => "gauge",
            "gaugehistogram" => "histogram",
            "unknown" => "untyped",
            kind => kind,
        };
        Some(Self {
            name,
            kind: kind.to_owned(),
            help: self.help.clone(),
            labels: self.labels.clone(),
            ..*self
        })
    }
}

/// The family that lines belong to.
#[derive(Default)]
struct Family {
    name: String,
    help: String,
    kind: String,
}

/// Reads a text, or says which line breaks which rule.
pub(crate) fn read(text: &str, format: Format) -> Result<Vec<Sample>, String> {
    let mut family = Family::default();
    let mut heads = HashSet::new();
    let mut series = HashSet::new();
    let mut samples = Vec::new();
    if !text.is_empty() && !text.ends_with('\n') {
        return Err("the last line has no end".into());
    }
    for line in text.split_terminator('\n') {
        let read = if let Some(head) = line.strip_prefix("# ") {
            if head.starts_with("HELP ") {
                family = Family::default();
            }
            family.head(head, format).filter(|()| heads.insert(head_key(head)))
        } else {
            sample(line, &family, format)
                .filter(|sample| series.insert((sample.name.clone(), sample.labels.clone())))
                .map(|sample| samples.push(sample))
        };
        read.ok_or_else(|| format!("a scraper stops at {line:?}"))?;
    }
    // A name is of one family.
    let owners: BTreeSet<_> =
        samples.iter().map(|it: &Sample| (&it.name, &it.kind, &it.help)).collect();
    let names: BTreeSet<_> = samples.iter().map(|it| &it.name).collect();
    if owners.len() == names.len() { Ok(samples) } else { Err("a name is of two families".into()) }
}

/// The keyword and the name of a head line, of which there is one.
fn head_key(head: &str) -> String {
    head.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

impl Family {
    fn head(&mut self, head: &str, format: Format) -> Option<()> {
        let (word, rest) = head.split_once(' ')?;
        let (name, rest) = rest.split_once(' ')?;
        match word {
            "HELP" => {
                let escapes = if format == Format::OpenMetrics { "\\n\"" } else { "\\n" };
                (self.name, self.help) = (name.to_owned(), unescaped(rest, escapes)?);
                is_name(name, true).then_some(())
            }
            "TYPE" if name == self.name && self.kind.is_empty() => {
                rest.clone_into(&mut self.kind);
                self.suffixes(format).map(drop)
            }
            "UNIT" if name == self.name && format == Format::OpenMetrics => {
                (!rest.is_empty() && name.ends_with(&format!("_{rest}"))).then_some(())
            }
            _ => None,
        }
    }

    /// What may follow the family's name in those of its samples.
    fn suffixes(&self, format: Format) -> Option<&'static [&'static str]> {
        Some(match (&*self.kind, format) {
            ("counter", Format::OpenMetrics) => &["_total", "_created"],
            ("info", Format::OpenMetrics) => &["_info"],
            ("gaugehistogram", Format::OpenMetrics) => &["_bucket", "_gsum", "_gcount"],
            ("stateset" | "unknown", Format::OpenMetrics) => &[""],
            ("histogram", Format::OpenMetrics) => &["_bucket", "_sum", "_count", "_created"],
            ("summary", Format::OpenMetrics) => &["", "_sum", "_count", "_created"],
            ("histogram", _) => &["_bucket", "_sum", "_count"],
            ("summary", _) => &["", "_sum", "_count"],
            ("counter" | "untyped", Format::Text) | ("gauge", _) => &[""],
            _ => return None,
        })
    }
}

fn sample(line: &str, family: &Family, format: Format) -> Option<Sample> {
    let (name, rest) = line.split_at(line.find(['{', ' '])?);
    if !family.suffixes(format)?.contains(&name.strip_prefix(&*family.name)?)
        || !is_name(name, true)
    {
        return None;
    }
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => label_set(rest)?,
        None => (BTreeMap::new(), rest),
    };
    let numbers = match rest.split_once(" # {") {
        Some((numbers, exemplar)) if format == Format::OpenMetrics => {
            let is_exemplified = name.ends_with("_total") || name.ends_with("_bucket");
            let (_, rest) = label_set(exemplar).filter(|_| is_exemplified)?;
            point(rest, format)?;
            numbers
        }
        Some(_) => return None,
        None => rest,
    };
    let (value, timestamp) = point(numbers, format)?;
    let Family { kind, help, .. } = family;
    Some(Sample {
        name: name.into(),
        kind: kind.clone(),
        help: help.clone(),
        labels,
        value,
        timestamp,
    })
}

fn point(text: &str, format: Format) -> Option<(u64, Option<i64>)> {
    let mut words = text.strip_prefix(' ')?.split(' ');
    let value = number(words.next()?)?;
    let timestamp = match words.next() {
        None => None,
        Some(text) if format == Format::Text => Some(text.parse::<i64>().ok()?),
        #[expect(clippy::cast_possible_truncation, reason = "checked before")]
        Some(text) => {
            let milliseconds = (f64::from_bits(number(text)?) * 1e3).round_ties_even();
            // What a scraper can hold.
            let is_held = milliseconds.abs() < 9.2e18;
            Some(is_held.then_some(milliseconds as i64)?)
        }
    };
    words.next().is_none().then_some((value, timestamp))
}

/// A number as Go and Python read it too.
fn number(text: &str) -> Option<u64> {
    let plain = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
    let is_number = matches!(text, "NaN" | "+Inf" | "-Inf") || text.bytes().all(plain);
    let value: f64 = text.parse().ok().filter(|_| is_number)?;
    Some(if value.is_nan() { f64::NAN } else { value }.to_bits())
}

/// The labels up to the closing brace, and what follows it.
fn label_set(mut rest: &str) -> Option<(BTreeMap<String, String>, &str)> {
    let mut labels = BTreeMap::new();
    if let Some(rest) = rest.strip_prefix('}') {
        return Some((labels, rest));
    }
    loop {
        let (name, after) = rest.split_once("=\"")?;
        let mut escaped = false;
        let end = after.find(|character| {
            let closes = character == '"' && !escaped;
            escaped = character == '\\' && !escaped;
            closes
        })?;
        let value = unescaped(&after[..end], "\\n\"")?;
        if !is_name(name, false)
            || name == "__name__"
            || labels.insert(name.to_owned(), value).is_some()
        {
            return None;
        }
        rest = &after[end + 1..];
        if let Some(rest) = rest.strip_prefix('}') {
            return Some((labels, rest));
        }
        rest = rest.strip_prefix(',')?;
    }
}

/// Undoes these escapes; there are no others.
fn unescaped(text: &str, escapes: &str) -> Option<String> {
    let mut out = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        out.push(match character {
            '\\' => match characters.next().filter(|next| escapes.contains(*next))? {
                'n' => '\n',
                next => next,
            },
            '"' if escapes.contains('"') => return None,
            character => character,
        });
    }
    Some(out)
}

fn is_name(name: &str, of_family: bool) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || (c == ':' && of_family);
    name.chars().all(legal) && name.starts_with(|c: char| !c.is_ascii_digit())
}
