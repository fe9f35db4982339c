//! Strangers make no series: endpoints by evidence, and the bound of lines.

use std::{
    collections::BTreeSet,
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Waker},
    thread,
    time::Duration,
};

use axum::{Router, body::Body, response::IntoResponse, routing::get};
use backend_metrics::{
    Builder, Format, Metrics, catalog,
    middleware::{ClientLayer, Endpoint, MetricsLayer},
    subsystems::{
        http::{HttpResponse, HttpRoute},
        http_client::{UpstreamResponse, UpstreamRoute},
    },
};
use futures_util::FutureExt;
use http::{HeaderMap, Method, Request, Response, StatusCode, header::CONTENT_TYPE};
use tower::{BoxError, Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_http::cors::CorsLayer;

const METHODS: [&str; 10] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "BREW"];

/// Sends a request through a router and reads the whole answer.
async fn send(router: &Router, method: &str, path: &str) -> StatusCode {
    let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let status = response.status();
    axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    status
}

/// Sends a request through the layer to a service that answers with this status, headers and endpoint.
fn answered(metrics: Metrics, request: http::request::Builder, answer: &Answer) {
    let mut service = MetricsLayer::new(metrics).layer(service_fn(|_: Request<String>| {
        let mut response = Response::new(String::new());
        *response.status_mut() = StatusCode::from_u16(answer.status).unwrap();
        *response.headers_mut() = answer.headers.clone();
        async { Ok::<_, Infallible>(response) }
    }));
    drop(service.call(request.body(String::new()).unwrap()).now_or_never().unwrap());
}

#[derive(Default)]
struct Answer {
    status: u16,
    headers: HeaderMap,
}

fn status(status: u16) -> Answer {
    Answer { status, ..Answer::default() }
}

/// A path of six letters, one for each number.
fn path(number: usize) -> String {
    let letters = (0..6).map(|place| number / 26_usize.pow(place) % 26);
    let letters = letters.map(|letter| char::from(b'a' + u8::try_from(letter).unwrap()));
    ['/'].into_iter().chain(letters).collect()
}

/// Asserts the samples of `http_requests_total` that are not 0, given without the name.
#[track_caller]
fn assert_requests(metrics: Metrics, expected: &[&str]) {
    let text = metrics.to_text();
    let samples = text.lines().filter_map(|line| line.strip_prefix("http_requests_total"));
    assert_eq!(samples.filter(|line| !line.ends_with(" 0")).collect::<Vec<_>>(), expected);
}

fn overflows(metrics: Metrics, family: &str) -> Option<f64> {
    metrics.value(&format!("metrics_label_overflows_total{{family=\"{family}\"}}"))
}

/// Every endpoint that has series.
fn endpoints(metrics: Metrics) -> BTreeSet<String> {
    let text = metrics.to_text();
    let active = text.lines().filter_map(|line| line.strip_prefix("http_active_requests"));
    let labels = active.filter_map(|line| line.strip_prefix("{endpoint=\"")?.split('"').next());
    labels.map(str::to_owned).collect()
}

/// An instance with the HTTP families alone.
fn http_only() -> Builder {
    let subsystems: BTreeSet<_> = catalog().map(|entry| entry.subsystem).collect();
    let others = subsystems.into_iter().filter(|name| *name != "http");
    others.fold(Metrics::builder(), Builder::without)
}

#[tokio::test]
async fn preflights_of_any_path_leave_the_routes_their_endpoints() {
    let metrics = Metrics::new();
    let router = Router::new()
        .route("/orders/{id}", get(async || "o"))
        .layer(CorsLayer::permissive())
        .layer(MetricsLayer::new(metrics));
    for number in 0..1_000 {
        assert_eq!(send(&router, "OPTIONS", &path(number)).await, 200);
    }
    send(&router, "GET", "/orders/7").await;
    assert_requests(
        metrics,
        &[
            r#"{method="GET",endpoint="/orders/{id}",status="200"} 1"#,
            r#"{method="OPTIONS",endpoint="unmatched",status="200"} 1000"#,
        ],
    );
    assert_eq!(overflows(metrics, "http_requests_total"), Some(0.0));
}

