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
}

impl Sample {
    /// The sample as text 0.0.4 has it.
    pub(crate) fn in_text(&self) -> Self {
        let kind = match &*self.kind {
            "info" => "gauge",
            "unknown" => "untyped",
            kind => kind,
        };
        Self {
            name: self.name.clone(),
            kind: kind.to_owned(),
            help: self.help.clone(),
            labels: self.labels.clone(),
            ..*self
        }
    }

    /// Whether a strict reader takes the value: of what only grows it is no less than 0.
    fn is_sound(&self) -> bool {
        let value = f64::from_bits(self.value);
        match &*self.kind {
            "counter" => value >= 0.0,
            "histogram" => value >= 0.0 && (self.name.ends_with("_sum") || value.fract() == 0.0),
            "info" => value.to_bits() == 1_f64.to_bits(),
            _ => true,
        }
    }
}

/// Whether the buckets of each series increase up to `+Inf`, where the count is that of all, and none is below
/// 0 beside a sum.
fn are_histograms(samples: &[Sample]) -> bool {
    let mut all: BTreeMap<_, Vec<&Sample>> = BTreeMap::new();
    for sample in samples.iter().filter(|sample| sample.kind == "histogram") {
        let (stem, _) = sample.name.rsplit_once('_').expect("it has a suffix");
        let mut labels = sample.labels.clone();
        labels.retain(|name, value| name != "le" && !value.is_empty());
        all.entry((stem, labels)).or_default().push(sample);
    }
    all.values().all(|series| {
        let of = |suffix: &'static str| {
            series.iter().filter(move |sample| sample.name.ends_with(suffix)).copied()
        };
        let value = |sample: &Sample| f64::from_bits(sample.value);
        let bound = |sample: &Sample| {
            let bound = sample.labels.get("le")?;
            bound.parse::<f64>().ok().filter(|it| it.is_finite() || bound == "+Inf")
        };
        let buckets: Vec<_> = of("_bucket").map(|it| (bound(it), value(it))).collect();
        let (counts, sums) = (of("_count").count(), of("_sum").count());
        let last = buckets.last().copied();
        let follows = |pair: &[(Option<f64>, f64)]| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1;
        last.is_some_and(|(bound, _)| bound == Some(f64::INFINITY))
            && buckets.iter().all(|(bound, _)| bound.is_some())
            && buckets.windows(2).all(follows)
            && counts == sums
            && counts <= 1
            && of("_count").all(|count| Some(value(count)) == last.map(|(_, value)| value))
            && (sums == 0 || buckets[0].0 >= Some(0.0))
    })
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
                .filter(|sample| {
                    // An empty label is none.
                    let mut labels = sample.labels.clone();
                    labels.retain(|_, value| !value.is_empty());
                    sample.is_sound() && series.insert((sample.name.clone(), labels))
                })
                .map(|sample| samples.push(sample))
        };
        read.ok_or_else(|| format!("a scraper stops at {line:?}"))?;
    }
    if !are_histograms(&samples) {
        return Err("a histogram is none".into());
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
            ("counter", Format::OpenMetrics) => &["_total"],
            ("info", Format::OpenMetrics) => &["_info"],
            ("unknown", Format::OpenMetrics) => &[""],
            ("histogram", _) => &["_bucket", "_sum", "_count"],
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
    let value = match rest.split_once(" # {") {
        Some((value, text)) if format == Format::OpenMetrics => {
            let is_exemplified = name.ends_with("_total") || name.ends_with("_bucket");
            exemplar(text).filter(|()| is_exemplified)?;
            value
        }
        Some(_) => return None,
        None => rest,
    };
    let value = number(value.strip_prefix(' ')?)?;
    let Family { kind, help, .. } = family;
    Some(Sample { name: name.into(), kind: kind.clone(), help: help.clone(), labels, value })
}

/// Reads the labels, the number and the time of an exemplar.
fn exemplar(text: &str) -> Option<()> {
    let (labels, rest) = label_set(text)?;
    let characters = labels.iter().map(|(name, value)| name.len() + value.chars().count());
    // Where the labels end, however a reader finds it.
    let is_plain = text.find('}') == Some(text.len() - rest.len() - 1);
    if characters.sum::<usize>() > 128 || !is_plain || text.contains('\\') {
        return None;
    }
    let mut words = rest.strip_prefix(' ')?.split(' ');
    let value = f64::from_bits(number(words.next()?)?);
    // What a scraper can hold, in milliseconds.
    let is_held = |text: &str| Some((f64::from_bits(number(text)?) * 1e3).abs() < 9.2e18);
    let is_timed = words.next().map_or(Some(true), is_held)?;
    (!value.is_nan() && is_timed && words.next().is_none()).then_some(())
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
            || name.starts_with("__")
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
