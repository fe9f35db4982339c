//! The rows of an instance with many series: scrapes, memory, and recording meanwhile.

use std::{
    collections::HashMap,
    hint::black_box,
    sync::{
        Barrier,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    bench::{Sample, long, resident, sample, thread_time},
    case::{Case, Use},
    shape::{LINES_OF_AN_ENDPOINT, Request, Turn, requests},
};
use backend_metrics::Format;

pub const LINES: [usize; 3] = [1_000, 10_000, 100_000];
pub const FORMATS: [(Format, &str); 2] =
    [(Format::OpenMetrics, "openmetrics"), (Format::Text, "text")];

/// An instance that exposes HTTP families.
pub trait Loaded: Sync + Sized + 'static {
    const NAME: &'static str;

    /// With room for so many endpoints.
    fn new(endpoints: usize) -> Self;
    /// Makes all series of a request.
    fn record(&self, request: &Request);
    /// Records in the families that need no clock.
    fn track(&self, request: &Request);
    /// A scrape, if it knows the format.
    fn encode(&self, format: Format) -> Option<String>;
    /// A scrape into memory that is kept from one to the next, and its bytes.
    fn encode_kept(&self, _: Format) -> Option<Box<dyn FnMut() -> usize + '_>> {
        None
    }
}

pub fn cases<L: Loaded>() -> Vec<Case> {
    let mut cases = Vec::new();
    for (format, name) in FORMATS {
        for lines in LINES {
            let row = format!("scrape-{name}-{lines}");
            for usage in [Use::Idiomatic, Use::Fastest] {
                cases.push(Case::new(&row, L::NAME, usage, move |_| {
                    scrape::<L>(lines, format, usage)
                }));
            }
        }
    }
    for threads in [1, 8] {
        let row = crate::library::threads_row("memory", threads);
        cases.push(Case::new(row, L::NAME, Use::Idiomatic, move |_| memory::<L>(100_000, threads)));
    }
    cases.push(Case::new("contention", L::NAME, Use::Idiomatic, |_| contention::<L>()));
    cases.push(Case::new("observer", L::NAME, Use::Idiomatic, |_| observer::<L>()));
    cases
}

/// An instance that exposes about so many lines, each recorded by every thread.
pub fn loaded<L: Loaded>(lines: usize, threads: usize) -> L {
    let requests = requests(lines / LINES_OF_AN_ENDPOINT);
    let instance = L::new(requests.len());
    fill(&instance, &requests, threads);
    instance
}

fn fill<L: Loaded>(instance: &L, requests: &[Request], threads: usize) {
    // So that all threads are there at once.
    let barrier = Barrier::new(threads);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                for request in requests {
                    instance.record(request);
                }
                barrier.wait();
            });
        }
    });
}

/// Lines as a scraper counts them.
fn lines_of(text: &str) -> usize {
    text.lines().filter(|line| !line.is_empty()).count()
}

pub fn scrape<L: Loaded>(lines: usize, format: Format, usage: Use) -> Sample {
    let requests = requests(lines / LINES_OF_AN_ENDPOINT);
    let instance = L::new(requests.len());
    let is_known = match usage {
        Use::Fastest => instance.encode_kept(format).is_some(),
        _ => instance.encode(format).is_some(),
    };
    if !is_known {
        return Sample::new();
    }
    fill(&instance, &requests, 1);
    if let Some(mut encode) = instance.encode_kept(format).filter(|_| usage == Use::Fastest) {
        let bytes = encode();
        return sample([("ns", long(encode)), ("bytes", bytes as f64)]);
    }
    let Some(text) = instance.encode(format) else { return Sample::new() };
    let exposed = lines_of(&text);
    assert!(
        exposed.abs_diff(lines) < lines / 10,
        "{} exposes {exposed} lines, not {lines}",
        L::NAME
    );
    let took = long(|| instance.encode(format));
    let copy = long(|| text.clone());
    sample([
        ("ns", took),
        ("copy_ns", copy),
        ("lines", exposed as f64),
        ("bytes", text.len() as f64),
    ])
}

/// What the process grew by with the instance, before and after its first scrape, whose text is dropped.
pub fn memory<L: Loaded>(lines: usize, threads: usize) -> Sample {
    let requests = requests(lines / LINES_OF_AN_ENDPOINT);
    let before = resident();
    let instance = L::new(requests.len());
    fill(&instance, &requests, threads);
    let recorded = resident() - before;
    let exposed = lines_of(&scrape_any(&instance)) as f64;
    let scraped = resident() - before;
    black_box(&instance);
    sample([("recorded", recorded / exposed), ("scraped", scraped / exposed), ("lines", exposed)])
}

/// What a third thread does while two record.
const BESIDE: [&str; 3] = ["alone", "often", "scraped"];
/// How long it sleeps between scrapes where it scrapes often.
const PAUSE: Duration = Duration::from_millis(10);

