//! A backend that stops ends what is under way first.

use std::time::Duration;

use backend_metrics::Metrics;
use clap::Parser;
use http::StatusCode;
use http_body_util::Empty;
use hyper::{Request, body::Bytes};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use reference_backend::{Backend, config::Config, faults::Fault};
use tokio::{net::TcpStream, time};

/// How long anything may take.
const DEADLINE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_request_that_needs_the_ticker_service_is_answered_though_the_backend_stops() {
    let metrics = Metrics::new();
    let config = Config::parse_from(["", "--listen", "127.0.0.1:0", "--traffic", "0"]);
    let backend = Backend::start(config, metrics).await.unwrap();
    let address = backend.address();
    // An answer for so many minutes is not in the cache, so the ticker service is asked.
    let ask = async |minutes: u32| {
        let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
        let request =
            Request::get(format!("http://{address}/fo/NIFTY/moneyness?minutes={minutes}"))
                .header("x-api-key", "demo-key-A-01")
                .body(Empty::new())
                .unwrap();
        client.request(request).await.unwrap().status()
    };
    let begun = async { while ask(1).await != StatusCode::OK {} };
    time::timeout(DEADLINE, begun).await.expect("there is a market");

    let faults = backend.app().faults.clone();
    tokio::spawn(async move { faults.hold(Fault::TickerSlow, DEADLINE).await });
    let stop = async {
        let under_way = r#"http_active_requests{endpoint="/fo/{underlying}/moneyness"}"#;
        while metrics.value(under_way) != Some(1.0) {
            time::sleep(Duration::from_millis(1)).await;
        }
        backend.stop().await;
    };
    let (status, ()) =
        time::timeout(DEADLINE, async { tokio::join!(ask(2), stop) }).await.expect("it stops");
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn a_backend_that_stops_lets_nobody_in_though_its_own_traffic_waits() {
    let metrics = Metrics::new();
    let config = Config::parse_from(["", "--listen", "127.0.0.1:0"]);
    let backend = Backend::start(config, metrics).await.unwrap();
    let address = backend.address();
    // Who changes something has to wait for this.
    let database = backend.app().database.clone();
    let change = database.begin("keeps others waiting").await.unwrap();
    let under_way = r#"http_active_requests{endpoint="/orders"}"#;
    let waits = async {
        // Who only reads is answered sooner.
        let mut looks = 0;
        while looks < 20 {
            looks = if metrics.value(under_way) > Some(0.0) { looks + 1 } else { 0 };
            time::sleep(Duration::from_millis(1)).await;
        }
    };
    time::timeout(DEADLINE, waits).await.expect("there is traffic");

    let closed = async {
        while TcpStream::connect(address).await.is_ok() {
            time::sleep(Duration::from_millis(1)).await;
        }
        assert!(metrics.value(under_way) > Some(0.0), "it is closed once nobody waits");
        change.commit().await.unwrap();
    };
    let stop = async { tokio::join!(backend.stop(), closed) };
    time::timeout(DEADLINE, stop).await.expect("it stops");
}
