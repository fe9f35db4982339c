//! The pictures, by the names of their files.

use super::{
    format::{bytes, time},
    svg::{self, Bar, Kind},
    view::{Entry, added, beyond_floor, entries},
};
use crate::{
    case::Use,
    library::{THREADS, threads_row},
    load::LINES,
    results::Results,
};

pub fn all(results: &Results) -> Vec<(&'static str, String)> {
    let ns = |row: &str| entries(results, row, "ns");
    vec![
        ("counter", bars("A counter with two closed labels", ns("counter"), time)),
        (
            "histogram",
            bars("A histogram with one closed label and 11 bounds", ns("histogram"), time),
        ),
        ("query", bars("A query: a counter and a histogram", ns("query"), time)),
        (
            "query-2-threads",
            bars("The same by two threads on the same series", ns("query-2-threads"), time),
        ),
        (
            "request",
            bars(
                "An HTTP request in six families, without the clocks",
                beyond_floor(results, "http"),
                time,
            ),
        ),
        (
            "layer",
            bars(
                "What a layer adds to a request on an axum router",
                added(results, "layer", "ns"),
                time,
            ),
        ),
        (
            "scrape-openmetrics",
            bars("A scrape of 100,000 lines of OpenMetrics", ns("scrape-openmetrics-100000"), time),
        ),
        ("scrape-text", bars("A scrape of 100,000 lines of text", ns("scrape-text-100000"), time)),
        (
            "memory",
            bars(
                "Resident bytes for a line, of 100,000, after a scrape",
                entries(results, "memory", "scraped"),
                bytes,
            ),
        ),
        ("threads", threads(results)),
        ("lines", lines(results)),
    ]
}

fn bars(title: &str, mut entries: Vec<Entry>, text: fn(f64) -> String) -> String {
    entries.sort_by(|one, other| one.value.total_cmp(&other.value));
    let bars: Vec<_> = entries
        .iter()
        .map(|entry| Bar {
            label: entry.label(),
            value: entry.value,
            text: text(entry.value),
            kind: if entry.is_ours() {
                Kind::Ours
            } else if entry.usage == Use::Floor {
                Kind::Floor
            } else {
                Kind::Peer
            },
        })
        .collect();
    svg::bars(title, &bars, text)
}

/// A line for each library through one value of each of several rows: ours, then the peers at their best.
fn series(
    results: &Results,
    rows: &[(f64, String)],
    is_shown: fn(&Entry) -> bool,
) -> Vec<(String, Vec<(f64, f64)>)> {
    let mut series: Vec<(String, Vec<(f64, f64)>)> = Vec::new();
    for (x, row) in rows {
        for entry in entries(results, row, "ns").into_iter().filter(is_shown) {
            let place =
                series.iter().position(|(name, _)| *name == entry.subject).unwrap_or_else(|| {
                    series.push((entry.subject.clone(), Vec::new()));
                    series.len() - 1
                });
            series[place].1.push((*x, entry.value));
        }
    }
    series
}

fn threads(results: &Results) -> String {
    let rows = THREADS.map(|threads| (threads as f64, threads_row("query", threads)));
    let series = series(results, &rows, |entry| entry.is_ours() || entry.usage == Use::Fastest);
    svg::lines(
        "A query by threads on the same series; of the peers, handles kept",
        "threads",
        "nanoseconds of a processor",
        &series,
    )
}

fn lines(results: &Results) -> String {
    let rows = LINES.map(|lines| (lines as f64, format!("scrape-text-{lines}")));
    let mut series = series(results, &rows, |entry| entry.usage == Use::Idiomatic);
    for (_, points) in &mut series {
        for (_, took) in points {
            *took /= 1e6;
        }
    }
    svg::lines("A scrape by the lines it exposes, text", "lines", "milliseconds", &series)
}
