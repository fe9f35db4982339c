//! What a crowd of scrapers costs a service: fifty at once, slow ones, and ones that hang up.
//!
//! A measurement, not a check of every change; on a machine that has nothing else to do:
//!
//! ```text
//! cargo test --release --all-features --test scrapers -- --ignored --nocapture
//! ```

#![cfg(all(feature = "axum", feature = "server", target_os = "linux"))]

use std::{
    fs,
    future::pending,
    net::SocketAddr,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Body,
    http::Request,
    routing::{get, get_service},
};
use backend_metrics::{Exporter, Metrics, exporter::Server, middleware::MetricsLayer};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::{Builder, Runtime},
    time::{interval, sleep_until},
};

/// How long each part of the measurement takes.
const TIME: Duration = Duration::from_secs(15);

/// Connections that read a byte a second.
const SLOW: usize = 20;

/// Scrapes that begin together, every second.
const AT_ONCE: usize = 50;

fn runtime(threads: usize) -> Runtime {
    Builder::new_multi_thread().worker_threads(threads).enable_all().build().unwrap()
}

/// A service with `/metrics` among its routes and the library's own listener; where both are.
async fn start(metrics: Metrics) -> [SocketAddr; 2] {
    let exporter = Exporter::new(metrics);
    let router = Router::new()
        .route("/orders/{id}", get(async || "an order"))
        .layer(MetricsLayer::new(metrics))
        .route("/metrics", get_service(exporter.clone()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let service = listener.local_addr().unwrap();
    tokio::spawn(async { axum::serve(listener, router).await });
    let server = Server::bind(exporter, ([127, 0, 0, 1], 0)).unwrap();
    let own = server.local_addr();
    tokio::spawn(server.serve(pending()));
    [service, own]
}

/// How long requests to the service take, one every millisecond, in order.
async fn requests(service: SocketAddr) -> Vec<Duration> {
    let stream = TcpStream::connect(service).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake::<_, Body>(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut pace = interval(Duration::from_millis(1));
    let (mut took, end) = (Vec::new(), Instant::now() + TIME);
    while Instant::now() < end {
        pace.tick().await;
        let request = Request::get("/orders/17").body(Body::empty()).unwrap();
        sender.ready().await.unwrap();
        let began = Instant::now();
        let response = sender.send_request(request).await.unwrap();
        axum::body::to_bytes(Body::new(response.into_body()), 1_000).await.unwrap();
        took.push(began.elapsed());
    }
    took.sort_unstable();
    took
}

async fn ask(metrics: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(metrics).await.unwrap();
    let request = b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    stream
}

/// All kinds of scrapers, until the measurement is over.
async fn crowd(metrics: SocketAddr) {
    for _ in 0..SLOW {
        tokio::spawn(async move {
            let (mut stream, mut pace) = (ask(metrics).await, interval(Duration::from_secs(1)));
            while stream.read_u8().await.is_ok() {
                pace.tick().await;
            }
        });
    }
    let mut pace = interval(Duration::from_secs(1));
    loop {
        pace.tick().await;
        for _ in 0..AT_ONCE {
            tokio::spawn(async move {
                let (mut stream, mut part) = (ask(metrics).await, vec![0; 64 * 1024]);
                while stream.read(&mut part).await.is_ok_and(|read| read > 0) {}
            });
            tokio::spawn(async move {
                _ = ask(metrics).await.read_exact(&mut [0; 100]).await;
            });
        }
    }
}

/// The resident memory of the process in kilobytes.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
#[ignore = "a measurement of a minute"]
fn the_service_does_not_notice_a_crowd() {
    let metrics = Metrics::new();
    for number in 0..1_000 {
        drop(metrics.start_http_request(&http::Method::GET, &format!("/route-{number}")));
    }
    println!(
        "a scrape: {} kB, {} lines",
        metrics.to_text().len() / 1024,
        metrics.to_text().lines().count()
    );
    let service_runtime = runtime(2);
    let [service, own] = service_runtime.block_on(start(metrics));
    let mut quiet = Duration::MAX;
    println!(
        "{:<24} {:>9} {:>9} {:>9} {:>9} {:>12}",
        "", "requests", "median", "99 %", "99.9 %", "MB more"
    );
    for (name, scraped) in
        [("nobody", None), ("on its own listener", Some(own)), ("in the router", Some(service))]
    {
        let (begin, before) = (Instant::now(), resident());
        let scrapers = runtime(1);
        if let Some(address) = scraped {
            scrapers.spawn(crowd(address));
        }
        let (done, is_done) = mpsc::channel::<()>();
        let memory = thread::spawn(move || {
            let mut most = 0;
            while let Err(mpsc::RecvTimeoutError::Timeout) =
                is_done.recv_timeout(Duration::from_millis(20))
            {
                most = most.max(resident());
            }
            most
        });
        let clients = runtime(1);
        let took = clients.block_on(async {
            sleep_until((begin + Duration::from_secs(1)).into()).await;
            requests(service).await
        });
        drop(done);
        let more = memory.join().unwrap().saturating_sub(before) / 1024;
        scrapers.shutdown_background();
        let [median, most, nearly_all] =
            [500, 990, 999].map(|thousandth| took[took.len() * thousandth / 1_000]);
        println!(
            "{name:<24} {:>9} {median:>9.0?} {most:>9.0?} {nearly_all:>9.0?} {more:>12}",
            took.len()
        );
        quiet = quiet.min(median);
        assert!(median < quiet * 3, "half of the requests notice");
        assert!(more < 200, "memory is bounded");
    }
}
