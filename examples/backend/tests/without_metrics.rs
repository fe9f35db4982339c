//! A backend without the metrics layer and `/metrics`, as it is measured against one with them.

use backend_metrics::Metrics;
use clap::Parser;
use http::StatusCode;
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use reference_backend::{Backend, config::Config};

#[tokio::test]
async fn handlers_record_and_requests_are_not_recorded() {
    let metrics = Metrics::new();
    let flags = ["", "--listen", "127.0.0.1:0", "--traffic", "0", "--without-metrics"];
    let backend = Backend::start(Config::parse_from(flags), metrics).await.unwrap();
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let address = backend.address();
    let get = async |path: &str| {
        let uri = format!("http://{address}{path}").parse().unwrap();
        client.get(uri).await.unwrap().status()
    };
    assert_eq!(get("/metrics").await, StatusCode::NOT_FOUND);
    assert_eq!(get("/calendar/session?day=2026-01-05").await, StatusCode::OK);
    let handled = r#"calendar_requests_total{endpoint="/calendar/session",status="success"}"#;
    assert_eq!(metrics.value(handled), Some(1.0));
    let text = metrics.to_text();
    assert!(!text.lines().any(|line| line.starts_with("http_requests_total")), "{text}");
    backend.stop().await;
}
