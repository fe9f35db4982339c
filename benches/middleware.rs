//! What the layer adds to a request, around a service that does nothing and on an axum router.
//!
//! The floor follows a request as the layer does, and records nothing.
//!
//! `cargo bench --bench middleware`

use std::{borrow::Cow, convert::Infallible, hint::black_box, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{MatchedPath, Request},
    response::Response,
    routing::get,
};
use backend_metrics::{Metrics, middleware::MetricsLayer};
use criterion::Criterion;
use futures_util::FutureExt;
use http::Uri;
use http_body_util::BodyExt;
use tower::{Layer, Service, service_fn};

use floor::Wrapping;

mod floor;

const IDLE: Wrapping = Wrapping { reads_clock: false };
const CLOCK: Wrapping = Wrapping { reads_clock: true };

/// Sends a request and reads the answer to its end. Nothing in it waits.
fn answer<S, B>(service: &mut S, uri: &Uri) -> usize
where
    S: Service<Request, Response = Response<B>, Error = Infallible>,
    B: http_body::Body<Data = bytes::Bytes> + Unpin,
{
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = uri.clone();
    let response = service.call(request).now_or_never().unwrap().unwrap();
    let mut body = response.into_body();
    let mut bytes = 0;
    while let Some(Ok(frame)) = body.frame().now_or_never().unwrap() {
        bytes += frame.data_ref().map_or(0, bytes::Bytes::len);
    }
    bytes
}

fn layer(metrics: Metrics) -> MetricsLayer {
    // The order of the crate's own feature `axum`, so that the bench needs no feature.
    MetricsLayer::new(metrics).endpoint(|request| {
        request.extensions.get::<MatchedPath>().map(|path| Cow::Borrowed(path.as_str()))
    })
}

fn service(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("a tower service");
    let uri = Uri::from_static("/orders");
    let inner = || {
        service_fn(async |_: Request| Ok::<_, Infallible>(Response::new(Body::from("an order"))))
    };
    let mut bare = inner();
    group.bench_function("floor: no layer", |bencher| {
        bencher.iter(|| answer(black_box(&mut bare), &uri));
    });
    let mut idle = IDLE.layer(inner());
    group.bench_function("floor: a layer that does nothing", |bencher| {
        bencher.iter(|| answer(black_box(&mut idle), &uri));
    });
    let mut timed = CLOCK.layer(inner());
    group.bench_function("floor: a layer that reads the clock three times", |bencher| {
        bencher.iter(|| answer(black_box(&mut timed), &uri));
    });
    let mut recorded = layer(Metrics::new()).layer(inner());
    group.bench_function("the layer, the path normalised", |bencher| {
        bencher.iter(|| answer(black_box(&mut recorded), &uri));
    });
    let fixed = MetricsLayer::new(Metrics::new()).endpoint(|_| Some(Cow::Borrowed("/orders")));
    let mut recorded = fixed.layer(inner());
    group.bench_function("the layer, a route template", |bencher| {
        bencher.iter(|| answer(black_box(&mut recorded), &uri));
    });
}

fn router(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("an axum router");
    let uri = Uri::from_static("/orders/17");
    let inner = || Router::new().route("/orders/{id}", get(async || "an order"));
    let mut bare = inner();
    group.bench_function("floor: no layer", |bencher| {
        bencher.iter(|| answer(black_box(&mut bare), &uri));
    });
    let mut idle = inner().layer(IDLE);
    group.bench_function("floor: a layer that does nothing", |bencher| {
        bencher.iter(|| answer(black_box(&mut idle), &uri));
    });
    let mut timed = inner().layer(CLOCK);
    group.bench_function("floor: a layer that reads the clock three times", |bencher| {
        bencher.iter(|| answer(black_box(&mut timed), &uri));
    });
    let mut recorded = inner().layer(layer(Metrics::new()));
    group.bench_function("the layer", |bencher| {
        bencher.iter(|| answer(black_box(&mut recorded), &uri));
    });
    #[cfg(feature = "quanta")]
    {
        let clock = backend_metrics::Clock::counter();
        let metrics = Metrics::builder().clock(clock).build().unwrap();
        let mut counted = inner().layer(layer(metrics));
        group.bench_function("the layer, Clock::counter", |bencher| {
            bencher.iter(|| answer(black_box(&mut counted), &uri));
        });
    }
}

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    service(&mut criterion);
    router(&mut criterion);
    criterion.final_summary();
}
