//! The tables, by the names that `BENCHMARKS.md` has for them.

use serde::Deserialize;

use super::{
    alone,
    format::{Table, bytes, grouped, short, time, times},
    targets,
    view::{Entry, OURS, added, beyond_floor, entries, floor, label, of_ours},
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
        "ways" => alone::ways(results),
        "requests" => requests(results),
        "layers" => layers(results),
        "memory" => memory(results),
        "contention" => contention(results),
        "threads" => threads(results),
        "endpoints" => endpoints(results),
        "lines" => alone::lines(results),
        "extras" => alone::extras(results),
        "start" => alone::start(results),
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

/// How many times its own cost on one thread something costs on two, both by the time that a thread has a
/// processor.
fn two_to_one(one: &Column, two: &[Entry]) -> Column {
    let entries = two.iter().filter_map(|entry| {
        let alone = one.get(&entry.subject, entry.usage)?;
        Some(entry.clone().divided_by(alone))
    });
    Column {
        title: "CPU time, 2 threads to 1".into(),
        entries: entries.collect(),
        text: short,
        compared: false,
    }
}

fn recording(results: &Results) -> String {
    let one = Column::of(results, "both", "query");
    let two = Column::of(results, "both, 2 threads", "query-2-threads");
    let ratio = two_to_one(&one, &entries(results, "query-2-threads", "busy_ns"));
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
    let ratio = two_to_one(&one, &entries(results, "guard-2-threads", "busy_ns"));
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
    let one = Column::new("added, 1 thread", added(results, "layer", "ns"));
    let two = added(results, "layer-2-threads", "busy_ns");
    let ratio = two_to_one(&one, &two);
    let two = Column::new("added, 2 threads", two);
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
        column.entries.extend(floor_of_ours(results, &row, "copy_ns", "a copy of our bytes"));
        column
    });
    grid("", &columns, 2)
}

/// A floor that is measured beside ours, in the same process.
fn floor_of_ours(results: &Results, row: &str, value: &str, name: &str) -> Option<Entry> {
    let entries = entries(results, row, value);
    Some(Entry { subject: name.to_owned(), usage: Use::Floor, ..of_ours(&entries)?.clone() })
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
    let millions: fn(f64) -> String = |rate| format!("{:.1} M", rate / 1e6);
    let percent: fn(f64) -> String = |part| format!("{} %", grouped(part * 100.0));
    let columns = [
        column("CPU time of an event, alone", "contention", "alone_ns", time),
        column("during 100 scrapes/s", "contention", "often_ns", time),
        column("during scrapes without a pause", "contention", "scraped_ns", time),
        column("events/s, alone", "contention", "alone_rate", millions),
        column("during 100 scrapes/s", "contention", "often_rate", millions),
        column("of those alone", "contention", "rate_kept", percent),
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
            let row = endpoints_row(count);
            let mut entries = beyond_floor(results, &row);
            entries.extend(floor(results, &row));
            Column::new(grouped(count as f64), entries)
        })
        .collect();
    grid("endpoints", &columns, 1)
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
