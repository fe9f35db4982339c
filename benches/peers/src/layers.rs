//! What a layer adds to a request on an axum router.

use std::convert::Infallible;

use axum::{Router, body::Body, extract::Request, response::Response, routing::get};
use backend_metrics::{Metrics, middleware::MetricsLayer};
use futures_util::FutureExt;
use http::Uri;
use http_body_util::BodyExt;
use tower::{Service, layer::util::Identity};

use crate::{
    bench::{Bench, Sample},
    case::{Case, Use},
    library::threads_row,
    ours::NAME,
};

#[path = "../../floor/mod.rs"]
mod floor;

/// The router alone, which is taken off the others.
pub const BARE: &str = "no layer";
pub const IDLE: &str = "a layer that does nothing";
pub const CLOCKS: &str = "future and body wrapped, three readings of the clock";

/// What each layer records.
pub const FAMILIES: &[[&str; 2]] = &[
    [
        NAME,
        "6: count, duration, first byte, both sizes, active; 2 more for panics and cancellations",
    ],
    ["axum-prometheus", "3: count, duration, active"],
    ["prometheus-axum-middleware", "4: count, duration, size of the response, active"],
    ["tower-otel, axum-otel-metrics, tower-otel-http-metrics", "4: duration, both sizes, active"],
];

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    add(&mut cases, BARE, Use::Floor, |router| router);
    add(&mut cases, IDLE, Use::Floor, |router| router.layer(Identity::new()));
    add(&mut cases, CLOCKS, Use::Floor, |router| {
        router.layer(floor::Wrapping { reads_clock: true })
    });
    add(&mut cases, NAME, Use::Idiomatic, |router| router.layer(MetricsLayer::new(Metrics::new())));
    #[cfg(feature = "peers")]
    peers(&mut cases);
    cases
}

/// A request to the router by each of so many threads, which share it as the connections of a server do.
fn add(
    cases: &mut Vec<Case>,
    subject: &'static str,
    usage: Use,
    with_layer: impl Fn(Router) -> Router + Copy + 'static,
) {
    for threads in [1, 2] {
        cases.push(Case::new(threads_row("layer", threads), subject, usage, move |bench| {
            through_router(bench, threads, with_layer)
        }));
    }
}

pub fn through_router(
    bench: Bench,
    threads: usize,
    with_layer: impl Fn(Router) -> Router,
) -> Sample {
    // For what a layer starts beside the requests.
    let runtime = tokio::runtime::Runtime::new().expect("the system has threads");
    let _entered = runtime.enter();
    let router = with_layer(Router::new().route("/orders/{id}", get(async || "an order")));
    let uri = Uri::from_static("/orders/17");
    let event_of_a_thread = || {
        let (mut router, uri) = (router.clone(), &uri);
        move || answer(&mut router, uri)
    };
    if threads == 1 {
        bench.event(event_of_a_thread())
    } else {
        bench.threads(threads, event_of_a_thread, || ())
    }
}

/// Sends a request and reads the answer to its end. Nothing in it waits.
fn answer<S>(service: &mut S, uri: &Uri)
where
    S: Service<Request, Response = Response, Error = Infallible>,
{
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = std::hint::black_box(uri).clone();
    let response =
        service.call(request).now_or_never().expect("nothing waits").expect("it cannot fail");
    assert!(response.status().is_success());
    let mut body = response.into_body();
    while let Some(frame) = body.frame().now_or_never().expect("nothing waits") {
        std::hint::black_box(frame.expect("it cannot fail"));
    }
}

/// Each set up as its documentation has it. Those of `OpenTelemetry` record into an SDK whose reader is asked
/// by nobody, which costs a request nothing.
#[cfg(feature = "peers")]
fn peers(cases: &mut Vec<Case>) {
    use opentelemetry::metrics::MeterProvider;
    use opentelemetry_sdk::metrics::{ManualReader, SdkMeterProvider};

    add(cases, "axum-prometheus", Use::Idiomatic, |router| {
        router.layer(axum_prometheus::PrometheusMetricLayer::pair().0)
    });
    add(cases, "prometheus-axum-middleware", Use::Idiomatic, |router| {
        router.layer(prometheus_axum_middleware::PrometheusAxumLayer::new())
    });
    add(cases, "tower-otel", Use::Idiomatic, |router| {
        let provider = SdkMeterProvider::builder().with_reader(ManualReader::default()).build();
        router.layer(tower_otel::metrics::HttpLayer::server(&kept(provider).meter("peers")))
    });
    add(cases, "axum-otel-metrics", Use::Idiomatic, |router| {
        use opentelemetry_sdk_0_32::metrics::{ManualReader, SdkMeterProvider};
        let provider = SdkMeterProvider::builder().with_reader(ManualReader::default()).build();
        router.layer(
            axum_otel_metrics::HttpMetricsLayerBuilder::new().with_provider(provider).build(),
        )
    });
    add(cases, "tower-otel-http-metrics", Use::Idiomatic, |router| {
        use opentelemetry_0_30::metrics::MeterProvider;
        use opentelemetry_sdk_0_30::metrics::{ManualReader, SdkMeterProvider};
        let provider = SdkMeterProvider::builder().with_reader(ManualReader::default()).build();
        let layer = tower_otel_http_metrics::HTTPMetricsLayerBuilder::builder();
        router
            .layer(layer.with_meter(kept(provider).meter("peers")).build().expect("it has a meter"))
    });
}

/// Its instruments stop with it.
#[cfg(feature = "peers")]
fn kept<T>(provider: T) -> &'static T {
    Box::leak(Box::new(provider))
}
