//! A level whose source is gone is absent.

use std::{
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, Sender, channel},
    },
    time::Duration,
};

use backend_metrics::{
    Domain, Gauge, GaugeFamily, LateGauge, Metrics, Now, Open, Part, PoolStats, ReadCounter,
    Registrar, families, open_labels,
};

/// What a source does when it is read.
#[derive(Clone, Copy, Debug, Default)]
enum Gives {
    #[default]
    Nothing,
    Stats(PoolStats),
    Panic,
    /// It blocks until the test lets it go.
    Late,
}

#[derive(Clone, Debug)]
struct Source {
    gives: Arc<Mutex<Gives>>,
    held: Arc<Mutex<Receiver<()>>>,
}

impl Source {
    fn new(gives: Gives) -> (Self, Sender<()>) {
        let (release, held) = channel();
        let held = Arc::new(Mutex::new(held));
        (Self { gives: Arc::new(Mutex::new(gives)), held }, release)
    }

    fn set(&self, gives: Gives) {
        *self.gives.lock().unwrap() = gives;
    }

    fn read(&self) -> Option<PoolStats> {
        let gives = *self.gives.lock().unwrap();
        match gives {
            Gives::Nothing => None,
            Gives::Stats(stats) => Some(stats),
            Gives::Panic => panic!("a source panics, as the test wants"),
            Gives::Late => {
                _ = self.held.lock().unwrap().recv();
                None
            }
        }
    }
}

const NINE: PoolStats = PoolStats { active: 9, idle: 1, max: 10 };
const THREE: PoolStats = PoolStats { active: 3, idle: 2, max: 20 };

fn instance() -> Metrics {
    // A source that blocks is late after this, however slow the machine is; the others are not near it.
    Metrics::builder().without("process").collect_timeout(Duration::from_secs(1)).build().unwrap()
}

/// The lines of a family.
fn lines(metrics: Metrics, family: &str) -> String {
    let text = metrics.to_text();
    let lines = text
        .lines()
        .filter(|line| line.strip_prefix(family).is_some_and(|rest| rest.starts_with(['{', ' '])));
    lines.flat_map(|line| [line, "\n"]).collect()
}

fn failures(metrics: Metrics, callback: &str, reason: &str) -> Option<f64> {
    metrics.value(&format!(
        "metrics_callback_failures_total{{callback=\"{callback}\",reason=\"{reason}\"}}"
    ))
}

type AddPool = fn(Metrics, &str, Source);

const POOLS: [(&str, &str, AddPool); 2] = [
    ("database_pool_connections", "database_pool", |metrics, name, source| {
        metrics.add_database_pool_source(name, move || source.read());
    }),
    ("redis_pool_connections", "redis_pool", |metrics, name, source| {
        metrics.add_redis_pool_source(name, move || source.read());
    }),
];

fn shown(family: &str, active: u32, idle: u32, total: u32) -> String {
    format!(
        "{family}{{state=\"active\"}} {active}\n{family}{{state=\"idle\"}} {idle}\n{family}{{state=\"total\"}} {total}\n"
    )
}

#[test]
fn without_a_source_a_pool_is_zero() {
    let metrics = instance();
    for (family, _, _) in POOLS {
        assert_eq!(lines(metrics, family), shown(family, 0, 0, 0));
    }
    metrics.update_database_pool(NINE);
    assert_eq!(
        lines(metrics, "database_pool_connections"),
        shown("database_pool_connections", 9, 1, 10)
    );
}

#[test]
fn a_pool_whose_source_gives_nothing_is_absent_until_it_gives_something() {
    for (family, kind, add) in POOLS {
        for (gives, reason) in
            [(Gives::Nothing, "none"), (Gives::Panic, "panic"), (Gives::Late, "timeout")]
        {
            let metrics = instance();
            let (source, release) = Source::new(Gives::Stats(NINE));
            add(metrics, "orders", source.clone());
            let callback = format!("{kind}:orders");
            assert_eq!(lines(metrics, family), shown(family, 9, 1, 10));
            for reason in ["none", "panic", "timeout"] {
                // From the start, so that `rate` sees the first one.
                assert_eq!(failures(metrics, &callback, reason), Some(0.0));
            }
            source.set(gives);
            assert_eq!(lines(metrics, family), "", "{family} {reason}");
            // The scrape that asks fails too.
            assert_eq!(failures(metrics, &callback, reason), Some(2.0));
            source.set(Gives::Stats(THREE));
            drop(release);
            // A run that was late gave its `None` to nobody, and ends some time.
            while lines(metrics, family).is_empty() {}
            assert_eq!(lines(metrics, family), shown(family, 3, 2, 20));
        }
    }
}

