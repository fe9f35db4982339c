//! The exporter as a scraper sees it: through plain tower, and through hyper over a socket.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use backend_metrics::{
    Counter, Exporter, Format, Metrics, Now, Part, Registrar,
    exporter::{ResponseBody, ResponseFuture, TokenError},
    families,
};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use tower::ServiceExt;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What Prometheus 3 sends.
const PROMETHEUS: &str = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
    application/openmetrics-text;version=0.0.1;q=0.5,\
    text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";

families! {
    /// How often the metrics were encoded.
    pub struct ScrapeMetrics = "scrape" {
        with {
            /// How often they were.
            pub encodings: Encodings,
        }

        /// Things that happened
        pub things: Counter = "scrape_things_total",
    }
    on_scrape = ScrapeMetrics::count
}

/// Counts encodings, holds them up, and panics if it is told to.
#[derive(Debug, Default)]
pub struct Encodings {
    count: AtomicUsize,
    held: AtomicBool,
    panics: AtomicBool,
}

impl Part for Encodings {
    fn register(_: &mut Registrar) -> Self {
        Self::default()
    }
}

/// A panic of which no handler gets rid.
struct PanicsAgain;

impl Drop for PanicsAgain {
    fn drop(&mut self) {
        panic!("secret: as the test wants");
    }
}

impl ScrapeMetrics {
    fn count(&self, _: &Now) {
        self.encodings.count.fetch_add(1, Ordering::SeqCst);
        while self.encodings.held.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        if self.encodings.panics.load(Ordering::SeqCst) {
            std::panic::panic_any(PanicsAgain);
        }
    }
}

fn metrics() -> (Metrics, &'static ScrapeMetrics) {
    // What differs from scrape to scrape by itself is left out.
    let builder = Metrics::builder().without("process").without("self");
    let builder = builder.mount::<ScrapeMetrics>().collect_timeout(Duration::MAX);
    let metrics = builder.build().unwrap();
    (metrics, metrics.mounted().unwrap())
}

fn request(method: Method, headers: &[(header::HeaderName, &str)]) -> Request<()> {
    let mut request = Request::builder().method(method).uri("/metrics");
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    request.body(()).unwrap()
}