/// Two threads record at full speed. In turns a third sleeps, scrapes 10,000 lines a hundred times a second, and
/// without a pause. Of each: the nanoseconds that a recorder has the processor for an event, and the events of a second
/// by the clock.
///
/// Without a pause the third thread takes a half to four fifths of a processor, as the scheduler likes, where there are
/// no more processors than recorders: the events of a second say nothing of the library then.
fn contention<L: Loaded>() -> Sample {
    const PHASE: Duration = Duration::from_millis(200);
    const TURNS: u32 = 4;
    const RECORDERS: usize = 2;
    let instance = loaded::<L>(10_000, 1);
    let requests = requests(50);
    let (stop, beside) = (AtomicBool::new(false), AtomicUsize::new(0));
    let events = BESIDE.map(|_| AtomicU64::new(0));
    let busy = BESIDE.map(|_| AtomicU64::new(0));
    let mut elapsed = BESIDE.map(|_| Duration::ZERO);
    thread::scope(|scope| {
        for _ in 0..RECORDERS {
            scope.spawn(|| {
                let mut turn = Turn::new(&requests);
                while !stop.load(Relaxed) {
                    let phase = beside.load(Relaxed);
                    let before = thread_time();
                    for _ in 0..1_000 {
                        instance.track(turn.next());
                    }
                    busy[phase].fetch_add(thread_time() - before, Relaxed);
                    events[phase].fetch_add(1_000, Relaxed);
                }
            });
        }
        for _ in 0..TURNS {
            for (phase, elapsed) in elapsed.iter_mut().enumerate() {
                beside.store(phase, Relaxed);
                let began = Instant::now();
                while began.elapsed() < PHASE {
                    match BESIDE[phase] {
                        "alone" => thread::sleep(PHASE),
                        "often" => {
                            drop(black_box(scrape_any(&instance)));
                            thread::sleep(PAUSE);
                        }
                        _ => drop(black_box(scrape_any(&instance))),
                    }
                }
                *elapsed += began.elapsed();
            }
        }
        stop.store(true, Relaxed);
    });
    let mut sample = Sample::new();
    for (phase, name) in BESIDE.into_iter().enumerate() {
        let events = events[phase].load(Relaxed) as f64;
        sample.insert(format!("{name}_ns"), busy[phase].load(Relaxed) as f64 / events);
        sample.insert(format!("{name}_rate"), events / elapsed[phase].as_secs_f64());
    }
    let event_kept = sample["alone_ns"] / sample["scraped_ns"];
    let rate_kept = sample["often_rate"] / sample["alone_rate"];
    sample.extend([("event_kept".to_owned(), event_kept), ("rate_kept".to_owned(), rate_kept)]);
    sample
}

fn scrape_any<L: Loaded>(instance: &L) -> String {
    let text = instance.encode(Format::OpenMetrics).or_else(|| instance.encode(Format::Text));
    text.expect("it knows one format")
}

/// Looks at every counter and bucket of one scrape after another while two threads record: how many fell, and
/// how many events are missing at the end.
fn observer<L: Loaded>() -> Sample {
    const RECORDERS: usize = 2;
    const TIME: Duration = Duration::from_millis(500);
    let requests = requests(50);
    let instance = L::new(requests.len());
    let (stop, events) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut seen = HashMap::new();
    let (mut scrapes, mut falls) = (0_u64, 0_u64);
    let mut look = |text: &str| {
        scrapes += 1;
        for (series, value) in samples(text) {
            if let Some(last) = seen.get_mut(series) {
                falls += u64::from(value < *last);
                *last = value;
            } else {
                seen.insert(series.to_owned(), value);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..RECORDERS {
            scope.spawn(|| {
                let mut turn = Turn::new(&requests);
                while !stop.load(Relaxed) {
                    for _ in 0..1_000 {
                        instance.track(turn.next());
                    }
                    events.fetch_add(1_000, Relaxed);
                }
            });
        }
        let began = Instant::now();
        while began.elapsed() < TIME {
            look(&scrape_any(&instance));
        }
        stop.store(true, Relaxed);
    });
    let last = scrape_any(&instance);
    look(&last);
    let counted: f64 = samples(&last)
        .filter(|(series, _)| series.starts_with("http_requests_total{"))
        .map(|(_, value)| value)
        .sum();
    sample([
        ("scrapes", scrapes as f64),
        ("falls", falls as f64),
        ("missing", events.into_inner() as f64 - counted),
    ])
}

/// The series that must not fall, with their values.
fn samples(text: &str) -> impl Iterator<Item = (&str, f64)> {
    text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let (series, value) = line.rsplit_once(' ')?;
        let name = series.split('{').next()?;
        let cumulative =
            ["_total", "_bucket", "_count"].iter().any(|suffix| name.ends_with(suffix));
        Some((series, value.parse().ok()?)).filter(|_| cumulative)
    })
}