/// Something that is no route answers every path: with a page, a redirect, a refusal under load, or any status that
/// there is.
#[tokio::test]
async fn whatever_answers_every_path_leaves_the_routes_their_series() {
    const ROUTES: usize = 50;
    for answers in [vec![200], vec![301, 308], vec![503], (200..1_000).collect::<Vec<u16>>()] {
        for named_first in [true, false] {
            // As much room as the routes need.
            let metrics = Metrics::builder().label_cap(ROUTES).build().unwrap();
            let route = |number| format!("/routes{}/{{id}}", path(number));
            let router = (0..ROUTES).fold(Router::new(), |router, number| {
                router.route(&route(number), get(async || "o").post(async || "o"))
            });
            let (next, from) = (Arc::new(AtomicUsize::new(0)), answers.clone());
            let fallback = move || {
                let answer = from[next.fetch_add(1, Relaxed) % from.len()];
                async move { StatusCode::from_u16(answer).unwrap().into_response() }
            };
            let router = router.fallback(fallback).layer(MetricsLayer::new(metrics));
            if named_first {
                send(&router, "GET", &route(0)).await;
            }
            for number in 0..10_000 {
                send(&router, METHODS[number % METHODS.len()], &path(number)).await;
            }
            for number in 0..ROUTES {
                send(&router, "GET", &route(number)).await;
                send(&router, "POST", &route(number)).await;
            }
            let text = metrics.to_text();
            for number in 0..ROUTES {
                for method in ["GET", "POST"] {
                    let labels = format!("method=\"{method}\",endpoint=\"{}\"", route(number));
                    let series = format!("http_requests_total{{{labels},status=\"200\"}} ");
                    assert!(text.contains(&series), "{answers:?}: {series}");
                }
            }
            let learned = if !named_first && answers.contains(&200) { 100 } else { 0 };
            let most = ROUTES + 1 + learned;
            assert!(endpoints(metrics).len() <= most, "{:?}", endpoints(metrics));
        }
    }
}

