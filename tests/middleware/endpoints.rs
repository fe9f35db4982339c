//! Where the label `endpoint` comes from.

use std::{borrow::Cow, collections::BTreeMap};

use backend_metrics::middleware::Endpoint;
use tower::{Layer, Service};

use crate::{
    exposed::{Scrape, Test},
    scripted::{
        Answers, Plan, Scripted, Served, Step::*, answer, panics, poll, poll_frame, read, request,
    },
};

/// What a request for a path is answered with.
#[track_caller]
fn get(test: &Test, path: &str, plan: Plan) -> Served {
    answer(test.service(), request::<Scripted>("GET", path, plan)).unwrap()
}

/// Requests by endpoint and status.
fn requests(test: &Test) -> Vec<(String, f64)> {
    let label = |series: &str, name: &str| {
        let (_, rest) = series.split_once(&format!("{name}=\"")).unwrap();
        rest.split_once('"').unwrap().0.to_owned()
    };
    let moved = test.moved().into_iter();
    moved
        .filter(|(series, _)| series.starts_with("http_requests_total"))
        .map(|(series, value)| {
            (format!("{} {}", label(&series, "endpoint"), label(&series, "status")), value)
        })
        .collect()
}

#[track_caller]
fn assert_requests(test: &Test, expected: &[(&str, f64)]) {
    let expected: Vec<_> =
        expected.iter().map(|(key, value)| ((*key).to_owned(), *value)).collect();
    assert_eq!(requests(test), expected);
}

#[test]
fn a_path_becomes_an_endpoint_when_it_was_answered_well() {
    for status in [200, 201, 204, 299] {
        let test = Test::new();
        let response = get(&test, "/orders/17", Plan::status(status).before([Takes(30)]));
        let raised = if status == 204 { None } else { Some(1.0) };
        let unmatched = r#"http_active_requests{endpoint="unmatched"}"#;
        assert_eq!(test.series(unmatched).filter(|value| *value > 0.0), raised);
        read(response);
        test.assert_moved(&format!(
            r#"
            http_requests_total{{method="GET",endpoint="/orders/{{id}}",status="{status}"}} 1
            http_request_duration_seconds_count{{method="GET",endpoint="/orders/{{id}}"}} 1
            http_request_duration_seconds_sum{{method="GET",endpoint="/orders/{{id}}"}} 0.03
            http_time_to_first_byte_seconds_count{{method="GET",endpoint="/orders/{{id}}"}} 1
            http_time_to_first_byte_seconds_sum{{method="GET",endpoint="/orders/{{id}}"}} 0.03
            http_response_size_bytes_count{{method="GET",endpoint="/orders/{{id}}"}} 1
            "#
        ));
        // From now on it is one from the start.
        let response = get(&test, "/orders/18", Plan::ok());
        let active = r#"http_active_requests{endpoint="/orders/{id}"}"#;
        assert_eq!(test.series(active), Some(1.0));
        assert_eq!(test.series(unmatched), Some(0.0));
        drop(response);
    }
}

#[test]
fn a_path_that_was_answered_otherwise_is_unmatched() {
    for status in [101, 301, 304, 308, 400, 401, 403, 404, 405, 410, 422, 429, 499, 500, 501, 503] {
        let test = Test::new();
        read(get(&test, "/wp-admin/setup.php", Plan::status(status)));
        assert_requests(&test, &[(&format!("unmatched {status}"), 1.0)]);
        assert!(!test.metrics.to_text().contains("wp-admin"));
    }
}

#[test]
fn a_path_that_is_known_keeps_what_the_client_got_wrong() {
    let test = Test::new();
    read(get(&test, "/orders/17", Plan::ok()));
    read(get(&test, "/orders/18", Plan::status(404)));
    assert_requests(&test, &[("/orders/{id} 200", 1.0), ("/orders/{id} 404", 1.0)]);
}

#[test]
fn a_path_whose_client_goes_away_before_the_head_is_unmatched() {
    let test = Test::new();
    let hangs = Plan::ok().before([Hangs]);
    let mut future = test.service().call(request::<Scripted>("GET", "/orders", hangs));
    assert!(poll(&mut future).is_pending());
    drop(future);
    assert_requests(&test, &[("unmatched 499", 1.0)]);
}

#[test]
fn a_path_whose_client_goes_away_after_the_head_was_answered() {
    let test = Test::new();
    drop(get(&test, "/orders", Plan::ok()));
    drop(get(&test, "/nothing", Plan::status(404)));
    assert_requests(&test, &[("/orders 499", 1.0), ("unmatched 499", 1.0)]);
}

