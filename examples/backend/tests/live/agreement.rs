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

/// An option that is traded, once the feed has begun.
#[track_caller]
fn option_of(backend: &Backend, token: &str) -> String {
    eventually(DEADLINE, || {
        let chain = backend.ask("GET", "/fo/NIFTY/option-chain", token, "");
        let text = chain.text();
        let symbol = text.split('"').find(|part| part.starts_with("NIFTY") && part.ends_with("CE"));
        symbol.map(str::to_owned).ok_or(text)
    })
}

/// Whether a series of an endpoint has an exemplar of the trace, at any time.
fn has_exemplar(prometheus: &Prometheus, name: &str, endpoint: &str) -> Result<(), String> {
    let query = format!("/api/v1/query_exemplars?query={name}&start=0&end=4102444800");
    let data = prometheus.api(&query);
    let all = data.as_array().into_iter().flatten();
    let mut of_endpoint = all.filter(|series| series["seriesLabels"]["endpoint"] == endpoint);
    let of_trace = of_endpoint.any(|series| {
        let exemplars = series["exemplars"].as_array().into_iter().flatten();
        exemplars.into_iter().any(|exemplar| exemplar["labels"]["trace_id"] == TRACE)
    });
    if of_trace { Ok(()) } else { Err(format!("{name}: {data}")) }
}

