//! The tables, by the names that `BENCHMARKS.md` has for them.

use serde::Deserialize;

use super::{
    format::{Table, bytes, grouped, short, time, times},
    targets,
    view::{Entry, OURS, added, beyond_floor, entries, label, ours},
};
use crate::{
    case::Use,
    layers::{self, BARE},
    library::{ENDPOINTS, THREADS, endpoints_row, threads_row},
    load::LINES,
    results::{Results, read},
};

pub fn named(name: &str, results: &Results) -> Option<String> {
    Some(match name {
        "origin" => origin(results),
        "targets" => targets::table(results),
        "recording" => recording(results),
        "guards" => guards(results),
        "requests" => requests(results),
        "layers" => layers(results),
        "memory" => memory(results),
        "contention" => contention(results),
        "threads" => threads(results),
        "endpoints" => endpoints(results),
        "lines" => lines(results),
        "extras" => extras(results),
        "start" => start(results),
        "instructions" => {
            read("instructions").map_or_else(not_measured, |results| instructions(&results))
        }
        "failed" => failed(results),
        _ => {
            if let Some(format) = name.strip_prefix("scrape-") {
                scrape(results, format)
            } else {
                read(name.strip_prefix("file ")?).map_or_else(not_measured, FileTable::text)
            }
        }
    })
}

fn not_measured() -> String {
    "Not measured yet.\n".to_owned()
}

/// A table that another program measured, in a file of `results/`.
#[derive(Deserialize)]
struct FileTable {
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
    /// The command, machine and date.
    origin: String,
}

impl FileTable {
    fn text(self) -> String {
        let mut table = Table::new(self.columns);
        for row in self.rows {
            table.row(row);
        }
        format!("{}\n{}\n", table.finish(), self.origin)
    }
}

fn origin(results: &Results) -> String {
    let is_of_peer = |version: &&String| {
        let name = version.split(' ').next().unwrap_or_default();
        let belongs = |subject: &str| {
            name.strip_prefix(subject)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_']))
        };
        name != OURS && results.figures.iter().any(|figure| belongs(&figure.subject))
    };
    let versions: Vec<_> = results.versions.iter().filter(is_of_peer).map(String::as_str).collect();
    format!(
        "Taken on {} on {}, {}. Medians over {} processes of each case. Profile: {}.\n\nPeers: {}.\n",
        results.date,
        results.machine,
        results.rustc,
        results.rounds,
        results.profile,
        versions.join(", ")
    )
}

/// A column: its title, its entries, and whether a peer's cell says how many times ours it is.
struct Column {
    title: String,
    entries: Vec<Entry>,
    text: fn(f64) -> String,
    compared: bool,
}

impl Column {
    /// Times.
    fn new(title: impl Into<String>, entries: Vec<Entry>) -> Self {
        Self { title: title.into(), entries, text: time, compared: true }
    }

    fn of(results: &Results, title: impl Into<String>, row: &str) -> Self {
        Self::new(title, entries(results, row, "ns"))
    }

    fn get(&self, subject: &str, usage: Use) -> Option<f64> {
        let found =
            self.entries.iter().find(|entry| entry.subject == subject && entry.usage == usage);
        found.map(|entry| entry.value)
    }

    fn cell(&self, subject: &str, usage: Use) -> String {
        let Some(value) = self.get(subject, usage) else { return String::new() };
        let text = (self.text)(value);
        match self.get(OURS, Use::Idiomatic) {
            Some(ours) if self.compared && ours > 0.0 && usage != Use::Floor && subject != OURS => {
                format!("{text} ({})", times(value / ours))
            }
            _ => text,
        }
    }
}

