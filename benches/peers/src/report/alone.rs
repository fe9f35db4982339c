//! The tables that no peer is in.

use super::{
    format::{Table, bytes, grouped, time},
    view::{OURS, ours},
};
use crate::{case::Use, load::LINES, ours::NO_LAYER, results::Results};

/// A counter and a query by their ways in.
pub fn ways(results: &Results) -> String {
    let mut table = Table::new(["", "a counter", "a query"]);
    let show = |row: &str, subject: &str, usage: Use| {
        results.value(row, subject, usage, "ns").map_or_else(String::new, time)
    };
    let mut add = |name: &str, rows: [&str; 2]| {
        let [counter, query] = rows.map(|row| show(row, OURS, Use::Idiomatic));
        table.row([name, &counter, &query]);
    };
    add("the family, `get(labels).inc()`", ["counter", ""]);
    add("a method, `metrics.track_*`", ["helper-counter", "query"]);
    add("a free function, `track_*`", ["free-counter", "free-query"]);
    for name in ["an empty loop", "a load, an addition, a store", "one relaxed fetch_add"] {
        let [counter, query] = ["counter", "query"].map(|row| show(row, name, Use::Floor));
        table.row([format!("*{name}*"), counter, query]);
    }
    table.finish()
}

/// Ours from a thousand lines to a million.
pub fn lines(results: &Results) -> String {
    let mut table = Table::new([
        "lines",
        "OpenMetrics",
        "for a line",
        "*a copy*",
        "text",
        "answered",
        "answered with gzip",
        "bytes",
        "with gzip",
        "resident",
    ]);
    for lines in LINES.into_iter().chain([1_000_000]) {
        let get = |row: &str, value: &str| ours(results, &format!("{row}-{lines}"), value);
        let show = |row: &str, value: &str, text: fn(f64) -> String| {
            get(row, value).map_or_else(String::new, text)
        };
        let each = get("scrape-openmetrics", "ns").zip(get("scrape-openmetrics", "lines"));
        let memory =
            if lines == 100_000 { "memory".to_owned() } else { format!("memory-{lines}-lines") };
        let resident = ours(results, &memory, "scraped").zip(ours(results, &memory, "lines"));
        table.row([
            grouped(lines as f64),
            show("scrape-openmetrics", "ns", time),
            each.map_or_else(String::new, |(took, lines)| time(took / lines)),
            show("scrape-openmetrics", "copy_ns", time),
            show("scrape-text", "ns", time),
            show("exporter-identity", "ns", time),
            show("exporter-gzip", "ns", time),
            show("exporter-identity", "bytes", bytes),
            show("exporter-gzip", "bytes", bytes),
            resident.map_or_else(String::new, |(each, lines)| bytes(each * lines)),
        ]);
    }
    table.finish()
}

const THROUGH_LAYER: &str = "a request through the layer";

/// What is turned on, beside the same without.
pub fn extras(results: &Results) -> String {
    let mut table = Table::new(["what is turned on", "measured", "without", "with", "ratio"]);
    let mut add = |what: &str, measured: &str, without: Option<f64>, with: Option<f64>| {
        let Some((without, with)) = without.zip(with) else { return };
        table.row([what, measured, &time(without), &time(with), &format!("{:.2}", with / without)]);
    };
    let ns = |row: &str| ours(results, row, "ns");
    for (row, measured) in [
        ("counter", "a counter"),
        ("histogram", "a histogram"),
        ("query", "both"),
        ("http-track", "four HTTP families"),
        ("layer", THROUGH_LAYER),
        ("scrape-openmetrics-10000", "a scrape of 10,000 lines"),
    ] {
        add("exemplars, outside of a trace", measured, ns(row), ns(&format!("exemplars-{row}")));
    }
    for (what, kept) in [
        ("exemplars, in a trace, a young one is there", ""),
        ("exemplars, in a trace, each event gives one", "-kept"),
    ] {
        for (row, measured) in [("query", "both"), ("layer", THROUGH_LAYER)] {
            add(what, measured, ns(row), ns(&format!("exemplars-traced-{row}{kept}")));
        }
    }
    let without_layer = |row: &str| results.value(row, NO_LAYER, Use::Floor, "ns");
    for (row, measured) in
        [("span", "a span from its making to its end"), ("span-entered", "a span entered and left")]
    {
        add("TraceExemplars", measured, without_layer(row), ns(row));
    }
    for (row, measured) in [("guard", "a guard, which reads it twice"), ("layer", THROUGH_LAYER)] {
        add("Clock::counter", measured, ns(row), ns(&format!("counter-clock-{row}")));
    }
    add("three constant labels", "both", ns("query"), ns("constant-labels-query"));
    add(
        "three constant labels",
        "a scrape of all families",
        ns("full-scrape"),
        ns("constant-labels-scrape"),
    );
    for lines in LINES {
        let measured = format!("an answer of {} lines", grouped(lines as f64));
        let (without, with) =
            (format!("exporter-identity-{lines}"), format!("exporter-gzip-{lines}"));
        add("gzip", &measured, ns(&without), ns(&with));
    }
    add("LogEvents", "a log event", without_layer("log-event"), ns("log-event"));
    table.finish()
}

pub fn start(results: &Results) -> String {
    let mut table =
        Table::new(["`Metrics::builder().build()`", "time", "resident", "of that from no file"]);
    let show = |value: &str, text: fn(f64) -> String| {
        ours(results, "start", value).map_or_else(String::new, text)
    };
    for (name, took, size, anonymous) in [
        ("the first of a process", "first_ns", "first_bytes", "first_anonymous"),
        ("each after it", "ns", "bytes", "anonymous"),
        (
            "*as much as the first has from no file, in one piece and written*",
            "floor_ns",
            "first_anonymous",
            "first_anonymous",
        ),
    ] {
        table.row([name.to_owned(), show(took, time), show(size, bytes), show(anonymous, bytes)]);
    }
    table.finish()
}
