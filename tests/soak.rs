//! Everything at once for a long time: memory stays where it is, and nothing is lost.

#![cfg(target_os = "linux")]

mod common;
mod drive;

use std::{
    env,
    sync::{
        Barrier,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use backend_metrics::{Clock, Counter, Format, Metrics, families};
use common::{events::record, exposition::read, resident::resident_bytes};
use drive::{Driver, Via};

families! {
    /// What the soak counts itself.
    pub struct SoakMetrics = "soak" {
        /// Rounds of all threads
        pub rounds: Counter = "soak_rounds_total",
    }
}

/// Threads that record all the time.
const RECORDERS: usize = 8;
/// Between two looks at the memory.
const STEP: Duration = Duration::from_secs(5);
/// The most that the memory of the last quarter may be above that of the second.
const MOST_GROWTH: u64 = 2_000_000;

struct Soak {
    metrics: Metrics,
    clock: Clock,
    /// Rounds that were made, to compare the counter with.
    rounds: AtomicU64,
    /// Scrapes that are done.
    scrapes: AtomicU64,
    stop: AtomicBool,
    /// How far the values that nobody has used before have come.
    next: AtomicU64,
}

impl Soak {
    fn new() -> Self {
        let clock = Clock::manual();
        let metrics =
            Metrics::builder().clock(clock.clone()).mount::<SoakMetrics>().build().unwrap();
        let [rounds, scrapes, next] = [const { AtomicU64::new(0) }; 3];
        Self { metrics, clock, rounds, scrapes, stop: AtomicBool::new(false), next }
    }

    fn round(&self) {
        let metrics = self.metrics;
        let new = self.next.fetch_add(1, Relaxed);
        record(metrics, &format!("/orders/{new}"));
        record(metrics, if new.is_multiple_of(2) { "/orders" } else { "/positions" });
        let account = format!("account {new}");
        metrics.update_strategy_account(&account, 1, 1, 1.0);
        metrics.remove_strategy_account(&account);
        metrics.mounted::<SoakMetrics>().unwrap().rounds.inc();
        self.rounds.fetch_add(1, Relaxed);
    }

    /// Rounds, and after each scrape every helper: what a scrape reads, it forgets by the next one.
    fn record(&self) {
        let mut driver = Driver::of(self.metrics, self.clock.clone(), Via::Methods);
        let mut driven_after = None;
        while !self.stop.load(Relaxed) {
            self.round();
            let scrapes = Some(self.scrapes.load(Relaxed));
            if driven_after != scrapes {
                driver.record();
                driver.release();
                driven_after = scrapes;
            }
        }
    }

    /// Threads that record once and end. Eight live at the same time again and again, so that the most threads at
    /// once are there from the beginning.
    fn come_and_go(&self) {
        const THREADS: usize = 8;
        let all_recorded = Barrier::new(THREADS);
        let record = || {
            self.round();
            all_recorded.wait();
        };
        while !self.stop.load(Relaxed) {
            thread::scope(|scope| (0..THREADS).for_each(|_| drop(scope.spawn(record))));
        }
    }

    /// Scrapes in both formats, as often as a scraper in a hurry.
    fn scrape(&self) {
        while !self.stop.load(Relaxed) {
            for format in [Format::OpenMetrics, Format::Text] {
                let text = self.metrics.encode(format);
                assert!(text.ends_with('\n'));
                self.scrapes.fetch_add(1, Relaxed);
            }
        }
    }

    /// The memory at each step.
    fn watch(&self, duration: Duration) -> Vec<u64> {
        let started = Instant::now();
        let mut seen = Vec::new();
        println!("{:>8} {:>12} {:>14}", "seconds", "KiB in RAM", "rounds");
        while started.elapsed() < duration {
            thread::park_timeout(STEP);
            let resident = resident_bytes();
            let rounds = self.rounds.load(Relaxed);
            println!("{:>8} {:>12} {rounds:>14}", started.elapsed().as_secs(), resident / 1024);
            seen.push(resident);
        }
        seen
    }
}

fn median(of: &[u64]) -> u64 {
    let mut sorted = of.to_vec();
    sorted.sort_unstable();
    sorted[sorted.len() / 2]
}

#[test]
#[ignore = "takes a quarter of an hour in a release build: scripts/soak"]
fn memory_stays_where_it_is() {
    let seconds = env::var("SOAK_SECONDS").map_or(900, |seconds| seconds.parse().unwrap());
    let soak = Soak::new();
    let seen = thread::scope(|scope| {
        (0..RECORDERS).for_each(|_| drop(scope.spawn(|| soak.record())));
        scope.spawn(|| soak.come_and_go());
        scope.spawn(|| soak.scrape());
        let seen = soak.watch(Duration::from_secs(seconds));
        soak.stop.store(true, Relaxed);
        seen
    });
    let rounds = soak.rounds.into_inner();
    println!("{rounds} rounds, {} scrapes", soak.scrapes.into_inner());
    let counted = read(soak.metrics);
    assert_eq!(counted.value("soak_rounds_total", &[]), Some(&*rounds.to_string()));
    // In the first quarter the caps are reached and the text of a scrape takes its place.
    let quarter = seen.len() / 4;
    let [second, last] = [&seen[quarter..2 * quarter], &seen[3 * quarter..]].map(median);
    println!("{second} bytes in the second quarter, {last} in the last");
    assert!(last < second + MOST_GROWTH, "memory grows");
}
