//! What only the build with all features of the library has.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use backend_metrics::{
    Clock, Metrics, TraceExemplars, labels::QueryType, middleware::MetricsLayer,
};
use tracing_subscriber::layer::SubscriberExt;

use crate::{
    bench::{Bench, Sample, anonymous, median, resident, sample},
    case::{Case, Use},
    layers::through_router,
    ours::{NAME, SPANS, TRACE, labels, span},
    shape::TOOK,
};

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |row: &str, run: fn(Bench) -> Sample| {
        cases.push(Case::new(row, NAME, Use::Idiomatic, run));
    };
    // Where the last exemplar is young enough to stay, and where each event gives one.
    add("exemplars-traced-query", |bench| in_a_trace(Duration::from_hours(24), || query(bench)));
    add("exemplars-traced-query-kept", |bench| in_a_trace(Duration::ZERO, || query(bench)));
    add("exemplars-traced-layer", |bench| {
        in_a_trace(Duration::from_hours(24), || request(bench, Metrics::new()))
    });
    add("exemplars-traced-layer-kept", |bench| {
        in_a_trace(Duration::ZERO, || request(bench, Metrics::new()))
    });
    add("counter-clock-guard", |bench| {
        let metrics = by_the_counter();
        bench.event(|| metrics.start_database_query(black_box(QueryType::Select)).success())
    });
    add("counter-clock-layer", |bench| request(bench, by_the_counter()));
    add("start", |_| start());
    for (row, again) in SPANS {
        cases.push(Case::new(row, NAME, Use::Idiomatic, move |bench| {
            span(bench, again, tracing_subscriber::registry().with(TraceExemplars::new()))
        }));
    }
    cases
}

fn in_a_trace(interval: Duration, run: impl FnOnce() -> Sample) -> Sample {
    let layer = TraceExemplars::new().interval(interval);
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        tracing::info_span!("order", trace_id = TRACE).in_scope(run)
    })
}

fn query(bench: Bench) -> Sample {
    let metrics = Metrics::new();
    bench.event(|| {
        let (query, status) = labels();
        metrics.track_database_query(query, black_box(TOOK), status);
    })
}

fn request(bench: Bench, metrics: Metrics) -> Sample {
    through_router(bench, 1, |router| router.layer(MetricsLayer::new(metrics)))
}

fn by_the_counter() -> Metrics {
    Metrics::builder().clock(Clock::counter()).build().expect("no limit is passed")
}

/// The first instance of the process and those after it, and what they hold when idle.
fn start() -> Sample {
    const MORE: u32 = 50;
    let build = || {
        let builder = Metrics::builder()
            .service("1.4.2", "order-gateway")
            .constant_label("region", "mumbai")
            .hash_account_ids(b"a secret of thirty-two bytes or more");
        builder.build().expect("valid labels")
    };
    // Twice, as the reading itself takes memory the first time.
    let (_, before, before_anonymous) = (anonymous(), resident(), anonymous());
    let started = Instant::now();
    black_box(build());
    let first = started.elapsed();
    let (after_first, first_anonymous) = (resident(), anonymous().saturating_sub(before_anonymous));
    let mut times: Vec<_> = (0..MORE)
        .map(|_| {
            let started = Instant::now();
            black_box(build());
            started.elapsed().as_nanos() as f64
        })
        .collect();
    let (after_all, all_anonymous) = (resident(), anonymous().saturating_sub(before_anonymous));
    let started = Instant::now();
    black_box(vec![1_u8; first_anonymous]);
    let floor = started.elapsed();
    sample([
        ("first_ns", first.as_nanos() as f64),
        ("ns", median(&mut times)),
        ("first_bytes", after_first - before),
        ("bytes", (after_all - after_first) / f64::from(MORE)),
        ("first_anonymous", first_anonymous as f64),
        ("anonymous", (all_anonymous as f64 - first_anonymous as f64) / f64::from(MORE)),
        ("floor_ns", floor.as_nanos() as f64),
    ])
}
