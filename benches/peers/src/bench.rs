//! How a case is measured, in a process of its own.

use std::{
    collections::BTreeMap,
    hint::black_box,
    sync::{
        Barrier,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};

/// Batches per process, as many of each kind of [`run_batch`]; their median counts.
const BATCHES: usize = 16;
/// The least nanoseconds of a batch: long beside a tick of the scheduler.
const BATCH: u64 = 10_000_000;

/// What a case gives: named numbers.
pub type Sample = BTreeMap<String, f64>;

pub fn sample<const N: usize>(values: [(&str, f64); N]) -> Sample {
    values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Runs what a case measures.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bench {
    /// So many events and no more, for an instruction counter around the process.
    pub events: Option<u64>,
}

impl Bench {
    /// The nanoseconds of an event on one thread, as the thread has the processor: what else runs on the
    /// machine is not counted.
    pub fn event(self, event: impl FnMut()) -> Sample {
        self.event_with_upkeep(event, || ())
    }

    /// The same, with work between batches that is not counted.
    pub fn event_with_upkeep(self, mut event: impl FnMut(), upkeep: impl Fn()) -> Sample {
        if let Some(events) = self.events {
            // What is done once is not counted.
            (0..1_000).for_each(|_| event());
            repeat::<0>(events, &mut event);
            return Sample::new();
        }
        let mut batch = |number: usize, events: u64| {
            let before = thread_time();
            run_batch(number, events, &mut event);
            let took = thread_time() - before;
            upkeep();
            took
        };
        let events = calibrate(&mut |events| batch(0, events));
        let mut times: Vec<_> =
            (0..BATCHES).map(|number| per_event(batch(number, events), events)).collect();
        sample([("ns", median(&mut times))])
    }

    /// The nanoseconds from one event of a thread to its next while so many threads do the same at once, and
    /// for how many of them it has the processor. With more threads than processors the first is divided by
    /// the threads that a processor has.
    pub fn threads<E: FnMut()>(
        self,
        threads: usize,
        event_of_a_thread: impl Fn() -> E + Sync,
        upkeep: impl Fn(),
    ) -> Sample {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let share = threads.min(processors) as f64 / threads as f64;
        let batch = |number: usize, events: u64| {
            let (begin, end) = (Barrier::new(threads + 1), Barrier::new(threads + 1));
            let busy = AtomicU64::new(0);
            let elapsed = thread::scope(|scope| {
                for _ in 0..threads {
                    scope.spawn(|| {
                        let mut event = event_of_a_thread();
                        // What a thread does once is not counted.
                        event();
                        begin.wait();
                        let before = thread_time();
                        run_batch(number, events, &mut event);
                        busy.fetch_add(thread_time() - before, Relaxed);
                        end.wait();
                    });
                }
                begin.wait();
                let started = Instant::now();
                end.wait();
                started.elapsed()
            });
            upkeep();
            (nanoseconds(elapsed), busy.into_inner() / threads as u64)
        };
        if let Some(events) = self.events {
            batch(0, events);
            return Sample::new();
        }
        let events = calibrate(&mut |events| batch(0, events).0);
        let (mut elapsed, mut busy) = (Vec::new(), Vec::new());
        for number in 0..BATCHES {
            let took = batch(number, events);
            elapsed.push(per_event(took.0, events) * share);
            busy.push(per_event(took.1, events));
        }
        sample([("ns", median(&mut elapsed)), ("busy_ns", median(&mut busy))])
    }
}

/// A batch. The loops of four in turn lie a quarter of a cache line further on than the one before: where a loop
/// of a few instructions happens to lie changes it by a third.
fn run_batch(number: usize, events: u64, event: &mut impl FnMut()) {
    match number % 4 {
        0 => repeat::<0>(events, event),
        1 => repeat::<8>(events, event),
        2 => repeat::<16>(events, event),
        _ => repeat::<24>(events, event),
    }
}

/// A function of its own, so that instructions can be counted in it alone; before its loop there are so many
/// instructions of two bytes.
#[inline(never)]
fn repeat<const BEFORE: usize>(events: u64, event: &mut impl FnMut()) {
    for _ in 0..BEFORE {
        std::hint::spin_loop();
    }
    for _ in 0..events {
        event();
    }
}

/// The nanoseconds that the thread has the processor for something long, such as a scrape. What it gives is
/// dropped while the clock stands.
pub fn long<T>(run: impl FnMut() -> T) -> f64 {
    long_by(thread_time, run)
}

/// The same by the clock, for what is not done by one thread.
pub fn long_elapsed<T>(run: impl FnMut() -> T) -> f64 {
    let began = Instant::now();
    long_by(|| nanoseconds(began.elapsed()), run)
}

fn long_by<T>(clock: impl Fn() -> u64, mut run: impl FnMut() -> T) -> f64 {
    let mut times = Vec::new();
    let began = Instant::now();
    while times.len() < 4 || (times.len() < 200 && began.elapsed() < Duration::from_millis(400)) {
        let before = clock();
        let result = black_box(run());
        times.push((clock() - before) as f64);
        drop(result);
    }
    // The first fills the caches.
    median(&mut times[1..])
}

/// The nanoseconds that the thread had a processor.
pub fn thread_time() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// How many events fill a batch.
fn calibrate(batch: &mut impl FnMut(u64) -> u64) -> u64 {
    let mut events = 1_000;
    loop {
        let took = batch(events);
        if took >= BATCH {
            return events;
        }
        events = events.saturating_mul((BATCH / took.max(1)).clamp(2, 10));
    }
}

fn per_event(took: u64, events: u64) -> f64 {
    took as f64 / events as f64
}

pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len().is_multiple_of(2) {
        f64::midpoint(values[middle - 1], values[middle])
    } else {
        values[middle]
    }
}

/// The resident memory of the process in bytes.
pub fn resident() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux has it");
    let pages: f64 =
        statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("the second field");
    pages * rustix::param::page_size() as f64
}

/// The resident memory of the process that is no part of a file.
#[cfg(feature = "all-features")]
pub fn anonymous() -> usize {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").expect("Linux has it");
    let size = rollup.lines().find_map(|line| line.strip_prefix("Anonymous:")?.strip_suffix("kB"));
    let kilobytes: usize = size.and_then(|size| size.trim().parse().ok()).expect("a line has it");
    kilobytes * 1_024
}
