//! Threads come and go: nothing that they record is lost, and their cells are used again.
//!
//! A process of its own, as its memory is looked at; its tests take turns.

#![cfg(target_os = "linux")]

mod common;

use std::{
    cell::RefCell,
    collections::BTreeSet,
    sync::{Barrier, Mutex, PoisonError},
    thread,
    time::Duration,
};

use backend_metrics::{
    Metrics,
    labels::{QueryStatus, QueryType},
    subsystems::{database::QueryGuard, http::HttpRequestGuard},
};
use common::{events::record, exposition::read, resident::resident_bytes};
use http::Method;

/// Threads that run at the same time.
const AT_ONCE: usize = 8;
/// Threads of a runtime for tasks that block: more than get cells of their own.
const BLOCKING: usize = 400;
/// The most that memory may grow by while the number of threads at once stays. The cells of all threads that can have
/// some take more than twice that.
const MOST_GROWTH: u64 = 2_000_000;
/// The same, with what a runtime of tokio and its queue may keep.
const MOST_GROWTH_OF_A_STORM: u64 = 16_000_000;

fn in_turn<T>(test: impl FnOnce() -> T) -> T {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    test()
}

/// Asserts what so many calls of [`record`] come to, in cells of each kind.
#[track_caller]
fn assert_recorded(metrics: Metrics, times: usize) {
    let exposition = read(metrics);
    let route = |method| [("method", method), ("endpoint", "/orders")];
    let [get, post] = ["GET", "POST"].map(route);
    let request =
        |route: [(&'static str, &'static str); 2], status| [route[0], route[1], ("status", status)];
    let endpoint = [("endpoint", "/orders")];
    for (name, labels, value) in [
        ("http_requests_total", &request(get, "200")[..], times),
        ("http_requests_total", &request(post, "499"), times),
        ("http_request_duration_seconds_count", &get, times),
        ("http_requests_cancelled_total", &post, times),
        ("http_active_requests", &endpoint, 0),
        ("websocket_connections_active", &endpoint, 0),
        ("websocket_connection_duration_seconds_count", &endpoint, times),
        ("database_queries_total", &[("query_type", "select"), ("status", "success")], times),
        ("database_query_duration_seconds_count", &[("query_type", "select")], times),
        ("unhandled_exceptions_total", &[("exception_type", "/orders")], times),
    ] {
        let found = exposition.value(name, labels);
        assert_eq!(found, Some(&*value.to_string()), "{name} {labels:?}");
    }
}

/// Runs so many threads, a few at once, that record and end.
fn short_threads(metrics: Metrics, count: usize) {
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                for _ in 0..count / AT_ONCE {
                    thread::spawn(move || record(metrics, "/orders")).join().unwrap();
                }
            });
        }
    });
}

/// As a service does that hands every request to a thread which may wait.
fn storm(metrics: Metrics, tasks: usize) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(BLOCKING)
        // A thread ends as soon as it has nothing to do.
        .thread_keep_alive(Duration::from_nanos(1))
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut running = tokio::task::JoinSet::new();
        for _ in 0..tasks {
            running.spawn_blocking(move || record(metrics, "/orders"));
        }
        while let Some(ended) = running.join_next().await {
            ended.unwrap();
        }
    });
}

/// One after the other: the storm takes all cells that threads can have.
#[test]
fn threads_that_come_and_go_lose_nothing_and_use_the_same_cells_again() {
    in_turn(|| {
        let metrics = Metrics::new();
        short_threads(metrics, 16);
        let before = resident_bytes();
        short_threads(metrics, 10_000);
        let growth = resident_bytes().saturating_sub(before);
        println!("10,000 threads: {growth} bytes more");
        assert!(growth < MOST_GROWTH, "{growth} bytes");
        assert_recorded(metrics, 10_016);

        let metrics = Metrics::new();
        let barrier = Barrier::new(BLOCKING);
        thread::scope(|scope| {
            for _ in 0..BLOCKING {
                scope.spawn(|| {
                    record(metrics, "/orders");
                    barrier.wait();
                });
            }
        });
        // The runtime has a queue as long as the storm.
        storm(metrics, 10_000);
        let before = resident_bytes();
        for _ in 0..2 {
            storm(metrics, 10_000);
        }
        let growth = resident_bytes().saturating_sub(before);
        println!("20,000 blocking tasks: {growth} bytes more");
        assert!(growth < MOST_GROWTH_OF_A_STORM, "{growth} bytes");
        assert_recorded(metrics, BLOCKING + 30_000);
    });
}

/// Records when its thread ends.
struct Late {
    metrics: Metrics,
    _guards: (QueryGuard, HttpRequestGuard),
}

impl Late {
    fn new(metrics: Metrics) -> Self {
        let query = metrics.start_database_query(QueryType::Update);
        Self { metrics, _guards: (query, metrics.start_http_request(&Method::PUT, "/orders")) }
    }
}

impl Drop for Late {
    fn drop(&mut self) {
        record(self.metrics, "/orders");
        self.metrics.track_application_error(&format!("{:?}", thread::current().id()), SEVERITY);
        assert!(self.metrics.to_text().contains("database_queries_total"));
    }
}

const SEVERITY: backend_metrics::labels::ErrorSeverity =
    backend_metrics::labels::ErrorSeverity::Error;

thread_local! {
    static LATE: RefCell<Option<Late>> = const { RefCell::new(None) };
}

/// Thread-locals are destroyed in the order in which they were first used, or in the reverse: with both orders, one
/// of them runs after ours.
#[test]
fn what_destructors_of_thread_locals_record_is_counted_before_and_after_ours() {
    in_turn(|| {
        let metrics = Metrics::new();
        for ours_first in [true, false] {
            for _ in 0..20 {
                thread::spawn(move || {
                    if ours_first {
                        record(metrics, "/orders");
                        LATE.with(|late| late.replace(Some(Late::new(metrics))));
                    } else {
                        LATE.with(|late| late.replace(None));
                        record(metrics, "/orders");
                        LATE.set(Some(Late::new(metrics)));
                    }
                })
                .join()
                .unwrap();
            }
        }
        assert_recorded(metrics, 80);
        let exposition = read(metrics);
        let cancelled = [("query_type", "update"), ("status", "cancelled")];
        assert_eq!(exposition.value("database_queries_total", &cancelled), Some("40"));
        let left = [("method", "PUT"), ("endpoint", "/orders"), ("status", "499")];
        assert_eq!(exposition.value("http_requests_total", &left), Some("40"));
        let errors: BTreeSet<_> =
            exposition.values_of("application_errors_total", "error_type").into_iter().collect();
        assert_eq!(errors.len(), 1 + 40, "new values are taken as well");
    });
}

/// A thread that records nothing until it ends.
#[test]
fn a_thread_that_records_only_when_it_ends_is_counted() {
    struct AtEnd(Metrics);
    impl Drop for AtEnd {
        fn drop(&mut self) {
            let Self(metrics) = *self;
            metrics.track_database_query(QueryType::Insert, Duration::ZERO, QueryStatus::Success);
        }
    }
    thread_local!(static AT_END: RefCell<Option<AtEnd>> = const { RefCell::new(None) });
    in_turn(|| {
        let metrics = Metrics::new();
        for _ in 0..20 {
            thread::spawn(move || AT_END.set(Some(AtEnd(metrics)))).join().unwrap();
        }
        let queries = r#"database_queries_total{query_type="insert",status="success"}"#;
        assert_eq!(metrics.value(queries), Some(20.0));
    });
}
