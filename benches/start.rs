//! What a program pays at its start: the time of its first `build`, and the memory that an instance takes.
//!
//! `cargo bench --all-features --bench start`, on Linux.
//!
//! A first build finds cold caches and memory that was never touched, and a process has but one. So the bench
//! runs itself many times; each run measures once.

use std::{
    collections::BTreeMap,
    env, fs,
    hint::black_box,
    process::Command,
    time::{Duration, Instant},
};

use backend_metrics::{
    Metrics,
    labels::{QueryStatus, QueryType},
};

/// Processes of each kind.
const RUNS: usize = 101;
/// Instances that a process makes after its first, to tell what one more takes.
const LATER: usize = 20;

/// Tells a run what to measure: `instance`, `counter`, or how many bytes the floor takes.
const CHILD: &str = "BENCH_START";

const FLOOR: &str = "floor: as much memory, taken in one piece and written";
const FIRST: &str = "the first build of a process";
const NEXT: &str = "a later build";
#[cfg(feature = "quanta")]
const COUNTER: &str = "the first `Clock::counter` of a process, before it";

const BUILT: &str = "an instance";
const RECORDED: &str = "its first event";
const SCRAPED: &str = "its first scrape";
const ANOTHER: &str = "a later instance";

/// What was measured, in nanoseconds and in bytes.
type Figures = BTreeMap<String, i64>;

fn build() -> Metrics {
    let builder = Metrics::builder().service("1.4.2", "order-gateway");
    builder.constant_label("region", "mumbai").build().unwrap()
}

/// Memory of the process that is in RAM and is no part of a file: heap, stacks, and data that was written.
fn memory() -> i64 {
    let rollup = fs::read_to_string("/proc/self/smaps_rollup").unwrap();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Anonymous:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<i64>().unwrap() * 1024
}

/// The time that `work` takes, and what memory it leaves taken.
fn measure<T>(work: impl FnOnce() -> T) -> (T, i64, i64) {
    // Twice, as the reading itself takes memory the first time.
    let (_, before, started) = (memory(), memory(), Instant::now());
    let result = black_box(work());
    let nanos = started.elapsed().as_nanos().try_into().unwrap();
    (result, nanos, memory() - before)
}

fn measure_instance() -> Figures {
    let (metrics, first, built) = measure(build);
    let (select, success) = (QueryType::Select, QueryStatus::Success);
    let record = || metrics.track_database_query(select, Duration::from_micros(1_700), success);
    let ((), _, recorded) = measure(record);
    let (_, _, scraped) = measure(|| metrics.to_text());
    let later = [(); LATER].map(|()| measure(build));
    let next = median(later.iter().map(|(_, nanos, _)| *nanos));
    let another =
        later.iter().map(|(_, _, memory)| memory).sum::<i64>() / i64::try_from(LATER).unwrap();
    let figures = [
        (FIRST, first),
        (NEXT, next),
        (BUILT, built),
        (RECORDED, recorded),
        (SCRAPED, scraped),
        (ANOTHER, another),
    ];
    figures.map(|(name, figure)| (name.to_owned(), figure)).into()
}

fn measure_floor(bytes: usize) -> Figures {
    let (_, nanos, _) = measure(|| vec![1_u8; bytes]);
    [(FLOOR.to_owned(), nanos)].into()
}

#[cfg(feature = "quanta")]
fn measure_counter() -> Figures {
    let (_, nanos, _) = measure(backend_metrics::Clock::counter);
    [(COUNTER.to_owned(), nanos)].into()
}

/// Measures in a process of its own.
fn run(what: &str) -> Figures {
    let program = env::current_exe().unwrap();
    let output = Command::new(program).env(CHILD, what).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn median(figures: impl Iterator<Item = i64>) -> i64 {
    let mut figures: Vec<_> = figures.collect();
    figures.sort_unstable();
    figures[figures.len() / 2]
}

fn main() {
    if let Ok(what) = env::var(CHILD) {
        let figures = match what.as_str() {
            "instance" => measure_instance(),
            #[cfg(feature = "quanta")]
            "counter" => measure_counter(),
            bytes => measure_floor(bytes.parse().unwrap()),
        };
        println!("{}", serde_json::to_string(&figures).unwrap());
        return;
    }
    let bytes = run("instance")[BUILT].to_string();
    let kinds = [
        "instance",
        &bytes,
        #[cfg(feature = "quanta")]
        "counter",
    ];
    let runs: Vec<_> = (0..RUNS).flat_map(|_| kinds.map(run)).collect();

    let median = |name| median(runs.iter().filter_map(|figures| figures.get(name)).copied());
    let floor = median(FLOOR);
    println!("| | time | to the floor |\n| --- | ---: | ---: |");
    let rows = [
        FLOOR,
        FIRST,
        NEXT,
        #[cfg(feature = "quanta")]
        COUNTER,
    ];
    for name in rows {
        let nanos = median(name);
        #[expect(clippy::cast_precision_loss, reason = "a ratio of small numbers")]
        let ratio = nanos as f64 / floor as f64;
        println!("| {name} | {} us | {ratio:.1} |", nanos / 1_000);
    }
    println!("\n| | memory |\n| --- | ---: |");
    for name in [BUILT, RECORDED, SCRAPED, ANOTHER] {
        println!("| {name} | {} kB |", median(name) / 1_000);
    }
}
