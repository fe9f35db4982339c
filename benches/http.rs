//! What it costs to record one HTTP request, over 50 endpoints in turn; the clocks apart.
//!
//! `cargo bench --bench http`

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use backend_metrics::Metrics;
use criterion::Criterion;
use http::{Method, StatusCode};

const TOOK: Duration = Duration::from_micros(1_700);

fn endpoints() -> Vec<String> {
    const RESOURCES: [&str; 10] = [
        "orders",
        "positions",
        "holdings",
        "instruments",
        "strategies",
        "accounts",
        "statements",
        "subscriptions",
        "margins",
        "quotes",
    ];
    const SHAPES: [&str; 5] = ["", "/{id}", "/{id}/history", "/{id}/cancel", "/search"];
    RESOURCES
        .iter()
        .flat_map(|resource| SHAPES.iter().map(move |shape| format!("/api/v1/{resource}{shape}")))
        .collect()
}

fn http(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("http");
    let endpoints = endpoints();
    let mut turn = endpoints.iter().cycle();
    let mut next = || black_box(turn.next().unwrap().as_str());
    group.bench_function("floor: an endpoint in turn", |bencher| bencher.iter(&mut next));
    group.bench_function("floor: three Instant::now", |bencher| {
        bencher.iter(|| (Instant::now(), Instant::now(), Instant::now()));
    });
    let metrics = Metrics::new();
    group.bench_function("an endpoint looked up", |bencher| {
        bencher.iter(|| metrics.http.endpoints.get(next()));
    });
    group.bench_function("track_http_request: four families, no clock", |bencher| {
        bencher.iter(|| {
            let (method, status) = (black_box(&Method::GET), black_box(StatusCode::OK));
            metrics.track_http_request(method, next(), status, black_box(TOOK), (100, 2_000));
        });
    });
    let mut answer = |metrics: Metrics| {
        let mut request = metrics.start_http_request(black_box(&Method::GET), next());
        request.received(100);
        request.head(black_box(StatusCode::OK));
        request.sent(2_000);
        request.end();
    };
    group.bench_function("start_http_request to its end: six families, three clocks", |bencher| {
        bencher.iter(|| answer(metrics));
    });
    #[cfg(feature = "quanta")]
    {
        let clock = backend_metrics::Clock::counter();
        let metrics = Metrics::builder().clock(clock).build().unwrap();
        group.bench_function("the same, Clock::counter", |bencher| {
            bencher.iter(|| answer(metrics));
        });
    }
}

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    http(&mut criterion);
    criterion.final_summary();
}
