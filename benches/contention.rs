//! What a scrape costs the threads that record meanwhile.
//!
//! `cargo bench --bench contention`
//!
//! Two threads record at full speed, alone, beside a scrape now and then, and beside one after another. What they
//! lose has two reasons, which are told apart:
//!
//! - *Cache lines*: what a scrape reads, the next event has to take back. That makes an event longer, so it
//!   shows in the CPU time of an event.
//! - *The processor*: where no core is idle, the scraping thread takes a share of theirs, whatever it does with
//!   it. That shows in the events of a second, and as much beside a thread that only spins: the floor.

use std::{
    hint,
    sync::{
        Barrier,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use backend_metrics::{
    Format, Metrics,
    labels::{QueryStatus, QueryType},
};
use rustix::time::{ClockId, clock_gettime};

/// Threads that record.
const RECORDERS: usize = 2;
/// How often every case is measured, in turns.
const ROUNDS: usize = 15;
/// How long each time.
const ROUND: Duration = Duration::from_millis(500);
/// Events between two looks at whether the round is over.
const BATCH: u64 = 1_000;
/// Fifty times as often as the configuration that ships with the crate.
const INTERVAL: Duration = Duration::from_millis(100);

/// What happens beside the recording threads.
#[derive(Clone, Copy)]
enum Beside {
    Nothing,
    ScrapeNowAndThen,
    Spinning,
    ScrapeAfterScrape,
}

const CASES: [(Beside, &str); 4] = [
    (Beside::Nothing, "floor: alone"),
    (Beside::ScrapeNowAndThen, "beside a scrape every 100 ms"),
    (Beside::Spinning, "floor: beside a thread that spins"),
    (Beside::ScrapeAfterScrape, "beside a thread that scrapes without a pause"),
];

/// What one round came to.
#[derive(Clone, Copy)]
struct Round {
    /// CPU time of an event, in nanoseconds.
    event: f64,
    /// Events of all threads in a second.
    rate: f64,
    /// Scrapes in a second.
    scrapes: f64,
}

/// The time that the calling thread had a processor, in seconds.
#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn cpu_time() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Records until told to stop: the number of events, and their CPU time.
fn record(metrics: Metrics, stop: &AtomicBool) -> (u64, f64) {
    let (mut events, started) = (0, cpu_time());
    while !stop.load(Relaxed) {
        for _ in 0..BATCH {
            let labels =
                (hint::black_box(QueryType::Select), hint::black_box(QueryStatus::Success));
            metrics.track_database_query(labels.0, Duration::from_micros(1_700), labels.1);
        }
        events += BATCH;
    }
    (events, cpu_time() - started)
}

fn disturb(metrics: Metrics, beside: Beside, stop: &AtomicBool, scrapes: &AtomicU64) {
    while !stop.load(Relaxed) {
        match beside {
            Beside::Nothing => thread::park(),
            Beside::Spinning => hint::spin_loop(),
            Beside::ScrapeNowAndThen => thread::park_timeout(INTERVAL),
            Beside::ScrapeAfterScrape => {}
        }
        if matches!(beside, Beside::ScrapeNowAndThen | Beside::ScrapeAfterScrape) {
            hint::black_box(metrics.encode(Format::OpenMetrics));
            scrapes.fetch_add(1, Relaxed);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn round(metrics: Metrics, beside: Beside) -> Round {
    let (stop, scrapes) = (AtomicBool::new(false), AtomicU64::new(0));
    let start = Barrier::new(RECORDERS + 2);
    thread::scope(|scope| {
        let recorders = [(); RECORDERS].map(|()| {
            scope.spawn(|| {
                start.wait();
                record(metrics, &stop)
            })
        });
        let other = scope.spawn(|| {
            start.wait();
            disturb(metrics, beside, &stop, &scrapes);
        });
        start.wait();
        let started = Instant::now();
        thread::sleep(ROUND);
        stop.store(true, Relaxed);
        other.thread().unpark();
        let recorded = recorders.map(|recorder| recorder.join().unwrap());
        let took = started.elapsed().as_secs_f64();
        let events = recorded.iter().map(|(events, _)| events).sum::<u64>() as f64;
        let cpu = recorded.iter().map(|(_, cpu)| cpu).sum::<f64>();
        Round {
            event: cpu * 1e9 / events,
            rate: events / took,
            scrapes: scrapes.load(Relaxed) as f64 / took,
        }
    })
}

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<_> = figures.collect();
    figures.sort_unstable_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn main() {
    let metrics = Metrics::new();
    round(metrics, Beside::ScrapeAfterScrape);
    let rounds: Vec<_> =
        (0..ROUNDS).map(|_| CASES.map(|(beside, _)| round(metrics, beside))).collect();
    let alone = Beside::Nothing as usize;

    println!("| | scrapes/s | CPU time of an event | to alone | events/s | to alone |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: |");
    for (case, (_, name)) in CASES.iter().enumerate() {
        let of =
            |figure: fn(&Round) -> f64| median(rounds.iter().map(|round| figure(&round[case])));
        // Of figures that were measured one after the other, as the machine is not always equally fast.
        let ratio = |figure: fn(&Round) -> f64| {
            median(rounds.iter().map(|round| figure(&round[case]) / figure(&round[alone])))
        };
        println!(
            "| {name} | {:.0} | {:.2} ns | {:.3} | {:.0} million | {:.3} |",
            of(|round| round.scrapes),
            of(|round| round.event),
            ratio(|round| round.event),
            of(|round| round.rate) / 1e6,
            ratio(|round| round.rate),
        );
    }
}
