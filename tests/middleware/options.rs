//! What a layer can be told, and how it is put on.

use tower::Layer;

use crate::{
    exposed::Test,
    scripted::{Answers, Plan, Scripted, Step::*, answer, frame, panics, read, request},
};

#[test]
fn paths_can_be_left_out() {
    let test = Test::new();
    let layer = test.layer().exclude(["/metrics", "/health/*", "/static*"]);
    let service = layer.layer(Answers { clock: test.clock.clone() });
    for path in [
        "/metrics",
        "/metrics?a=b",
        "/health/",
        "/health/live",
        "/static",
        "/static.css",
        "/static/a",
    ] {
        let plan = Plan::ok().body([Data(10), Trailers]);
        let mut response = answer(service.clone(), request::<Scripted>("GET", path, plan)).unwrap();
        // It is passed on as it is.
        assert_eq!(frame(&mut response).into_data().unwrap().len(), 10);
        assert!(frame(&mut response).is_trailers());
        read(response);
        drop(answer(service.clone(), request::<Scripted>("GET", path, Plan::status(101))));
        answer(service.clone(), request::<Scripted>("GET", path, Plan::ok().before([Fails])))
            .unwrap_err();
        for plan in [Plan::panics_in_call(), Plan::ok().before([Panics])] {
            panics(|| answer(service.clone(), request::<Scripted>("GET", path, plan)));
        }
    }
    test.assert_moved("");
    for path in ["/metrics/", "/metric", "/health", "/stati", "/orders/metrics"] {
        read(answer(service.clone(), request::<Scripted>("GET", path, Plan::ok())).unwrap());
        let series =
            format!(r#"http_requests_total{{method="GET",endpoint="{path}",status="200"}}"#);
        assert_eq!(test.series(&series), Some(1.0));
    }
}

#[test]
fn nothing_is_left_out_by_default() {
    let test = Test::new();
    read(answer(test.service(), request::<Scripted>("GET", "/metrics", Plan::ok())).unwrap());
    let series = r#"http_requests_total{method="GET",endpoint="/metrics",status="200"}"#;
    assert_eq!(test.series(series), Some(1.0));
}

#[test]
fn a_layer_can_be_put_on_several_services() {
    let test = Test::new();
    let layer = test.layer();
    let answers = Answers { clock: test.clock.clone() };
    let services =
        [layer.layer(answers.clone()), layer.layer(answers.clone()), layer.layer(answers)];
    for service in services.iter().cycle().take(9) {
        read(answer(service.clone(), request::<Scripted>("GET", "/orders", Plan::ok())).unwrap());
    }
    test.assert_moved(
        r#"
        http_requests_total{method="GET",endpoint="/orders",status="200"} 9
        http_request_duration_seconds_count{method="GET",endpoint="/orders"} 9
        http_time_to_first_byte_seconds_count{method="GET",endpoint="/orders"} 9
        http_response_size_bytes_count{method="GET",endpoint="/orders"} 9
        "#,
    );
}

#[test]
fn layers_of_two_instances_do_not_mix() {
    let (inner, outer) = (Test::new(), Test::new());
    let service = outer.layer().layer(inner.service());
    let plan = Plan::ok().body([Data(10)]);
    read(answer(service, request::<Scripted>("GET", "/orders", plan)).unwrap());
    read(inner_answer(&inner));
    let series = r#"http_requests_total{method="GET",endpoint="/orders",status="200"}"#;
    assert_eq!(outer.series(series), Some(1.0));
    assert_eq!(inner.series(series), Some(2.0));
}

fn inner_answer(test: &Test) -> crate::scripted::Served {
    answer(test.service(), request::<Scripted>("GET", "/orders", Plan::ok())).unwrap()
}

#[test]
fn a_subsystem_that_is_off_costs_no_request() {
    let metrics = backend_metrics::Metrics::builder().without("http").build().unwrap();
    let layer = backend_metrics::middleware::MetricsLayer::new(metrics);
    let service = layer.layer(Answers { clock: backend_metrics::Clock::system() });
    read(answer(service, request::<Scripted>("GET", "/orders", Plan::ok())).unwrap());
    assert!(!metrics.to_text().contains("\nhttp_requests_total"));
}
