//! The rules for values that strict readers, such as Python's, have beyond those of the grammar. One sample that
//! breaks one costs them the whole scrape.

use std::collections::HashMap;

use super::parse::{self, Exemplar, Kind, Sample};

/// The labels by which a series is known: no empty ones, in the order of their names.
pub(super) type Key<'a> = Vec<(&'a str, &'a str)>;

/// A counter, a gauge or a histogram with its labels.
#[derive(Debug)]
pub(super) struct Series<'a> {
    pub(super) key: Key<'a>,
    pub(super) samples: Vec<Sample<'a>>,
}

/// The series of a family without what strict readers refuse, and how much that is.
pub(super) fn checked<'a>(kind: &Kind, samples: Vec<Sample<'a>>) -> (Vec<Series<'a>>, usize) {
    let mut left_out = 0;
    let mut all: Vec<Series<'a>> = Vec::new();
    let mut places = HashMap::new();
    for mut sample in samples {
        if sample.exemplar.as_ref().is_some_and(|exemplar| !is_exemplar(exemplar, sample.suffix)) {
            sample.exemplar = None;
            left_out += 1;
        }
        left_out += usize::from(sample.has_broken_exemplar);
        let key = key(&sample);
        let place = *places.entry(key.clone()).or_insert(all.len());
        match all.get_mut(place) {
            None => all.push(Series { key, samples: vec![sample] }),
            Some(series) if kind.word == "histogram" => series.samples.push(sample),
            // The first of two counts.
            Some(_) => left_out += 1,
        }
    }
    let found = all.len();
    all.retain(|series| is_sound(kind, series));
    left_out += found - all.len();
    for series in &mut all {
        if has_no_sum(&series.samples) {
            let before = series.samples.len();
            series.samples.retain(|sample| sample.suffix == "_bucket");
            left_out += usize::from(series.samples.len() < before);
        }
    }
    (all, left_out)
}

fn key<'a>(sample: &Sample<'a>) -> Key<'a> {
    let is_bucket = sample.suffix == "_bucket";
    let labels = parse::labels(sample.labels);
    let mut key: Key<'a> =
        labels.filter(|(name, value)| !(value.is_empty() || is_bucket && *name == "le")).collect();
    key.sort_unstable();
    key
}

fn is_sound(kind: &Kind, series: &Series<'_>) -> bool {
    let Series { samples, .. } = series;
    samples.iter().all(|sample| has_distinct_names(sample.labels))
        && match kind.word {
            "counter" => samples.iter().all(|sample| is_count(sample.value)),
            "info" => {
                samples.iter().all(|sample| number(sample.value).to_bits() == 1_f64.to_bits())
            }
            "histogram" => is_histogram(samples),
            _ => true,
        }
}

/// Whether bounds increase up to `+Inf`, and counts do not fall up to that of all observations.
fn is_histogram(samples: &[Sample<'_>]) -> bool {
    let of = |suffix| samples.iter().filter(move |sample| sample.suffix == suffix);
    let buckets: Option<Vec<(f64, u64)>> =
        of("_bucket").map(|bucket| Some((bound(bucket)?, bucket.value.parse().ok()?))).collect();
    let Some(buckets) = buckets else { return false };
    let Some((f64::INFINITY, observations)) = buckets.last() else { return false };
    let counts: Vec<_> = of("_count").map(|count| count.value.parse()).collect();
    buckets.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1)
        && counts.len() == of("_sum").count()
        && counts.len() <= 1
        && counts.iter().all(|count| count.as_ref() == Ok(observations))
}

/// The upper bound of a bucket.
fn bound(bucket: &Sample<'_>) -> Option<f64> {
    let (_, text) = parse::labels(bucket.labels).find(|(name, _)| *name == "le")?;
    text.parse().ok().filter(|bound: &f64| bound.is_finite() || text == "+Inf")
}

/// Whether what a histogram observed has no sum that can only grow.
fn has_no_sum(samples: &[Sample<'_>]) -> bool {
    samples.iter().any(|sample| match sample.suffix {
        "_sum" => !is_count(sample.value),
        "_bucket" => bound(sample).is_some_and(|bound| bound < 0.0),
        _ => false,
    })
}

/// Whether it is one of a counter or a bucket, a number, and has room for its labels. Some readers count quotes
/// and braces in them, escaped or not.
fn is_exemplar(exemplar: &Exemplar<'_>, suffix: &str) -> bool {
    const MOST_CHARACTERS: usize = 128;
    let labels = || parse::labels(exemplar.labels);
    let characters = |(name, value): (&str, &str)| name.len() + value.chars().count();
    matches!(suffix, "_total" | "_bucket")
        && has_distinct_names(exemplar.labels)
        && !exemplar.labels.contains(['\\', '{', '}'])
        && labels().map(characters).sum::<usize>() <= MOST_CHARACTERS
        && !number(exemplar.value).is_nan()
}

fn has_distinct_names(labels: &str) -> bool {
    let mut names: Vec<_> = parse::labels(labels).map(|(name, _)| name).collect();
    names.sort_unstable();
    names.windows(2).all(|pair| pair[0] != pair[1])
}

/// Whether it is neither negative nor NaN.
fn is_count(text: &str) -> bool {
    number(text) >= 0.0
}

fn number(text: &str) -> f64 {
    text.parse().unwrap_or(f64::NAN)
}
