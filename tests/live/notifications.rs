//! How many notifications a person gets for one cause: instances that fail in one way, the shipped rules and the
//! shipped routes.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    net::SocketAddr,
    process::Command,
    sync::{
        Arc, LazyLock, Mutex, MutexGuard, PoisonError,
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant, UNIX_EPOCH},
};

use ::http::{Method, StatusCode};
use backend_metrics::{
    Metrics, PoolStats, WebsocketConnection,
    labels::{
        AcquireStatus, ActiveUsersWindow, CacheLayer, CacheOperation, CacheStatus, MarketDataType,
        MessageDirection, OrderSide, OrderType, PlacementStatus, QueryStatus, QueryType,
        StrategyM2mStatus, TickerOperation, TickerRequestStatus, WorkerTaskStatus,
    },
    subsystems::workers::WorkerTaskGuard,
};
use serde_json::{Value, json};

use crate::{
    alertmanager::{Alertmanager, with_webhooks},
    faster::faster,
    prometheus::Prometheus,
    routing::CONFIG,
    rules::{files, list, text},
    server::{Answer, Server, TEXT},
    tempdir::TempDir,
    wait::{DEADLINE, eventually},
    webhook::{Post, Webhook},
};

/// A minute takes a second.
const TIMES: u32 = 60;

/// Between two steps of an instance: 6 seconds.
const STEP: Duration = Duration::from_millis(100);

/// Before a fault, so that there is something to compare with.
const BEFORE: Duration = minutes(16);

/// How long a fault lasts: whatever would fire within half an hour has fired.
const FAULT: Duration = minutes(33);

/// When the last page has ended after a fault, at the latest: a budget that burns is looked at over half an hour.
const AFTER: Duration = minutes(60);

const fn minutes(minutes: u64) -> Duration {
    Duration::from_millis(minutes * 60_000 / TIMES as u64)
}

/// How long the work of an instance takes.
const FAST: Duration = Duration::from_millis(5);

/// When a query is given up.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How an instance does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Healthy,
    /// No query ends before its timeout.
    DatabaseHangs,
    /// No connection to Redis; the database is asked instead.
    RedisDead,
    /// Half of the answers are 500.
    HalfFails,
    /// No clients and no ticks, as on a day without trading.
    Quiet,
    /// It cannot be scraped.
    Down,
}

/// An instance from its start on.
struct Life {
    metrics: Metrics,
    started: f64,
    state: State,
    since: Instant,
    /// Whether it marks strategies to the market.
    marks: bool,
    /// The task of a worker that hangs.
    stuck: Option<WorkerTaskGuard>,
}

impl Life {
    fn new(started: f64) -> Self {
        let metrics = Metrics::new();
        for _ in 0..5 {
            metrics.track_websocket_connection("/ws", WebsocketConnection::Connected);
        }
        metrics.update_strategy_account("A1", 3, 12, 0.0);
        metrics.set_ticker_subscriptions(10);
        let state = State::Healthy;
        Self { metrics, started, state, since: Instant::now(), marks: true, stuck: None }
    }

    /// What happens in a few seconds.
    fn step(&self) {
        let (metrics, state) = (&self.metrics, self.state);
        let hangs = state == State::DatabaseHangs;
        let active = if hangs { 10 } else { 3 };
        metrics.update_database_pool(PoolStats { active, idle: 10 - active, max: 10 });
        // The first timeouts end after half a minute.
        if state == State::Down || hangs && self.since.elapsed() < minutes(1) / 2 {
            return;
        }
        for worker in ["housekeeping", "order_cleanup"] {
            let status = if hangs { WorkerTaskStatus::Error } else { WorkerTaskStatus::Success };
            metrics.track_worker_task(worker, FAST, status);
        }
        if state == State::Quiet {
            for window in [ActiveUsersWindow::FifteenMinutes, ActiveUsersWindow::OneHour] {
                metrics.set_active_users(window, 0);
            }
            return;
        }
        for window in [ActiveUsersWindow::FifteenMinutes, ActiveUsersWindow::OneHour] {
            metrics.set_active_users(window, 5);
        }
        self.answer();
        self.trade();
        // It works without the database.
        if self.stuck.is_none() {
            metrics.track_worker_task("quote_publisher", FAST, WorkerTaskStatus::Success);
        }
    }

