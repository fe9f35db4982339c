//! In which trace a request is recorded: that of the layer around ours, if it enters its span for the body.

use std::{
    collections::BTreeSet,
    pin::Pin,
    task::{Context, Poll, ready},
};

use backend_metrics::{Format, TraceExemplars};
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower::{Layer, Service};
use tracing::{Span, info_span};
use tracing_subscriber::layer::SubscriberExt;

use crate::{
    exposed::{Test, order},
    exposition,
    scripted::{self, Answers, Plan, Step::*, frame},
};

/// Makes a span for each request and enters it for the future and the body, as `TraceLayer` of `tower-http`
/// does.
struct Traces<S>(S);

impl<S, T, B, E> Service<Request<T>> for Traces<S>
where
    S: Service<Request<T>, Response = Response<B>, Error = E>,
{
    type Response = Response<InSpan<B>>;
    type Error = E;
    type Future = InSpan<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), E>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<T>) -> Self::Future {
        let span = info_span!("request", trace_id = "the-trace");
        let inner = span.in_scope(|| self.0.call(request));
        InSpan { span, inner }
    }
}

pin_project! {
    struct InSpan<T> {
        span: Span,
        #[pin]
        inner: T,
    }
}

impl<F, B, E> Future for InSpan<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<InSpan<B>>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.span.in_scope(|| this.inner.poll(context)))?;
        let span = this.span.clone();
        Poll::Ready(Ok(response.map(|inner| InSpan { span, inner })))
    }
}

impl<B: Body> Body for InSpan<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        this.span.in_scope(|| this.inner.poll_frame(context))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Runs `act` with the layer of spans, and gives the names of the samples with an exemplar.
fn exemplified(test: &Test, act: impl FnOnce()) -> BTreeSet<String> {
    let subscriber = tracing_subscriber::registry().with(TraceExemplars::new());
    tracing::subscriber::with_default(subscriber, act);
    let text = test.metrics.encode(Format::OpenMetrics);
    let exposition = exposition::parse(&text, Format::OpenMetrics).unwrap();
    let with_exemplar = exposition.samples().filter_map(|sample| {
        let exemplar = sample.exemplar.as_ref()?;
        assert_eq!(exemplar.labels, [("trace_id".to_owned(), "the-trace".to_owned())]);
        Some(sample.name.clone())
    });
    with_exemplar.collect()
}

fn plan() -> Plan {
    Plan::ok().body([Data(10), Data(5)])
}

#[test]
fn inside_of_the_layer_with_the_span_a_request_is_recorded_in_its_trace() {
    let test = Test::new();
    let exemplified = exemplified(&test, || {
        let response = scripted::answer(Traces(test.service()), order("GET", plan())).unwrap();
        scripted::read(response);
    });
    let expected = [
        "http_request_duration_seconds_bucket",
        "http_request_size_bytes_bucket",
        "http_requests_total",
        "http_response_size_bytes_bucket",
        "http_time_to_first_byte_seconds_bucket",
    ];
    assert_eq!(exemplified, expected.map(str::to_owned).into());
}

#[test]
fn around_the_layer_with_the_span_a_request_is_recorded_in_no_trace() {
    let test = Test::new();
    let exemplified = exemplified(&test, || {
        let service = test.layer().layer(Traces(Answers { clock: test.clock.clone() }));
        let response = scripted::answer(service, order("GET", plan())).unwrap();
        scripted::read(response);
    });
    assert_eq!(test.series(REQUESTS), Some(1.0));
    assert_eq!(exemplified, BTreeSet::new());
}

#[test]
fn a_body_that_is_dropped_is_dropped_outside_of_the_span() {
    let test = Test::new();
    let exemplified = exemplified(&test, || {
        let mut response = scripted::answer(Traces(test.service()), order("GET", plan())).unwrap();
        frame(&mut response);
    });
    let cancelled = r#"http_requests_cancelled_total{method="GET",endpoint="/orders/{id}"}"#;
    assert_eq!(test.series(cancelled), Some(1.0), "{}", test.metrics.to_text());
    assert_eq!(exemplified, BTreeSet::new());
}

const REQUESTS: &str = r#"http_requests_total{method="GET",endpoint="/orders/{id}",status="200"}"#;
