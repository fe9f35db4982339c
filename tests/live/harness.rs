//! The means of the other tests, tried on expositions that are written out.

use std::process::Command;

use crate::{
    http,
    process::Process,
    prometheus::Prometheus,
    promtool,
    proxy::Proxy,
    server::{Answer, OPENMETRICS, Server, TEXT},
    wait::{DEADLINE, eventually},
};

const AS_OPENMETRICS: &str = "\
# HELP orders Orders by side
# TYPE orders counter
orders_total{side=\"buy\"} 3
orders_total{side=\"sell\"} 4
# HELP wait_seconds Time in the queue
# TYPE wait_seconds histogram
# UNIT wait_seconds seconds
wait_seconds_bucket{le=\"0.5\"} 1
wait_seconds_bucket{le=\"+Inf\"} 2
wait_seconds_sum 1.25
wait_seconds_count 2
# EOF
";

const AS_TEXT: &str = "\
# HELP orders_total Orders by side
# TYPE orders_total counter
orders_total{side=\"buy\"} 3
orders_total{side=\"sell\"} 4
# HELP wait_seconds Time in the queue
# TYPE wait_seconds histogram
wait_seconds_bucket{le=\"0.5\"} 1
wait_seconds_bucket{le=\"+Inf\"} 2
wait_seconds_sum 1.25
wait_seconds_count 2
";

/// Answers with the format that is asked for.
fn negotiating() -> Server {
    Server::start(|head| {
        let accept = http::header(head, "accept").unwrap_or_default();
        let openmetrics = accept.contains("application/openmetrics-text");
        let (content_type, exposition) =
            if openmetrics { (OPENMETRICS, AS_OPENMETRICS) } else { (TEXT, AS_TEXT) };
        Answer { status: 200, content_type: content_type.into(), body: exposition.into() }
    })
}

#[test]
#[ignore = "needs a Prometheus server: run scripts/test"]
fn both_formats_are_stored() {
    let openmetrics = Server::exposing(OPENMETRICS, AS_OPENMETRICS);
    let text = Server::exposing(TEXT, AS_TEXT);
    let prometheus =
        Prometheus::scraping(&[("openmetrics", openmetrics.address()), ("text", text.address())]);
    prometheus.wait_until_up();
    prometheus.settle();
    for job in ["openmetrics", "text"] {
        for (promql, value) in [
            (format!("up{{job=\"{job}\"}}"), 1.0),
            (format!("sum(orders_total{{job=\"{job}\"}})"), 7.0),
            (format!("orders_total{{job=\"{job}\",side=\"sell\"}}"), 4.0),
            (format!("wait_seconds_bucket{{job=\"{job}\",le=\"0.5\"}}"), 1.0),
            (format!("wait_seconds_sum{{job=\"{job}\"}}"), 1.25),
        ] {
            prometheus.wait_for(&promql, value);
        }
    }
    let series = prometheus.query("orders_total");
    assert_eq!(series.len(), 4, "{series:?}");
    assert!(series.iter().all(|sample| sample.labels.contains_key("side")), "{series:?}");
    assert_eq!(prometheus.query("orders_total > 5").len(), 0);
    prometheus.value("orders_total").unwrap_err();
    assert_eq!(prometheus.warnings(), [""; 0]);
}

#[test]
#[ignore = "needs a Prometheus server: run scripts/test"]
fn a_broken_exposition_is_told_from_a_good_one() {
    let no_end = Server::exposing(OPENMETRICS, AS_OPENMETRICS.trim_end_matches("# EOF\n"));
    let broken = Server::exposing(TEXT, "orders_total{side=\"buy} 3\n");
    let old = Server::exposing(TEXT, "orders_total 3 1000\n");
    let prometheus = Prometheus::scraping(&[
        ("no-end", no_end.address()),
        ("broken", broken.address()),
        ("old", old.address()),
    ]);
    for job in ["no-end", "broken"] {
        prometheus.wait_for(&format!("up{{job=\"{job}\"}}"), 0.0);
    }
    for target in prometheus.targets() {
        let is_bad = target.job != "old";
        assert_eq!(target.health == "down", is_bad, "{target:?}");
        assert_eq!(!target.last_error.is_empty(), is_bad, "{target:?}");
    }
    // A scrape of samples from 1970 is good, but the log says that none was taken.
    eventually(DEADLINE, || match prometheus.warnings() {
        warnings if warnings.iter().any(|line| line.contains("too old")) => Ok(()),
        warnings => Err(format!("{warnings:?}")),
    });
}

#[test]
#[ignore = "needs a Prometheus server: run scripts/test"]
fn a_proxy_gets_the_format_that_prometheus_does_not_ask_for() {
    let server = negotiating();
    let proxy = Proxy::start(server.address(), "text/plain;version=0.0.4");
    let prometheus =
        Prometheus::scraping(&[("direct", server.address()), ("proxy", proxy.address())]);
    prometheus.wait_until_up();
    prometheus.settle();
    assert_eq!(proxy.content_type().as_deref(), Some(TEXT));
    prometheus.wait_for("count(orders_total{side=\"buy\"})", 2.0);
}

#[test]
#[ignore = "needs a Prometheus server: run scripts/test"]
fn promtool_says_what_it_dislikes() {
    assert_eq!(promtool::check_metrics(AS_TEXT), [""; 0]);
    let gauge = "# HELP open_total Orders open\n# TYPE open_total gauge\nopen_total 1\n";
    let complaints = promtool::check_metrics(gauge);
    assert_eq!(complaints, ["open_total non-counter metrics should not have \"_total\" suffix"]);
}

#[test]
#[should_panic(expected = "is not installed: run scripts/test")]
fn a_missing_server_fails_the_test() {
    Process::spawn(&mut Command::new("a-server-that-nobody-has"));
}
