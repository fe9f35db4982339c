//! Tower layers that record HTTP requests: [`MetricsLayer`] around a service, [`ClientLayer`] around a
//! client.
//!
//! One request is one record, made exactly once, whatever happens to it:
//!
//! | what happened | `http_requests_total` | duration | active | also |
//! | --- | --- | --- | --- | --- |
//! | the body was handed over to its end | its status | to the end | down | sizes |
//! | the service failed | 500 | to the failure | down | `application_errors_total` |
//! | the service panicked | 500 | to the panic | down | `http_panics_total` |
//! | it was dropped before its end: the client left, or a timeout outside of the layer expired | 499 | until then | down | `http_requests_cancelled_total` |
//! | the body failed | its status | to the failure | down | `application_errors_total` |
//! | the body panicked | its status | to the panic | down | `http_panics_total` |
//! | an upgrade (101, or a 2xx to CONNECT) | its status | to the head | down at the head | |
//! | a stream of events | its status | to the head | down when the body ends | size |
//!
//! The record is made where the gauge goes down: the requests that were started are those that are recorded
//! and those that are active. A response without a body (to HEAD, 1xx, 204, 304) is at its end with its head.
//!
//! 499 says that the request was dropped from outside, before its response was handed over: by its client, or by a
//! timeout further out, such as tonic's `Server::timeout` or a `TimeoutLayer` around this layer. The layer cannot tell
//! them apart, and what the client then gets is not seen here: put timeouts inside of the layer where you can, and the
//! status that they answer is recorded (500 for one that fails instead, as that of `tower` does). [`ClientLayer`] counts a request that is dropped before the head of its response, by its caller
//! or by a timeout around the layer, with the status `error`.
//!
//! # The order of layers
//!
//! From the outside to the inside:
//!
//! 1. what finds the endpoint, where no router of axum does: a function that puts in an [`Endpoint`];
//! 2. what makes the span of the request, such as `TraceLayer` of `tower-http`: a request is recorded when its body
//!    ends, and has an [exemplar](#exemplars) if that is in the span;
//! 3. what turns panics into responses, such as `CatchPanicLayer`: the layer records a panic and passes it on;
//! 4. [`MetricsLayer`];
//! 5. whatever answers or refuses requests by itself: timeouts, limits, load shedding, authentication, CORS,
//!    compression. So their answers are recorded, with the sizes of compressed bodies;
//! 6. the handlers.
//!
//! A `ServiceBuilder` lists layers in this order. Those that are added to an axum router one by one are in the
//! opposite order: the last one is the outermost.
//!
//! # The endpoint
//!
//! `endpoint` is a route template, never a path. It comes from the first of these that has one:
//!
//! 1. the function given to [`MetricsLayer::endpoint`];
//! 2. axum's `MatchedPath` (feature `axum`);
//! 3. an [`Endpoint`] in the extensions of the request, then of the response;
//! 4. the path, normalised: decimal numbers become `{id}`, UUIDs `{uuid}`, segments of more than eight
//!    characters that mix letters and digits `{id}`.
//!
//! A normalised path is looked up when the request starts, and made known only when it was answered other
//! than by a client error (4xx). Until then the request counts as `unmatched`. So a scanner makes no series.
//! A target without a path, that of a CONNECT, is `unmatched`.
//!
//! In an axum router, a request that no route matched is `unmatched`, whatever the fallback answers. Routers that are used
//! as services can carry their templates out: see the layer `MatchedPathLayer` (feature `axum`).
//!
//! # Bodies
//!
//! Response bodies are counted frame by frame as they are handed to the server, which is before their bytes are sent: a
//! server such as hyper takes the next frame once its buffer has room. So a body of many frames ends about when its
//! last byte is sent, and a client that leaves in its midst is seen. A body of a single frame, such as a `String`, is over
//! once the server has taken that, whether the client reads all of it, slowly, or leaves. A body has ended when it gives
//! no further frame, when it says so itself, or when as many bytes were handed over as it said before, or else its head:
//! servers drop a finished body without asking it again. A stream of events is one whose length nobody says; it has no
//! end of its own. `size_hint`, `is_end_stream` and trailers pass through. The size of a request is what its
//! head announces; one of unknown length is no sample.
//!
//! # Exemplars
//!
//! A request is recorded in its trace if the layer that makes the span is outside of this one and enters the span for the
//! polls of the body too, as the `TraceLayer` of `tower-http` does; see the layer `TraceExemplars` (feature `exemplars`).
//!
//! # Panics
//!
//! A panic is recorded and takes its usual way. One before the endpoint is found, of the function for it or of the
//! request's body that is asked its size, counts under `unmatched`. What a server asks of a body beside its frames is
//! not watched: if that panics, the request counts as dropped.
//!
//! ```
//! use std::convert::Infallible;
//!
//! use backend_metrics::{Metrics, middleware::MetricsLayer};
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let metrics = Metrics::new();
//! let service = ServiceBuilder::new()
//!     .layer(MetricsLayer::new(metrics).exclude(["/metrics", "/health"]))
//!     .service(service_fn(async |_: Request<String>| {
//!         Ok::<_, Infallible>(Response::new("an order".to_owned()))
//!     }));
//! let request = Request::get("/orders/17").body(String::new()).unwrap();
//! drop(service.oneshot(request).await);
//! assert!(metrics.to_text().contains("endpoint=\"unmatched\""));
//! # }
//! ```

mod body;
mod client;
mod endpoint;
mod exchange;
mod future;
mod layer;
#[cfg(feature = "axum")]
mod matched_path;
mod server;
mod service;

#[cfg(fuzzing)]
pub(crate) use self::endpoint::NormalisedPath;
#[cfg(feature = "axum")]
pub use self::matched_path::{MatchedPathFuture, MatchedPathLayer, MatchedPathService};
pub use self::{
    body::ResponseBody,
    client::{ClientExchange, ClientLayer, ClientService},
    endpoint::{Endpoint, RequestHead},
    exchange::{End, Exchange, Follows},
    future::ResponseFuture,
    layer::MetricsLayer,
    server::ServerExchange,
    service::MetricsService,
};
