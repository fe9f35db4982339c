//! What it costs to encode a scrape of 1,000, 10,000 and 100,000 lines.
//!
//! `cargo bench --bench scrape`

use std::time::Duration;

use backend_metrics::{Format, Metrics, catalog};
use criterion::{Criterion, Throughput};
use http::{Method, StatusCode};

/// Lines that an endpoint with one method and one status has.
const LINES_OF_AN_ENDPOINT: usize = 49;

/// An instance with the HTTP families alone that exposes about so many lines, written by `threads`.
fn metrics(lines: usize, threads: usize) -> Metrics {
    let mut builder = Metrics::builder().label_cap(lines);
    for entry in catalog() {
        if entry.subsystem != "http" {
            builder = builder.without(entry.subsystem);
        }
    }
    let metrics = builder.build().unwrap();
    let barrier = std::sync::Barrier::new(threads);
    let record = || {
        for endpoint in 0..lines / LINES_OF_AN_ENDPOINT {
            let endpoint = format!("/api/v1/accounts/{{id}}/orders/{endpoint}");
            let mut request = metrics.start_http_request(&Method::GET, &endpoint);
            request.received(100);
            request.head(StatusCode::OK);
            request.sent(2_000);
            request.end();
        }
        // So that each thread has a slab of its own.
        barrier.wait();
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(record);
        }
    });
    metrics
}

fn scrape(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("scrape");
    group.sample_size(50);
    for (lines, threads) in [(1_000, 1), (10_000, 1), (100_000, 1), (100_000, 8)] {
        let metrics = metrics(lines, threads);
        let text = metrics.to_text();
        let size = format!("{lines} lines of {threads} threads");
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(format!("floor: a copy, {size}"), |bencher| {
            bencher.iter(|| text.clone());
        });
        for format in [Format::OpenMetrics, Format::Text] {
            group.bench_function(format!("{format:?}, {size}"), |bencher| {
                bencher.iter(|| metrics.encode(format));
            });
        }
    }
}

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    scrape(&mut criterion);
    criterion.final_summary();
}
