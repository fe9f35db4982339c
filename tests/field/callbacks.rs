//! Callbacks run beside each other, within one deadline.
//!
//! What is late blocks until the test lets it go. Deadlines are real time: tests compare with sums that are twenty
//! times as long, and with none that is near.

use std::{
    fmt,
    process::Command,
    sync::{
        Arc, Barrier, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use backend_metrics::{
    BuildError, Builder, Exporter, Format, Gauge, Metrics, Now, Part, PoolStats, Registrar,
    families,
};
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use http_body_util::BodyExt;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::counter::ConstCounter,
};

/// What callbacks block at until it is opened.
#[derive(Clone, Debug, Default)]
struct Gate(Arc<(Mutex<State>, Condvar)>);

#[derive(Debug, Default)]
struct State {
    open: bool,
    arrivals: usize,
}

impl Gate {
    fn pass(&self) {
        let (state, changed) = &*self.0;
        let mut state = state.lock().unwrap();
        state.arrivals += 1;
        changed.notify_all();
        drop(changed.wait_while(state, |state| !state.open).unwrap());
    }

    fn open(&self) {
        self.0.0.lock().unwrap().open = true;
        self.0.1.notify_all();
    }

    fn wait_for_arrivals(&self, arrivals: usize) {
        let (state, changed) = &*self.0;
        let state = state.lock().unwrap();
        drop(changed.wait_while(state, |state| state.arrivals < arrivals).unwrap());
    }

    fn arrivals(&self) -> usize {
        self.0.0.lock().unwrap().arrivals
    }
}

impl Part for Gate {
    fn register(_: &mut Registrar) -> Self {
        Self::default()
    }
}

/// Lets everything go when a test ends, so that no thread outlives it.
struct OpenAtEnd(Gate);

impl Drop for OpenAtEnd {
    fn drop(&mut self) {
        self.0.open();
    }
}

/// A collector that passes a gate and then has a counter.
#[derive(Debug)]
struct Behind(String, Gate);

impl Collector for Behind {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.1.pass();
        let counter = ConstCounter::new(1_u64);
        let kind = counter.metric_type();
        counter.encode(encoder.encode_descriptor(&self.0, "Things", None, kind)?)
    }
}

families! {
    /// A subsystem that blocks before a scrape.
    pub struct SlowMetrics = "slow" {
        with {
            /// What it blocks at.
            gate: Gate,
        }

        /// Things
        pub things: Gauge = "slow_things",
    }
    on_scrape = SlowMetrics::read
}

impl SlowMetrics {
    fn read(&self, _: &Now) {
        self.gate.pass();
        self.things.set_count(1);
    }
}

/// Long enough for a callback that does not block on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(1);

fn builder() -> Builder {
    Metrics::builder().without("process").collect_timeout(TIMEOUT)
}

fn six_collectors(builder: Builder, gate: &Gate) -> Builder {
    (0..6).fold(builder, |builder, number| {
        let name = format!("desk_{number}");
        builder.collector_named(name.clone(), Behind(name, gate.clone()))
    })
}

fn pool() -> PoolStats {
    PoolStats { active: 3, idle: 1, max: 20 }
}

#[test]
fn six_collectors_that_block_cost_one_deadline() {
    let gate = Gate::default();
    let _end = OpenAtEnd(gate.clone());
    let builder = six_collectors(builder(), &gate);
    let metrics = builder.collector_named("works", Behind("works".into(), open())).build().unwrap();
    let begun = Instant::now();
    let text = metrics.to_text();
    let took = begun.elapsed();
    assert!(took >= TIMEOUT && took < TIMEOUT * 3, "{took:?}");
    assert_eq!(gate.arrivals(), 6);
    assert!(text.contains("\nworks_total 1\n"), "{text}");
    for number in 0..6 {
        let failures = format!(
            "\nmetrics_callback_failures_total{{callback=\"registry:desk_{number}\",reason=\"timeout\"}} 1\n"
        );
        assert!(text.contains(&failures), "{text}");
    }
    // They still run: nothing waits for them, and none is begun again.
    let begun = Instant::now();
    for _ in 0..20 {
        assert!(metrics.to_text().contains("\nworks_total 1\n"));
    }
    assert!(begun.elapsed() < TIMEOUT * 3, "{:?}", begun.elapsed());
    assert_eq!(gate.arrivals(), 6);
}

fn open() -> Gate {
    let gate = Gate::default();
    gate.open();
    gate
}