    /// Requests, and what they ask the database and Redis for.
    fn answer(&self) {
        let (metrics, state) = (&self.metrics, self.state);
        let hangs = state == State::DatabaseHangs;
        for request in 0..4 {
            let (method, endpoint) =
                if request == 0 { (Method::POST, "/orders") } else { (Method::GET, "/quotes") };
            let fails = hangs || state == State::HalfFails && request % 2 == 0;
            let status = if fails { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK };
            let took = if hangs { TIMEOUT } else { 4 * FAST };
            metrics.track_http_request(&method, endpoint, status, took, (100, 1_000));
            let (status, took) =
                if hangs { (QueryStatus::Error, TIMEOUT) } else { (QueryStatus::Success, FAST) };
            let query = if request == 0 { QueryType::Insert } else { QueryType::Select };
            metrics.track_database_query(query, took, status);
            let status = if hangs { AcquireStatus::Timeout } else { AcquireStatus::Success };
            metrics.track_database_acquire(took, status);
        }

        let redis = if state == State::RedisDead { CacheStatus::Error } else { CacheStatus::Hit };
        let (get, memory) = (CacheOperation::Get, CacheLayer::Memory);
        metrics.track_cache_operation(get, CacheLayer::Redis, FAST, redis);
        metrics.track_cache_operation(get, memory, FAST / 100, CacheStatus::Hit);
        if state == State::RedisDead {
            metrics.track_redis_connection_error();
        }
    }

    /// Orders, ticks, strategies and the clients that see them.
    fn trade(&self) {
        let metrics = &self.metrics;
        let hangs = self.state == State::DatabaseHangs;
        // An order that cannot be read or stored is not sent to the broker.
        if !hangs {
            let (limit, buy) = (OrderType::Limit, OrderSide::Buy);
            metrics.track_order_placement(limit, buy, FAST, PlacementStatus::Accepted);
        }

        metrics.track_tick(FAST);
        for kind in [MarketDataType::Tick, MarketDataType::Ohlc, MarketDataType::MarketDepth] {
            metrics.track_market_data_update(kind, None);
        }
        metrics.track_ticker_request(TickerOperation::History, FAST, TickerRequestStatus::Success);
        if self.marks {
            let status = if hangs { StrategyM2mStatus::Error } else { StrategyM2mStatus::Success };
            metrics.track_strategy_m2m(FAST, status);
        }
        metrics.track_websocket_message("/ws", "quote", MessageDirection::Sent, 100);
        metrics.track_websocket_message_latency("/ws", FAST);
        metrics.track_websocket_handshake("/ws", FAST);
    }

    /// What the rules read of its metrics, with its times by [`fast`].
    fn exposition(&self) -> String {
        let mut out = format!("process_start_time_seconds {}\n", self.started);
        for line in self.metrics.to_text().lines() {
            let name = line.split(['{', ' ']).next().unwrap_or_default();
            if !READ.contains(name) || name == "process_start_time_seconds" {
                continue;
            }
            match line.rsplit_once(' ') {
                Some((series, value)) if name.ends_with("_timestamp_seconds") => {
                    let time = value.parse().expect("a time is a number");
                    writeln!(out, "{series} {}", fast(time)).expect("a string takes all");
                }
                _ => writeln!(out, "{line}").expect("a string takes all"),
            }
        }
        out
    }
}

/// When the clock of [`fast`] began to run.
static EPOCH: LazyLock<f64> = LazyLock::new(|| now().floor());

fn now() -> f64 {
    UNIX_EPOCH.elapsed().expect("it is after 1970").as_secs_f64()
}

/// A time by the clock of the rules and of the instances, which runs as much faster as they wait less.
fn fast(time: f64) -> f64 {
    *EPOCH + f64::from(TIMES) * (time - *EPOCH)
}

/// The words of the rules: names of metrics are among them.
static READ: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let rules: String = files("alerts", "yml").iter().map(text).collect();
    let words = rules.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.map(str::to_owned).collect()
});

/// An instance of the backend, or one after the other at the same address.
struct Instance {
    server: Server,
    life: Arc<Mutex<Life>>,
}