async fn answer(exporter: &Exporter, request: Request<()>) -> (StatusCode, HeaderMap, Bytes) {
    let response: Response<ResponseBody> = exporter.clone().oneshot(request).await.unwrap();
    let (head, body) = response.into_parts();
    let exact = http_body::Body::size_hint(&body).exact();
    let bytes = body.collect().await.unwrap().to_bytes();
    assert_eq!(exact, Some(bytes.len() as u64));
    assert_eq!(head.headers[header::CACHE_CONTROL], "no-store");
    assert_eq!(head.headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    (head.status, head.headers, bytes)
}

async fn get(
    exporter: &Exporter,
    headers: &[(header::HeaderName, &str)],
) -> (StatusCode, HeaderMap, Bytes) {
    answer(exporter, request(Method::GET, headers)).await
}

#[test]
fn its_types_go_wherever_a_service_goes() {
    fn send<T: Send + Sync + Unpin + 'static>() {}
    fn service<S>(_: &S)
    where
        S: tower::Service<
                Request<hyper::body::Incoming>,
                Error = Infallible,
                Future = ResponseFuture,
            > + Clone,
    {
    }
    send::<Exporter>();
    send::<ResponseBody>();
    send::<ResponseFuture>();
    service(&Exporter::new(metrics().0));
}

#[tokio::test]
async fn the_format_is_negotiated() {
    let (metrics, _) = metrics();
    let exporter = Exporter::new(metrics);
    for (accept, format, content_type) in [
        (None, Format::Text, TEXT),
        (Some("*/*"), Format::Text, TEXT),
        (Some("application/vnd.google.protobuf"), Format::Text, TEXT),
        (Some(PROMETHEUS), Format::OpenMetrics, OPENMETRICS),
    ] {
        let headers: Vec<_> = accept.into_iter().map(|accept| (header::ACCEPT, accept)).collect();
        let (status, headers, body) = get(&exporter, &headers).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(headers[header::CONTENT_TYPE], content_type);
        assert_eq!(headers[header::CONTENT_LENGTH], body.len().to_string());
        assert_eq!(headers[header::VARY], "Accept, Accept-Encoding");
        assert!(!headers.contains_key(header::CONTENT_ENCODING));
        assert_eq!(body, metrics.encode(format));
    }
}

#[cfg(feature = "gzip")]
#[tokio::test]
async fn gzip_is_negotiated() {
    use std::io::Read;

    let (metrics, _) = metrics();
    let exporter = Exporter::new(metrics);
    let (_, headers, body) = get(&exporter, &[(header::ACCEPT_ENCODING, "gzip")]).await;
    assert_eq!(headers[header::CONTENT_ENCODING], "gzip");
    assert_eq!(headers[header::CONTENT_LENGTH], body.len().to_string());
    let mut text = String::new();
    flate2::read::GzDecoder::new(&body[..]).read_to_string(&mut text).unwrap();
    assert_eq!(text, metrics.to_text());

    for plain in ["identity", "gzip;q=0", "br"] {
        let (_, headers, body) = get(&exporter, &[(header::ACCEPT_ENCODING, plain)]).await;
        assert!(!headers.contains_key(header::CONTENT_ENCODING));
        assert_eq!(body, metrics.to_text());
    }
}

#[cfg(not(feature = "gzip"))]
#[tokio::test]
async fn gzip_is_not_written_without_the_feature() {
    let exporter = Exporter::new(metrics().0);
    let (_, headers, body) = get(&exporter, &[(header::ACCEPT_ENCODING, "gzip")]).await;
    assert!(!headers.contains_key(header::CONTENT_ENCODING));
    assert!(body.starts_with(b"# HELP "));
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let exporter = Exporter::new(metrics().0);
    let (_, of_get, _) = get(&exporter, &[(header::ACCEPT, PROMETHEUS)]).await;
    let head = request(Method::HEAD, &[(header::ACCEPT, PROMETHEUS)]);
    let (status, of_head, body) = answer(&exporter, head).await;
    assert_eq!((status, of_head), (StatusCode::OK, of_get));
    assert!(body.is_empty());
}

#[tokio::test]
async fn other_methods_are_not_allowed() {
    let (metrics, scrapes) = metrics();
    let exporter = Exporter::new(metrics);
    let brew = Method::from_bytes(b"BREW").unwrap();
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS, brew] {
        let (status, headers, _) = answer(&exporter, request(method, &[])).await;
        assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(headers[header::ALLOW], "GET, HEAD");
    }
    assert_eq!(scrapes.encodings.count.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_token_is_asked_for() {
    let (metrics, scrapes) = metrics();
    let exporter = Exporter::new(metrics).bearer_token("tWq7bXm2").unwrap();
    assert!(!format!("{exporter:?}").contains("tWq7"));
    let (status, ..) = get(&exporter, &[(header::AUTHORIZATION, "Bearer tWq7bXm2")]).await;
    assert_eq!(status, StatusCode::OK);
    let wrong = [(header::AUTHORIZATION, "Bearer tWq7bXm3")];
    for (method, headers) in
        [(Method::GET, &wrong[..]), (Method::GET, &[]), (Method::HEAD, &[]), (Method::POST, &wrong)]
    {
        let is_head = method == Method::HEAD;
        let (status, headers, body) = answer(&exporter, request(method, headers)).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        assert_eq!(headers[header::WWW_AUTHENTICATE], "Bearer");
        assert_eq!(body, if is_head { "" } else { "a bearer token is required\n" });
    }
    assert_eq!(scrapes.encodings.count.load(Ordering::SeqCst), 1);
    for (token, error) in [("", TokenError::Empty), ("a b", TokenError::Character { position: 1 })]
    {
        assert_eq!(Exporter::new(metrics).bearer_token(token).unwrap_err(), error);
    }
}

#[tokio::test]
async fn a_panic_of_the_service_costs_no_scrape_and_tells_nothing() {
    let (metrics, scrapes) = metrics();
    let exporter = Exporter::new(metrics);
    scrapes.encodings.panics.store(true, Ordering::SeqCst);
    let (status, _, body) = get(&exporter, &[]).await;
    assert_eq!(status, StatusCode::OK);
    let text = std::str::from_utf8(&body).unwrap();
    assert!(text.contains(
        "application_errors_total{error_type=\"collector_panic\",severity=\"error\"} 1\n"
    ));
    assert!(!text.contains("secret"));
}

#[tokio::test]
async fn a_dropped_future_leaves_the_next_alone() {
    let exporter = Exporter::new(metrics().0);
    for _ in 0..100 {
        drop(exporter.respond(&request(Method::GET, &[])));
        assert_eq!(get(&exporter, &[]).await.0, StatusCode::OK);
    }
}

/// So a client that takes its answer slowly holds that one, and one that hangs up holds none.
#[tokio::test]
async fn an_answer_is_held_by_its_responses_alone() {
    let exporter = Exporter::new(metrics().0);
    let (_, _, body) = get(&exporter, &[]).await;
    // The thread that encoded it may not have ended.
    let deadline = Instant::now() + Duration::from_secs(20);
    while !body.is_unique() {
        assert!(Instant::now() < deadline, "somebody holds it");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn axum_routes_to_it() {
    let exporter = Exporter::new(metrics().0);
    let router = axum::Router::<()>::new().route("/metrics", axum::routing::get_service(exporter));
    let request = Request::builder().uri("/metrics").body(axum::body::Body::empty()).unwrap();
    let response = router.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()[header::CONTENT_TYPE], TEXT);
}

/// Serves with plain hyper on a port of its own; the address, and how many requests arrived.
async fn served(exporter: Exporter) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let arrived = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&arrived);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (exporter, counted) = (exporter.clone(), Arc::clone(&counted));
            let service = hyper::service::service_fn(move |request| {
                let response = exporter.respond(&request);
                counted.fetch_add(1, Ordering::SeqCst);
                response
            });
            tokio::spawn(
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service),
            );
        }
    });
    (address, arrived)
}