/// A collector that meets other callbacks.
#[derive(Debug)]
struct Meets(Arc<Barrier>);

impl Collector for Meets {
    fn encode(&self, _: DescriptorEncoder<'_>) -> fmt::Result {
        self.0.wait();
        Ok(())
    }
}

/// Each passes only if all are there at the same time.
#[test]
fn callbacks_of_every_kind_run_at_the_same_time() {
    let all = Arc::new(Barrier::new(4));
    let meet = |all: &Arc<Barrier>| {
        let all = Arc::clone(all);
        move || {
            all.wait();
            Some(pool())
        }
    };
    let builder = builder().collect_timeout(Duration::from_mins(1));
    let metrics = builder
        .collector(Meets(Arc::clone(&all)))
        .collector(Meets(Arc::clone(&all)))
        .build()
        .unwrap();
    metrics.add_database_pool_source("one", meet(&all));
    metrics.add_redis_pool_source("one", meet(&all));
    let text = metrics.encode(Format::OpenMetrics);
    assert!(text.contains("\ndatabase_pool_connections{state=\"active\"} 3\n"));
    assert!(text.contains("\nredis_pool_connections{state=\"active\"} 3\n"));
}

#[test]
fn a_blocked_callback_of_any_kind_costs_one_deadline_and_one_thread() {
    if !is_alone("callbacks::a_blocked_callback_of_any_kind_costs_one_deadline_and_one_thread") {
        return;
    }
    let gate = Gate::default();
    let _end = OpenAtEnd(gate.clone());
    let builder = six_collectors(builder(), &gate).mount::<SlowMetrics>();
    let metrics = builder.build().unwrap();
    let mounted = metrics.mounted::<SlowMetrics>().unwrap().gate.clone();
    let _mounted_end = OpenAtEnd(mounted.clone());
    for name in ["orders", "reports", "audit"] {
        let at = gate.clone();
        metrics.add_database_pool_source(name, move || {
            at.pass();
            Some(pool())
        });
        let at = gate.clone();
        metrics.add_redis_pool_source(name, move || {
            at.pass();
            Some(pool())
        });
    }
    let begun = Instant::now();
    for _ in 0..10 {
        _ = metrics.to_text();
    }
    assert!(begun.elapsed() < TIMEOUT * 6, "{:?}", begun.elapsed());
    assert_eq!((gate.arrivals(), mounted.arrivals()), (12, 1));
    assert!(threads().is_none_or(|threads| threads == 13), "{:?}", threads());
}

/// Runs a test in a process of its own, where no other test has threads; whether this is that process.
fn is_alone(test: &str) -> bool {
    const ALONE: &str = "FIELD_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let this = std::env::current_exe().unwrap();
    let mut child = Command::new(this);
    let output = child.args(["--exact", test]).env(ALONE, "1").output().unwrap();
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && out.contains("1 passed"), "{out}");
    false
}

/// How many threads run callbacks, where the system tells.
fn threads() -> Option<usize> {
    let tasks = std::fs::read_dir("/proc/self/task").ok()?;
    let names =
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    Some(names.filter(|name| name.trim() == "metrics-collect").count())
}

#[test]
fn without_callbacks_no_thread_is_made() {
    if !is_alone("callbacks::without_callbacks_no_thread_is_made") {
        return;
    }
    let metrics = builder().mount::<QuietMetrics>().build().unwrap();
    for _ in 0..100 {
        let text = metrics.to_text();
        assert!(text.contains("\nquiet_things 0\n"));
        assert!(!text.contains("\nmetrics_callback_failures_total{"));
        assert!(threads().is_none_or(|threads| threads == 0));
    }
}

families! {
    /// A subsystem that reads nothing.
    pub struct QuietMetrics = "quiet" {
        /// Things
        pub things: Gauge = "quiet_things",
    }
}

/// So a scrape that meets another one takes no longer than it would alone.
#[test]
fn a_scrape_that_waits_for_the_run_of_another_keeps_its_own_deadline() {
    let gate = Gate::default();
    let _end = OpenAtEnd(gate.clone());
    let metrics = six_collectors(builder(), &gate).build().unwrap();
    let took = thread::scope(|scope| {
        let scrape = || {
            let begun = Instant::now();
            _ = metrics.to_text();
            begun.elapsed()
        };
        let first = scope.spawn(scrape);
        gate.wait_for_arrivals(6);
        let others: Vec<_> = (0..4).map(|_| scope.spawn(scrape)).collect();
        let others = others.into_iter().map(|other| other.join().unwrap());
        others.chain([first.join().unwrap()]).max().unwrap()
    });
    assert!(took < TIMEOUT * 3, "{took:?}");
    assert_eq!(gate.arrivals(), 6);
}

