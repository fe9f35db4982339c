//! A strict reader of both text formats that shares nothing with the crate but the name of the format.
//!
//! It knows what the crate writes and no more: no timestamps but those of exemplars, HELP before TYPE before
//! UNIT.

#![allow(dead_code, reason = "not every test asks for everything")]

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
};

use backend_metrics::{Format, Metrics};

/// What was read, in the order it stood in.
#[derive(Debug)]
pub(crate) struct Exposition {
    pub(crate) families: Vec<Family>,
}

/// A family with its samples.
#[derive(Debug, PartialEq)]
pub(crate) struct Family {
    pub(crate) name: String,
    pub(crate) help: String,
    pub(crate) kind: String,
    pub(crate) unit: Option<String>,
    pub(crate) samples: Vec<Sample>,
}

/// A line.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    pub(crate) name: String,
    /// The labels, unescaped, in the order they stood in.
    pub(crate) labels: Vec<(String, String)>,
    /// The number as it stood.
    pub(crate) value: String,
    pub(crate) exemplar: Option<Exemplar>,
}

/// What follows the number of a line.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Exemplar {
    /// The labels, unescaped, in the order they stood in.
    pub(crate) labels: Vec<(String, String)>,
    /// The number as it stood.
    pub(crate) value: String,
    /// Seconds since 1970, as they stood.
    pub(crate) timestamp: String,
}

/// What is wrong, and where.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) line: usize,
    pub(crate) rule: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.rule)
    }
}

/// Reads an instance in both formats, which must be valid and say the same; what is read from the process
/// differs from one scrape to the next, and exemplars stand in one of them.
#[track_caller]
pub(crate) fn read(metrics: Metrics) -> Exposition {
    let [openmetrics, text] = [Format::OpenMetrics, Format::Text].map(|format| {
        let text = metrics.encode(format);
        parse(&text, format).unwrap_or_else(|broken| panic!("{format:?}, {broken}\n{text}"))
    });
    let samples = |exposition: &Exposition| -> Vec<Sample> {
        let lines = exposition.families.iter().flat_map(|family| &family.samples);
        let lines = lines.filter(|line| !line.name.starts_with("process_"));
        lines.map(|line| Sample { exemplar: None, ..line.clone() }).collect()
    };
    assert!(samples(&openmetrics) == samples(&text), "the formats differ");
    openmetrics
}

impl Exposition {
    /// The number of a series, given as a sample's name and its labels in any order.
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<&str> {
        let wanted: BTreeMap<&str, &str> = labels.iter().copied().collect();
        self.samples()
            .find(|sample| {
                let labels = sample.labels.iter();
                sample.name == name
                    && labels.map(|(name, value)| (&**name, &**value)).collect::<BTreeMap<_, _>>()
                        == wanted
            })
            .map(|sample| &*sample.value)
    }

    /// Every line.
    pub(crate) fn samples(&self) -> impl Iterator<Item = &Sample> {
        self.families.iter().flat_map(|family| &family.samples)
    }

    /// The values of a label in the lines of a name, in their order.
    pub(crate) fn values_of(&self, name: &str, label: &str) -> Vec<&str> {
        self.samples()
            .filter(|sample| sample.name == name)
            .flat_map(|sample| &sample.labels)
            .filter(|(name, _)| name == label)
            .map(|(_, value)| &**value)
            .collect()
    }
}

/// Reads a text, if it keeps every rule of its format.
pub(crate) fn parse(text: &str, format: Format) -> Result<Exposition, Broken> {
    let mut reader = Reader { format, families: Vec::new(), names: HashSet::new(), ended: false };
    let Some(body) = text.strip_suffix('\n') else {
        return Err(Broken { line: 0, rule: "the last line has an end".into() });
    };
    let mut count = 0;
    for (number, line) in body.split('\n').enumerate() {
        count = number + 1;
        reader.line(line).map_err(|rule| Broken { line: count, rule })?;
    }
    reader.close().map_err(|rule| Broken { line: count, rule })?;
    let openmetrics = format == Format::OpenMetrics;
    if reader.ended != openmetrics {
        return Err(Broken { line: count, rule: "OpenMetrics ends in # EOF, and it alone".into() });
    }
    Ok(Exposition { families: reader.families })
}