#[test]
fn a_path_whose_handler_fails_or_panics_is_unmatched() {
    let test = Test::new();
    let failing = request::<Scripted>("GET", "/fails", Plan::ok().before([Fails]));
    answer(test.service(), failing).unwrap_err();
    for plan in [Plan::ok().before([Panics]), Plan::panics_in_call()] {
        panics(|| get(&test, "/panics", plan));
    }
    assert_requests(&test, &[("unmatched 500", 3.0)]);
    assert_eq!(test.series(r#"http_panics_total{endpoint="unmatched"}"#), Some(2.0));
}

#[test]
fn a_body_that_panics_after_a_404_leaves_its_path_unmatched() {
    let test = Test::new();
    let mut response = get(&test, "/nothing", Plan::status(404).body([Panics]));
    panics(|| poll_frame(response.body_mut()));
    assert_requests(&test, &[("unmatched 404", 1.0)]);
    assert_eq!(test.series(r#"http_panics_total{endpoint="unmatched"}"#), Some(1.0));
}

#[test]
fn segments_that_vary_are_replaced() {
    for (path, endpoint) in [
        ("/", "/"),
        ("/orders", "/orders"),
        ("/orders/", "/orders/"),
        ("/orders//17", "/orders//{id}"),
        ("/orders/17?page=2", "/orders/{id}"),
        ("/orders/17/fills/99", "/orders/{id}/fills/{id}"),
        ("/users/6ba7b810-9dad-11d1-80b4-00c04fd430c8/orders", "/users/{uuid}/orders"),
        ("/users/6BA7B810-9DAD-11D1-80B4-00C04FD430C8", "/users/{uuid}"),
        ("/orders/ord_20261122", "/orders/{id}"),
        ("/v1/NIFTY50", "/v1/NIFTY50"),
        ("/strategies-of-the-day", "/strategies-of-the-day"),
        ("http://host:80/orders/17", "/orders/{id}"),
        ("*", "*"),
    ] {
        let test = Test::new();
        read(get(&test, path, Plan::ok()));
        assert_requests(&test, &[(&format!("{endpoint} 200"), 1.0)]);
    }
}

#[test]
fn a_target_without_a_path_is_unmatched() {
    let test = Test::new();
    drop(answer(
        test.service(),
        request::<Scripted>("CONNECT", "exchange.example:443", Plan::ok()),
    ));
    assert_requests(&test, &[("unmatched 200", 1.0)]);
}

#[test]
fn an_endpoint_in_the_request_is_taken_before_the_path() {
    let test = Test::new();
    for status in [200, 404] {
        let mut request = request::<Scripted>("GET", "/orders/17", Plan::status(status));
        request.extensions_mut().insert(Endpoint::new(format!("/orders/{{{}}}", "order")));
        let response = answer(test.service(), request).unwrap();
        let active = r#"http_active_requests{endpoint="/orders/{order}"}"#;
        assert_eq!(test.series(active), Some(1.0));
        read(response);
    }
    assert_requests(&test, &[("/orders/{order} 200", 1.0), ("/orders/{order} 404", 1.0)]);
}

#[test]
fn an_endpoint_in_the_response_is_taken_before_the_path() {
    let test = Test::new();
    let plan = |status| Plan::status(status).endpoint("/orders/{order}");
    read(get(&test, "/orders/17", plan(200)));
    read(get(&test, "/orders/17", plan(404)));
    assert_requests(&test, &[("/orders/{order} 200", 1.0), ("/orders/{order} 404", 1.0)]);
    // Of a path that is known as well.
    let test = Test::new();
    read(get(&test, "/health", Plan::ok()));
    read(get(&test, "/health", plan(200)));
    // Once the service has named an endpoint, the paths that are known stay, and no others come.
    read(get(&test, "/health", Plan::ok()));
    read(get(&test, "/another", Plan::ok()));
    assert_requests(
        &test,
        &[("/health 200", 2.0), ("/orders/{order} 200", 1.0), ("unmatched 200", 1.0)],
    );
}

#[test]
fn an_endpoint_in_the_response_is_not_asked_for_where_the_request_has_one() {
    let test = Test::new();
    let mut request =
        request::<Scripted>("GET", "/orders/17", Plan::ok().endpoint("/of/the/response"));
    request.extensions_mut().insert(Endpoint::from_static("/of/the/request"));
    read(answer(test.service(), request).unwrap());
    assert_requests(&test, &[("/of/the/request 200", 1.0)]);
}

#[test]
fn a_function_is_asked_first() {
    let test = Test::new();
    let layer = test.layer().endpoint(|request| {
        let tenant = request.headers.get("tenant")?.to_str().ok()?;
        assert_eq!(request.method, "GET");
        request.extensions.get::<Endpoint>()?;
        let (_, rest) = request.uri.path().split_once("/static/")?;
        Some(match rest {
            "" => Cow::Borrowed("/static"),
            _ => Cow::Owned(format!("/{tenant}/static")),
        })
    });
    let service = layer.layer(Answers { clock: test.clock.clone() });
    for (path, tenant) in
        [("/static/", "a"), ("/static/17.css", "a"), ("/17", "a"), ("/static/17.css", "\u{7f}")]
    {
        let plan = Plan::ok().endpoint("/of/the/response");
        let mut request = request::<Scripted>("GET", path, plan);
        request.extensions_mut().insert(Endpoint::from_static("/of/the/request"));
        if tenant != "\u{7f}" {
            request.headers_mut().insert("tenant", tenant.parse().unwrap());
        }
        read(answer(service.clone(), request).unwrap());
    }
    assert_requests(
        &test,
        &[("/a/static 200", 1.0), ("/of/the/request 200", 2.0), ("/static 200", 1.0)],
    );
}

/// The `index`th path out of letters alone, which no rule replaces.
fn path(mut index: usize) -> String {
    let mut path = "/".to_owned();
    for _ in 0..5 {
        path.push(char::from(b'a' + u8::try_from(index % 26).unwrap()));
        index /= 26;
    }
    path
}

const PATHS: usize = 100_000;

#[test]
fn a_scanner_makes_no_series() {
    let test = Test::with_cap(50);
    for index in 0..PATHS {
        let status = [404, 405][index % 2];
        read(get(&test, &path(index), Plan::status(status)));
    }
    assert_requests(&test, &[("unmatched 404", 50_000.0), ("unmatched 405", 50_000.0)]);
    let scrape = Scrape::of(test.metrics);
    assert_eq!(scrape.count("http_active_requests"), 1);
    assert_eq!(scrape.sum("metrics_label_overflows_total"), 0.0);
    // There is as much room as before.
    read(get(&test, "/orders", Plan::ok()));
    assert_eq!(requests(&test)[0], ("/orders 200".to_owned(), 1.0));
}

#[test]
fn a_hundred_thousand_paths_that_are_answered_stay_below_their_cap() {
    let test = Test::with_cap(50);
    for index in 0..PATHS {
        read(get(&test, &path(index), Plan::ok().body([Data(1)])));
    }
    let mut expected = BTreeMap::new();
    let mut expect = |endpoint: &str, count: usize| {
        let route = format!(r#"{{method="GET",endpoint="{endpoint}""#);
        let count = count as f64;
        expected.insert(format!(r#"http_requests_total{route},status="200"}}"#), count);
        expected.insert(format!("http_request_duration_seconds_count{route}}}"), count);
        expected.insert(format!("http_time_to_first_byte_seconds_count{route}}}"), count);
        expected.insert(format!("http_response_size_bytes_count{route}}}"), count);
        expected.insert(format!("http_response_size_bytes_sum{route}}}"), count);
    };
    (0..100).for_each(|index| expect(&path(index), 1));
    expect("unmatched", PATHS - 100);
    // Once for each request, not for each family.
    let overflows = r#"metrics_label_overflows_total{family="http_requests_total"}"#;
    expected.insert(overflows.to_owned(), (PATHS - 100) as f64);
    crate::exposed::assert_same(&test.moved(), &expected);
    // `unmatched` beside the hundred.
    let scrape = Scrape::of(test.metrics);
    assert_eq!(scrape.count("http_active_requests"), 101);
    assert_eq!(scrape.count("http_panics_total"), 101);
    assert_eq!(scrape.sum("http_active_requests"), 0.0);
}

#[test]
fn a_hundred_thousand_templates_stay_below_the_cap() {
    let test = Test::with_cap(50);
    for index in 0..PATHS {
        let mut request = request::<Scripted>("GET", "/", Plan::status(204));
        request.extensions_mut().insert(Endpoint::new(path(index)));
        drop(answer(test.service(), request).unwrap());
    }
    let scrape = Scrape::of(test.metrics);
    // Each with its 500, at zero.
    assert_eq!(scrape.count("http_requests_total"), 2 * 51);
    assert_eq!(scrape.count("http_active_requests"), 52);
    assert_eq!(scrape.sum("http_requests_total"), PATHS as f64);
    assert_eq!(scrape.sum("metrics_label_overflows_total"), (PATHS - 50) as f64);
    assert_eq!(scrape.sum("http_active_requests"), 0.0);
    // What has no route has its place all the same.
    read(get(&test, "/nothing", Plan::status(404)));
    assert_eq!(Scrape::of(test.metrics).sum("metrics_label_overflows_total"), (PATHS - 50) as f64);
    assert_eq!(requests(&test).last(), Some(&("unmatched 404".to_owned(), 1.0)));
}

#[test]
fn a_path_of_any_kind_leaves_the_scrape_valid() {
    let test = Test::new();
    let long = format!("/{}", "x".repeat(10_000));
    for path in ["/a\"b", "/%00%0a", "/a{b}", "/'", "/a|b^c", &long, "/caf\u{e9}/\u{1f980}"] {
        read(get(&test, path, Plan::ok()));
        let mut request = request::<Scripted>("GET", "/", Plan::ok());
        request.extensions_mut().insert(Endpoint::new(format!("{path}\n\\\u{0}\"{{")));
        read(answer(test.service(), request).unwrap());
    }
    assert_eq!(Scrape::of(test.metrics).sum("http_requests_total"), 14.0);
}
