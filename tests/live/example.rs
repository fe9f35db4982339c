//! The example program, scraped while clients use it.

use std::{
    net::SocketAddr,
    path::PathBuf,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::{
    http,
    process::Process,
    prometheus::Prometheus,
    proxy::Proxy,
    server::TEXT,
    wait::{DEADLINE, eventually},
};

/// Builds an example as a user does, without features.
#[track_caller]
fn build(example: &str) -> PathBuf {
    let output = Command::new(env!("CARGO"))
        .args(["build", "--example", example, "--message-format=json"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo starts");
    assert!(output.status.success(), "{}", output.status);
    let messages = output.stdout.split(|byte| *byte == b'\n');
    messages
        .filter_map(|message| serde_json::from_slice::<Value>(message).ok())
        .filter(|message| message["target"]["name"] == example)
        .find_map(|message| Some(message["executable"].as_str()?.into()))
        .expect("cargo names the program")
}

/// The clients: what each asks for, how often, and the status that comes back.
const REQUESTS: &[(&str, &str, &str, u32, u16)] = &[
    // From the database and into the cache, then out of the cache.
    ("GET", "/orders/1", "", 5, 200),
    ("GET", "/orders/2", "", 7, 200),
    ("GET", "/orders/700", "", 4, 404),
    ("GET", "/orders/x", "", 1, 404),
    ("POST", "/orders", "NIFTY 50", 6, 201),
    ("POST", "/orders", "", 2, 422),
    ("DELETE", "/orders/1", "", 3, 405),
    ("BREW", "/orders", "", 1, 405),
    ("GET", "/nowhere", "", 2, 404),
    ("GET", "/wp-admin/setup.php", "", 1, 404),
];

/// What comes of them, as queries that stand for a job.
const RESULTS: &[(&str, f64)] = &[
    (r#"up{job="$"}"#, 1.0),
    (r#"http_requests_total{job="$",method="GET",endpoint="/orders/{id}",status="200"}"#, 12.0),
    (r#"http_requests_total{job="$",method="GET",endpoint="/orders/{id}",status="404"}"#, 5.0),
    (r#"http_requests_total{job="$",method="DELETE",endpoint="unmatched",status="405"}"#, 3.0),
    (r#"http_requests_total{job="$",method="POST",endpoint="/orders",status="201"}"#, 6.0),
    (r#"http_requests_total{job="$",method="POST",endpoint="/orders",status="422"}"#, 2.0),
    (r#"http_requests_total{job="$",method="OTHER",endpoint="unmatched",status="405"}"#, 1.0),
    (r#"http_requests_total{job="$",method="GET",endpoint="unmatched",status="404"}"#, 3.0),
    // The scrapes are left out.
    (r#"sum(http_requests_total{job="$"})"#, 32.0),
    (r#"count(http_requests_total{job="$",status!="500"})"#, 7.0),
    // A failure stands at zero for each route.
    (r#"count(http_requests_total{job="$",status="500"} == 0)"#, 5.0),
    (r#"sum(http_request_duration_seconds_count{job="$"})"#, 32.0),
    (r#"sum(http_time_to_first_byte_seconds_count{job="$"})"#, 32.0),
    (r#"sum(http_requests_cancelled_total{job="$"})"#, 0.0),
    (r#"sum(http_panics_total{job="$"})"#, 0.0),
    (r#"sum(http_active_requests{job="$"})"#, 0.0),
    (r#"http_request_size_bytes_sum{job="$",method="POST",endpoint="/orders"}"#, 48.0),
    // "order 1\n" twelve times and "no such order\n" five times.
    (
        r#"http_response_size_bytes_sum{job="$",method="GET",endpoint="/orders/{id}"}"#,
        12.0 * 8.0 + 5.0 * 14.0,
    ),
    // The database was asked for each order once, and each time for those that it has not.
    (
        r#"cache_operations_total{job="$",operation="get",cache_layer="l1_memory",status="miss"}"#,
        7.0,
    ),
    (
        r#"cache_operations_total{job="$",operation="get",cache_layer="l1_memory",status="hit"}"#,
        10.0,
    ),
    (r#"cache_hit_rate{job="$",cache_layer="l1_memory"}"#, 100.0 * 10.0 / 17.0),
    (r#"cache_value_size_bytes_sum{job="$",cache_layer="l1_memory"}"#, 80.0),
    (r#"sum(database_queries_total{job="$"})"#, 7.0),
    (r#"database_queries_total{job="$",query_type="select",status="success"}"#, 7.0),
    (r#"database_rows_returned_sum{job="$",query_type="select"}"#, 2.0),
    (r#"database_query_duration_seconds_sum{job="$",query_type="select"} >= bool 0.035"#, 1.0),
    (r#"orders_placed_total{job="$",order_type="limit",side="buy",status="accepted"}"#, 6.0),
    (r#"orders_placed_total{job="$",order_type="limit",side="buy",status="rejected"}"#, 2.0),
    (r#"sum(orders_placed_total{job="$"})"#, 8.0),
    (r#"total_orders_placed_today{job="$"}"#, 6.0),
    (r#"unhandled_exceptions_total{job="$",exception_type="panic"}"#, 0.0),
    (r#"backend_service_info{job="$",component="orders-example"}"#, 1.0),
];

#[test]
#[ignore = "needs a Prometheus server: run scripts/test"]
fn what_clients_of_the_example_did_is_stored() {
    let mut server =
        Process::spawn(Command::new(build("hyper")).arg("127.0.0.1:0").stdout(Stdio::piped()));
    let line = server.first_line();
    let address = line.strip_prefix("http://").and_then(|line| line.strip_suffix("/metrics"));
    let address: SocketAddr = address.expect(&line).parse().expect(&line);
    let proxy = Proxy::start(address, "text/plain;version=0.0.4");
    let prometheus = Prometheus::scraping(&[("openmetrics", address), ("text", proxy.address())]);
    prometheus.wait_until_up();

    for (method, target, body, times, status) in REQUESTS {
        for _ in 0..*times {
            let response = match *method {
                "POST" => http::post(address, target, body),
                _ => http::request(address, method, target, &[]),
            };
            assert_eq!(response.expect("the example answers").status, *status, "{method} {target}");
        }
    }
    prometheus.settle();
    for job in ["openmetrics", "text"] {
        for (promql, value) in RESULTS {
            let promql = promql.replace("{job=\"$\"", &format!("{{job=\"{job}\""));
            assert_eq!(prometheus.value(&promql), Ok(*value), "{promql}");
        }
    }
    // Each was given the format that its name says.
    let ok = |format: &str| {
        format!("metrics_scrapes_total{{format=\"{format}\",status=\"ok\",job=\"text\"}}")
    };
    for format in ["openmetrics", "text"] {
        assert!(prometheus.value(&ok(format)).is_ok_and(|scrapes| scrapes > 1.0), "{format}");
    }
    assert_eq!(proxy.content_type().as_deref(), Some(TEXT));
    for target in prometheus.targets() {
        assert!(target.health == "up" && target.last_error.is_empty(), "{target:?}");
    }
    assert_eq!(prometheus.warnings(), [""; 0]);

    server.interrupt();
    let status = eventually(DEADLINE, || server.ended().ok_or("it serves on".to_owned()));
    assert!(status.success(), "{status}");
}