async fn fetch(
    address: SocketAddr,
    method: Method,
    headers: &[(header::HeaderName, &str)],
) -> (StatusCode, HeaderMap, Bytes) {
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = request(method, headers).map(|()| Empty::<Bytes>::new());
    let (head, body) = sender.send_request(request).await.unwrap().into_parts();
    (head.status, head.headers, body.collect().await.unwrap().to_bytes())
}

#[tokio::test]
async fn hyper_serves_it_over_a_socket() {
    let (metrics, scrapes) = metrics();
    let exporter = Exporter::new(metrics).bearer_token("tWq7bXm2").unwrap();
    let (address, _) = served(exporter).await;
    scrapes.things.add(7);
    let token = (header::AUTHORIZATION, "Bearer tWq7bXm2");

    let (status, headers, body) = fetch(address, Method::GET, std::slice::from_ref(&token)).await;
    assert_eq!((status, &headers[header::CONTENT_TYPE]), (StatusCode::OK, &TEXT.parse().unwrap()));
    assert_eq!(body, metrics.to_text());
    assert!(std::str::from_utf8(&body).unwrap().contains("\nscrape_things_total 7\n"));

    let accept = [token.clone(), (header::ACCEPT, PROMETHEUS)];
    let (_, headers, body) = fetch(address, Method::GET, &accept).await;
    assert_eq!(headers[header::CONTENT_TYPE], OPENMETRICS);
    assert_eq!(body, metrics.encode(Format::OpenMetrics));

    let (status, headers, none) = fetch(address, Method::HEAD, &accept).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers[header::CONTENT_LENGTH], body.len().to_string());
    assert!(none.is_empty());

    let (status, headers, _) = fetch(address, Method::POST, &accept).await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(headers[header::ALLOW], "GET, HEAD");

    let (status, headers, _) = fetch(address, Method::GET, &[]).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(headers[header::WWW_AUTHENTICATE], "Bearer");
}

#[tokio::test]
async fn fifty_scrapes_at_once_cost_two_encodings() {
    let (metrics, scrapes) = metrics();
    let encodings = || scrapes.encodings.count.load(Ordering::SeqCst);
    let exporter = Exporter::new(metrics);

    scrapes.encodings.held.store(true, Ordering::SeqCst);
    let futures: Vec<_> = (0..50).map(|_| exporter.respond(&request(Method::GET, &[]))).collect();
    scrapes.encodings.held.store(false, Ordering::SeqCst);
    for future in futures {
        assert_eq!(future.await.unwrap().status(), StatusCode::OK);
    }
    assert!((1..=2).contains(&encodings()), "{}", encodings());

    let before = encodings();
    let (address, arrived) = served(exporter).await;
    scrapes.encodings.held.store(true, Ordering::SeqCst);
    let fetched: Vec<_> = (0..50).map(|_| tokio::spawn(fetch(address, Method::GET, &[]))).collect();
    while arrived.load(Ordering::SeqCst) < 50 {
        tokio::task::yield_now().await;
    }
    scrapes.encodings.held.store(false, Ordering::SeqCst);
    for response in fetched {
        let (status, _, body) = response.await.unwrap();
        assert_eq!(status, StatusCode::OK);
        assert!(body.starts_with(b"# HELP "));
    }
    assert!((1..=2).contains(&(encodings() - before)), "{}", encodings() - before);
}