#[test]
fn the_sum_of_two_pools_is_absent_if_one_gives_nothing() {
    for (family, kind, add) in POOLS {
        let metrics = instance();
        let (works, _works) = Source::new(Gives::Stats(THREE));
        let (fails, _fails) = Source::new(Gives::Stats(NINE));
        add(metrics, "orders", works);
        add(metrics, "reports", fails.clone());
        assert_eq!(lines(metrics, family), shown(family, 12, 3, 30));
        for (gives, reason) in [(Gives::Nothing, "none"), (Gives::Panic, "panic")] {
            fails.set(gives);
            assert_eq!(lines(metrics, family), "");
            assert_eq!(failures(metrics, &format!("{kind}:reports"), reason), Some(2.0));
            assert_eq!(failures(metrics, &format!("{kind}:orders"), reason), Some(0.0));
        }
        fails.set(Gives::Stats(NINE));
        assert_eq!(lines(metrics, family), shown(family, 12, 3, 30));
    }
}

#[test]
fn the_errors_that_were_counted_before_still_are() {
    let metrics = instance();
    let (source, _release) = Source::new(Gives::Panic);
    let at = source.clone();
    metrics.add_database_pool_source("orders", move || at.read());
    let errors = |error_type| {
        let labels = format!("{{error_type=\"{error_type}\",severity=\"error\"}}");
        metrics.value(&format!("application_errors_total{labels}"))
    };
    assert_eq!(errors("collector_panic"), Some(1.0));
    source.set(Gives::Late);
    assert_eq!(errors("collector_timeout"), Some(1.0));
    assert_eq!(errors("collector_panic"), Some(1.0));
}

#[test]
fn a_pool_of_the_same_name_replaces_the_one_before_and_a_closed_one_is_removed() {
    let metrics = instance();
    let family = "database_pool_connections";
    metrics.add_database_pool_source("orders", || None);
    assert_eq!(lines(metrics, family), "");
    metrics.add_database_pool_source("orders", || Some(NINE));
    assert_eq!(lines(metrics, family), shown(family, 9, 1, 10));
    metrics.add_database_pool_source("reports", || None);
    assert_eq!(lines(metrics, family), "");
    assert!(metrics.remove_database_pool_source("reports"));
    assert_eq!(lines(metrics, family), shown(family, 9, 1, 10));
    assert!(metrics.remove_database_pool_source("orders"));
    assert!(!metrics.remove_database_pool_source("orders"));
    assert_eq!(lines(metrics, family), shown(family, 0, 0, 0));
    // What is set from then on stays.
    metrics.update_database_pool(THREE);
    for _ in 0..2 {
        assert_eq!(lines(metrics, family), shown(family, 3, 2, 20));
    }
    // The two kinds of pools have names of their own.
    metrics.add_redis_pool_source("orders", || Some(NINE));
    assert!(!metrics.remove_database_pool_source("orders"));
    assert!(metrics.remove_redis_pool_source("orders"));
}

#[test]
fn names_of_callbacks_are_few() {
    let metrics = instance();
    for number in 0..200 {
        metrics.add_database_pool_source(&format!("tenant-{number}"), || None);
    }
    let text = metrics.to_text();
    let names = text
        .lines()
        .filter(|line| line.starts_with("metrics_callback_failures_total{callback="))
        .filter(|line| line.contains("reason=\"none\""))
        .count();
    assert_eq!(names, 101);
    assert!(
        text.contains(
            "\nmetrics_callback_failures_total{callback=\"other\",reason=\"none\"} 100\n"
        )
    );
}

