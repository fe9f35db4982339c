//! What a layer adds to a request on an axum router.

use std::convert::Infallible;

use axum::{Router, body::Body, extract::Request, response::Response, routing::get};
use backend_metrics::{Metrics, middleware::MetricsLayer};
use futures_util::FutureExt;
use http::Uri;
use http_body_util::BodyExt;
use tower::{Service, layer::util::Identity};

use crate::{
    case::{Case, Use},
    library::threads_row,
};

/// The router alone, which is taken off the others.
pub const BARE: &str = "no layer";
pub const IDLE: &str = "a layer that does nothing";

/// What each layer records.
pub const FAMILIES: &[[&str; 2]] = &[[
    "backend-metrics",
    "6: count, duration, time to first byte, both sizes, active; and panics, cancellations",
]];

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    add(&mut cases, BARE, Use::Floor, |router| router);
    add(&mut cases, IDLE, Use::Floor, |router| router.layer(Identity::new()));
    add(&mut cases, "backend-metrics", Use::Idiomatic, |router| {
        router.layer(MetricsLayer::new(Metrics::new()))
    });
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
        }));
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

#[cfg(feature = "peers")]
fn peers(_: &mut Vec<Case>) {}