struct Reader {
    format: Format,
    families: Vec<Family>,
    /// The names of families and of their samples.
    names: HashSet<String>,
    ended: bool,
}

fn rule(holds: bool, rule: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(rule.to_owned()) }
}

impl Reader {
    fn line(&mut self, line: &str) -> Result<(), String> {
        rule(!self.ended, "nothing follows # EOF")?;
        if line == "# EOF" {
            self.ended = true;
            Ok(())
        } else if let Some(rest) = line.strip_prefix("# HELP ") {
            self.help(rest)
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').ok_or("TYPE has a name and a type")?;
            let family = self.families.last_mut().ok_or("HELP comes before TYPE")?;
            rule(family.name == name, "TYPE is of the family that HELP is of")?;
            rule(family.kind.is_empty(), "there is one TYPE")?;
            rule(family.samples.is_empty(), "TYPE comes before the samples")?;
            kind.clone_into(&mut family.kind);
            self.take_names()
        } else if let Some(rest) = line.strip_prefix("# UNIT ") {
            self.unit(rest)
        } else {
            rule(!line.starts_with('#'), "there are no comments")?;
            self.sample(line)
        }
    }

    fn help(&mut self, rest: &str) -> Result<(), String> {
        self.close()?;
        let (name, help) = rest.split_once(' ').ok_or("HELP has a name and a text")?;
        rule(is_name(name), "the name of a family is valid")?;
        let escapes = if self.format == Format::OpenMetrics { "\\n\"" } else { "\\n" };
        let help = unescape(help, escapes)?;
        self.families.push(Family {
            name: name.into(),
            help,
            kind: String::new(),
            unit: None,
            samples: Vec::new(),
        });
        Ok(())
    }

    fn unit(&mut self, rest: &str) -> Result<(), String> {
        rule(self.format == Format::OpenMetrics, "text 0.0.4 has no UNIT")?;
        let (name, unit) = rest.split_once(' ').ok_or("UNIT has a name and a unit")?;
        let family = self.families.last_mut().ok_or("HELP comes before UNIT")?;
        rule(family.name == name, "UNIT is of the family that HELP is of")?;
        rule(family.unit.is_none(), "there is one UNIT")?;
        rule(family.samples.is_empty(), "UNIT comes before the samples")?;
        rule(!unit.is_empty() && is_name(unit), "a unit is a word")?;
        rule(name.ends_with(&format!("_{unit}")), "the name of a family ends in its unit")?;
        rule(
            !matches!(&*family.kind, "" | "info"),
            "TYPE comes before UNIT, and an info has none",
        )?;
        family.unit = Some(unit.into());
        Ok(())
    }

    /// Takes the names that the last family and its samples have.
    fn take_names(&mut self) -> Result<(), String> {
        let Some(Family { name, kind, .. }) = self.families.last() else { return Ok(()) };
        let suffixes: &[&str] = match (&**kind, self.format) {
            ("counter", Format::OpenMetrics) => &["", "_total", "_created"],
            ("info", Format::OpenMetrics) => &["", "_info"],
            ("histogram", _) => &["", "_bucket", "_sum", "_count", "_created"],
            ("gauge", _) | ("counter", Format::Text) => &[""],
            _ => return Err(format!("the type {kind:?} is known")),
        };
        for suffix in suffixes {
            rule(self.names.insert(format!("{name}{suffix}")), "names of families are their own")?;
        }
        Ok(())
    }

