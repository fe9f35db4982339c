//! What an instance exposes, as the tests compare it.

use std::{collections::BTreeMap, time::Duration};

use backend_metrics::{
    Clock, Metrics,
    middleware::{ClientLayer, ClientService, Endpoint, MetricsLayer, MetricsService},
};
use tower::Layer;

use crate::scripted::{self, Answers, Failure, Plan, Received, Scripted, Served};

/// An instance with a clock that the test moves.
pub(crate) struct Test {
    pub(crate) metrics: Metrics,
    pub(crate) clock: Clock,
}

impl Test {
    pub(crate) fn new() -> Self {
        Self::with_cap(1_000)
    }

    /// With room for so many values of each open label.
    pub(crate) fn with_cap(cap: usize) -> Self {
        let clock = Clock::manual();
        let builder = Metrics::builder().without("process").label_cap(cap);
        Self { metrics: builder.clock(clock.clone()).build().unwrap(), clock }
    }

    pub(crate) fn layer(&self) -> MetricsLayer {
        MetricsLayer::new(self.metrics)
    }

    /// A service that answers by plan, with the layer around it.
    pub(crate) fn service(&self) -> MetricsService<Answers> {
        self.layer().layer(Answers { clock: self.clock.clone() })
    }

    /// A client that is answered by plan, with the layer around it.
    pub(crate) fn client(&self) -> ClientService<Answers> {
        ClientLayer::new(self.metrics, "ticker").layer(Answers { clock: self.clock.clone() })
    }

    /// What the service answers to a request for `/orders/{id}`, which is ready at once.
    #[track_caller]
    pub(crate) fn answer(&self, method: &str, plan: Plan) -> Result<Served, Failure> {
        scripted::answer(self.service(), order(method, plan))
    }

    /// What the client receives for a request to `/quotes`, which is ready at once.
    #[track_caller]
    pub(crate) fn receive(&self, method: &str, plan: Plan) -> Result<Received, Failure> {
        scripted::answer(self.client(), scripted::request::<()>(method, "/quotes", plan))
    }

    /// Moves the clock by milliseconds.
    pub(crate) fn advance(&self, milliseconds: u64) {
        self.clock.advance(Duration::from_millis(milliseconds));
    }

    /// The value of a series, if it is exposed.
    pub(crate) fn series(&self, series: &str) -> Option<f64> {
        Scrape::of(self.metrics).series.get(series).copied()
    }

    /// The series of the families around HTTP that are not at zero; buckets are left out.
    pub(crate) fn moved(&self) -> BTreeMap<String, f64> {
        let mut series = Scrape::of(self.metrics).series;
        series.retain(|series, value| {
            let name = series.split('{').next().unwrap();
            let about_http = name.starts_with("http_")
                || ["application_errors_total", "metrics_label_overflows_total"].contains(&name);
            about_http && !name.ends_with("_bucket") && *value != 0.0
        });
        series
    }

    /// Asserts that these series are all that moved, written as they are exposed, in any order.
    #[track_caller]
    pub(crate) fn assert_moved(&self, expected: &str) {
        let lines = expected.lines().map(str::trim).filter(|line| !line.is_empty());
        let expected = lines
            .map(|line| {
                let (series, value) = line.rsplit_once(' ').unwrap();
                (series.to_owned(), value.parse().unwrap())
            })
            .collect();
        assert_same(&self.moved(), &expected);
    }
}

/// A request for the endpoint `/orders/{id}`, its body empty.
pub(crate) fn order(method: &str, plan: Plan) -> http::Request<Scripted> {
    let mut request = scripted::request(method, "/orders/17", plan);
    request.extensions_mut().insert(Endpoint::from_static("/orders/{id}"));
    *request.body_mut() = Scripted::sized(0);
    request
}

/// Asserts that two sets of series are the same, and says where they are not.
#[track_caller]
pub(crate) fn assert_same(exposed: &BTreeMap<String, f64>, expected: &BTreeMap<String, f64>) {
    let mut complaints = String::new();
    for (series, value) in exposed {
        if expected.get(series) != Some(value) {
            complaints += &format!("exposed:  {series} {value}\n");
        }
    }
    for (series, value) in expected {
        if exposed.get(series) != Some(value) {
            complaints += &format!("expected: {series} {value}\n");
        }
    }
    assert!(complaints.is_empty(), "\n{complaints}");
}

/// A scrape that was read and found to be valid.
pub(crate) struct Scrape {
    pub(crate) series: BTreeMap<String, f64>,
}

impl Scrape {
    #[track_caller]
    pub(crate) fn of(metrics: Metrics) -> Self {
        let text = metrics.to_text();
        assert!(text.ends_with('\n'));
        let mut series = BTreeMap::new();
        // The bucket before, and its count.
        let mut bucket: Option<(&str, f64)> = None;
        for line in text.lines() {
            if line.starts_with("# HELP ") || line.starts_with("# TYPE ") {
                continue;
            }
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert_name(name);
            let value: f64 = value.parse().unwrap();
            if let Some((labels, le)) = name.split_once("le=\"") {
                let before = bucket.filter(|(before, _)| *before == labels);
                assert!(before.is_none_or(|(_, count)| count <= value), "{line}");
                bucket = Some((labels, value));
                if le.starts_with("+Inf") {
                    let count = name.replace("_bucket{le=\"+Inf\"}", "_count");
                    let count = count.replace("_bucket{", "_count{").replace(",le=\"+Inf\"", "");
                    series.insert(count, value);
                }
            }
            // The count repeats the last bucket.
            let there = series.insert(name.to_owned(), value);
            assert!(
                there.is_none_or(|there| name.contains("_count") && there == value),
                "{line} is exposed twice"
            );
        }
        Self { series }
    }

    /// The sum over all series of a family.
    pub(crate) fn sum(&self, family: &str) -> f64 {
        let of_family = |series: &str| {
            series.strip_prefix(family).is_some_and(|rest| rest.is_empty() || rest.starts_with('{'))
        };
        self.series.iter().filter(|(series, _)| of_family(series)).map(|(_, value)| value).sum()
    }

    /// How many series a family has.
    pub(crate) fn count(&self, family: &str) -> usize {
        let start = format!("{family}{{");
        self.series.keys().filter(|series| series.starts_with(&start)).count()
    }
}

/// Asserts that a series is written as the format wants it.
#[track_caller]
fn assert_name(series: &str) {
    let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
    assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || b"_0123456789".contains(&byte)));
    let mut rest = labels;
    while let Some((label, value)) = rest.split_once("=\"") {
        assert!(label.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{series}");
        let mut escaped = false;
        let end = value.bytes().position(|byte| {
            let ends = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        });
        rest = &value[end.expect("a label value ends with a quote") + 1..];
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
    assert_eq!(rest, "}", "{series}");
}
