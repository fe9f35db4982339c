//! What is aimed at, beside what is reached.

use super::{
    format::{Table, short, time, times},
    view::{Entry, OURS, added, best, beyond_floor, entries, ours},
};
use crate::{
    case::Use,
    load::{FORMATS, LINES},
    results::Results,
};

/// A target: what is measured, what it must be, and what it is.
struct Target {
    what: String,
    limit: Limit,
    reached: f64,
    /// Of what `reached` is made.
    detail: String,
}

#[derive(Clone, Copy)]
enum Limit {
    /// So many times faster than the peer.
    Faster(f64),
    /// No more than so many times.
    Times(f64),
    /// At least this part.
    Part(f64),
    None,
    Below(f64),
}

impl Limit {
    fn is_met(self, reached: f64) -> bool {
        match self {
            Self::Faster(least) | Self::Part(least) => reached >= least,
            Self::Times(most) => reached <= most,
            Self::None => reached == 0.0,
            Self::Below(most) => reached < most,
        }
    }

    fn text(self) -> String {
        match self {
            Self::Faster(least) => format!("at least {}", times(least)),
            Self::Times(most) => format!("at most {}", times(most)),
            Self::Part(least) => format!("at least {} %", short(least * 100.0)),
            Self::None => "none".to_owned(),
            Self::Below(most) => format!("below {}", time(most)),
        }
    }

    fn show(self, reached: f64) -> String {
        match self {
            Self::Faster(_) | Self::Times(_) => format!("{reached:.2}x"),
            Self::Part(_) => format!("{:.1} %", reached * 100.0),
            Self::None => short(reached),
            Self::Below(_) => time(reached),
        }
    }
}

const CLIENT: &str = "prometheus-client";

pub fn table(results: &Results) -> String {
    let mut table = Table::new(["what", "target", "reached", "", "of"]);
    for target in all(results) {
        let verdict = if target.limit.is_met(target.reached) { "yes" } else { "**no**" };
        table.row([
            target.what,
            target.limit.text(),
            target.limit.show(target.reached),
            verdict.into(),
            target.detail,
        ]);
    }
    table.finish()
}

fn all(results: &Results) -> Vec<Target> {
    let mut targets = Vec::new();
    let ns = |row: &str| entries(results, row, "ns");
    let mut faster = |what: &str,
                      entries: &[Entry],
                      fastest: f64,
                      idiomatic: Option<f64>,
                      client: Option<f64>| {
        targets.extend(than_best(&format!("{what}: the best peer"), entries, None, fastest));
        if let Some(least) = idiomatic {
            let what = format!("{what}: the best peer, idiomatic");
            targets.extend(than_best(&what, entries, Some(Use::Idiomatic), least));
        }
        if let Some(least) = client {
            let clients: Vec<_> = entries
                .iter()
                .filter(|entry| entry.is_ours() || entry.subject == CLIENT)
                .cloned()
                .collect();
            let what = format!("{what}: {CLIENT}, idiomatic");
            targets.extend(than_best(&what, &clients, Some(Use::Idiomatic), least));
        }
    };
    faster("counter", &ns("counter"), 2.0, None, Some(20.0));
    faster("histogram", &ns("histogram"), 3.0, None, Some(12.0));
    faster("query", &ns("query"), 2.5, Some(6.0), None);
    faster("HTTP request, no clocks", &beyond_floor(results, "http"), 2.5, Some(12.0), None);
    let layers = added(results, "layer");
    faster("the layer, added", &layers, 3.0, None, None);
    for (_, format) in FORMATS {
        for lines in LINES {
            let what = format!("scrape, {format}, {lines} lines");
            faster(&what, &ns(&format!("scrape-{format}-{lines}")), 5.0, None, Some(15.0));
        }
    }
    let mut at_most =
        |what: &str, one: Option<f64>, other: Option<f64>, most: f64, text: fn(f64) -> String| {
            if let Some((one, other)) = one.zip(other) {
                let detail = format!("{} to {}", text(one), text(other));
                targets.push(Target {
                    what: what.into(),
                    limit: Limit::Times(most),
                    reached: one / other,
                    detail,
                });
            }
        };
    let ours_ns = |row: &str| ours(results, row, "ns");
    at_most("query, 2 threads to 1", ours_ns("query-2-threads"), ours_ns("query"), 1.3, time);
    at_most("guard, 2 threads to 1", ours_ns("guard-2-threads"), ours_ns("guard"), 1.3, time);
    let of = |entries: &[Entry], subject: &str| {
        entries.iter().find(|entry| entry.subject == subject).map(|entry| entry.value)
    };
    let two = added(results, "layer-2-threads");
    at_most("the layer, 2 threads to 1", of(&two, OURS), of(&layers, OURS), 1.3, time);
    at_most(
        "the layer to one that does nothing",
        of(&layers, OURS),
        of(&layers, crate::layers::IDLE),
        2.0,
        time,
    );
    for (_, format) in FORMATS {
        let each = |lines: usize| {
            let row = format!("scrape-{format}-{lines}");
            Some(ours(results, &row, "ns")? / ours(results, &row, "lines")?)
        };
        at_most(
            &format!("scrape, {format}: a line of 100,000 to one of 1,000"),
            each(100_000),
            each(1_000),
            1.5,
            time,
        );
    }
    let memory = entries(results, "memory", "scraped");
    let bytes = super::format::bytes;
    at_most(
        "memory for a line to the leanest peer's",
        of(&memory, OURS),
        best(&memory, None).map(|entry| entry.value),
        1.0,
        bytes,
    );
    let mut single = |what: &str, row: &str, value: &str, limit: Limit| {
        if let Some(reached) = ours(results, row, value) {
            targets.push(Target { what: what.into(), limit, reached, detail: String::new() });
        }
    };
    single("recorders' rate during scrapes", "contention", "kept", Limit::Part(0.95));
    single("counters and buckets seen to fall", "observer", "falls", Limit::None);
    single("events missing at the end", "observer", "missing", Limit::None);
    single("the first build of an instance", "start", "first_ns", Limit::Below(1e6));
    targets
}

fn than_best(what: &str, entries: &[Entry], usage: Option<Use>, least: f64) -> Option<Target> {
    let best = best(entries, usage)?;
    let ours = entries.iter().find(|entry| entry.is_ours() && entry.usage == Use::Idiomatic)?;
    Some(Target {
        what: what.to_owned(),
        limit: Limit::Faster(least),
        reached: best.value / ours.value,
        detail: format!("{}: {} to {}", best.label(), time(best.value), time(ours.value)),
    })
}
