//! What the compiler is asked: the types go wherever those inside go.

use std::{
    marker::PhantomPinned,
    panic::{RefUnwindSafe, UnwindSafe},
};

use backend_metrics::middleware::{
    ClientExchange, ClientLayer, ClientService, End, Endpoint, MetricsLayer, MetricsService,
    RequestHead, ResponseBody, ResponseFuture, ServerExchange,
};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use tower::{Layer, Service};

use crate::scripted::{Answer, Answers, Failure, Scripted};

fn goes_anywhere<T: Send + Sync + Unpin + 'static>() {}
fn is_cloned<T: Clone>() {}
fn survives_panics<T: UnwindSafe + RefUnwindSafe>() {}

#[test]
fn they_are_send_and_sync_and_outlive_everything() {
    goes_anywhere::<MetricsLayer>();
    goes_anywhere::<MetricsService<Answers>>();
    goes_anywhere::<ResponseFuture<Answer, ServerExchange>>();
    goes_anywhere::<ResponseBody<Scripted, ServerExchange>>();
    goes_anywhere::<ResponseBody<Full<Bytes>, ServerExchange>>();
    goes_anywhere::<ClientLayer>();
    goes_anywhere::<ClientService<Answers>>();
    goes_anywhere::<ResponseFuture<Answer, ClientExchange>>();
    goes_anywhere::<ResponseBody<Incoming, ClientExchange>>();
    goes_anywhere::<Endpoint>();
    goes_anywhere::<End>();
    goes_anywhere::<RequestHead<'static>>();
}

#[test]
fn layers_and_services_are_cloned() {
    is_cloned::<MetricsLayer>();
    is_cloned::<MetricsService<Answers>>();
    is_cloned::<ClientLayer>();
    is_cloned::<ClientService<Answers>>();
    is_cloned::<Endpoint>();
}

#[cfg(feature = "axum")]
#[test]
fn so_is_what_carries_templates_out() {
    use backend_metrics::middleware::{MatchedPathFuture, MatchedPathLayer, MatchedPathService};

    goes_anywhere::<MatchedPathLayer>();
    goes_anywhere::<MatchedPathService<Answers>>();
    goes_anywhere::<MatchedPathFuture<Answer>>();
    is_cloned::<MatchedPathLayer>();
    is_cloned::<MatchedPathService<Answers>>();
}

#[test]
fn they_can_be_used_after_a_panic() {
    survives_panics::<MetricsService<Answers>>();
    survives_panics::<ClientService<Answers>>();
}

#[test]
fn their_futures_and_bodies_can_be_named() {
    fn server<S>(_: &S)
    where
        S: Service<
                Request<Incoming>,
                Response = Response<ResponseBody<Scripted, ServerExchange>>,
                Error = Failure,
                Future = ResponseFuture<Answer, ServerExchange>,
            >,
    {
    }
    fn client<S>(_: &S)
    where
        S: Service<
                Request<Full<Bytes>>,
                Response = Response<ResponseBody<Scripted, ClientExchange>>,
                Error = Failure,
                Future = ResponseFuture<Answer, ClientExchange>,
            >,
    {
    }
    let test = crate::exposed::Test::new();
    server(&test.service());
    client(&test.client());
    let layered: MetricsService<ClientService<Answers>> = test.layer().layer(test.client());
    server_over_client(&layered);
}

fn server_over_client<S>(_: &S)
where
    S: Service<
            Request<Incoming>,
            Response = Response<
                ResponseBody<ResponseBody<Scripted, ClientExchange>, ServerExchange>,
            >,
        >,
{
}

/// Neither `Unpin` nor `Clone` nor `Sync` inside: the layer does not ask for it.
struct Stubborn(PhantomPinned, std::cell::Cell<()>);

impl Service<Request<Incoming>> for Stubborn {
    type Response = Response<Full<Bytes>>;
    type Error = Box<dyn std::error::Error>;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>>>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Self::Error>> {
        _ = (self.0, &self.1);
        std::task::Poll::Ready(Err("it is never ready".into()))
    }

    fn call(&mut self, _: Request<Incoming>) -> Self::Future {
        Box::pin(std::future::pending())
    }
}

#[test]
fn they_ask_nothing_of_what_is_inside() {
    let test = crate::exposed::Test::new();
    let mut service = test.layer().layer(Stubborn(PhantomPinned, std::cell::Cell::new(())));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(service.poll_ready(&mut context).is_ready());
    // The request that it fails is not known.
    test.assert_moved(
        r#"
        http_requests_total{method="OTHER",endpoint="unmatched",status="500"} 1
        http_request_duration_seconds_count{method="OTHER",endpoint="unmatched"} 1
        application_errors_total{error_type="handler_error",severity="error"} 1
        "#,
    );
}
