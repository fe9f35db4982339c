//! Every helper is called with known numbers, and every family is moved by one.
//!
//! The numbers and their effects stand in `drive`, a file for each subsystem.

mod drive;

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    process::Command,
};

use backend_metrics::{Exporter, Kind, ValueSet, catalog};
use drive::{Driver, Samples, Via, is_of, source};
use http::{Request, header};
use http_body_util::BodyExt;

/// What Prometheus asks for.
const OPENMETRICS: &str = "application/openmetrics-text;version=1.0.0";

#[test]
fn every_helper_does_what_it_says() {
    let mut driver = Driver::new(Via::Methods);
    driver.drive();
    driver.watch();
    let called: BTreeSet<String> = driver.called().into_iter().map(str::to_owned).collect();
    let helpers = source::helpers();
    assert!(helpers.len() > 100, "{} helpers found", helpers.len());
    assert_eq!(
        called.symmetric_difference(&helpers).collect::<Vec<_>>(),
        Vec::<&String>::new(),
        "not called by the driver, or not found in the source"
    );
}

#[test]
fn a_wall_clock_that_jumps_changes_no_duration_and_no_count() {
    let mut driver = Driver::new(Via::Methods);
    driver.jump();
    driver.drive();
}

#[test]
fn every_outcome_of_a_guard_is_driven() {
    let missing = source::guard_methods_not_driven();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_family_is_moved() {
    let mut driver = Driver::new(Via::Methods);
    driver.drive();
    let after = drive::samples(&driver.metrics.to_text());
    let of = |samples: &Samples, family: &str| -> BTreeMap<String, String> {
        let samples = samples.iter().filter(|(series, _)| is_of(series, family));
        samples.map(|(series, value)| (series.clone(), value.to_string())).collect()
    };
    for entry in catalog() {
        let family = entry.family;
        let (before, after) = (of(driver.before(), family.name), of(&after, family.name));
        assert!(!after.is_empty(), "{} is not exposed", family.name);
        if family.kind == Kind::Info {
            // It is moved by the builder.
            continue;
        }
        assert_ne!(before, after, "nothing moved {}", family.name);
        for label in family.labels {
            let ValueSet::Closed(values) = label.values else { continue };
            // A callback that is late would hold every drive up; `field` has them.
            let is_late = |value: &&&str| {
                family.name == "metrics_callback_failures_total" && **value == "timeout"
            };
            for value in values.iter().filter(|value| !is_late(value)) {
                let label = format!("{}=\"{value}\"", label.name);
                let is_moved = |series: &String| {
                    is_of(series, family.name)
                        && series.split(['{', ',', '}']).any(|part| part == label)
                };
                assert!(
                    driver.moved().iter().any(is_moved),
                    "nothing moved {}{{{label}}}",
                    family.name
                );
            }
        }
    }
}

/// The first event of a series that is born at one is lost to `rate()`.
#[test]
fn a_counter_has_its_failures_at_zero_with_the_first_event_of_an_open_value() {
    let mut driver = Driver::new(Via::Methods);
    driver.drive();
    let mut checked = BTreeSet::new();
    for entry in catalog().filter(|entry| entry.family.kind == Kind::Counter) {
        let family = entry.family;
        let closed: Vec<_> = family
            .labels
            .iter()
            .filter_map(|label| match (family.name, label.values) {
                (_, ValueSet::Closed(values)) => Some((label.name, values)),
                ("http_requests_total", ValueSet::Status(_)) => Some((label.name, &["500"][..])),
                (_, ValueSet::Status(_)) => Some((label.name, &["error"][..])),
                _ => None,
            })
            .collect();
        if closed.is_empty() || closed.len() == family.labels.len() {
            continue;
        }
        // By the other labels: when the first of them appeared, and those that every one has.
        let mut groups = BTreeMap::<_, (usize, Vec<usize>)>::new();
        for (series, born) in driver.born().iter().filter(|(series, _)| is_of(series, family.name))
        {
            let labels = series.split_once('{').unwrap().1.strip_suffix('}').unwrap();
            let is_closed = |label: &&str| closed.iter().any(|(name, _)| label.starts_with(name));
            let (values, rest): (Vec<_>, Vec<_>) = labels.split(',').partition(is_closed);
            let (first, owed) = groups.entry(rest.join(",")).or_insert((*born, Vec::new()));
            *first = (*first).min(*born);
            let is_owed = values.iter().all(|label| {
                let (name, value) = label.split_once('=').unwrap();
                closed.iter().any(|(closed, values)| {
                    name == *closed && values.contains(&value.trim_matches('"'))
                })
            });
            if is_owed {
                owed.push(*born);
            }
        }
        let each: usize = closed.iter().map(|(_, values)| values.len()).product();
        assert!(!groups.is_empty(), "nothing appeared in {}", family.name);
        for (labels, (first, owed)) in groups {
            assert_eq!(owed, vec![first; each], "{}{{{labels}}}", family.name);
        }
        checked.insert(family.name);
    }
    for family in ["http_requests_total", "http_client_requests_total", "worker_tasks_total"] {
        assert!(checked.contains(family), "{family} was not looked at");
    }
}

#[tokio::test]
async fn every_family_is_exposed_in_the_order_of_the_catalog() {
    let mut driver = Driver::new(Via::Methods);
    driver.record();
    let exporter = Exporter::new(driver.metrics);
    for (accept, is_openmetrics) in [("text/plain", false), (OPENMETRICS, true)] {
        let request = Request::get("/metrics").header(header::ACCEPT, accept).body(()).unwrap();
        let response = exporter.respond(&request).await.unwrap();
        assert_eq!(response.status(), 200);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let text = std::str::from_utf8(&body).unwrap();
        assert_eq!(text.ends_with("# EOF\n"), is_openmetrics);
        let exposed = families(text);
        let expected: Vec<String> = catalog()
            .map(|entry| {
                let suffix = match entry.family.kind {
                    Kind::Counter => "_total",
                    Kind::Info => "_info",
                    _ => "",
                };
                let name = entry.family.name;
                if is_openmetrics { name.strip_suffix(suffix).unwrap() } else { name }.to_owned()
            })
            .collect();
        assert_eq!(exposed, expected);
    }
}

/// The names of the families that an exposition shows, in its order.
fn families(text: &str) -> Vec<String> {
    let names = text.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split(' ').next());
    names.map(str::to_owned).collect()
}

#[test]
fn the_order_is_the_same_in_every_process() {
    let exposition = || {
        let output = Command::new(env::current_exe().unwrap())
            .args(["--exact", "prints_an_exposition", "--ignored", "--nocapture"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let output = String::from_utf8(output.stdout).unwrap();
        let (_, output) = output.split_once(MARK).unwrap();
        output.split_once(MARK).unwrap().0.to_owned()
    };
    let (one, other) = (exposition(), exposition());
    assert_eq!(families(&one).len(), backend_metrics::catalog().count());
    assert!(one == other, "{one}\n{other}");
}

/// Stands around the exposition.
const MARK: &str = "\n-----\n";

#[test]
#[ignore = "run by another test, in a process of its own"]
fn prints_an_exposition() {
    let mut driver = Driver::new(Via::Methods);
    driver.record();
    println!("{MARK}{}{MARK}", driver.metrics.to_text());
}