/// A line for each library and use: ours, the peers from the best on in the column `by`, the floors.
fn grid(first: &str, columns: &[Column], by: usize) -> String {
    let mut subjects: Vec<(String, Use)> = Vec::new();
    for entry in columns.iter().flat_map(|column| &column.entries) {
        let subject = (entry.subject.clone(), entry.usage);
        if !subjects.contains(&subject) {
            subjects.push(subject);
        }
    }
    subjects.sort_by(|one, other| {
        let group = |(subject, usage): &(String, Use)| match usage {
            Use::Floor => 2,
            _ if subject == OURS => 0,
            _ => 1,
        };
        let value = |(subject, usage): &(String, Use)| {
            columns[by].get(subject, *usage).unwrap_or(f64::INFINITY)
        };
        group(one).cmp(&group(other)).then(value(one).total_cmp(&value(other)))
    });
    let mut table =
        Table::new([first].into_iter().chain(columns.iter().map(|column| column.title.as_str())));
    for (subject, usage) in subjects {
        let name = label(&subject, usage);
        let name = match usage {
            Use::Floor => format!("*{name}*"),
            _ if subject == OURS => format!("**{name}**"),
            _ => name,
        };
        table.row(
            [name].into_iter().chain(columns.iter().map(|column| column.cell(&subject, usage))),
        );
    }
    table.finish()
}

/// How many times its own cost on one thread something costs on two.
fn two_to_one(one: &Column, two: &Column) -> Column {
    let entries = two.entries.iter().filter_map(|entry| {
        let alone = one.get(&entry.subject, entry.usage)?;
        Some(Entry { value: entry.value / alone, ..entry.clone() })
    });
    Column {
        title: "2 threads to 1".into(),
        entries: entries.collect(),
        text: short,
        compared: false,
    }
}

fn recording(results: &Results) -> String {
    let one = Column::of(results, "both", "query");
    let two = Column::of(results, "both, 2 threads", "query-2-threads");
    let ratio = two_to_one(&one, &two);
    let (counter, histogram) = ("counter", "histogram");
    let columns = [
        Column::of(results, counter, counter),
        Column::of(results, histogram, histogram),
        one,
        two,
        ratio,
    ];
    grid("", &columns, 2)
}

fn guards(results: &Results) -> String {
    let one = Column::of(results, "1 thread", "guard");
    let two = Column::of(results, "2 threads", "guard-2-threads");
    let ratio = two_to_one(&one, &two);
    grid("", &[one, two, ratio], 0)
}

fn requests(results: &Results) -> String {
    let columns = [
        Column::of(results, "4 families, no clock", "http-track"),
        Column::of(results, "6 families, 3 clocks", "http"),
        Column::new("the clocks taken off", beyond_floor(results, "http")),
    ];
    grid("", &columns, 2)
}

fn layers(results: &Results) -> String {
    let one = Column::new("added, 1 thread", added(results, "layer"));
    let two = Column::new("added, 2 threads", added(results, "layer-2-threads"));
    let ratio = two_to_one(&one, &two);
    let table = grid("", &[Column::of(results, "router and layer", "layer"), one, two, ratio], 0);
    let mut records = Table::new(["layer", "families"]);
    for layer in layers::FAMILIES {
        records.row(layer);
    }
    let bare = results.value("layer", BARE, Use::Floor, "ns").map_or_else(String::new, time);
    format!(
        "{table}\nThe router without a layer takes {bare}. What the layers record:\n\n{}",
        records.finish()
    )
}

fn scrape(results: &Results, format: &str) -> String {
    let columns = LINES.map(|lines| {
        let row = format!("scrape-{format}-{lines}");
        let mut column = Column::of(results, format!("{} lines", grouped(lines as f64)), &row);
        if let Some(value) = ours(results, &row, "copy_ns") {
            column.entries.push(Entry {
                subject: "a copy of our bytes".into(),
                usage: Use::Floor,
                value,
            });
        }
        column
    });
    grid("", &columns, 2)
}

