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
//! | the service failed or panicked before the call | 500 of `unmatched` | to the failure | down | as above |
//! | it was dropped while the service was not ready | 499 of `unmatched` | until then | down | `http_requests_cancelled_total` |
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
//! status that they answer is recorded (500 for one that fails instead, as that of `tower` does). [`ClientLayer`] counts
//! a request that is dropped before the head of its response, by its caller or by a timeout around the layer, with the
//! status `error`.
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
//! 4. the path, normalised: a segment that is a UUID becomes `{uuid}`, one that is another id `{id}`.
//!
//! Ids are told from words by their shape. Percent-encoding is undone first, and for numbers, dates and UUIDs
//! a file extension is left aside. An id is
//!
//! - a number, a date or a time: at least one digit, otherwise only punctuation and the `T` and `Z` of a time
//!   (`17`, `-17`, `1.5`, `2026-11-22`, `17.json`);
//! - an e-mail address;
//! - a segment in which letters and digits in a row are hexadecimal from 16 digits on (`sha256:9f86d081884c7d65`),
//!   a ULID, contain a number of 8 digits or more (`order-12345678`), or are at least 12, the letters of one
//!   case, with three or more separate numbers (`3f4e8a1b2c5d`);
//! - a segment in which at least 16 characters in a row are base64url, base62 or base58
//!   (`cus_9s6XKzkNRiz8i3`): a digit with a small letter behind it, a capital behind a digit or a small letter,
//!   and among what `-` and `_` separate one part with three numbers, or two parts with two.
//!
//! All others stay, words with a digit (`orders.v1.OrderService`, `oauth2callback`) and names (`jane`) among
//! them. Of a path the first 512 bytes are read, and an endpoint has at most 128.
//!
//! A raw path is a guess, and strangers can guess: it becomes an endpoint only by a 2xx to a request that is neither
//! OPTIONS nor gRPC, in a service that has named no endpoint yet by one of the first three ways, and up to
//! [`Builder::path_cap`](crate::Builder::path_cap) (default 100). All other requests count as `unmatched`: what a
//! fallback, a redirect, a CORS layer or an overloaded service answers for any path makes no series. So does a target
//! without a path, that of a CONNECT. An endpoint that the service names is never refused for a path.
//!
//! A method makes series of an endpoint only when it is taken: 405 and 501 count under `unmatched` with their method,
//! unless the endpoint has that method already. A 404 of a named endpoint is its own, as handlers answer 404 too.
//! Methods and statuses have caps ([`Builder::cap_of`](crate::Builder::cap_of)), so that the series of a service are
//! bounded whatever its clients send: [`Metrics::max_lines`](crate::Metrics::max_lines).
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
//! # Readiness
//!
//! A request starts when its clone of the service is first not ready (`poll_ready` is pending), and waits until that is
//! ready: its duration and the time to its first byte are the wait and the time from the call. A service that was ready
//! long before the call adds nothing. Servers such as hyper and axum clone the service for each request. So what a
//! client waits behind a `concurrency_limit` inside of the layer is in its duration, and the request is active.
//!
//! A service that is asked whether it is ready does not know the request yet. Until the call it is active under the
//! endpoint `unmatched`, and if there is no call it is recorded with that and the method `OTHER`: 499 if its clone is
//! dropped while it waits, 500 if `poll_ready` fails or panics (once, however often it is asked again). Paths that are
//! left out are active while they wait as well, and not recorded after the call. [`ClientLayer`] does the same: method
//! `OTHER`, status `error`, and the upstream `unknown` where that is the host of each request.
//!
//! So the layer goes outside of whatever asks for readiness and does not wait for it, such as `load_shed`, `buffer` and
//! `balance` of tower. Inside of `load_shed`, a refused request is a clone that is dropped while it waits, a 499; inside
//! of a `buffer` or a `balance` one clone waits for many requests, or for none: if the request that it waits for is given
//! up, it stays active, and the next request has that wait too. Outside, a refused request is what it is answered with:
//!
//! ```
//! use backend_metrics::{Metrics, middleware::MetricsLayer};
//! use http::{Request, Response, StatusCode};
//! use tower::{BoxError, Service, ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let metrics = Metrics::new();
//! let service = ServiceBuilder::new()
//!     .layer(MetricsLayer::new(metrics))
//!     .map_result(|result: Result<Response<String>, BoxError>| {
//!         result.or_else(|error| {
//!             let mut response = Response::new(error.to_string());
//!             *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
//!             Ok::<_, BoxError>(response)
//!         })
//!     })
//!     .load_shed()
//!     .concurrency_limit(100)
//!     .service(service_fn(async |_: Request<String>| {
//!         Ok::<_, BoxError>(Response::new("an order".to_owned()))
//!     }));
//! # let mut busy = Vec::new();
//! # for _ in 0..101 {
//! #     let mut clone = service.clone();
//! #     busy.push(clone.ready().await.unwrap().call(Request::default()));
//! # }
//! # let refused = busy.pop().unwrap().await.unwrap();
//! # drop(http_body_util::BodyExt::collect(refused.into_body()).await);
//! # assert!(metrics.to_text().contains("status=\"503\"} 1\n"));
//! # }
//! ```
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
mod path;
mod readiness;
mod server;
mod service;

#[cfg(feature = "axum")]
pub use self::matched_path::{MatchedPathFuture, MatchedPathLayer, MatchedPathService};
#[cfg(fuzzing)]
pub(crate) use self::path::NormalisedPath;
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