    fn sample(&mut self, line: &str) -> Result<(), String> {
        let sample = sample(line)?;
        let format = self.format;
        let family = self.families.last_mut().ok_or("HELP comes before the samples")?;
        let suffix = sample.name.strip_prefix(&*family.name).ok_or("a sample is of its family")?;
        let suffixes: &[&str] = match (&*family.kind, format) {
            ("counter", Format::OpenMetrics) => &["_total"],
            ("info", Format::OpenMetrics) => &["_info"],
            ("histogram", _) => &["_bucket", "_sum", "_count"],
            ("gauge", _) | ("counter", Format::Text) => &[""],
            _ => return Err("TYPE comes before the samples".into()),
        };
        rule(suffixes.contains(&suffix), "a sample has a name of its family's type")?;
        if format == Format::Text && family.kind == "counter" {
            rule(family.name.ends_with("_total"), "a counter's name ends in _total")?;
        }
        if family.kind == "info" {
            rule(sample.value == "1", "an info is 1")?;
        }
        if family.kind == "counter" || suffix == "_sum" {
            rule(number(&sample.value)? >= 0.0, "a counter and a sum are numbers from 0 on")?;
        }
        if let Some(exemplar) = &sample.exemplar {
            rule(format == Format::OpenMetrics, "text 0.0.4 has no exemplars")?;
            let is_exemplified = matches!(suffix, "_total" | "_bucket");
            rule(is_exemplified, "counters and buckets have exemplars, and they alone")?;
            let texts = exemplar.labels.iter().flat_map(|(name, value)| [name, value]);
            let characters: usize = texts.map(|text| text.chars().count()).sum();
            rule(characters <= 128, "the labels of an exemplar have 128 characters at most")?;
        }
        let has_bound = sample.labels.iter().any(|(name, _)| name == "le");
        rule(has_bound == (suffix == "_bucket"), "buckets have `le`, and they alone")?;
        family.samples.push(sample);
        Ok(())
    }

    /// Checks the last family as a whole.
    fn close(&mut self) -> Result<(), String> {
        let Some(family) = self.families.last() else { return Ok(()) };
        rule(!family.kind.is_empty(), "a family has a TYPE")?;
        rule(!family.samples.is_empty(), "a family has samples")?;
        let mut series = HashSet::new();
        for sample in &family.samples {
            let labels: BTreeMap<_, _> = sample.labels.iter().cloned().collect();
            rule(series.insert((&sample.name, labels)), "a series stands once")?;
        }
        if family.kind == "histogram" { histograms(family) } else { Ok(()) }
    }
}

/// Checks that the lines of each histogram stand together, and that its numbers fit each other.
fn histograms(family: &Family) -> Result<(), String> {
    let mut seen = HashSet::new();
    let mut rest = &family.samples[..];
    while let Some(first) = rest.first() {
        let labels = without_bound(first);
        rule(seen.insert(labels.clone()), "the lines of a histogram stand together")?;
        let len = rest.iter().take_while(|sample| without_bound(sample) == labels).count();
        let (lines, after) = rest.split_at(len);
        rest = after;
        let [buckets @ .., sum, count] = lines else {
            return Err("a histogram has buckets, a sum and a count".into());
        };
        rule(sum.name.ends_with("_sum"), "the sum stands after the buckets")?;
        rule(count.name.ends_with("_count"), "the count stands last")?;
        let (mut below, mut counted) = (f64::NEG_INFINITY, 0);
        for bucket in buckets {
            rule(bucket.name.ends_with("_bucket"), "the buckets stand first")?;
            let (_, bound) = bucket.labels.last().ok_or("a bucket has labels")?;
            let upper = number(bound)?;
            rule(upper > below, "the bounds of the buckets increase")?;
            rule(upper >= 0.0, "no bound is negative, or there could be no sum")?;
            rule(bound.contains(['.', 'e', 'I']), "a bound is written as a floating-point number")?;
            let value = bucket.value.parse::<u64>().map_err(|_| "a bucket is a whole number")?;
            rule(value >= counted, "the buckets are cumulative")?;
            if let Some(exemplar) = &bucket.exemplar {
                let observed = number(&exemplar.value)?;
                rule(below < observed && observed <= upper, "an exemplar lies in its bucket")?;
                rule(value > counted, "a bucket with an exemplar is not empty")?;
            }
            (below, counted) = (upper, value);
        }
        rule(below == f64::INFINITY, "the last bucket is +Inf")?;
        rule(count.value == counted.to_string(), "the count is that of the last bucket")?;
    }
    Ok(())
}

