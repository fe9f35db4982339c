//! Who scrapes while others record never sees a count go back.

mod common;

use std::{
    collections::HashMap,
    sync::{
        Barrier,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
};

use backend_metrics::{Format, Metrics};
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

/// They are read and then set: another scrape may come between.
#[cfg(all(feature = "process", target_os = "linux"))]
#[test]
fn no_figure_of_the_process_falls_while_several_scrape() {
    let subsystems = backend_metrics::catalog().map(|entry| entry.subsystem);
    let others = subsystems.filter(|subsystem| *subsystem != "process");
    let metrics =
        others.fold(Metrics::builder(), backend_metrics::Builder::without).build().unwrap();
    thread::scope(|scope| {
        let observers = [(); 4].map(|()| scope.spawn(|| observe(metrics, 1_000)));
        for observer in observers {
            let (first, last) = observer.join().unwrap();
            assert!(last > first, "the process took no time");
        }
    });
}