/// Answers a request with these headers; the body, and how long it took.
async fn scrape(exporter: &Exporter, headers: &[(&'static str, &str)]) -> (String, Duration) {
    let mut request = Request::new(());
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, HeaderValue::from_str(value).unwrap());
    }
    *request.headers_mut() = map;
    let begun = Instant::now();
    let response = exporter.respond(&request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (String::from_utf8(body.to_vec()).unwrap(), begun.elapsed())
}

const SCRAPE_TIMEOUT: &str = "x-prometheus-scrape-timeout-seconds";

#[tokio::test]
async fn a_scrape_is_answered_before_its_scraper_gives_up() {
    for timeout in ["1", "2", "1.5, 9", "1e0"] {
        let gate = Gate::default();
        let _end = OpenAtEnd(gate.clone());
        let builder = six_collectors(builder(), &gate).collect_timeout(Duration::from_mins(1));
        let exporter = Exporter::new(builder.build().unwrap());
        let (text, took) = scrape(&exporter, &[(SCRAPE_TIMEOUT, timeout)]).await;
        let limit = Duration::from_secs_f64(timeout.split(',').next().unwrap().parse().unwrap());
        assert!(took < limit, "{timeout}: {took:?}");
        assert!(text.contains("{callback=\"registry:desk_0\",reason=\"timeout\"} 1\n"), "{text}");
    }
}

#[tokio::test]
async fn what_the_service_allows_is_the_most_whatever_the_header_says() {
    for value in ["3600", "1e300", "inf", "NaN", "-1", "0", "ten", ""] {
        let gate = Gate::default();
        let _end = OpenAtEnd(gate.clone());
        let builder = six_collectors(builder(), &gate).collect_timeout(TIMEOUT / 5);
        let builder = builder.collector_named("works", Behind("works".into(), open()));
        let exporter = Exporter::new(builder.build().unwrap());
        let (text, took) = scrape(&exporter, &[(SCRAPE_TIMEOUT, value)]).await;
        assert!(took >= TIMEOUT / 5 && took < TIMEOUT * 2, "{value}: {took:?}");
        assert!(text.contains("\nworks_total 1\n"), "{text}");
    }
}

/// A stranger cannot make callbacks late that do not block.
#[tokio::test]
async fn a_tiny_timeout_leaves_time_for_a_callback_that_does_not_block() {
    let builder = builder().collector_named("works", Behind("works".into(), open()));
    let exporter = Exporter::new(builder.build().unwrap());
    for values in [&["1e-9"][..], &["0.000001", "10"], &["1e-300"]] {
        let headers: Vec<_> = values.iter().map(|value| (SCRAPE_TIMEOUT, *value)).collect();
        let (text, _) = scrape(&exporter, &headers).await;
        assert!(text.contains("\nworks_total 1\n"), "{text}");
    }
}

/// The second begins when the first has its answer, and has been there almost as long.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scrape_that_waited_in_line_is_answered_within_its_deadline_and_has_what_works() {
    let gate = Gate::default();
    let _end = OpenAtEnd(gate.clone());
    let builder = six_collectors(builder(), &gate);
    let builder = builder.collector_named("works", Behind("works".into(), open()));
    let exporter = Exporter::new(builder.build().unwrap());
    let first = tokio::spawn({
        let exporter = exporter.clone();
        async move { scrape(&exporter, &[]).await }
    });
    gate.wait_for_arrivals(6);
    let (text, took) = scrape(&exporter, &[]).await;
    assert!(text.contains("\nworks_total 1\n"), "{text}");
    assert!(took < TIMEOUT * 2, "{took:?}");
    first.await.unwrap();
}

/// One scraper asks for text, another for OpenMetrics, at the same time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn formats_that_are_asked_for_together_share_the_callbacks() {
    let gate = Gate::default();
    let counted = Arc::new(AtomicUsize::new(0));
    let metrics = builder().collect_timeout(Duration::from_mins(1)).build().unwrap();
    let (at, count) = (gate.clone(), Arc::clone(&counted));
    metrics.add_database_pool_source("orders", move || {
        count.fetch_add(1, SeqCst);
        at.pass();
        Some(pool())
    });
    let exporter = Exporter::new(metrics);
    let first = exporter.respond(&Request::new(()));
    gate.wait_for_arrivals(1);
    let text = exporter.respond(&Request::new(()));
    let openmetrics = Request::get("/").header("accept", "application/openmetrics-text");
    let openmetrics = exporter.respond(&openmetrics.body(()).unwrap());
    gate.open();
    for response in [first.await, text.await, openmetrics.await] {
        assert_eq!(response.unwrap().status(), StatusCode::OK);
    }
    assert_eq!(counted.load(SeqCst), 2);
}

