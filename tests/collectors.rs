//! What the service has read for a scrape panics, fails or blocks: it costs itself and nothing else, and is
//! counted.

mod common;

use std::{
    fmt,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use backend_metrics::{
    Exporter, Format, Gauge, Metrics, Now, Part, PoolStats, Registrar, families,
};
use common::exposition::{Exposition, parse};
use http::{Request, StatusCode};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet},
    metrics::{MetricType, counter::Counter},
    registry::Registry,
};

/// What happens to whoever comes to a switch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Fault {
    #[default]
    None,
    Panics,
    Fails,
    Blocks,
}

#[derive(Clone, Debug, Default)]
struct Switch(Arc<State>);

#[derive(Debug, Default)]
struct State {
    fault: Mutex<Fault>,
    changed: Condvar,
    inside: AtomicUsize,
    arrivals: AtomicUsize,
}

impl Switch {
    fn set(&self, fault: Fault) {
        *self.0.fault.lock().unwrap() = fault;
        self.0.changed.notify_all();
    }

    fn meet(&self) -> fmt::Result {
        self.0.arrivals.fetch_add(1, SeqCst);
        assert_eq!(self.0.inside.fetch_add(1, SeqCst), 0, "one reading at a time");
        let fault = *self.0.fault.lock().unwrap();
        let blocked = |fault: &mut Fault| *fault == Fault::Blocks;
        drop(self.0.changed.wait_while(self.0.fault.lock().unwrap(), blocked).unwrap());
        self.0.inside.fetch_sub(1, SeqCst);
        assert!(fault != Fault::Panics, "secret: as the test wants");
        if fault == Fault::Fails { Err(fmt::Error) } else { Ok(()) }
    }
}

impl Part for Switch {
    fn register(_: &mut Registrar) -> Self {
        Self::default()
    }
}

families! {
    /// A subsystem that is read.
    pub struct UnrulyMetrics = "unruly" {
        with {
            /// What it comes to.
            switch: Switch,
        }

        /// Readings that came to their end
        pub readings: Gauge = "unruly_readings",
    }
    on_scrape = UnrulyMetrics::read
}

impl UnrulyMetrics {
    fn read(&self, _: &Now) {
        if self.switch.meet().is_ok() {
            self.readings.set_count(1);
        }
    }
}

families! {
    /// A subsystem that is read as well.
    pub struct NeighbourMetrics = "neighbour" {
        /// Readings that came to their end
        pub readings: Gauge = "neighbour_readings",
    }
    on_scrape = NeighbourMetrics::read
}

impl NeighbourMetrics {
    fn read(&self, _: &Now) {
        self.readings.set_count(1);
    }
}

/// A collector with a counter of its own.
#[derive(Debug)]
struct Collects(&'static str, Switch);

impl Collector for Collects {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let descriptor = encoder.encode_descriptor(self.0, "Things", None, MetricType::Counter)?;
        Measures(self.1.clone()).encode(descriptor)
    }
}

/// A metric of a type of its own.
#[derive(Debug)]
struct Measures(Switch);

impl EncodeMetric for Measures {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        self.0.meet()?;
        encoder.encode_counter::<NoLabelSet, _, f64>(&1_u64, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Counter
    }
}

struct Test {
    metrics: Metrics,
    subsystem: Switch,
    pool: Switch,
    collector: Switch,
    metric: Switch,
}

/// An instance with one of each kind that has a switch and one that has none.
fn unruly(timeout: Duration) -> Test {
    let (pool, collector, metric) = <(Switch, Switch, Switch)>::default();
    let mut with_metric = Registry::default();
    with_metric.register("unruly_metric", "Things", Measures(metric.clone()));
    let mut neighbour = Registry::default();
    neighbour.register("neighbour_metric", "Things", Counter::<u64>::default());
    let metrics = Metrics::builder()
        .without("process")
        .collect_timeout(timeout)
        .mount::<UnrulyMetrics>()
        .mount::<NeighbourMetrics>()
        .collector(Collects("unruly_collector", collector.clone()))
        .collector(Collects("neighbour_collector", Switch::default()))
        .registry(with_metric)
        .registry(neighbour)
        .build()
        .unwrap();
    let subsystem = metrics.mounted::<UnrulyMetrics>().unwrap().switch.clone();
    let stats = |active| PoolStats { active, idle: 1, max: 20 };
    let switch = pool.clone();
    metrics.add_database_pool_source("orders", move || switch.meet().is_ok().then(|| stats(3)));
    metrics.add_database_pool_source("reports", move || Some(stats(4)));
    metrics.add_redis_pool_source("quotes", move || Some(stats(5)));
    Test { metrics, subsystem, pool, collector, metric }
}

