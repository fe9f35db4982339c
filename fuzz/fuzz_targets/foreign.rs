//! What registries of `prometheus-client` and their collectors write, rewritten: whatever it was, a scraper
//! can read what comes out, both formats say the same, and rewriting it again changes nothing.

#![no_main]

use std::collections::HashSet;

use backend_metrics::{Format, fuzzing::rewritten};
use libfuzzer_sys::fuzz_target;

#[path = "foreign/reader.rs"]
mod reader;

use reader::{Sample, read};

fuzz_target!(|text: &str| {
    let texts: Vec<&str> = text.split('\0').collect();
    let (openmetrics, left_out) = rewritten(&texts, Format::OpenMetrics);
    let (text, left_out_too) = rewritten(&texts, Format::Text);
    assert_eq!(left_out, left_out_too);

    let ours = read(&openmetrics, Format::OpenMetrics)
        .unwrap_or_else(|broken| panic!("{broken}\n{openmetrics}"));
    let theirs = read(&text, Format::Text).unwrap_or_else(|broken| panic!("{broken}\n{text}"));
    let ours: Vec<_> = ours.iter().map(Sample::in_text).collect();
    assert_eq!(ours, theirs, "\n{openmetrics}\n{text}");

    assert_eq!(rewritten(&[&openmetrics], Format::OpenMetrics), (openmetrics.clone(), 0));
    if left_out == 0 {
        let samples = |text: &str| text.lines().filter(|line| !line.starts_with("# ")).count();
        let written: usize = texts.iter().map(|text| samples(text)).sum();
        assert_eq!(samples(&openmetrics), written, "nothing is lost unseen");
    }
    let names: HashSet<&str> = theirs.iter().map(|sample| &*sample.name).collect();
    assert!(!names.contains("taken") && !names.contains("taken_total"));
});
