//! How often one may ask before it is known who asks.
// Elsewhere there is one address of the loopback interface.
#![cfg(target_os = "linux")]

use std::{net::IpAddr, time::Duration};

use backend_metrics::{Clock, Metrics};
use clap::Parser;
use http::{Method, StatusCode};
use http_body_util::Full;
use hyper::{Request, body::Bytes};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use reference_backend::{Backend, config::Config};

struct Test {
    backend: Backend,
    metrics: Metrics,
    clock: Clock,
}

impl Test {
    /// A backend of which a caller may ask twice, and then once in a second.
    async fn new() -> Self {
        let clock = Clock::manual();
        let metrics = Metrics::builder().clock(clock.clone()).build().unwrap();
        let config = ["", "--listen", "127.0.0.1:0", "--traffic", "0", "--rate-limit", "1"];
        let backend = Backend::start(Config::parse_from(config), metrics).await.unwrap();
        Self { backend, metrics, clock }
    }

    /// A client that calls from an address.
    fn from(&self, address: [u8; 4]) -> Caller<'_> {
        let mut connector = HttpConnector::new();
        connector.set_local_address(Some(IpAddr::from(address)));
        Caller { test: self, client: Client::builder(TokioExecutor::new()).build(connector) }
    }

    fn assert_value(&self, series: &str, value: f64) {
        assert_eq!(self.metrics.value(series), Some(value), "{series}");
    }
}

struct Caller<'a> {
    test: &'a Test,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Caller<'_> {
    async fn ask(&self, method: Method, path: &str, key: &str, body: &'static str) -> StatusCode {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.test.backend.address()))
            .header("x-api-key", key)
            .body(Full::from(body))
            .unwrap();
        self.client.request(request).await.unwrap().status()
    }

    async fn read(&self, key: &str) -> StatusCode {
        self.ask(Method::GET, "/orders", key, "").await
    }

    async fn log_in(&self, password: &'static str) -> StatusCode {
        self.ask(Method::POST, "/auth/login", "", password).await
    }
}

#[tokio::test]
async fn keys_that_are_none_are_not_looked_up_for_ever() {
    let test = Test::new().await;
    let (guesser, other) = (test.from([127, 0, 0, 2]), test.from([127, 0, 0, 3]));
    // A key that is known costs no attempt.
    for _ in 0..2 {
        assert_eq!(other.read("demo-key-A-01").await, StatusCode::OK);
    }
    assert_eq!(other.read("demo-key-A-01").await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(other.read("no key").await, StatusCode::UNAUTHORIZED);

    for (number, status) in [401, 401, 429, 429].into_iter().enumerate() {
        assert_eq!(guesser.read(&format!("guess {number}")).await.as_u16(), status);
    }
    // Not for a key that is known to be wrong either.
    assert_eq!(guesser.read("guess 0").await, StatusCode::TOO_MANY_REQUESTS);
    // Others go on.
    assert_eq!(test.from([127, 0, 0, 4]).read("demo-key-A-02").await, StatusCode::OK);
    let looked_up = r#"api_key_validations_total{status="invalid"}"#;
    test.assert_value(looked_up, 3.0);
    test.assert_value(r#"rate_limit_exceeded_total{endpoint="/orders"}"#, 4.0);

    test.clock.advance(Duration::from_secs(1));
    assert_eq!(guesser.read("guess 4").await, StatusCode::UNAUTHORIZED);
    assert_eq!(guesser.read("guess 5").await, StatusCode::TOO_MANY_REQUESTS);
    test.assert_value(looked_up, 4.0);
}

#[tokio::test]
async fn nobody_keeps_another_address_from_logging_in() {
    let test = Test::new().await;
    let (flooder, user) = (test.from([127, 0, 0, 2]), test.from([127, 0, 0, 3]));
    let statuses = [flooder.log_in("").await, flooder.log_in("").await, flooder.log_in("").await];
    assert_eq!(statuses.map(|status| status.as_u16()), [400, 400, 429]);
    let right = r#"{"account":"A-01","password":"demo"}"#;
    assert_eq!(user.log_in(right).await, StatusCode::OK);
    test.assert_value(
        r#"rate_limit_requests_total{endpoint="/auth/login",decision="limited"}"#,
        1.0,
    );
}
