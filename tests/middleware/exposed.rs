//! What an instance exposes, as the tests compare it.

use std::{collections::BTreeMap, time::Duration};

use backend_metrics::{
    Builder, Clock, Format, Metrics,
    middleware::{ClientLayer, ClientService, Endpoint, MetricsLayer, MetricsService},
};
use tower::Layer;

use crate::{
    exposition,
    scripted::{self, Answers, Failure, Plan, Received, Scripted, Served},
};

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
        Self::of(Metrics::builder().label_cap(cap))
    }

    /// Where no path becomes an endpoint, whichever request is the first.
    pub(crate) fn without_paths() -> Self {
        Self::of(Metrics::builder().path_cap(0))
    }

    fn of(builder: Builder) -> Self {
        let clock = Clock::manual();
        let builder = builder.without("process");
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
        let text = metrics.encode(Format::Text);
        let read = exposition::parse(&text, Format::Text);
        let series = read.unwrap_or_else(|broken| panic!("{broken}\n{text}"));
        let series = series.samples().map(|sample| {
            let labels = sample.labels.iter().map(|(name, value)| format!("{name}={value:?}"));
            let labels = labels.collect::<Vec<_>>().join(",");
            let braces = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
            (format!("{}{braces}", sample.name), sample.value.parse().unwrap())
        });
        Self { series: series.collect() }
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
