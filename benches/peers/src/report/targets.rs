//! What is aimed at, beside what is reached.

use super::{
    format::{Table, bytes, short, time, times},
    view::{Entry, added, best, beyond_floor, entries, of_ours, ours},
};
use crate::{
    case::Use,
    library::threads_row,
    load::{FORMATS, LINES},
    results::Results,
};

/// A target: what is measured, what it must be, and what it is.
struct Target {
    what: String,
    limit: Limit,
    reached: Reached,
    /// Of what `reached` is made.
    detail: String,
}

/// A figure of the medians, and the range of it that the processes span.
#[derive(Clone, Copy)]
struct Reached {
    value: f64,
    least: f64,
    most: f64,
}

impl Reached {
    /// How many times the other one is, at the least its least of the other's most.
    fn ratio(one: &Entry, other: &Entry) -> Self {
        Self {
            value: one.value / other.value,
            least: one.least / other.most,
            most: if other.least > 0.0 { one.most / other.least } else { f64::INFINITY },
        }
    }
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
            _ if reached.is_infinite() => "any".to_owned(),
            Self::Faster(_) | Self::Times(_) => format!("{reached:.2}x"),
            Self::Part(_) => format!("{:.1} %", reached * 100.0),
            Self::None => short(reached),
            Self::Below(_) => time(reached),
        }
    }
}

const CLIENT: &str = "prometheus-client";

pub fn table(results: &Results) -> String {
    let mut table = Table::new(["what", "target", "reached", "least to most", "", "of"]);
    for target in all(results) {
        let Target { what, limit, reached, detail } = target;
        let is_met = limit.is_met(reached.value);
        let verdict = if is_met { "yes" } else { "**no**" };
        // The processes do not agree on it.
        let is_near =
            [reached.least, reached.most].into_iter().any(|value| limit.is_met(value) != is_met);
        table.row([
            what,
            limit.text(),
            limit.show(reached.value),
            format!("{} to {}", limit.show(reached.least), limit.show(reached.most)),
            format!("{verdict}{}", if is_near { ", near" } else { "" }),
            detail,
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
    let layers = added(results, "layer", "ns");
    faster("the layer, added", &layers, 3.0, None, None);
    for (_, format) in FORMATS {
        for lines in LINES {
            let what = format!("scrape, {format}, {lines} lines");
            faster(&what, &ns(&format!("scrape-{format}-{lines}")), 5.0, None, Some(15.0));
        }
    }
    targets.extend(ratios(results, &layers));
    let mut single = |what: &str, row: &str, value: &str, limit: Limit| {
        if let Some(&Entry { value, least, most, .. }) = of_ours(&entries(results, row, value)) {
            let reached = Reached { value, least, most };
            targets.push(Target { what: what.into(), limit, reached, detail: String::new() });
        }
    };
    single(
        "recorders' rate during 100 scrapes/s, of that alone",
        "contention",
        "rate_kept",
        Limit::Part(0.95),
    );
    single(
        "CPU time of an event, alone of that during scrapes without a pause",
        "contention",
        "event_kept",
        Limit::Part(0.95),
    );
    single("counters and buckets seen to fall", "observer", "falls", Limit::None);
    single("events missing at the end", "observer", "missing", Limit::None);
    single("the first build of an instance", "start", "first_ns", Limit::Below(1e6));
    targets
}

/// Those of ours to itself, to the layer that does nothing, and to the leanest peer.
fn ratios(results: &Results, layers: &[Entry]) -> Vec<Target> {
    let mut targets = Vec::new();
    let mut at_most = |what: &str,
                       one: Option<&Entry>,
                       other: Option<&Entry>,
                       most: f64,
                       text: fn(f64) -> String| {
        if let Some((one, other)) = one.zip(other) {
            targets.push(Target {
                what: what.into(),
                limit: Limit::Times(most),
                reached: Reached::ratio(one, other),
                detail: format!("{} to {}", text(one.value), text(other.value)),
            });
        }
    };
    // Both by the time that a thread has the processor.
    for row in ["query", "guard"] {
        let one = entries(results, row, "ns");
        let two = entries(results, &threads_row(row, 2), "busy_ns");
        let what = format!("{row}, 2 threads to 1");
        at_most(&what, of_ours(&two), of_ours(&one), 1.3, time);
    }
    let two = added(results, "layer-2-threads", "busy_ns");
    at_most("the layer, 2 threads to 1", of_ours(&two), of_ours(layers), 1.3, time);
    at_most(
        "the layer to one that does nothing",
        of_ours(layers),
        layers.iter().find(|entry| entry.subject == crate::layers::IDLE),
        2.0,
        time,
    );
    for (_, format) in FORMATS {
        let each = |lines: usize| {
            let row = format!("scrape-{format}-{lines}");
            let exposed = ours(results, &row, "lines")?;
            let entry = of_ours(&entries(results, &row, "ns"))?.clone();
            Some(entry.divided_by(exposed))
        };
        at_most(
            &format!("scrape, {format}: a line of 100,000 to one of 1,000"),
            each(100_000).as_ref(),
            each(1_000).as_ref(),
            1.5,
            time,
        );
    }
    for (row, by) in [("memory", ""), ("memory-8-threads", ", recorded by 8 threads")] {
        let memory = entries(results, row, "scraped");
        let what = format!("memory for a line{by}, to the leanest peer's");
        at_most(&what, of_ours(&memory), best(&memory, None), 1.0, bytes);
    }
    targets
}

fn than_best(what: &str, entries: &[Entry], usage: Option<Use>, least: f64) -> Option<Target> {
    let best = best(entries, usage)?;
    let ours = of_ours(entries)?;
    Some(Target {
        what: what.to_owned(),
        limit: Limit::Faster(least),
        reached: Reached::ratio(best, ours),
        detail: format!("{}: {} to {}", best.label(), time(best.value), time(ours.value)),
    })
}
