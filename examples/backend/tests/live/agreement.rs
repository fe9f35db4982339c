//! What clients did is what Prometheus says.

use std::net::TcpStream;

use tokio_tungstenite::tungstenite::{self, Message, client::IntoClientRequest};

use crate::{
    backend::Backend,
    http,
    postgres::Postgres,
    prometheus::Prometheus,
    redis::Redis,
    wait::{DEADLINE, eventually},
};

/// A trace of a client's.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// What comes of [`requests`] and [`orders`].
const RESULTS: &[(&str, f64)] = &[
    (r#"http_requests_total{method="POST",endpoint="/auth/login",status="200"}"#, 1.0),
    (r#"http_requests_total{method="GET",endpoint="/accounts/{id}",status="200"}"#, 7.0),
    (r#"http_requests_total{method="GET",endpoint="/accounts/{id}",status="403"}"#, 3.0),
    (r#"http_requests_total{method="GET",endpoint="/strategies",status="200"}"#, 5.0),
    (r#"http_requests_total{method="GET",endpoint="/orders",status="200"}"#, 12.0),
    (r#"http_requests_total{method="GET",endpoint="unmatched",status="404"}"#, 2.0),
    (r#"http_requests_total{method="GET",endpoint="/ws/fo/stream",status="101"}"#, 1.0),
    (r#"http_requests_total{method="POST",endpoint="/orders",status="201"}"#, 3.0),
    (r#"http_requests_total{method="POST",endpoint="/orders",status="422"}"#, 2.0),
    ("sum(http_active_requests)", 0.0),
    (r#"auth_attempts_total{status="success"}"#, 1.0),
    (r#"api_key_validations_total{status="valid"}"#, 12.0),
    (r#"authorization_denials_total{reason="account_mismatch"}"#, 3.0),
    // A key is in Redis after it was asked for once, and in memory.
    (r#"cache_operations_total{operation="get",cache_layer="l2_redis",status="miss"}"#, 3.0),
    (
        r#"cache_operations_total{operation="get",cache_layer="l1_memory",status="hit"} >= bool 9"#,
        1.0,
    ),
    (r#"smart_order_validations_total{status="passed"}"#, 3.0),
    (r#"smart_order_validations_total{status="rejected"}"#, 2.0),
    (r#"smart_order_rejection_reasons_total{reason="low_liquidity"}"#, 2.0),
    (r#"sum(orders_placed_total{status="accepted"})"#, 3.0),
    ("total_orders_placed_today", 3.0),
    // An order is checked against the margin that the ticker service says it needs.
    (r#"margin_calculations_total{status="success"}"#, 3.0),
    (r#"ticker_service_errors_total{error_type="timeout"}"#, 0.0),
    (
        "http_client_requests_total{upstream=\"ticker\",method=\"POST\",status=\"200\"} >= bool 3",
        1.0,
    ),
];

#[test]
#[ignore = "needs PostgreSQL, Redis and Prometheus: run scripts/test"]
fn what_clients_did_is_what_prometheus_says() {
    let (postgres, redis) = (Postgres::start(), Redis::start());
    let (database, cache) = (postgres.url(), redis.url());
    let backend = Backend::start(&["--traffic", "0", "--database", &database, "--redis", &cache]);
    let prometheus = Prometheus::scraping(&[("backend", backend.address)]);
    prometheus.wait_until_up();

    let token = backend.log_in("A-01");
    trace(&backend, &prometheus, &token);
    requests(&backend, &token);
    let received = websocket(&backend, &prometheus, &token);
    orders(&backend, &token);
    prometheus.settle();
    for (promql, value) in RESULTS {
        assert_eq!(prometheus.value(promql), Ok(*value), "{promql}");
    }
    assert_eq!(prometheus.value("sum(websocket_messages_received_total)"), Ok(4.0));
    assert_eq!(prometheus.value("sum(websocket_messages_sent_total)"), Ok(f64::from(received)));

    // What the servers behind it counted themselves.
    agree(&prometheus, "sum(database_queries_total)", || postgres.statements());
    let gets = || redis.calls("get");
    agree(&prometheus, r#"sum(redis_commands_total{command="get"})"#, gets);
    let operations = r#"sum(cache_operations_total{operation="get",cache_layer="l2_redis"})"#;
    agree(&prometheus, operations, gets);
    let rows = |sql| postgres.query(sql).parse().expect("it is a number");
    agree(&prometheus, "total_orders_placed_today", || rows("SELECT COUNT(*) FROM orders"));
    let connections = "SELECT COUNT(*) FROM pg_stat_activity \
        WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
    agree(&prometheus, r#"sum(database_pool_connections{state!="total"})"#, || rows(connections));
    assert_eq!(prometheus.value(r#"database_pool_connections{state="total"}"#), Ok(20.0));
    assert_eq!(prometheus.warnings(), [""; 0]);
}

/// A request in a trace of its client's: the first of its endpoint, so the one that is remembered.
#[track_caller]
fn trace(backend: &Backend, prometheus: &Prometheus, token: &str) {
    let bearer = format!("Bearer {token}");
    let parent = format!("00-{TRACE}-b7ad6b7169203331-01");
    let headers = [("Authorization", bearer.as_str()), ("Traceparent", &parent)];
    let answer = http::request(backend.address, "GET", "/accounts/A-01", &headers);
    assert_eq!(answer.expect("the backend answers").status, 200);
    for name in ["http_request_duration_seconds_bucket", "http_requests_total"] {
        eventually(DEADLINE, || has_exemplar(prometheus, name, "/accounts/{id}"));
    }
}

/// Whether a series of an endpoint has an exemplar of the trace.
fn has_exemplar(prometheus: &Prometheus, name: &str, endpoint: &str) -> Result<(), String> {
    let query = format!("/api/v1/query_exemplars?query={name}&start=0&end=4102444800");
    let data = prometheus.api(&query);
    let mut of_endpoint = data
        .as_array()
        .into_iter()
        .flatten()
        .filter(|series| series["seriesLabels"]["endpoint"] == endpoint)
        .filter_map(|series| series["exemplars"].as_array());
    let is_of_trace = |exemplar: &serde_json::Value| exemplar["labels"]["trace_id"] == TRACE;
    if of_endpoint.any(|exemplars| exemplars.iter().any(is_of_trace)) {
        Ok(())
    } else {
        Err(format!("{name}: {data}"))
    }
}

/// Requests of one who is logged in, and of programs with keys.
#[track_caller]
fn requests(backend: &Backend, token: &str) {
    for (path, status, times) in [
        ("/accounts/A-01", 200, 6),
        ("/accounts/A-02", 403, 3),
        ("/strategies", 200, 5),
        ("/nowhere", 404, 2),
    ] {
        for _ in 0..times {
            let answer = backend.ask("GET", path, token, "");
            assert_eq!(answer.status, status, "{path}: {}", answer.text());
        }
    }
    for key in ["demo-key-A-03", "demo-key-A-04", "demo-key-A-05"] {
        for _ in 0..4 {
            let answer = http::request(backend.address, "GET", "/orders", &[("X-API-Key", key)]);
            assert_eq!(answer.expect("the backend answers").status, 200);
        }
    }
}

/// Orders at the market, and some of more than it has.
#[track_caller]
fn orders(backend: &Backend, token: &str) {
    let place = |quantity: u32| {
        let order = format!(
            r#"{{"instrument":"RELIANCE","order_type":"market","side":"buy","quantity":{quantity}}}"#
        );
        backend.ask("POST", "/orders", token, &order)
    };
    for (quantity, status, times) in [(1, 201, 3), (100_000_000, 422, 2)] {
        for _ in 0..times {
            let answer = place(quantity);
            assert_eq!(answer.status, status, "{}", answer.text());
        }
    }
}

/// A client that sends four messages and listens until there is a market; gives how many it received.
#[track_caller]
fn websocket(backend: &Backend, prometheus: &Prometheus, token: &str) -> u32 {
    let url = format!("ws://{}/ws/fo/stream", backend.address);
    let mut request = url.into_client_request().expect("it is a URL");
    let bearer = format!("Bearer {token}").parse().expect("it is a header");
    request.headers_mut().insert("authorization", bearer);
    let stream = TcpStream::connect(backend.address).expect("it listens");
    stream.set_read_timeout(Some(DEADLINE)).expect("there is a timeout");
    let (mut socket, _) = tungstenite::client(request, stream).expect("it is a WebSocket");
    for text in [
        r#"{"action":"subscribe","symbols":["NIFTY","RELIANCE"]}"#,
        r#"{"action":"ping"}"#,
        r#"{"action":"ping"}"#,
        "nonsense",
    ] {
        socket.send(Message::text(text)).expect("it is open");
    }
    let (mut received, mut is_traded) = (0, false);
    while received < 20 || !is_traded {
        let message = socket.read().expect("it is open");
        received += u32::from(message.is_text());
        let text = message.into_text().expect("it is text");
        is_traded |= text.contains(r#""type":"tick""#) && text.contains("RELIANCE");
    }
    prometheus.wait_for(r#"websocket_connections_active{endpoint="/ws/fo/stream"}"#, 1.0);
    prometheus.wait_for(
        r#"websocket_subscriptions_active{endpoint="/ws/fo/stream",subscription_type="instruments"}"#,
        2.0,
    );
    // What it is sent until the close is answered it receives.
    socket.close(None).expect("it is open");
    while let Ok(message) = socket.read() {
        received += u32::from(message.is_text());
    }
    prometheus.wait_for("sum(websocket_connections_active)", 0.0);
    prometheus.wait_for("sum(websocket_subscriptions_active)", 0.0);
    received
}

/// Waits until a server behind the backend has counted what Prometheus says.
///
/// Workers ask the servers all the time, so both sides are read until nothing happened in between.
#[track_caller]
fn agree(prometheus: &Prometheus, promql: &str, count: impl Fn() -> u32) {
    eventually(DEADLINE, || {
        let before = count();
        prometheus.settle();
        let value = prometheus.value(promql)?;
        let after = count();
        if before == after && value.total_cmp(&before.into()).is_eq() {
            Ok(())
        } else {
            Err(format!("{promql} is {value}, the server counted {before}, then {after}"))
        }
    });
}
