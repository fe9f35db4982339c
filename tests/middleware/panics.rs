//! Panics take their usual way through the layer.

use std::{
    convert::Infallible,
    panic::{AssertUnwindSafe, catch_unwind},
    task::{Context, Poll},
};

use http::{Request, Response};
use tower::{Layer, Service, service_fn};

use crate::{
    exposed::{Test, order},
    scripted::{
        Answers, Failure, Plan, Scripted, Step::*, answer, panic, panics, poll, poll_frame, read,
    },
};

/// Makes a 500 of a panic in its inner service's future, as a layer further in may do.
#[derive(Clone)]
struct Catch(Answers);

impl Service<Request<Scripted>> for Catch {
    type Response = Response<Scripted>;
    type Error = Failure;
    type Future = std::future::Ready<Result<Response<Scripted>, Failure>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Scripted>) -> Self::Future {
        let answered = catch_unwind(AssertUnwindSafe(|| poll(&mut self.0.call(request))));
        std::future::ready(match answered {
            Ok(Poll::Ready(response)) => response,
            Ok(Poll::Pending) => panic!("the service is not ready"),
            Err(_) => Ok(Response::builder().status(500).body(Scripted::sized(7)).unwrap()),
        })
    }
}

#[test]
fn a_panic_that_is_caught_further_in_is_an_ordinary_500() {
    let test = Test::new();
    let service = test.layer().layer(Catch(Answers { clock: test.clock.clone() }));
    let plan = Plan::ok().before([Takes(30), Panics]);
    read(answer(service, order("GET", plan)).unwrap());
    test.assert_moved(
        r#"
        http_requests_total{method="GET",endpoint="/orders/{id}",status="500"} 1
        http_request_duration_seconds_count{method="GET",endpoint="/orders/{id}"} 1
        http_request_duration_seconds_sum{method="GET",endpoint="/orders/{id}"} 0.03
        http_time_to_first_byte_seconds_count{method="GET",endpoint="/orders/{id}"} 1
        http_time_to_first_byte_seconds_sum{method="GET",endpoint="/orders/{id}"} 0.03
        http_request_size_bytes_count{method="GET",endpoint="/orders/{id}"} 1
        http_response_size_bytes_count{method="GET",endpoint="/orders/{id}"} 1
        http_response_size_bytes_sum{method="GET",endpoint="/orders/{id}"} 7
        "#,
    );
}

#[test]
fn a_panic_keeps_its_message() {
    let test = Test::new();
    let mut service = test.layer().layer(service_fn(async |request: Request<Scripted>| {
        assert!(request.uri().path() == "/", "{} is lost", request.uri());
        Ok::<_, Infallible>(Response::new(Scripted::default()))
    }));
    let panic = catch_unwind(AssertUnwindSafe(|| {
        poll(&mut Box::pin(service.call(order("GET", Plan::ok())))).is_ready()
    }));
    assert_eq!(panic.unwrap_err().downcast_ref::<String>().unwrap(), "/orders/17 is lost");
}

#[test]
fn a_request_that_is_unwound_with_a_neighbour_is_not_blamed() {
    let test = Test::new();
    panics(|| {
        let mut neighbour = test.service().call(order("GET", Plan::ok().before([Hangs])));
        assert!(poll(&mut neighbour).is_pending());
        let mut future = test.service().call(order("PUT", Plan::ok().before([Panics])));
        poll(&mut future).is_ready()
    });
    test.assert_moved(
        r#"
        http_requests_total{method="GET",endpoint="/orders/{id}",status="499"} 1
        http_request_duration_seconds_count{method="GET",endpoint="/orders/{id}"} 1
        http_request_size_bytes_count{method="GET",endpoint="/orders/{id}"} 1
        http_requests_cancelled_total{method="GET",endpoint="/orders/{id}"} 1
        http_requests_total{method="PUT",endpoint="/orders/{id}",status="500"} 1
        http_request_duration_seconds_count{method="PUT",endpoint="/orders/{id}"} 1
        http_request_size_bytes_count{method="PUT",endpoint="/orders/{id}"} 1
        http_panics_total{endpoint="/orders/{id}"} 1
        "#,
    );
}

#[test]
fn a_panic_before_the_endpoint_is_found_is_a_500_of_none() {
    let expected = r#"
        http_requests_total{method="GET",endpoint="unmatched",status="500"} 1
        http_request_duration_seconds_count{method="GET",endpoint="unmatched"} 1
        http_panics_total{endpoint="unmatched"} 1
        "#;
    let test = Test::new();
    let mut request = order("GET", Plan::ok());
    *request.body_mut() = Scripted::whose_size_panics();
    panics(|| test.service().call(request));
    test.assert_moved(expected);

    let test = Test::new();
    let layer = test.layer().endpoint(|_| panic());
    let mut service = layer.layer(Answers { clock: test.clock.clone() });
    panics(|| service.call(order("GET", Plan::ok())));
    test.assert_moved(expected);

    // One that is left out stays so.
    let test = Test::new();
    let mut service =
        test.layer().exclude(["/orders/*"]).layer(Answers { clock: test.clock.clone() });
    let mut request = order("GET", Plan::ok());
    *request.body_mut() = Scripted::whose_size_panics();
    panics(|| service.call(request));
    test.assert_moved("");
}

#[test]
fn a_panic_of_a_body_that_is_asked_about_its_length_is_a_500() {
    for plan in [Plan::ok().size_panics(), Plan::ok().body([Data(40), Data(60)]).end_panics(2)] {
        let test = Test::new();
        panics(|| test.answer("GET", plan.before([Takes(30)])));
        test.assert_moved(
            r#"
            http_requests_total{method="GET",endpoint="/orders/{id}",status="500"} 1
            http_request_duration_seconds_count{method="GET",endpoint="/orders/{id}"} 1
            http_request_duration_seconds_sum{method="GET",endpoint="/orders/{id}"} 0.03
            http_request_size_bytes_count{method="GET",endpoint="/orders/{id}"} 1
            http_panics_total{endpoint="/orders/{id}"} 1
            "#,
        );
    }
}

#[test]
fn a_panic_of_a_body_that_is_asked_for_its_end_keeps_the_status() {
    let test = Test::new();
    let plan = Plan::ok().body([Data(40), Data(60)]).end_panics(1);
    let mut response = test.answer("GET", plan).unwrap();
    panics(|| poll_frame(response.body_mut()).is_ready());
    test.assert_moved(
        r#"
        http_requests_total{method="GET",endpoint="/orders/{id}",status="200"} 1
        http_request_duration_seconds_count{method="GET",endpoint="/orders/{id}"} 1
        http_time_to_first_byte_seconds_count{method="GET",endpoint="/orders/{id}"} 1
        http_request_size_bytes_count{method="GET",endpoint="/orders/{id}"} 1
        http_response_size_bytes_count{method="GET",endpoint="/orders/{id}"} 1
        http_response_size_bytes_sum{method="GET",endpoint="/orders/{id}"} 40
        http_panics_total{endpoint="/orders/{id}"} 1
        "#,
    );
}

#[test]
fn a_service_goes_on_after_a_panic() {
    let test = Test::new();
    let mut service = test.service();
    panics(|| service.call(order("GET", Plan::panics_in_call())));
    read(answer(service, order("GET", Plan::ok())).unwrap());
    let requests = r#"http_requests_total{method="GET",endpoint="/orders/{id}",status="#;
    assert_eq!(test.series(&format!(r#"{requests}"500"}}"#)), Some(1.0));
    assert_eq!(test.series(&format!(r#"{requests}"200"}}"#)), Some(1.0));
}
