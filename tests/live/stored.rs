//! Every family and every label value, as Prometheus stores them.

use std::collections::BTreeMap;

use backend_metrics::{
    Kind, Metrics, catalog,
    labels::{MessageDirection, RateLimitDecision},
};

use crate::{
    drive::{self, Driver, Via},
    exposed::Exposed,
    prometheus::Prometheus,
    promtool,
    proxy::Proxy,
    server::TEXT,
};

/// A series by its labels, its name among them.
pub(crate) type Labels = BTreeMap<String, String>;

#[test]
#[ignore = "needs a Prometheus server: run scripts/test"]
fn what_is_exposed_is_stored() {
    let mut driver = Driver::new(Via::Methods);
    driver.drive();
    let hostile = hostile();

    let servers = [Exposed::start(driver.metrics), Exposed::start(hostile)];
    let proxies = servers.each_ref().map(|server| Proxy::start(server.address(), "text/plain"));
    let prometheus = Prometheus::scraping(&[
        ("driven-openmetrics", servers[0].address()),
        ("driven-text", proxies[0].address()),
        ("hostile-openmetrics", servers[1].address()),
        ("hostile-text", proxies[1].address()),
    ]);
    prometheus.wait_until_up();
    prometheus.settle();
    for format in ["openmetrics", "text"] {
        check_driven(&stored(&prometheus, &format!("driven-{format}")), &driver, format);
        check_hostile(&prometheus, &format!("hostile-{format}"));
    }
    for proxy in &proxies {
        assert_eq!(proxy.content_type().as_deref(), Some(TEXT));
    }
    for target in prometheus.targets() {
        assert!(target.health == "up" && target.last_error.is_empty(), "{target:?}");
    }
    assert_eq!(prometheus.warnings(), [""; 0]);
}

/// What is stored of a job, but for what Prometheus adds itself.
fn stored(prometheus: &Prometheus, job: &str) -> BTreeMap<Labels, f64> {
    prometheus
        .query(&format!("{{job=\"{job}\",__name__!~\"up|scrape_.*\"}}"))
        .into_iter()
        .map(|mut sample| {
            sample.labels.retain(|name, _| name != "job" && name != "instance");
            (sample.labels, sample.value)
        })
        .collect()
}

/// The labels of a series without anything that is escaped.
fn labels(series: &str) -> Labels {
    let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
    let labels = labels.strip_suffix('}').expect(series);
    let labels = labels.split_inclusive("\",").filter(|label| !label.is_empty());
    let name = ("__name__".to_owned(), name.to_owned());
    labels
        .map(|label| {
            let (name, value) = label.trim_end_matches(',').split_once('=').expect(series);
            let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
            (name.to_owned(), value.expect(series).to_owned())
        })
        .chain([name])
        .collect()
}

fn check_driven(stored: &BTreeMap<Labels, f64>, driver: &Driver, format: &str) {
    // What scrapes themselves move.
    let is_moving = |series: &str| series.starts_with("metrics_scrape");

    // What the driver did.
    for (series, expected) in driver.expected() {
        let found = stored.get(&labels(series)).copied();
        let found = found.unwrap_or_else(|| panic!("{series} is not stored"));
        if is_moving(series) {
            assert!(found >= *expected || series.ends_with("_bytes"), "{series} {found}");
        } else {
            let near = (found - expected).abs() <= 1e-9 + 1e-12 * expected.abs();
            assert!(near, "{series} is {found} and not {expected}");
        }
    }
    // Of every family, and all of a histogram.
    let names: Vec<&str> = driver
        .expected()
        .keys()
        .map(|series| series.split('{').next().unwrap_or_default())
        .collect();
    for entry in catalog() {
        let name = entry.family.name;
        match entry.family.kind {
            Kind::Histogram => {
                for part in ["_bucket", "_sum", "_count"] {
                    assert!(names.contains(&format!("{name}{part}").as_str()), "{name}{part}");
                }
            }
            // They have a value without the driver.
            _ if name == "backend_service_info" || name == "metrics_series" => {}
            _ => assert!(names.contains(&name), "{name}"),
        }
    }

    // What is exposed now, no more and no less.
    let exposed = drive::samples(&driver.metrics.to_text());
    for (series, expected) in &exposed {
        let found = stored.get(&labels(series)).copied();
        let same = found.is_some_and(|found| {
            found.to_bits() == expected.to_bits() || (found.is_nan() && expected.is_nan())
        });
        assert!(same || is_moving(series), "{series} is {found:?} and not {expected}");
    }
    assert_eq!(stored.len(), exposed.len());
    let scrapes = format!("metrics_scrapes_total{{format=\"{format}\",status=\"ok\"}}");
    assert!(stored[&labels(&scrapes)] > driver.expected()[&scrapes], "{scrapes}");
    let info = "backend_service_info{version=\"1.4.2\",component=\"order-gateway\"}";
    assert!((stored[&labels(info)] - 1.0).abs() < f64::EPSILON);
}

