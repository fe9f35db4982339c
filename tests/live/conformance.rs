//! Every family, as others than Prometheus read it: the parsers of the Python client, and `VictoriaMetrics`.

use std::collections::BTreeMap;

use backend_metrics::{Format, Metrics};

use crate::{
    drive::{Driver, Via},
    exposed::Exposed,
    exposition,
    http::percent_encode,
    prometheus::texts,
    promtool::check_metrics,
    proxy::Proxy,
    python::{self, Number},
    refused,
    server::{OPENMETRICS, TEXT},
    stored::{Labels, hostile},
    victoria::Victoria,
    wait::{DEADLINE, eventually},
};

/// An instance that everything was recorded into.
fn driven() -> Metrics {
    let mut driver = Driver::new(Via::Methods);
    driver.record();
    driver.metrics
}

/// The same in a trace.
fn traced() -> Metrics {
    #[cfg(feature = "exemplars")]
    let _guard = {
        use tracing_subscriber::layer::SubscriberExt as _;

        let layer = backend_metrics::TraceExemplars::new();
        let subscriber = tracing_subscriber::registry().with(layer);
        let subscriber = tracing::subscriber::set_default(subscriber);
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        (tracing::info_span!("request", trace_id = id).entered(), subscriber)
    };
    driven()
}

#[test]
#[ignore = "needs the Python client: run scripts/test"]
fn the_python_client_reads_what_our_reader_reads() {
    for metrics in [traced(), hostile()] {
        for format in [Format::OpenMetrics, Format::Text] {
            let text = metrics.encode(format);
            let ours = exposition::parse(&text, format).unwrap_or_else(|broken| panic!("{broken}"));
            let theirs = python::parse(&text, format);
            let ours: Vec<_> =
                ours.families.iter().map(|family| as_python(family, format)).collect();
            for (ours, theirs) in ours.iter().zip(&theirs) {
                assert_eq!(ours, theirs, "{format:?}");
            }
            assert_eq!(ours.len(), theirs.len());
        }
    }
}

/// A family of our reader as the Python client has it.
fn as_python(family: &exposition::Family, format: Format) -> python::Family {
    let map = |labels: &[(String, String)]| labels.iter().cloned().collect();
    let number = |text: &str| Number::of(text.parse().expect("it was read as a number"));
    // It takes the suffix off the name of a counter in text as well.
    let suffix = if format == Format::Text && family.kind == "counter" { "_total" } else { "" };
    let samples = family.samples.iter().map(|sample| python::Sample {
        name: sample.name.clone(),
        labels: map(&sample.labels),
        value: number(&sample.value),
        exemplar: sample.exemplar.as_ref().map(|exemplar| python::Exemplar {
            labels: map(&exemplar.labels),
            value: number(&exemplar.value),
            timestamp: number(&exemplar.timestamp),
        }),
    });
    python::Family {
        name: family.name.strip_suffix(suffix).unwrap_or(&family.name).to_owned(),
        kind: family.kind.clone(),
        unit: family.unit.clone().unwrap_or_default(),
        help: family.help.clone(),
        samples: samples.collect(),
    }
}

/// It asks for text 0.0.4. `OpenMetrics`, which its version 1.79 does not ask for, it is given without
/// exemplars: it would take those of a series without labels for its labels.
#[test]
#[ignore = "needs a VictoriaMetrics server: run scripts/test"]
fn victoria_metrics_stores_what_is_exposed() {
    let instances = [("driven", driven()), ("hostile", hostile())];
    let servers = instances.map(|(_, metrics)| Exposed::start(metrics));
    let own = servers.each_ref().map(|server| Proxy::passing(server.address()));
    let openmetrics = servers
        .each_ref()
        .map(|server| Proxy::start(server.address(), "application/openmetrics-text;version=1.0.0"));
    let victoria = Victoria::scraping(&[
        ("driven-own", own[0].address()),
        ("driven-openmetrics", openmetrics[0].address()),
        ("hostile-own", own[1].address()),
        ("hostile-openmetrics", openmetrics[1].address()),
    ]);
    for (name, metrics) in instances {
        for format in ["own", "openmetrics"] {
            let job = format!("{name}-{format}");
            eventually(DEADLINE, || compare(&exposed(metrics), &stored(&victoria, &job)));
        }
    }
    for (proxies, content_type) in [(own, TEXT), (openmetrics, OPENMETRICS)] {
        for proxy in proxies {
            assert_eq!(proxy.content_type().as_deref(), Some(content_type));
        }
    }
}

type Series = BTreeMap<Labels, f64>;

/// What an instance shows, but for what scrapes move. A label without a value is none, and what is not a
/// number is not stored.
fn exposed(metrics: Metrics) -> Series {
    let read = exposition::parse(&metrics.encode(Format::OpenMetrics), Format::OpenMetrics);
    let read = read.unwrap_or_else(|broken| panic!("{broken}"));
    let samples = read.samples().filter(|sample| !is_moving(&sample.name));
    let samples = samples.map(|sample| {
        let labels = sample.labels.iter().filter(|(_, value)| !value.is_empty()).cloned();
        let name = ("__name__".to_owned(), sample.name.clone());
        let labels = labels.chain([name]).collect();
        (labels, sample.value.parse::<f64>().expect("it was read as a number"))
    });
    samples.filter(|(_, value)| !value.is_nan()).collect()
}

/// What a job has in store, but for what scrapes move.
fn stored(victoria: &Victoria, job: &str) -> Series {
    let query = format!("{{job=\"{job}\",__name__!~\"up|scrape_.*\"}}");
    let data = victoria.api(&format!("/api/v1/query?query={}", percent_encode(&query)));
    let result = data["result"].as_array().expect("it is a vector").iter();
    let series = result.map(|series| {
        let mut labels = texts(&series["metric"]).expect("labels are text");
        labels.retain(|name, _| name != "job" && name != "instance");
        let value = series["value"][1].as_str().and_then(|value| value.parse().ok());
        (labels, value.expect("a value is a number"))
    });
    series.filter(|(labels, _)| !is_moving(&labels["__name__"])).collect()
}

fn is_moving(name: &str) -> bool {
    name.starts_with("metrics_scrape") || name.starts_with("process_")
}

#[test]
#[ignore = "needs the Python client and promtool: run scripts/test"]
fn a_registry_with_what_readers_refuse_costs_no_scrape() {
    let (registry, _) = refused::registry();
    let metrics = Metrics::builder().registry(registry).build().unwrap();
    for format in [Format::OpenMetrics, Format::Text] {
        let families = python::parse(&metrics.encode(format), format);
        let found = |name: &str| families.iter().filter(|family| family.name == name).count();
        for family in ["fills", "level", "traced", "spread", "wait_seconds", "odd"] {
            assert_eq!(found(family), 1, "{family} in {format:?}");
        }
    }
    // It complains of names, and refuses what it cannot parse.
    check_metrics(&metrics.to_text());
}

/// It stores 15 digits of a number.
fn compare(exposed: &Series, stored: &Series) -> Result<(), String> {
    let near = |one: f64, other: f64| {
        one.total_cmp(&other).is_eq() || (one - other).abs() <= 1e-14 * one.abs()
    };
    for (labels, value) in exposed {
        match stored.get(labels) {
            Some(found) if near(*value, *found) => {}
            found => return Err(format!("{labels:?} is {found:?} and not {value}")),
        }
    }
    match stored.keys().find(|labels| !exposed.contains_key(*labels)) {
        Some(labels) => Err(format!("{labels:?} is stored and not exposed")),
        None => Ok(()),
    }
}