impl Instance {
    /// It has run for a day.
    fn start() -> Self {
        let life = Arc::new(Mutex::new(Life::new(*EPOCH - 86_400.0)));
        let exposed = Arc::clone(&life);
        let server = Server::start(move |_| {
            let life = lock(&exposed);
            Answer {
                status: if life.state == State::Down { 503 } else { 200 },
                content_type: TEXT.to_owned(),
                body: life.exposition().into(),
            }
        });
        Self { server, life }
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        lock(&self.life)
    }

    fn becomes(&self, state: State) {
        let mut life = self.life();
        life.state = state;
        life.since = Instant::now();
    }

    /// A new process.
    fn restart(&self, state: State) {
        *self.life() = Life::new(fast(now()));
        self.becomes(state);
    }
}

fn lock(life: &Mutex<Life>) -> MutexGuard<'_, Life> {
    life.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lets instances work until it is dropped.
struct Work {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Work {
    fn start(instances: &[Instance]) -> Self {
        let lives: Vec<_> = instances.iter().map(|instance| Arc::clone(&instance.life)).collect();
        let (stop, stopped) = mpsc::channel();
        let thread = thread::spawn(move || {
            while stopped.recv_timeout(STEP) == Err(RecvTimeoutError::Timeout) {
                for life in &lives {
                    lock(life).step();
                }
            }
        });
        Self { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        drop(self.stop.take());
        let worked = self.thread.take().map(JoinHandle::join);
        if worked.is_some_and(|worked| worked.is_err()) {
            eprintln!("the instances panicked");
        }
    }
}

/// A Prometheus with the shipped rules, sped up. For them it is a Wednesday noon in India, whatever it is here; and
/// today is a holiday, if it is one.
fn prometheus(
    directory: &TempDir,
    instances: &[Instance],
    alertmanager: SocketAddr,
    holiday: bool,
) -> Prometheus {
    let rules: Vec<String> = files("alerts", "yml")
        .iter()
        .map(|file| {
            let name = file.file_name().and_then(|name| name.to_str()).expect("a name is text");
            let mut rules = text(file);
            let faster_clock = format!("({} + {TIMES} * (time() - {}))", *EPOCH, *EPOCH);
            rules = rules.replace("time()", &faster_clock);
            if name == "freshness.yml" {
                for (clock, noon) in [
                    ("day_of_week()", "vector(3)"),
                    ("hour()", "vector(6)"),
                    ("minute()", "vector(30)"),
                ] {
                    assert!(rules.contains(clock), "nothing depends on {clock}");
                    rules = rules.replace(clock, noon);
                }
            }
            if name == "calendar.yml" {
                rules = edited_calendar(&rules, holiday);
            }
            let copy = directory.join(name);
            fs::write(&copy, faster(&rules, TIMES.into()))
                .expect("the directory can be written to");
            copy.display().to_string()
        })
        .collect();
    let targets: Vec<String> =
        instances.iter().map(|instance| instance.server.address().to_string()).collect();
    let config = json!({
        "global": {"scrape_interval": "300ms", "scrape_timeout": "300ms"},
        "rule_files": rules,
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager.to_string()]}]}]},
        "scrape_configs": [{"job_name": "backend", "static_configs": [{"targets": targets}]}],
    });
    Prometheus::hurried(&config.to_string())
}

/// The calendar as a team would have it: long enough, and with today's holiday. It may be midnight soon.
fn edited_calendar(calendar: &str, holiday: bool) -> String {
    let mut lines: Vec<String> = calendar.lines().map(str::to_owned).collect();
    let mut edited = 0;
    for line in &mut lines {
        if line.trim_start().starts_with("expr: vector(2") {
            "        expr: vector(29991231)".clone_into(line);
            edited += 1;
        }
    }
    assert_eq!(edited, 1, "the end of the calendar is not found");
    if holiday {
        let first = lines.iter().position(|line| line.contains("record: nse:holiday:date"));
        let first = first.expect("the calendar has holidays");
        for day in 0..2 {
            let date = date_in_india(day);
            let line = format!(
                "      - {{record: nse:holiday:date, labels: {{holiday: day {day}}}, expr: vector({date})}}"
            );
            lines.insert(first, line);
        }
    }
    lines.join("\n")
}