/// Values of open labels that are meant to break an exposition, and what is stored: the first 128 bytes, as
/// far as they are whole characters. One that is empty is a label that is not there.
fn values() -> Vec<(String, String)> {
    let kept = [
        "",
        " ",
        " spaces ",
        "\"",
        "\"quoted\"",
        "\\",
        "\\n",
        "C:\\orders\\",
        "line\nbreak",
        "\n",
        "\r\n",
        "\t",
        "\0",
        "nul\0byte\0",
        "\u{1}\u{1b}[31m\u{7f}",
        "\u{feff}\u{202e}\u{2028}",
        "😀",
        "नमस्ते",
        "e\u{301}",
        "# EOF",
        "\"} 1\n# EOF\nup 0\n",
        "{}=,;'`",
        "a=\"b\",c=\"d\"",
        "%00${jndi:x}",
        "NaN",
    ];
    let cut = [
        ("x".repeat(10_240), "x".repeat(128)),
        (format!("{}é", "y".repeat(127)), "y".repeat(127)),
        ("😀".repeat(2_560), "😀".repeat(32)),
        (format!("z{}", "😀".repeat(2_560)), format!("z{}", "😀".repeat(31))),
        ("\"".repeat(10_240), "\"".repeat(128)),
        ("\\".repeat(10_240), "\\".repeat(128)),
        ("\n".repeat(10_240), "\n".repeat(128)),
        ("\0".repeat(10_240), "\0".repeat(128)),
    ];
    let kept = kept.into_iter().map(|value| (value.to_owned(), value.to_owned()));
    kept.chain(cut).collect()
}

/// An instance whose open labels have those values, each another number of times.
pub(crate) fn hostile() -> Metrics {
    let metrics = Metrics::builder()
        .constant_label("desk", "\"a\\b\nc\"")
        .service("1.0 \"beta\"\n", "C:\\gateway\\")
        .build()
        .expect("the values of labels have no rules");
    for ((value, _), times) in values().iter().zip(1..) {
        for _ in 0..times {
            metrics.track_rate_limit(value, RateLimitDecision::Allowed);
            metrics.track_websocket_message(value, value, MessageDirection::Sent, 10);
        }
    }
    metrics
}

fn check_hostile(prometheus: &Prometheus, job: &str) {
    let found = |promql: &str| -> BTreeMap<Labels, f64> {
        let samples = prometheus.query(&promql.replace('$', job)).into_iter();
        samples
            .map(|mut sample| {
                assert_eq!(
                    sample.labels.remove("desk").as_deref(),
                    Some("\"a\\b\nc\""),
                    "{sample:?}"
                );
                for ours in ["__name__", "job", "instance", "decision", "direction"] {
                    sample.labels.remove(ours);
                }
                (sample.labels, sample.value)
            })
            .collect()
    };
    let expected = |names: &[&str], scale: f64| -> BTreeMap<Labels, f64> {
        let labels = |value: &str| -> Labels {
            let names = names.iter().filter(|_| !value.is_empty());
            names.map(|name| ((*name).to_owned(), value.to_owned())).collect()
        };
        let values = values();
        let values = values.iter().zip(1..);
        values.map(|((_, value), times)| (labels(value), f64::from(times) * scale)).collect()
    };
    let endpoint = expected(&["endpoint"], 1.0);
    assert_eq!(endpoint.len(), values().len());
    assert_eq!(found("rate_limit_requests_total{job=\"$\",decision=\"allowed\"}"), endpoint);
    assert_eq!(
        found("websocket_messages_sent_total{job=\"$\"}"),
        expected(&["endpoint", "message_type"], 1.0)
    );
    assert_eq!(found("websocket_message_size_bytes_count{job=\"$\"}"), endpoint);
    assert_eq!(found("websocket_message_size_bytes_sum{job=\"$\"}"), expected(&["endpoint"], 10.0));
    let info = Labels::from([
        ("version".to_owned(), "1.0 \"beta\"\n".to_owned()),
        ("component".to_owned(), "C:\\gateway\\".to_owned()),
    ]);
    assert_eq!(found("backend_service_info{job=\"$\"}"), BTreeMap::from([(info, 1.0)]));
}

/// Their names were fixed before the rule was.
#[test]
#[ignore = "needs a Prometheus server: run scripts/test"]
fn promtool_complains_of_the_specified_names_alone() {
    let mut driver = Driver::new(Via::Methods);
    driver.record();
    let specified = [
        "cache_entries_total",
        "strategies_total",
        "strategy_instruments_total",
        "strategy_pnl_total",
    ];
    let expected = specified
        .map(|name| format!("{name} non-counter metrics should not have \"_total\" suffix"));
    assert_eq!(promtool::check_metrics(&driver.metrics.to_text()), expected);
    // What nobody set of them is not there.
    assert_eq!(promtool::check_metrics(&hostile().to_text()), expected[..1]);
}