fn without_bound(sample: &Sample) -> Vec<(String, String)> {
    sample.labels.iter().filter(|(name, _)| name != "le").cloned().collect()
}

fn sample(line: &str) -> Result<Sample, String> {
    let end = line.find(['{', ' ']).ok_or("a sample has a number")?;
    let (name, mut rest) = line.split_at(end);
    rule(is_name(name), "the name of a sample is valid")?;
    let mut labels = Vec::new();
    if let Some(after) = rest.strip_prefix('{') {
        (labels, rest) = label_set(after)?;
    }
    let point = rest.strip_prefix(' ').ok_or("a space stands before the number")?;
    let (value, exemplar) = match point.split_once(" # {") {
        Some((value, exemplar)) => (value, Some(self::exemplar(exemplar)?)),
        None => (point, None),
    };
    number(value)?;
    Ok(Sample { name: name.into(), labels, value: value.into(), exemplar })
}

/// What follows the opening brace of an exemplar.
fn exemplar(text: &str) -> Result<Exemplar, String> {
    let (labels, rest) = label_set(text)?;
    let point = rest.strip_prefix(' ').ok_or("a space stands before the number of an exemplar")?;
    let (value, timestamp) = point.split_once(' ').ok_or("an exemplar has a timestamp")?;
    number(value)?;
    let is_time = timestamp.split_once('.').is_some_and(|(seconds, milliseconds)| {
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        !seconds.is_empty() && digits(seconds) && milliseconds.len() == 3 && digits(milliseconds)
    });
    rule(is_time, "a timestamp is in seconds with milliseconds")?;
    Ok(Exemplar { labels, value: value.into(), timestamp: timestamp.into() })
}

type LabelSet = Vec<(String, String)>;

/// The labels up to the closing brace, and what follows it.
fn label_set(text: &str) -> Result<(LabelSet, &str), String> {
    let (mut labels, mut rest) = (LabelSet::new(), text);
    loop {
        let (name, after) = rest.split_once("=\"").ok_or("a label has a name and a value")?;
        let valid = is_name(name) && !name.contains(':') && !name.starts_with("__");
        rule(valid, "the name of a label is valid")?;
        rule(labels.iter().all(|(earlier, _)| earlier != name), "label names differ")?;
        let end = closing_quote(after).ok_or("a label value has an end")?;
        labels.push((name.into(), unescape(&after[..end], "\\n\"")?));
        rest = &after[end + 1..];
        if let Some(after) = rest.strip_prefix('}') {
            return Ok((labels, after));
        }
        rest = rest.strip_prefix(',').ok_or("a comma stands between labels")?;
    }
}

/// Where the first quote stands that no backslash escapes.
fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    })
}

/// Undoes these escapes; there are no others.
fn unescape(text: &str, escapes: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        out.push(match character {
            '\\' => match characters.next().filter(|next| escapes.contains(*next)) {
                Some('n') => '\n',
                Some(next) => next,
                None => return Err(format!("an escape is known: {text:?}")),
            },
            '"' if escapes.contains('"') => return Err(format!("a quote is escaped: {text:?}")),
            character => character,
        });
    }
    Ok(out)
}

fn is_name(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':';
    name.bytes().all(legal) && name.bytes().next().is_some_and(|first| !first.is_ascii_digit())
}

fn number(text: &str) -> Result<f64, String> {
    let special = matches!(text, "NaN" | "+Inf" | "-Inf");
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.e".contains(&byte))
        && text.trim_start_matches(['+', '-']).starts_with(|first: char| first.is_ascii_digit());
    rule(special || plain, &format!("a number is written as one: {text:?}"))?;
    text.parse().map_err(|_| format!("a number can be read: {text:?}"))
}