/// The date in India as `yyyymmdd`, so many days from now.
fn date_in_india(days: u8) -> String {
    let mut date = Command::new("date");
    let date = date.env("TZ", "IST-5:30").args(["-d", &format!("{days} days"), "+%Y%m%d"]);
    let output = date.output().expect("`date` starts");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Who is told, other than machines.
const RECEIVERS: [&str; 4] = ["pager", "chat", "tickets", "digest"];

struct Cause {
    name: &'static str,
    instances: usize,
    holiday: bool,
    begins: fn(&[Instance]),
    ends: fn(&[Instance]),
    /// How many incidents and notifications each of [`RECEIVERS`] gets at most. Incidents are exact; a notification
    /// more says that an incident has other alerts than five minutes before, which differs from run to run.
    at_most: [(usize, usize); 4],
    /// The alerts that a receiver is told of among others, of a fault that is no part of the cause.
    beside: &'static [(&'static str, &'static str)],
}

/// What a receiver was told.
#[derive(Debug, Default)]
struct Told {
    incidents: usize,
    /// Those that say that something fires.
    notifications: usize,
    alerts: BTreeSet<String>,
}

impl Told {
    fn of(posts: &[Post]) -> Self {
        let firing: Vec<&Value> =
            posts.iter().map(|post| &post.body).filter(|body| body["status"] == "firing").collect();
        let incidents: BTreeSet<String> =
            firing.iter().map(|body| body["groupKey"].to_string()).collect();
        let alerts = firing.iter().flat_map(|body| list(&body["alerts"]));
        let name = |alert: &Value| alert["labels"]["alertname"].as_str().map(str::to_owned);
        Self {
            incidents: incidents.len(),
            notifications: firing.len(),
            alerts: alerts.filter_map(name).collect(),
        }
    }
}

/// Lets a cause begin, last and end, and gives what [`RECEIVERS`] were told.
fn run(cause: &Cause) -> [Told; 4] {
    let webhook = Webhook::start();
    let config = with_webhooks(&faster(&text(CONFIG), TIMES.into()), webhook.address());
    let alertmanager = Alertmanager::start(&config);
    let instances: Vec<Instance> = (0..cause.instances).map(|_| Instance::start()).collect();
    let _work = Work::start(&instances);
    let directory = TempDir::new();
    let prometheus = prometheus(&directory, &instances, alertmanager.address(), cause.holiday);
    prometheus.wait_for("min(up)", 1.0);

    passes(BEFORE);
    // Prometheus saw no target at first.
    none_fires(&prometheus, r#"severity!="none""#);
    let posts = |receiver: &str| webhook.posts(&format!("/{receiver}"));
    let before = RECEIVERS.map(|receiver| posts(receiver).len());
    let open = prometheus.value("nse:market_open:bool");
    assert_eq!(open, Ok(if cause.holiday { 0.0 } else { 1.0 }), "{}", cause.name);

    (cause.begins)(&instances);
    passes(FAULT);
    (cause.ends)(&instances);
    // What looks back on an hour or more takes as long to end, and is for no pager.
    none_fires(&prometheus, r#"severity="critical",sla_metric="""#);
    eventually(DEADLINE, || {
        let last: BTreeMap<String, Value> = posts("pager")
            .into_iter()
            .map(|post| (post.body["groupKey"].to_string(), post.body["status"].clone()))
            .collect();
        let ended = last.values().all(|status| status == "resolved");
        if ended { Ok(()) } else { Err(format!("{last:?}")) }
    });
    let mut before = before.into_iter();
    RECEIVERS.map(|receiver| Told::of(&posts(receiver)[before.next().unwrap_or_default()..]))
}

/// Waits for time to pass, which is what a fault does.
fn passes(time: Duration) {
    let start = Instant::now();
    eventually(time + DEADLINE, || match start.elapsed() {
        passed if passed >= time => Ok(()),
        passed => Err(format!("{passed:?} of {time:?}")),
    });
}

#[track_caller]
fn none_fires(prometheus: &Prometheus, matchers: &str) {
    eventually(AFTER, || {
        let firing = prometheus.query(&format!(r#"ALERTS{{alertstate="firing",{matchers}}}"#));
        if firing.is_empty() { Ok(()) } else { Err(format!("{firing:?}")) }
    });
}

fn all_become(instances: &[Instance], state: State) {
    for instance in instances {
        instance.becomes(state);
    }
}

fn all_restart(instances: &[Instance], state: State) {
    for instance in instances {
        instance.restart(state);
    }
}

fn all_mark(instances: &[Instance], marks: bool) {
    for instance in instances {
        instance.life().marks = marks;
    }
}

const CAUSES: &[Cause] = &[
    Cause {
        name: "the database hangs",
        instances: 2,
        holiday: false,
        begins: |instances| {
            all_become(instances, State::DatabaseHangs);
            // A fault of another kind.
            let metrics = instances[0].life().metrics;
            instances[0].life().stuck = Some(metrics.start_worker_task("quote_publisher"));
        },
        ends: |instances| all_become(instances, State::Healthy),
        at_most: [(2, 13), (8, 8), (5, 5), (0, 0)],
        beside: &[("chat", "WorkerStuck")],
    },
    Cause {
        name: "Redis is dead",
        instances: 2,
        holiday: false,
        begins: |instances| all_become(instances, State::RedisDead),
        ends: |instances| all_become(instances, State::Healthy),
        at_most: [(1, 4), (0, 0), (0, 0), (0, 0)],
        beside: &[],
    },
    Cause {
        name: "one of ten is down",
        instances: 10,
        holiday: false,
        begins: |instances| {
            instances[0].becomes(State::Down);
            // A fault of another kind.
            all_mark(instances, false);
        },
        ends: |instances| {
            instances[0].becomes(State::Healthy);
            all_mark(instances, true);
        },
        at_most: [(1, 2), (1, 2), (0, 0), (0, 0)],
        beside: &[("chat", "StrategyM2MStale")],
    },
    Cause {
        name: "a bad deployment",
        instances: 3,
        holiday: false,
        begins: |instances| all_restart(instances, State::HalfFails),
        ends: |instances| all_restart(instances, State::Healthy),
        at_most: [(1, 4), (1, 1), (1, 1), (0, 0)],
        beside: &[],
    },
    Cause {
        name: "a holiday",
        instances: 3,
        holiday: true,
        begins: |instances| all_become(instances, State::Quiet),
        ends: |instances| all_become(instances, State::Healthy),
        at_most: [(0, 0), (0, 0), (0, 0), (0, 0)],
        beside: &[],
    },
    Cause {
        name: "a market that goes quiet",
        instances: 3,
        holiday: false,
        begins: |instances| all_become(instances, State::Quiet),
        ends: |instances| all_become(instances, State::Healthy),
        at_most: [(2, 4), (1, 2), (0, 0), (1, 2)],
        beside: &[("pager", "TickerTicksStale")],
    },
];

#[test]
#[ignore = "needs Prometheus and Alertmanager, and two minutes: run scripts/test"]
fn a_cause_is_one_incident_and_hides_no_other() {
    let told: Vec<[Told; 4]> = thread::scope(|scope| {
        let runs: Vec<_> = CAUSES.iter().map(|cause| scope.spawn(|| run(cause))).collect();
        runs.into_iter().map(|run| run.join().expect("a cause runs to its end")).collect()
    });
    let mut wrong = Vec::new();
    for (cause, told) in CAUSES.iter().zip(&told) {
        for ((receiver, told), at_most) in RECEIVERS.iter().zip(told).zip(cause.at_most) {
            let Told { incidents, notifications, alerts } = told;
            let names: Vec<&str> = alerts.iter().map(String::as_str).collect();
            let line = format!(
                "{:24} {receiver:8} {incidents:2} incidents, {notifications:2} notifications: {}",
                cause.name,
                names.join(" ")
            );
            println!("{line}");
            let is_beside = |(to, alert): &(&str, &str)| to != receiver || alerts.contains(*alert);
            if *incidents > at_most.0
                || *notifications > at_most.1
                || !cause.beside.iter().all(is_beside)
            {
                wrong.push(line);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