/// Two runs block: that of the first scrape, and that of the hurried one, which is answered without it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scraper_in_a_hurry_does_not_shorten_the_time_of_another() {
    let gates = [Gate::default(), Gate::default()];
    let _ends = gates.clone().map(OpenAtEnd);
    let metrics = builder().collect_timeout(Duration::from_mins(1)).build().unwrap();
    let (at, count) = (gates.clone(), AtomicUsize::new(0));
    metrics.add_database_pool_source("orders", move || {
        if let Some(gate) = at.get(count.fetch_add(1, SeqCst)) {
            gate.pass();
        }
        Some(pool())
    });
    let exporter = Exporter::new(metrics);
    let first = exporter.respond(&Request::new(()));
    gates[0].wait_for_arrivals(1);
    let patient = exporter.respond(&Request::new(()));
    let hurried = Request::get("/").header(SCRAPE_TIMEOUT, "0.001");
    let hurried = exporter.respond(&hurried.body(()).unwrap());
    gates[0].open();
    let mut texts = Vec::new();
    for response in [first, hurried, patient] {
        let body = response.await.unwrap().into_body().collect().await.unwrap().to_bytes();
        texts.push(String::from_utf8(body.to_vec()).unwrap());
        if texts.len() == 2 {
            gates[1].open();
        }
    }
    let has_pool = |text: &String| text.contains("\ndatabase_pool_connections{");
    assert_eq!(texts.iter().map(has_pool).collect::<Vec<_>>(), [true, false, true]);
}

/// A collector of one instance that is exposed by another has its own callbacks.
#[test]
fn a_callback_that_scrapes_leaves_time_for_its_own_answer() {
    let gate = Gate::default();
    let _end = OpenAtEnd(gate.clone());
    let inner = builder().build().unwrap();
    let at = gate.clone();
    inner.add_redis_pool_source("blocks", move || {
        at.pass();
        Some(pool())
    });
    let outer = Metrics::builder().collect_timeout(TIMEOUT);
    let outer = (["http", "http_client", "database", "cache", "websocket", "smart_orders"].iter())
        .chain(&["strategies", "fno", "ticker_service", "auth", "statements", "market_data"])
        .chain(&["workers", "business", "errors", "rate_limits", "process"])
        .fold(outer, |outer, subsystem| outer.without(*subsystem));
    // What has the same name is left out, so it exposes the metrics of no other.
    let outer = outer.without("self").collector(inner.collector()).build().unwrap();
    let text = outer.to_text();
    assert!(text.contains("\ndatabase_pool_acquire_timeouts_total 0\n"), "{text}");
    assert!(!text.contains("\nredis_pool_connections{"), "{text}");
    assert!(text.contains("{callback=\"redis_pool:blocks\",reason=\"timeout\"} 1\n"), "{text}");
}

#[test]
fn a_timeout_in_which_everything_is_late_is_refused() {
    for timeout in [Duration::ZERO, Duration::from_nanos(1), Duration::from_micros(999)] {
        let error = Metrics::builder().collect_timeout(timeout).build().unwrap_err();
        assert_eq!(error, BuildError::CollectTimeout { timeout });
        assert_eq!(error.to_string(), format!("collect_timeout: {timeout:?} must be at least 1ms"));
    }
    for timeout in [Duration::from_millis(1), Duration::MAX] {
        assert!(Metrics::builder().collect_timeout(timeout).build().is_ok());
    }
}

#[test]
fn two_registries_of_one_name_are_refused() {
    for (one, other) in [("desk", Some("desk")), ("2", None)] {
        let collector = || Behind("desk".into(), open());
        let builder = builder().collector_named(one, collector());
        let builder = match other {
            Some(name) => builder.collector_named(name, collector()),
            None => builder.collector(collector()),
        };
        let error = builder.build().unwrap_err();
        assert_eq!(error, BuildError::DuplicateRegistry { name: one.into() });
        let expected = format!("registry_named, collector_named: {one:?} is given twice");
        assert_eq!(error.to_string(), expected);
    }
}
