//! Who scrapes while others record never sees a count go back, and sees the numbers of a histogram fit.
//!
//! That `_count` is the number of the last bucket is a rule of the reader, [`parse`]: here it holds in every scrape.

mod common;

use std::{
    collections::HashMap,
    sync::{
        Barrier,
        atomic::{
            AtomicBool, AtomicU64,
            Ordering::{Relaxed, SeqCst},
            fence,
        },
    },
    thread,
};

use backend_metrics::{Builder, Format, Histogram, Metrics, families};
use common::{
    events::record,
    exposition::{Exposition, parse},
};

/// Threads that record until the last scrape.
const RECORDERS: usize = 2;
/// Threads that scrape, each with its own memory of what it saw.
const OBSERVERS: usize = 2;
/// What only rises: counters, and the buckets, sums and counts of histograms. By the name and the labels of a line.
type Counts = HashMap<String, f64>;

fn counts(exposition: &Exposition) -> Counts {
    let families = exposition.families.iter();
    let rising = families.filter(|family| ["counter", "histogram"].contains(&&*family.kind));
    rising
        .flat_map(|family| &family.samples)
        .map(|sample| {
            (format!("{}{:?}", sample.name, sample.labels), sample.value.parse().unwrap())
        })
        .collect()
}

/// Scrapes time and again in both formats: the sum of all counts at first and in the end.
fn observe(metrics: Metrics, scrapes: usize) -> (f64, f64) {
    let scrape = |number: usize| {
        let format = [Format::OpenMetrics, Format::Text][number % 2];
        let text = metrics.encode(format);
        counts(&parse(&text, format).unwrap_or_else(|broken| panic!("{broken}\n{text}")))
    };
    let first = scrape(0);
    let mut before = first.clone();
    for number in 1..scrapes {
        let now = scrape(number);
        for (line, earlier) in before {
            let later = now.get(&line).unwrap_or_else(|| panic!("{line} is gone"));
            assert!(*later >= earlier, "{line}: {later} after {earlier}");
        }
        before = now;
    }
    (first.values().sum(), before.values().sum())
}

/// Stops the recorders even if an observer panics.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

#[test]
fn no_counter_bucket_sum_or_count_falls_while_threads_record() {
    let metrics = Metrics::new();
    let (stop, recorded) = (AtomicBool::new(false), Barrier::new(RECORDERS + 2));
    thread::scope(|scope| {
        let _stop = Stop(&stop);
        let recorders = || {
            record(metrics, "/orders");
            recorded.wait();
            for number in 0.. {
                if stop.load(Relaxed) {
                    break;
                }
                record(metrics, ["/orders", "/positions", "/quotes"][number % 3]);
            }
        };
        (0..RECORDERS).for_each(|_| drop(scope.spawn(recorders)));
        // Threads that come and go, each with the cells of the one before. They alone write these series.
        scope.spawn(|| {
            recorded.wait();
            while !stop.load(Relaxed) {
                thread::spawn(move || record(metrics, "/trades")).join().unwrap();
            }
        });
        recorded.wait();
        let observers = [(); OBSERVERS].map(|()| scope.spawn(|| observe(metrics, 60)));
        for observer in observers {
            let (first, last) = observer.join().unwrap();
            assert!(last > first, "nothing was recorded between the scrapes");
        }
    });
}

/// A builder of an instance that shows one subsystem of the library or none, so that a scrape takes little time.
fn showing(subsystem: Option<&str>) -> Builder {
    let subsystems = backend_metrics::catalog().map(|entry| entry.subsystem);
    let others = subsystems.filter(|other| Some(*other) != subsystem);
    others.fold(Metrics::builder(), Builder::without)
}

families! {
    /// A histogram of its own.
    pub struct LotMetrics = "lots" {
        /// Lots of a trade
        pub lots: Histogram<u64> = "lots" in &[0.0, 1.0, 10.0],
    }
}

/// Each observation adds one to the count and one to the sum, so that both are numbers of observations. In a scrape
/// each is at least what had been observed before it, and at most what was observed before its end: they differ by no
/// more than what was observed meanwhile.
#[test]
fn a_sum_and_its_buckets_differ_by_what_is_observed_during_the_scrape() {
    let metrics = showing(None).mount::<LotMetrics>().build().unwrap();
    let lots = metrics.mounted::<LotMetrics>().unwrap().lots;
    let (begun, done) = (AtomicU64::new(0), AtomicU64::new(0));
    let (stop, running) = (AtomicBool::new(false), Barrier::new(RECORDERS + 1));
    let record = || {
        begun.fetch_add(1, SeqCst);
        lots.observe(1);
        done.fetch_add(1, SeqCst);
    };
    thread::scope(|scope| {
        let _stop = Stop(&stop);
        for _ in 0..RECORDERS {
            scope.spawn(|| {
                record();
                running.wait();
                while !stop.load(Relaxed) {
                    record();
                }
            });
        }
        running.wait();
        let first = done.load(SeqCst);
        for number in 0..500 {
            let format = [Format::OpenMetrics, Format::Text][number % 2];
            let least = done.load(SeqCst);
            let text = metrics.encode(format);
            // What was seen had begun.
            fence(SeqCst);
            let most = begun.load(SeqCst);
            let exposition = parse(&text, format).unwrap_or_else(|broken| panic!("{broken}"));
            let [sum, count, last] =
                [("lots_sum", &[][..]), ("lots_count", &[]), ("lots_bucket", &[("le", "+Inf")])]
                    .map(|(name, labels)| exposition.value(name, labels).unwrap());
            assert_eq!(count, last);
            for seen in [sum, count] {
                let seen = seen.parse::<u64>().unwrap();
                assert!((least..=most).contains(&seen), "{seen} is not in {least} to {most}");
            }
        }
        assert!(done.load(SeqCst) > first, "nothing was recorded between the scrapes");
    });
    let exposition = parse(&metrics.to_text(), Format::Text).unwrap();
    let observed = done.into_inner().to_string();
    assert_eq!(exposition.value("lots_sum", &[]), Some(&*observed));
    assert_eq!(exposition.value("lots_count", &[]), Some(&*observed));
}

/// They are read and then set: another scrape may come between.
#[cfg(all(feature = "process", target_os = "linux"))]
#[test]
fn no_figure_of_the_process_falls_while_several_scrape() {
    let metrics = showing(Some("process")).build().unwrap();
    thread::scope(|scope| {
        let observers = [(); 4].map(|()| scope.spawn(|| observe(metrics, 1_000)));
        for observer in observers {
            let (first, last) = observer.join().unwrap();
            assert!(last > first, "the process took no time");
        }
    });
}
