//! A registry of `prometheus-client` with what strict readers refuse a whole scrape for, beside what they take.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _, NoLabelSet},
    metrics::{
        MetricType,
        exemplar::{CounterWithExemplar, HistogramWithExemplars},
    },
    registry::{Registry, Unit},
};

/// The registry, and how much of it is left out of a scrape.
pub(crate) fn registry() -> (Registry, usize) {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Refused));
    (registry, 34)
}

#[derive(Debug)]
struct Refused;

fn moment() -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(1_500)
}

/// Upper bounds, and what fell between them.
type Buckets<'a> = &'a [(f64, u64)];

type Labels<'a> = &'a [(&'a str, &'a str)];

impl Collector for Refused {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        counters(&mut encoder)?;
        gauges(&mut encoder)?;
        exemplars(&mut encoder)?;
        histograms(&mut encoder)?;
        others(&mut encoder)
    }
}

/// Five of the series are left out.
fn counters(encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let mut fills = encoder.encode_descriptor("fills", "Fills", None, MetricType::Counter)?;
    let all: [(Labels<'_>, f64); 8] = [
        (&[("desk", "a")], 2.0),
        (&[("desk", "nan")], f64::NAN),
        (&[("desk", "negative")], -3.0),
        (&[("desk", "infinite")], f64::INFINITY),
        (&[("desk", "b"), ("side", "buy")], 1.0),
        // The same series.
        (&[("side", "buy"), ("desk", "b")], 1.0),
        (&[("desk", "a"), ("side", "")], 1.0),
        (&[("desk", "a"), ("desk", "b")], 1.0),
    ];
    for (labels, value) in all {
        fills.encode_family(&labels)?.encode_counter::<NoLabelSet, _, f64>(&value, None)?;
    }
    Ok(())
}

/// None is.
fn gauges(encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let mut level = encoder.encode_descriptor("level", "Level", None, MetricType::Gauge)?;
    for (desk, value) in [("a", f64::NAN), ("b", f64::NEG_INFINITY), ("c", -3.0)] {
        level.encode_family(&[("desk", desk)])?.encode_gauge(&value)?;
    }
    Ok(())
}

/// Six of the exemplars are left out, and one sum with its count.
fn exemplars(encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let mut traced = encoder.encode_descriptor("traced", "Traced", None, MetricType::Counter)?;
    let longest = "x".repeat(120);
    let long = "x".repeat(121);
    let all: [(&str, Labels<'_>); 7] = [
        ("longest", &[("trace_id", &longest)]),
        ("long", &[("trace_id", &long)]),
        ("quoted", &[("trace_id", "quo\"te\\")]),
        ("brace", &[("trace_id", "a}b")]),
        ("twice", &[("trace_id", "a"), ("trace_id", "b")]),
        ("name", &[("trace-id", "a")]),
        ("spaces", &[("path", "/a b, # c")]),
    ];
    for (desk, labels) in all {
        let counter = CounterWithExemplar::<Vec<(&str, &str)>>::default();
        counter.inc_by(1, Some(labels.to_vec()), Some(moment()));
        counter.encode(traced.encode_family(&[("desk", desk)])?)?;
    }
    let spread = encoder.encode_descriptor("spread", "Spread", None, MetricType::Histogram)?;
    let histogram = HistogramWithExemplars::new([1.0].into_iter());
    histogram.observe(0.5, Some([("trace_id", "a")]), Some(moment()));
    histogram.observe(f64::NAN, Some([("trace_id", "b")]), Some(moment()));
    histogram.encode(spread)
}

/// Three sums with their counts and nine series are left out.
fn histograms(encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    const INFINITE: f64 = f64::INFINITY;
    let unit = Unit::Seconds;
    let mut wait =
        encoder.encode_descriptor("wait", "Waits", Some(&unit), MetricType::Histogram)?;
    let all: [(&str, f64, u64, Buckets<'_>); 13] = [
        ("sound", 0.5, 3, &[(1.0, 1), (INFINITE, 2)]),
        ("nan sum", f64::NAN, 3, &[(1.0, 1), (INFINITE, 2)]),
        ("negative sum", -0.5, 3, &[(1.0, 1), (INFINITE, 2)]),
        ("negative bound", 0.5, 3, &[(-1.0, 1), (INFINITE, 2)]),
        ("no bounds", 0.5, 3, &[]),
        ("no last bound", 0.5, 3, &[(1.0, 1), (2.0, 2)]),
        ("unsorted", 0.5, 3, &[(2.0, 1), (1.0, 1), (INFINITE, 1)]),
        ("equal", 0.5, 3, &[(1.0, 1), (1.0, 1), (INFINITE, 1)]),
        ("infinite twice", 0.5, 3, &[(1.0, 1), (INFINITE, 1), (INFINITE, 1)]),
        ("nan bound", 0.5, 3, &[(f64::NAN, 1), (INFINITE, 2)]),
        ("infinite bound", 0.5, 3, &[(f64::NEG_INFINITY, 1), (INFINITE, 2)]),
        ("fewer", 0.5, 2, &[(1.0, 1), (INFINITE, 2)]),
        ("more", 0.5, 4, &[(1.0, 1), (INFINITE, 2)]),
    ];
    for (desk, sum, count, buckets) in all {
        let labels = [("desk", desk)];
        let mut series = wait.encode_family(&labels)?;
        series.encode_histogram::<NoLabelSet>(sum, count, buckets, None)?;
    }
    Ok(())
}

/// Names that cannot be, or are taken.
fn others(encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let unit = Unit::Seconds;
    let mut build = encoder.encode_descriptor("build", "Build", Some(&unit), MetricType::Info)?;
    for version in ["1", "2", "2"] {
        build.encode_info(&[("version", version)])?;
    }
    for name in ["fills_created", "wait_seconds_created", "desk.fills", "größe", "", "9", "level"]
    {
        encoder.encode_descriptor(name, "Odd", None, MetricType::Unknown)?.encode_gauge(&1_i64)?;
    }
    for label in ["desk.name", "__desk"] {
        let mut metric = encoder.encode_descriptor("odd", "Odd", None, MetricType::Unknown)?;
        metric.encode_family(&[(label, "a")])?.encode_gauge(&1_i64)?;
    }
    encoder.encode_descriptor("odd", "Odd", None, MetricType::Unknown)?.encode_gauge(&1_i64)
}