#[tokio::test]
async fn calls_of_grpc_that_nobody_implements_are_unmatched() {
    for content_type in [Some("application/grpc"), Some("application/grpc-web+proto"), None] {
        let metrics = Metrics::new();
        let service = MetricsLayer::new(metrics).layer(tonic::service::Routes::default().prepare());
        for number in 0..300 {
            let mut request = Request::post(format!("{}/Get", path(number)));
            if let Some(content_type) = content_type {
                request = request.header(CONTENT_TYPE, content_type);
            }
            let request = request.body(tonic::body::Body::empty()).unwrap();
            let response = service.clone().oneshot(request).await.unwrap();
            assert_eq!(response.status(), 200);
            assert_eq!(response.headers()["grpc-status"], "12");
        }
        assert_requests(metrics, &[r#"{method="POST",endpoint="unmatched",status="200"} 300"#]);
    }
}

#[test]
fn a_path_is_learned_from_a_2xx_that_is_no_answer_to_a_preflight_and_no_grpc() {
    let grpc = |name: &str| {
        let mut answer = status(200);
        answer.headers.insert(CONTENT_TYPE, name.parse().unwrap());
        answer
    };
    let post = |name: &str| Request::post("/a").header(CONTENT_TYPE, name);
    for (request, answer, learns) in [
        (Request::get("/a"), status(200), true),
        (Request::head("/a"), status(204), true),
        (Request::builder().method("BREW").uri("/a"), status(299), true),
        (post("application/json"), grpc("text/html"), true),
        (post("application/gr"), status(200), true),
        (Request::options("/a"), status(200), false),
        (Request::get("/a"), status(199), false),
        (Request::get("/a"), status(301), false),
        (Request::get("/a"), status(500), false),
        (Request::get("/a"), status(999), false),
        (post("application/grpc"), status(200), false),
        (post("Application/GRPC+json"), status(200), false),
        (post("application/grpc-web-text"), status(200), false),
        (post("application/json"), grpc("application/grpc;charset=utf-8"), false),
    ] {
        let metrics = Metrics::new();
        let text = format!("{request:?} {}", answer.status);
        answered(metrics, request, &answer);
        assert_eq!(endpoints(metrics).contains("/a"), learns, "{text}");
        assert_eq!(overflows(metrics, "http_requests_total"), Some(0.0));
    }
}

#[test]
fn paths_have_a_budget_of_their_own() {
    let metrics = Metrics::builder().label_cap(2).path_cap(3).build().unwrap();
    for number in 0..5 {
        answered(metrics, Request::get(path(number)), &status(200));
    }
    // They take no room of what the service names, which is not refused for them.
    for name in ["/one", "/two", "/three"] {
        answered(metrics, Request::get("/").extension(Endpoint::from_static(name)), &status(200));
    }
    // Those that are learned stay; there are no more of them.
    for number in [0, 5] {
        answered(metrics, Request::get(path(number)), &status(200));
    }
    assert_requests(
        metrics,
        &[
            r#"{method="GET",endpoint="/aaaaaa",status="200"} 2"#,
            r#"{method="GET",endpoint="/baaaaa",status="200"} 1"#,
            r#"{method="GET",endpoint="/caaaaa",status="200"} 1"#,
            r#"{method="GET",endpoint="/one",status="200"} 1"#,
            r#"{method="GET",endpoint="/two",status="200"} 1"#,
            r#"{method="GET",endpoint="other",status="200"} 1"#,
            r#"{method="GET",endpoint="unmatched",status="200"} 3"#,
        ],
    );
    // Two paths, and an endpoint.
    assert_eq!(overflows(metrics, "http_requests_total"), Some(3.0));
}

#[test]
fn no_path_is_learned_where_the_budget_is_0() {
    let metrics = Metrics::builder().path_cap(0).build().unwrap();
    answered(metrics, Request::get("/a"), &status(200));
    assert_requests(metrics, &[r#"{method="GET",endpoint="unmatched",status="200"} 1"#]);
    assert_eq!(overflows(metrics, "http_requests_total"), Some(0.0));
}

#[test]
fn threads_do_not_learn_more_paths_than_there_may_be() {
    let metrics = Metrics::new();
    thread::scope(|scope| {
        for first in 0..8 {
            scope.spawn(move || {
                for number in 0..500 {
                    let path = path(number * 8 + first);
                    answered(metrics, Request::get(path), &status(200));
                }
            });
        }
    });
    assert_eq!(endpoints(metrics).len(), 101);
    assert_eq!(overflows(metrics, "http_requests_total"), Some(3_900.0));
}

/// Ten methods on each of 25 routes that have two of them.
#[tokio::test]
async fn methods_that_no_handler_takes_make_no_series() {
    let metrics = Metrics::new();
    let router = (0..25).fold(Router::new(), |router, number| {
        let handlers = get(async || "o").post(async || StatusCode::NOT_FOUND);
        router.route(&format!("/routes{}", path(number)), handlers)
    });
    let router = router.layer(MetricsLayer::new(metrics));
    let mut lines = 0;
    for methods in [&["GET", "POST", "HEAD"][..], &METHODS] {
        for number in 0..25 {
            for method in methods {
                send(&router, method, &format!("/routes{}", path(number))).await;
            }
        }
        let now = metrics.to_text().lines().filter(|line| line.starts_with("http_")).count();
        // The seven others, once, below `unmatched`.
        assert!(lines == 0 || now < lines + 7 * 53, "{lines}, then {now}");
        lines = now;
    }
    let text = metrics.to_text();
    for series in [
        r#"{method="DELETE",endpoint="unmatched",status="405"} 25"#,
        r#"{method="OTHER",endpoint="unmatched",status="405"} 25"#,
        // Handlers answer 404 legitimately.
        r#"{method="POST",endpoint="/routes/aaaaaa",status="404"} 2"#,
    ] {
        assert!(text.contains(&format!("http_requests_total{series}\n")), "{series}\n{text}");
    }
}

#[test]
fn a_method_that_the_endpoint_has_keeps_its_405_and_501() {
    let metrics = Metrics::new();
    let request = || Request::put("/").extension(Endpoint::from_static("/orders"));
    for code in [405, 501, 200, 405, 501] {
        answered(metrics, request(), &status(code));
    }
    for (code, method) in [(405, Method::PUT), (501, Method::PATCH)] {
        let code = StatusCode::from_u16(code).unwrap();
        metrics.track_http_request(&method, "/orders", code, Duration::ZERO, (0, 0));
        let mut guard = metrics.start_http_request(&method, "/orders");
        guard.head(code);
        guard.end();
    }
    assert_requests(
        metrics,
        &[
            r#"{method="PATCH",endpoint="unmatched",status="501"} 2"#,
            r#"{method="PUT",endpoint="/orders",status="200"} 1"#,
            r#"{method="PUT",endpoint="/orders",status="405"} 3"#,
            r#"{method="PUT",endpoint="/orders",status="501"} 1"#,
            r#"{method="PUT",endpoint="unmatched",status="405"} 1"#,
            r#"{method="PUT",endpoint="unmatched",status="501"} 1"#,
        ],
    );
}

#[test]
fn methods_and_statuses_have_caps() {
    let builder = http_only().cap_of::<HttpRoute>(2).cap_of::<HttpResponse>(3);
    let metrics = builder.build().unwrap();
    for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::GET] {
        for code in [200, 404] {
            let code = StatusCode::from_u16(code).unwrap();
            metrics.track_http_request(&method, "/orders", code, Duration::ZERO, (0, 0));
        }
    }
    assert_requests(
        metrics,
        &[
            r#"{method="GET",endpoint="/orders",status="200"} 2"#,
            r#"{method="GET",endpoint="/orders",status="404"} 2"#,
            r#"{method="OTHER",endpoint="/orders",status="other"} 4"#,
            r#"{method="POST",endpoint="/orders",status="200"} 1"#,
            r#"{method="POST",endpoint="/orders",status="other"} 1"#,
        ],
    );
}

#[test]
fn what_the_caps_of_methods_and_statuses_fold_is_counted() {
    let metrics = Metrics::builder()
        .cap_of::<HttpRoute>(1)
        .cap_of::<HttpResponse>(1)
        .cap_of::<UpstreamRoute>(1)
        .cap_of::<UpstreamResponse>(1)
        .build()
        .unwrap();
    for method in [Method::GET, Method::POST, Method::PUT] {
        for code in [200, 404] {
            let code = StatusCode::from_u16(code).unwrap();
            metrics.track_http_request(&method, "/orders", code, Duration::ZERO, (0, 0));
            metrics.track_upstream_request("ticker", &method, Some(code), Duration::ZERO);
        }
    }
    metrics.track_upstream_request("ticker", &Method::PUT, None, Duration::ZERO);
    // Two methods twice; all statuses but the one, and the failure, which has a place of its own.
    assert_eq!(overflows(metrics, "http_request_duration_seconds"), Some(4.0));
    assert_eq!(overflows(metrics, "http_requests_total"), Some(5.0));
    assert_eq!(overflows(metrics, "http_client_request_duration_seconds"), Some(5.0));
    assert_eq!(overflows(metrics, "http_client_requests_total"), Some(5.0));
    assert_eq!(
        metrics.value(
            r#"http_client_requests_total{upstream="ticker",method="OTHER",status="other"}"#
        ),
        Some(4.0)
    );
}

#[test]
fn an_upstream_keeps_every_method_and_status_apart() {
    let metrics = Metrics::new();
    for method in METHODS {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        for code in 100..1_000 {
            let status = StatusCode::from_u16(code).ok();
            for _ in 0..=code % 3 {
                metrics.track_upstream_request("ticker", &method, status, Duration::ZERO);
            }
        }
        metrics.track_upstream_request("ticker", &method, None, Duration::ZERO);
    }
    let text = metrics.to_text();
    let samples = text.lines().filter(|line| line.starts_with("http_client_requests_total"));
    assert_eq!(samples.count(), 10 * 901);
    for method in METHODS {
        let method = if method == "BREW" { "OTHER" } else { method };
        let labels = format!(r#"upstream="ticker",method="{method}""#);
        for code in 100..1_000 {
            let count = code % 3 + 1;
            let line =
                format!("http_client_requests_total{{{labels},status=\"{code}\"}} {count}\n");
            assert!(text.contains(&line), "{line}");
        }
        assert!(text.contains(&format!("{{{labels},status=\"error\"}} 1\n")));
    }
}

/// A service that answers each request with the status that its target says, and refuses some for load.
async fn hostile(request: Request<String>) -> Result<Response<String>, Infallible> {
    let status = request.uri().query().and_then(|status| status.parse().ok()).unwrap_or(200);
    let mut response = Response::new("o".to_owned());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    Ok(response)
}

async fn endless(_: Request<String>) -> Result<Response<String>, Infallible> {
    std::future::pending().await
}

/// A service with a CORS layer that refuses all requests for load.
fn busy(metrics: Metrics) -> impl Fn(Request<String>) + Send + Sync {
    let service = ServiceBuilder::new()
        .layer(MetricsLayer::new(metrics))
        .map_result(|result: Result<Response<String>, BoxError>| {
            let refused = |_| Response::builder().status(503).body(String::new()).unwrap();
            Ok::<_, BoxError>(result.unwrap_or_else(refused))
        })
        .layer(CorsLayer::permissive())
        .load_shed()
        .concurrency_limit(1)
        .service(service_fn(endless));
    // It is under way for good, so that there is room for no other.
    let mut first = service.clone();
    assert!(first.poll_ready(&mut Context::from_waker(Waker::noop())).is_ready());
    _ = Box::leak(Box::new(first.call(Request::default())));
    move |request| {
        let answered = if request.method() == Method::OPTIONS { 200 } else { 503 };
        let response = service.clone().oneshot(request).now_or_never().unwrap().unwrap();
        assert_eq!(response.status(), answered);
    }
}

/// Every method and status of far more endpoints, paths and upstreams than there is room for, by eight threads.
fn flood(metrics: Metrics, endpoints: usize) {
    let server = MetricsLayer::new(metrics).layer(service_fn(hostile));
    let busy = busy(metrics);
    let call = |request: http::request::Builder| {
        let request = request.body(String::new()).unwrap();
        let response = server.clone().call(request).now_or_never().unwrap().unwrap();
        let body = response.into_body();
        drop(http_body_util::BodyExt::collect(body).now_or_never().unwrap().unwrap());
    };
    // Paths come before the service names an endpoint, or there would be none.
    for number in 0..200 {
        call(Request::get(format!("{}?200", path(number))));
    }
    thread::scope(|scope| {
        for first in 0..8 {
            let (call, busy) = (&call, &busy);
            let mut client = ClientLayer::by_host(metrics).layer(service_fn(hostile));
            scope.spawn(move || {
                for number in 0..endpoints {
                    let name = path(first + 8 * number);
                    for (place, method) in METHODS.iter().enumerate() {
                        let status = 100 + (number * 10 + place) * 7 % 900;
                        let to = |path: &str| {
                            Request::builder().method(*method).uri(format!("{path}?{status}"))
                        };
                        call(to("/").extension(Endpoint::new(name.clone())));
                        call(to("/").extension(Endpoint::new(path(number % 5))));
                        call(to(&name));
                        busy(to(&name).body(String::new()).unwrap());
                        let host = format!("http://{}.test/", &name[1..]);
                        let request = to(&host).body(String::new()).unwrap();
                        drop(client.call(request).now_or_never().unwrap());
                    }
                }
            });
        }
    });
    for method in METHODS {
        for status in 100..1_000 {
            let to = || Request::builder().method(method).uri(format!("/?{status}"));
            call(to());
            call(to().extension(Endpoint::from_static("/past/the/cap")));
        }
    }
}

#[test]
fn the_bound_of_lines_holds_under_the_worst_clients() {
    let metrics = http_only().build().unwrap();
    let bound = metrics.max_lines();
    assert!(bound <= 300_000, "{bound}");
    let thousands = format!("{},{:03} lines at most", bound / 1_000, bound % 1_000);
    let security = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/SECURITY.md"));
    assert!(security.unwrap().contains(&thousands), "SECURITY.md says otherwise: {thousands}");
    flood(metrics, 300);
    let text = metrics.encode(Format::OpenMetrics);
    // All room is taken, so the bound is no more than it has to be.
    let lines = text.lines().count();
    println!("{lines} lines of {bound}");
    assert!(lines <= bound, "{lines} of {bound}");
    assert!(lines * 100 >= bound * 95, "{lines} of {bound}");
}

/// A server that measures by itself names `unmatched` too.
#[test]
fn unmatched_has_its_place_whoever_names_it() {
    for named_first in [true, false] {
        let metrics = Metrics::builder().label_cap(1).cap_of::<HttpRoute>(1).build().unwrap();
        let track = |method: Method, endpoint, status| {
            let status = StatusCode::from_u16(status).unwrap();
            metrics.track_http_request(&method, endpoint, status, Duration::ZERO, (0, 0));
        };
        if named_first {
            track(Method::PUT, "unmatched", 404);
        }
        track(Method::GET, "/orders", 200);
        if !named_first {
            track(Method::PUT, "unmatched", 404);
        }
        assert_requests(
            metrics,
            &[
                r#"{method="GET",endpoint="/orders",status="200"} 1"#,
                r#"{method="PUT",endpoint="unmatched",status="404"} 1"#,
            ],
        );
        assert_eq!(overflows(metrics, "http_requests_total"), Some(0.0));
        assert_eq!(overflows(metrics, "http_request_duration_seconds"), Some(0.0));
    }
}

#[test]
fn an_endpoint_that_is_named_after_the_head_gets_no_method_by_a_405() {
    let metrics = Metrics::new();
    let mut request = metrics.start_http_request(&Method::DELETE, "/early");
    request.head(StatusCode::METHOD_NOT_ALLOWED);
    request.set_endpoint(metrics.http.endpoints.get("/late"));
    request.end();
    let unmatched = r#"{method="DELETE",endpoint="unmatched",status="405"} 1"#;
    assert_requests(metrics, &[unmatched]);
}