impl Test {
    /// A scrape, in which all that has no fault must be.
    fn scrape(&self, format: Format) -> Exposition {
        let text = self.metrics.encode(format);
        assert!(!text.contains("secret"));
        let read = parse(&text, format).unwrap_or_else(|broken| panic!("{broken}\n{text}"));
        for (name, labels, value) in [
            ("neighbour_readings", &[][..], "1"),
            ("neighbour_collector_total", &[], "1"),
            ("neighbour_metric_total", &[], "0"),
            ("redis_pool_connections", &[("state", "active")], "5"),
        ] {
            assert_eq!(read.value(name, labels), Some(value), "{name}\n{text}");
        }
        read
    }

    /// Turns a fault on, looks at scrapes in both formats, turns it off and waits until nothing is left of it.
    fn check(
        &self,
        switch: &Switch,
        fault: Fault,
        error_type: &str,
        series: (&str, &[(&str, &str)]),
        [without, with]: [Option<&str>; 2],
    ) {
        let errors = |read: &Exposition| {
            let labels = [("error_type", error_type), ("severity", "error")];
            read.value("application_errors_total", &labels)
                .map_or(0, |value| value.parse().unwrap())
        };
        let before: u64 = errors(&self.scrape(Format::Text));
        switch.set(fault);
        for (scrape, format) in (1..).zip([Format::OpenMetrics, Format::Text, Format::OpenMetrics])
        {
            let read = self.scrape(format);
            assert_eq!(read.value(series.0, series.1), without, "{fault:?}, {series:?}");
            assert_eq!(errors(&read), before + scrape, "{fault:?}, {series:?}");
        }
        switch.set(Fault::None);
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.scrape(Format::Text).value(series.0, series.1) != with {
            assert!(Instant::now() < deadline, "it is not read again after {fault:?}");
        }
    }
}

/// How long what blocks may take; what does not is far below it.
const TIMEOUT: Duration = Duration::from_secs(1);

#[test]
fn a_subsystem_costs_its_values() {
    let test = unruly(TIMEOUT);
    let series = ("unruly_readings", &[][..]);
    for (fault, error_type) in
        [(Fault::Panics, "collector_panic"), (Fault::Blocks, "collector_timeout")]
    {
        // What was set before stands.
        test.check(&test.subsystem, fault, error_type, series, [Some("1"), Some("1")]);
    }
}

#[test]
fn a_pool_costs_the_sum() {
    let test = unruly(TIMEOUT);
    let series = ("database_pool_connections", &[("state", "active")][..]);
    for (fault, error_type) in
        [(Fault::Panics, "collector_panic"), (Fault::Blocks, "collector_timeout")]
    {
        test.check(&test.pool, fault, error_type, series, [None, Some("7")]);
    }
}

#[test]
fn a_collector_costs_its_families() {
    let test = unruly(TIMEOUT);
    for fault in [Fault::Panics, Fault::Fails, Fault::Blocks] {
        let series = ("unruly_collector_total", &[][..]);
        test.check(&test.collector, fault, "foreign_metrics", series, [None, Some("1")]);
    }
}

#[test]
fn a_foreign_metric_costs_its_registry() {
    let test = unruly(TIMEOUT);
    for fault in [Fault::Panics, Fault::Fails, Fault::Blocks] {
        let series = ("unruly_metric_total", &[][..]);
        test.check(&test.metric, fault, "foreign_metrics", series, [None, Some("1")]);
    }
}

#[test]
fn scrapes_at_the_same_time_read_one_after_the_other() {
    let test = unruly(Duration::MAX);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let read = test.scrape(Format::Text);
                    for (name, labels, value) in [
                        ("unruly_readings", &[][..], "1"),
                        ("database_pool_connections", &[("state", "active")], "7"),
                        ("unruly_collector_total", &[], "1"),
                        ("unruly_metric_total", &[], "1"),
                    ] {
                        assert_eq!(read.value(name, labels), Some(value), "{name}");
                    }
                }
            });
        }
    });
    assert!(!test.metrics.to_text().contains("\napplication_errors_total{"));
}

#[tokio::test]
async fn what_blocks_for_good_is_begun_once_and_every_scrape_is_answered() {
    // Nothing but the fault is late, however slow the machine is: nobody looks at what the others gave.
    let test = unruly(Duration::from_millis(50));
    let switches = [&test.subsystem, &test.pool, &test.collector, &test.metric];
    for switch in switches {
        switch.set(Fault::Blocks);
    }
    let exporter = Exporter::new(test.metrics);
    for _ in 0..100 {
        let response = exporter.respond(&Request::new(())).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
    }
    let arrivals = || switches.map(|switch| switch.0.arrivals.load(SeqCst));
    let deadline = Instant::now() + Duration::from_secs(20);
    while arrivals() != [1; 4] {
        assert!(Instant::now() < deadline, "{:?}", arrivals());
    }
    for switch in switches {
        switch.set(Fault::None);
    }
}