/// What a mounted subsystem reads.
#[derive(Debug, Default)]
struct Feed(Mutex<Option<f64>>, Mutex<bool>);

impl Part for Feed {
    fn register(_: &mut Registrar) -> Self {
        Self::default()
    }
}

open_labels! {
    /// A book.
    pub struct Book(book) [removable];
}

families! {
    /// The feed of a desk.
    pub struct FeedMetrics = "feed" {
        with {
            /// What it reads.
            feed: Feed,
            /// The books.
            pub books: Domain<Book>,
        }

        /// Clients of the feed
        pub clients: Gauge = "feed_clients",

        /// Lag of the feed
        pub lag: LateGauge = "feed_lag_seconds",

        /// Bytes that the feed has read
        pub bytes: ReadCounter = "feed_bytes_total",

        /// Depth of the books
        pub depth: GaugeFamily<Open<Book>> = "feed_book_depth",
    }
    on_scrape = FeedMetrics::read
}

impl FeedMetrics {
    fn read(&self, _: &Now) {
        assert!(!*self.feed.1.lock().unwrap(), "the feed panics, as the test wants");
        let depth = self.depth.get(self.books.get("equity"));
        if let Some(level) = *self.feed.0.lock().unwrap() {
            self.clients.set(level);
            self.lag.set(level);
            self.bytes.set(level);
            depth.set(level);
        } else {
            self.clients.clear();
            self.lag.clear();
            self.bytes.clear();
            depth.clear();
        }
    }
}

#[test]
fn a_subsystem_of_the_service_clears_what_it_cannot_read_and_a_panic_is_counted() {
    let builder = Metrics::builder().without("process").without("self");
    let metrics = builder.mount::<FeedMetrics>().build().unwrap();
    let desk = metrics.mounted::<FeedMetrics>().unwrap();
    let own = || -> String {
        let text = metrics.to_text();
        let lines = text.lines().filter(|line| line.starts_with("feed_"));
        lines.flat_map(|line| [line, "\n"]).collect()
    };
    let all = "feed_clients 4\nfeed_lag_seconds 4\nfeed_bytes_total 4\nfeed_book_depth{book=\"equity\"} 4\n";
    *desk.feed.0.lock().unwrap() = Some(4.0);
    assert_eq!(own(), all);
    *desk.feed.0.lock().unwrap() = None;
    assert_eq!(own(), "");
    *desk.feed.0.lock().unwrap() = Some(4.0);
    assert_eq!(own(), all);
    // The library cannot know what a panic left out: it stays, and the panic is counted.
    *desk.feed.1.lock().unwrap() = true;
    assert_eq!(own(), all);

    let metrics = Metrics::builder().mount::<FeedMetrics>().build().unwrap();
    *metrics.mounted::<FeedMetrics>().unwrap().feed.1.lock().unwrap() = true;
    assert_eq!(failures(metrics, "subsystem:feed", "panic"), Some(1.0));
    assert_eq!(failures(metrics, "subsystem:feed", "timeout"), Some(0.0));
}

#[test]
fn a_gauge_that_was_cleared_steps_from_zero() {
    let metrics = instance();
    metrics.auth.active_sessions.set(7.0);
    metrics.auth.active_sessions.clear();
    assert_eq!(metrics.value("active_sessions"), None);
    metrics.track_session_created();
    assert_eq!(metrics.value("active_sessions"), Some(1.0));
}

