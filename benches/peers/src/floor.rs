//! The floors: the least that the machine could do for each row.

use std::{
    hint::black_box,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Instant,
};

use crate::{
    bench::{resident, sample},
    case::{Case, Use},
    library::{ENDPOINTS, THREADS, endpoints_row, leaked_requests, threads_row},
    shape::Turn,
};

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for row in ["counter", "histogram", "query"] {
        cases.push(Case::new(row, "an empty loop", Use::Floor, |bench| {
            bench.event(|| black_box(()))
        }));
        let cell = AtomicU64::new(0);
        cases.push(Case::new(row, "one relaxed fetch_add", Use::Floor, move |bench| {
            bench.event(|| _ = black_box(&cell).fetch_add(1, Relaxed))
        }));
        let own = AtomicU64::new(0);
        cases.push(Case::new(row, "a load, an addition, a store", Use::Floor, move |bench| {
            bench.event(|| {
                let own = black_box(&own);
                own.store(own.load(Relaxed) + 1, Relaxed);
            })
        }));
    }
    for threads in &THREADS[1..] {
        let cell = AtomicU64::new(0);
        cases.push(Case::new(
            threads_row("query", *threads),
            "one relaxed fetch_add",
            Use::Floor,
            move |bench| {
                bench.threads(*threads, || || _ = black_box(&cell).fetch_add(1, Relaxed), || ())
            },
        ));
    }
    for threads in [1, 2] {
        cases.push(Case::new(
            threads_row("guard", threads),
            "two readings of the clock",
            Use::Floor,
            move |bench| {
                let event = || || _ = black_box(black_box(Instant::now()).elapsed());
                if threads == 1 {
                    bench.event(event())
                } else {
                    bench.threads(threads, event, || ())
                }
            },
        ));
    }
    for threads in [1, 8] {
        let row = threads_row("memory", threads);
        cases.push(Case::new(row, "a number of 64 bits for a line", Use::Floor, |_| {
            let before = resident();
            let numbers = black_box(vec![1_u64; 100_000]);
            let each = (resident() - before) / numbers.len() as f64;
            sample([("recorded", each), ("scraped", each)])
        }));
    }
    cases.push(Case::new("http-track", "a request in turn", Use::Floor, |bench| {
        let mut turn = Turn::new(leaked_requests(50));
        bench.event(|| _ = turn.next())
    }));
    for endpoints in ENDPOINTS.into_iter().chain([50]) {
        let row = endpoints_row(endpoints);
        cases.push(Case::new(
            row,
            "a request in turn, three readings of the clock",
            Use::Floor,
            move |bench| {
                let mut turn = Turn::new(leaked_requests(endpoints));
                bench.event(|| {
                    turn.next();
                    let started = black_box(Instant::now());
                    _ = (black_box(started.elapsed()), black_box(started.elapsed()));
                })
            },
        ));
    }
    cases
}