fn memory(results: &Results) -> String {
    let column = |title: &str, row: &str, value: &str| Column {
        text: bytes,
        ..Column::new(title, entries(results, row, value))
    };
    let columns = [
        column("recorded", "memory", "recorded"),
        column("after a scrape", "memory", "scraped"),
        column("by 8 threads, after a scrape", "memory-8-threads", "scraped"),
    ];
    grid("bytes for a line", &columns, 1)
}

fn contention(results: &Results) -> String {
    let column = |title: &str, row: &str, value: &str, text: fn(f64) -> String| Column {
        text,
        compared: false,
        ..Column::new(title, entries(results, row, value))
    };
    let percent: fn(f64) -> String = |part| format!("{} %", grouped(part * 100.0));
    let columns = [
        column("an event alone", "contention", "alone_ns", time),
        column("meanwhile", "contention", "meanwhile_ns", time),
        column("rate kept", "contention", "kept", percent),
        column("scrapes looked at", "observer", "scrapes", grouped),
        column("values that fell", "observer", "falls", grouped),
        column("events missing", "observer", "missing", grouped),
    ];
    grid("", &columns, 1)
}

fn threads(results: &Results) -> String {
    let columns = THREADS
        .map(|threads| Column::of(results, threads.to_string(), &threads_row("query", threads)));
    grid("threads", &columns, 2)
}

fn endpoints(results: &Results) -> String {
    let mut counts = ENDPOINTS.to_vec();
    counts.push(50);
    counts.sort_unstable();
    let columns: Vec<_> = counts
        .into_iter()
        .map(|count| {
            Column::new(grouped(count as f64), beyond_floor(results, &endpoints_row(count)))
        })
        .collect();
    grid("endpoints", &columns, 1)
}

/// Ours from a thousand lines to a million.
fn lines(results: &Results) -> String {
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

/// What is turned on, beside the same without.
fn extras(results: &Results) -> String {
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
        ("layer", "a request through the layer"),
        ("scrape-openmetrics-10000", "a scrape of 10,000 lines"),
    ] {
        add("exemplars, outside of a trace", measured, ns(row), ns(&format!("exemplars-{row}")));
    }
    let query = ns("query");
    add("exemplars, in a trace, a young one is there", "both", query, ns("exemplars-traced-query"));
    add(
        "exemplars, in a trace, each event gives one",
        "both",
        query,
        ns("exemplars-traced-query-kept"),
    );
    add("three constant labels", "both", query, ns("constant-labels-query"));
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
    let bare = results.value("log-event", crate::ours::NO_LAYER, Use::Floor, "ns");
    add("LogEvents", "a log event", bare, ns("log-event"));
    table.finish()
}

fn start(results: &Results) -> String {
    let mut table = Table::new(["`Metrics::builder().build()`", "time", "resident"]);
    let get = |value: &str| ours(results, "start", value);
    let show = |value: Option<f64>, text: fn(f64) -> String| value.map_or_else(String::new, text);
    for (name, took, size) in
        [("the first of a process", "first_ns", "first_bytes"), ("each after it", "ns", "bytes")]
    {
        table.row([name.to_owned(), show(get(took), time), show(get(size), bytes)]);
    }
    table.finish()
}

fn instructions(results: &Results) -> String {
    let column = |title: &str, row: &str| Column {
        text: short,
        ..Column::new(title, entries(results, row, "instructions"))
    };
    let columns = [
        column("counter", "counter"),
        column("histogram", "histogram"),
        column("both", "query"),
        column("guard", "guard"),
        column("4 HTTP families", "http-track"),
        column("6 HTTP families", "http"),
        column("router and layer", "layer"),
    ];
    format!("Counted on {}, {}.\n\n{}", results.date, results.rustc, grid("", &columns, 2))
}

fn failed(results: &Results) -> String {
    if results.failed.is_empty() {
        return "None.\n".to_owned();
    }
    let mut text = String::new();
    for (case, reason) in &results.failed {
        text.extend(["- `", case, "`: ", reason, "\n"]);
    }
    text
}