#[test]
#[ignore = "needs PostgreSQL, Redis and Prometheus: run scripts/test"]
fn what_clients_did_is_what_prometheus_says() {
    let (postgres, redis) = (Postgres::start(), Redis::start());
    let (database, cache) = (postgres.url(), redis.url());
    let backend = Backend::start(&["--traffic", "0", "--database", &database, "--redis", &cache]);
    let prometheus = Prometheus::scraping(&[("backend", backend.address)]);
    prometheus.wait_until_up();
    let token = backend.log_in("A-01");
    let symbol = option_of(&backend, &token);
    prometheus.settle();
    let margins = r#"sum(ticker_service_requests_total{operation="other"})"#;
    let margins_before = prometheus.value(margins).expect("it is exposed");

    // A request in a trace of its client's: the first of its endpoint, so the one that is remembered.
    let bearer = format!("Bearer {token}");
    let headers = [
        ("Authorization", bearer.as_str()),
        ("Traceparent", &format!("00-{TRACE}-b7ad6b7169203331-01")),
    ];
    let answer = http::request(backend.address, "GET", "/accounts/A-01", &headers);
    assert_eq!(answer.expect("the backend answers").status, 200);
    for name in ["http_request_duration_seconds_bucket", "http_requests_total"] {
        eventually(DEADLINE, || has_exemplar(&prometheus, name, "/accounts/{id}"));
    }

    // Requests and orders.
    let get = |path: &str, status: u16, times: u32| {
        for _ in 0..times {
            let answer = backend.ask("GET", path, &token, "");
            assert_eq!(answer.status, status, "{path}: {}", answer.text());
        }
    };
    get("/accounts/A-01", 200, 6);
    get("/accounts/A-02", 403, 3);
    get("/strategies", 200, 5);
    get("/nowhere", 404, 2);
    let order = format!(
        r#"{{"instrument":"{symbol}","order_type":"limit","side":"buy","quantity":1000000,"price":0.05}}"#
    );
    let mut placed = [0_u32; 2];
    let lot = order.replace("1000000", "75");
    for body in [&lot, &lot, &lot, &order] {
        match backend.ask("POST", "/orders", &token, body).status {
            201 => placed[0] += 1,
            422 => placed[1] += 1,
            status => panic!("{status}"),
        }
    }
    assert!(placed[0] >= 1 && placed[1] >= 1, "{placed:?}");

    // Keys are looked up in memory, in Redis and in the database, in this order, and kept in both.
    for account in ["A-03", "A-04", "A-05"] {
        let key = format!("demo-key-{account}");
        for _ in 0..4 {
            let headers = [("X-API-Key", key.as_str())];
            let answer = http::request(backend.address, "GET", "/orders", &headers);
            assert_eq!(answer.expect("the backend answers").status, 200);
        }
    }

    // A WebSocket that is sent ticks.
    let mut request =
        format!("ws://{}/ws/fo/stream", backend.address).into_client_request().unwrap();
    request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    let stream = TcpStream::connect(backend.address).expect("it listens");
    stream.set_read_timeout(Some(DEADLINE)).expect("there is a timeout");
    let (mut socket, _) = tungstenite::client(request, stream).expect("it is a WebSocket");
    let subscribe = format!(r#"{{"action":"subscribe","symbols":["{symbol}","NIFTY"]}}"#);
    socket.send(Message::text(subscribe)).expect("it is open");
    for _ in 0..3 {
        socket.send(Message::text(r#"{"action":"ping"}"#)).expect("it is open");
    }
    let mut received = 0.0;
    while received < 20.0 {
        received += f64::from(u8::from(socket.read().expect("it is open").is_text()));
    }
    prometheus.wait_for(r#"sum(websocket_connections_active)"#, 1.0);
    socket.close(None).expect("it is open");
    while let Ok(message) = socket.read() {
        received += f64::from(u8::from(message.is_text()));
    }
    prometheus.wait_for("sum(websocket_connections_active)", 0.0);
    prometheus.settle();

    for (promql, value) in [
        (r#"http_requests_total{method="POST",endpoint="/auth/login",status="200"}"#, 1.0),
        (r#"http_requests_total{method="GET",endpoint="/accounts/{id}",status="200"}"#, 7.0),
        (r#"http_requests_total{method="GET",endpoint="/accounts/{id}",status="403"}"#, 3.0),
        (r#"http_requests_total{method="GET",endpoint="/strategies",status="200"}"#, 5.0),
        (r#"http_requests_total{method="GET",endpoint="unmatched",status="404"}"#, 2.0),
        (r#"http_requests_total{method="GET",endpoint="/ws/fo/stream",status="101"}"#, 1.0),
        (
            r#"http_requests_total{method="POST",endpoint="/orders",status="201"}"#,
            f64::from(placed[0]),
        ),
        (
            r#"http_requests_total{method="POST",endpoint="/orders",status="422"}"#,
            f64::from(placed[1]),
        ),
        (r#"http_requests_total{method="GET",endpoint="/orders",status="200"}"#, 12.0),
        (r#"api_key_validations_total{status="valid"}"#, 12.0),
        (r#"cache_operations_total{operation="get",cache_layer="l2_redis",status="miss"}"#, 3.0),
        (r#"authorization_denials_total{reason="account_mismatch"}"#, 3.0),
        (r#"auth_attempts_total{status="success"}"#, 1.0),
        (r#"sum(orders_placed_total{status="accepted"})"#, f64::from(placed[0])),
        ("total_orders_placed_today", f64::from(placed[0])),
        (r#"sum(smart_order_validations_total)"#, 4.0),
        (r#"sum(smart_order_validations_total{status="rejected"})"#, f64::from(placed[1])),
        (r#"sum(websocket_messages_received_total)"#, 4.0),
        (r#"sum(websocket_messages_sent_total)"#, received),
        ("sum(http_active_requests)", 0.0),
    ] {
        assert_eq!(prometheus.value(promql), Ok(value), "{promql}");
    }
    assert_eq!(postgres.query("SELECT COUNT(*) FROM orders"), placed[0].to_string());

    // What the servers behind it counted themselves. They are asked all the time, by workers, so both sides
    // are read until nothing happened in between.
    let agree = |what: &str, count: &dyn Fn() -> f64, promql: &str| {
        eventually(DEADLINE, || {
            let before = count();
            prometheus.settle();
            let value = prometheus.value(promql)?;
            match count() {
                after if after != before => Err(format!("{what}: {before}, then {after}")),
                _ if value == before => Ok(()),
                _ => Err(format!("{what}: {before}, {promql}: {value}")),
            }
        });
    };
    let statements = || f64::from(u32::try_from(postgres.statements()).expect("they are few"));
    agree("statements", &statements, "sum(database_queries_total)");
    let gets = || redis.calls("get") as f64;
    agree("gets", &gets, r#"sum(redis_commands_total{command="get"})"#);
    agree("gets", &gets, r#"sum(cache_operations_total{operation="get",cache_layer="l2_redis"})"#);
    let connections = || {
        let sql = "SELECT COUNT(*) FROM pg_stat_activity WHERE backend_type = 'client backend' \
            AND pid <> pg_backend_pid()";
        postgres.query(sql).parse().expect("it is a number")
    };
    agree("connections", &connections, r#"sum(database_pool_connections{state!="total"})"#);
    assert_eq!(prometheus.value(r#"database_pool_connections{state="total"}"#), Ok(20.0));
    assert!(margins_before <= prometheus.value(margins).expect("it is exposed"));
    assert_eq!(prometheus.warnings(), [""; 0]);
}