#[cfg(feature = "tokio")]
mod runtimes {
    use super::*;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().build().unwrap()
    }

    #[test]
    fn runtimes_that_have_ended_are_no_workers() {
        let metrics = Metrics::new();
        assert_eq!(metrics.value("tokio_workers"), None);
        let (one, other) = (runtime(), runtime());
        metrics.watch_tokio(one.handle());
        metrics.watch_tokio(other.handle());
        for _ in 0..2_000 {
            let short = runtime();
            metrics.watch_tokio(short.handle());
            short.block_on(async {});
        }
        assert_eq!(metrics.value("tokio_workers"), Some(2.0));
        // The task that sees the end of a runtime is not one of the service's.
        assert_eq!(metrics.value("tokio_alive_tasks"), Some(0.0));
        assert_eq!(metrics.value("tokio_global_queue_depth"), Some(0.0));
        drop(one);
        assert_eq!(metrics.value("tokio_workers"), Some(1.0));
        let busy = metrics.value("tokio_worker_busy_seconds_total").unwrap();
        drop(other);
        for family in ["tokio_workers", "tokio_alive_tasks", "tokio_global_queue_depth"] {
            assert_eq!(lines(metrics, family), "");
        }
        assert!(metrics.value("tokio_worker_busy_seconds_total").unwrap() >= busy);
        // Another takes their place.
        let next = runtime();
        metrics.watch_tokio(next.handle());
        assert_eq!(metrics.value("tokio_workers"), Some(1.0));
    }

    #[test]
    fn the_busy_time_of_a_runtime_that_is_given_again_after_its_end_counts_once() {
        let metrics = Metrics::new();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build();
        let runtime = runtime.unwrap();
        let handle = runtime.handle().clone();
        metrics.watch_tokio(&handle);
        let busy = || metrics.value("tokio_worker_busy_seconds_total").unwrap();
        while busy() <= 0.0 {
            let task = runtime.spawn(async { _ = std::hint::black_box((0..50_000).sum::<u64>()) });
            runtime.block_on(task).unwrap();
        }
        drop(runtime);
        let at_end = busy();
        for _ in 0..10 {
            metrics.watch_tokio(&handle);
        }
        assert!(at_end > 0.0);
        assert_eq!(busy().to_bits(), at_end.to_bits());
        assert_eq!(metrics.value("tokio_workers"), None);
    }

    #[test]
    fn busy_time_never_falls_while_runtimes_end() {
        let metrics = Metrics::new();
        let mut before = 0.0;
        for _ in 0..20 {
            let short = runtime();
            metrics.watch_tokio(short.handle());
            short.block_on(async { _ = std::hint::black_box((0..50_000).sum::<u64>()) });
            for _ in 0..2 {
                let busy = metrics.value("tokio_worker_busy_seconds_total").unwrap();
                assert!(busy >= before, "{busy} after {before}");
                before = busy;
            }
            drop(short);
            let busy = metrics.value("tokio_worker_busy_seconds_total").unwrap();
            assert!(busy >= before, "{busy} after {before}");
            before = busy;
        }
    }
}

/// With no descriptors left, `/proc/self/stat` cannot be opened: a child process tries it.
#[cfg(all(feature = "process", target_os = "linux"))]
#[test]
fn figures_of_the_process_that_cannot_be_read_are_absent() {
    const CHILD: &str = "FIELD_WITHOUT_DESCRIPTORS";
    const THIS: &str = "levels::figures_of_the_process_that_cannot_be_read_are_absent";
    if std::env::var_os(CHILD).is_none() {
        let this = std::env::current_exe().unwrap();
        let script = "ulimit -n 48 && exec \"$0\" \"$@\"";
        let output = std::process::Command::new("sh")
            .args(["-c", script])
            .arg(this)
            .args(["--exact", THIS, "--nocapture"])
            .env(CHILD, "1")
            .output()
            .unwrap();
        let out = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && out.contains("1 passed"), "{out}{errors}");
        return;
    }
    let metrics = Metrics::new();
    let figures = ["process_cpu_seconds_total", "process_resident_memory_bytes", "process_threads"];
    let limits = "process_max_fds";
    for family in figures {
        assert_ne!(lines(metrics, family), "", "{family}");
    }
    assert_eq!(lines(metrics, limits), "process_max_fds 48\n");
    assert_eq!(failures(metrics, "process", "none"), Some(0.0));
    let mut files = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        files.push(file);
    }
    for family in figures.into_iter().chain([limits]) {
        assert_eq!(lines(metrics, family), "", "{family}");
    }
    // It does not move, so it is known without being read.
    assert_ne!(lines(metrics, "process_start_time_seconds"), "");
    assert_eq!(failures(metrics, "process", "none"), Some(6.0));
    drop(files);
    for family in figures {
        assert_ne!(lines(metrics, family), "", "{family}");
    }
    assert_eq!(lines(metrics, limits), "process_max_fds 48\n");
}
