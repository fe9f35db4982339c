//! What it costs to record an event with closed labels, in groups that begin with their floors.
//!
//! `cargo bench --bench record`

use std::{
    hint::black_box,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use backend_metrics::{
    Metrics,
    labels::{QueryStatus, QueryType},
};
use criterion::Criterion;

const TOOK: Duration = Duration::from_micros(1_700);

fn floors(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("floor");
    group.bench_function("an empty loop", |bencher| bencher.iter(|| ()));
    let cell = AtomicU64::new(0);
    group.bench_function("one relaxed fetch_add", |bencher| {
        bencher.iter(|| black_box(&cell).fetch_add(1, Relaxed));
    });
    group.bench_function("one Instant::now", |bencher| bencher.iter(Instant::now));
    group.bench_function("two Instant::now", |bencher| {
        bencher.iter(|| Instant::now().elapsed());
    });
}

fn families(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("family");
    let metrics = Metrics::new();
    let database = &metrics.database;
    group.bench_function("counter inc, two closed labels", |bencher| {
        bencher.iter(|| {
            let labels = (black_box(QueryType::Select), black_box(QueryStatus::Success));
            database.queries.get(labels).inc();
        });
    });
    group.bench_function("histogram observe, one closed label, 11 bounds", |bencher| {
        bencher.iter(|| {
            database.query_duration.get(black_box(QueryType::Select)).observe(black_box(TOOK));
        });
    });
}

fn helpers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("helper");
    let metrics = Metrics::new();
    group.bench_function("track_database_query", |bencher| {
        bencher.iter(|| {
            let (query_type, status) =
                (black_box(QueryType::Select), black_box(QueryStatus::Success));
            metrics.track_database_query(query_type, black_box(TOOK), status);
        });
    });
    group.bench_function("start_database_query, success: two clocks", |bencher| {
        bencher.iter(|| metrics.start_database_query(black_box(QueryType::Select)).success());
    });
}

/// Two threads on the same series.
fn threads(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("two threads");
    let cell = AtomicU64::new(0);
    group.bench_function("one relaxed fetch_add", |bencher| {
        bencher.iter_custom(|events| {
            on_two_threads(events, || {
                black_box(&cell).fetch_add(1, Relaxed);
            })
        });
    });
    let metrics = Metrics::new();
    group.bench_function("track_database_query", |bencher| {
        bencher.iter_custom(|events| {
            on_two_threads(events, || {
                let (query_type, status) =
                    (black_box(QueryType::Select), black_box(QueryStatus::Success));
                metrics.track_database_query(query_type, black_box(TOOK), status);
            })
        });
    });
}

/// The time that each of two threads takes for so many events.
fn on_two_threads(events: u64, record: impl Fn() + Sync) -> Duration {
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| (0..events).for_each(|_| record()));
        }
    });
    started.elapsed()
}

/// The same in a trace, with the layer of exemplars.
#[cfg(feature = "exemplars")]
fn traced(criterion: &mut Criterion) {
    use backend_metrics::TraceExemplars;
    use tracing_subscriber::layer::SubscriberExt;

    let mut group = criterion.benchmark_group("exemplars");
    let metrics = Metrics::new();
    for (name, interval) in
        [("refused by the interval", Duration::from_hours(24)), ("kept", Duration::ZERO)]
    {
        let layer = TraceExemplars::new().interval(interval);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let span = tracing::info_span!("order", trace_id = "4bf92f3577b34da6a3ce929d0e0e4736");
            let _entered = span.enter();
            group.bench_function(format!("counter inc, two closed labels, {name}"), |bencher| {
                bencher.iter(|| {
                    let labels = (black_box(QueryType::Select), black_box(QueryStatus::Success));
                    metrics.database.queries.get(labels).inc();
                });
            });
            group.bench_function(format!("track_database_query, {name}"), |bencher| {
                bencher.iter(|| {
                    let (query_type, status) =
                        (black_box(QueryType::Select), black_box(QueryStatus::Success));
                    metrics.track_database_query(query_type, black_box(TOOK), status);
                });
            });
        });
    }
    let registry = tracing_subscriber::registry;
    let with_layer = registry().with(TraceExemplars::new());
    for (name, subscriber) in [
        ("floor: without the layer", tracing::Dispatch::new(registry())),
        ("with it", tracing::Dispatch::new(with_layer)),
    ] {
        tracing::dispatcher::with_default(&subscriber, || {
            let span = tracing::info_span!("order", trace_id = "4bf92f3577b34da6a3ce929d0e0e4736");
            group.bench_function(format!("a span entered and left, {name}"), |bencher| {
                bencher.iter(|| span.in_scope(|| black_box(())));
            });
        });
    }
}

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    floors(&mut criterion);
    families(&mut criterion);
    helpers(&mut criterion);
    threads(&mut criterion);
    #[cfg(feature = "exemplars")]
    traced(&mut criterion);
    criterion.final_summary();
}
