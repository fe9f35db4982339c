//! What surrounds the backend: servers, clients, and those who watch.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write,
    net::TcpStream,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{self, Message, client::IntoClientRequest};

use crate::{
    alertmanager::{Alertmanager, with_webhooks},
    backend::{self, Backend},
    faster::{faster, with_windows_divided},
    load::{Load, Request, Tally},
    postgres::Postgres,
    prometheus::{Prometheus, Sample},
    redis::Redis,
    runbooks::{Excuse, Runbooks},
    tempdir::TempDir,
    wait::{DEADLINE, eventually},
    watch::{self, TIMES},
    webhook::Webhook,
};

/// How long anything of an incident may take. The longest is the page about an error budget: it looks back on 30
/// minutes.
const INCIDENT: Duration = Duration::from_mins(4);

/// How often it is looked at.
const PAUSE: Duration = Duration::from_secs(1);

/// A page about an error budget, by its objective.
#[macro_export]
macro_rules! burn {
    ($slo:literal) => {
        concat!("SLOErrorBudgetBurn ", $slo)
    };
}

/// A backend, what it needs, and who watches it.
pub(crate) struct Incident {
    name: &'static str,
    pub(crate) backend: Backend,
    pub(crate) prometheus: Prometheus,
    pub(crate) redis: Redis,
    pub(crate) database: Database,
    pub(crate) load: Option<Load>,
    /// How many have logged in since the backend was started.
    sessions: u32,
    /// What clients saw that have been stopped.
    tally: Tally,
    runbooks: RefCell<Runbooks>,
    /// From when on alerts count. Before, the rules saw no target, and then a few answers of a backend that starts.
    began: Instant,
    webhook: Webhook,
    _alertmanager: Alertmanager,
}

/// Where the backend keeps its rows.
pub(crate) enum Database {
    Postgres(Postgres),
    Sqlite(TempDir),
}

impl Database {
    pub(crate) fn postgres() -> Self {
        Self::Postgres(Postgres::start())
    }

    pub(crate) fn sqlite() -> Self {
        Self::Sqlite(TempDir::new())
    }

    fn url(&self) -> String {
        match self {
            Self::Postgres(postgres) => postgres.url(),
            Self::Sqlite(directory) => directory.join("backend.sqlite").display().to_string(),
        }
    }
}

impl Incident {
    /// Starts everything but the clients, while the market is open. `program` runs the backend, which is given these
    /// arguments.
    #[track_caller]
    pub(crate) fn prepare(
        name: &'static str,
        database: Database,
        program: Command,
        arguments: &[&str],
    ) -> Self {
        Self::prepare_while(watch::OPEN, name, database, program, arguments)
    }

    /// As [`prepare`](Self::prepare), with this calendar.
    #[track_caller]
    pub(crate) fn prepare_while(
        calendar: &str,
        name: &'static str,
        database: Database,
        program: Command,
        arguments: &[&str],
    ) -> Self {
        let redis = Redis::start();
        let mut program = program;
        program.args(["--listen", "127.0.0.1:0", "--traffic", "0"]);
        program.args(["--database", &database.url(), "--redis", &redis.url()]).args(arguments);
        let backend = Backend::run(&mut program);
        let webhook = Webhook::start();
        let config = watch::repository().join("monitoring/alertmanager/alertmanager.yml");
        let config = fs::read_to_string(config).expect("it can be read");
        let alertmanager =
            Alertmanager::start(&with_webhooks(&faster(&config, TIMES), webhook.address()));
        let prometheus =
            watch::start_while(calendar, backend.address, Some(alertmanager.address()));
        // Orders need a price.
        eventually(DEADLINE, || match prometheus.value("ticker_service_ticks_received_total")? {
            ticks if ticks > 100.0 => Ok(()),
            ticks => Err(format!("{ticks} ticks")),
        });
        Self {
            name,
            backend,
            prometheus,
            redis,
            database,
            load: None,
            sessions: 0,
            tally: Tally::default(),
            runbooks: RefCell::default(),
            began: Instant::now(),
            webhook,
            _alertmanager: alertmanager,
        }
    }

    /// As [`prepare`](Self::prepare) with a `PostgreSQL`, and with clients that find a healthy backend for a
    /// while.
    #[track_caller]
    pub(crate) fn healthy(name: &'static str) -> Self {
        let mut this = Self::prepare(name, Database::postgres(), backend::command(&[]), &[]);
        this.begin();
        this
    }

    /// Starts the clients, and waits until the rules have seen a while of their answers and find no fault.
    #[track_caller]
    pub(crate) fn begin(&mut self) {
        self.start_load();
        at_last(|| match self.prometheus.value("sum(http_requests_total)")? {
            enough if enough > 300.0 => Ok(()),
            few => Err(format!("{few} answers")),
        });
        self.began = watch::wait_until_quiet(&self.prometheus);
    }

    /// The `PostgreSQL` of the backend.
    #[track_caller]
    pub(crate) fn postgres(&mut self) -> &mut Postgres {
        match &mut self.database {
            Database::Postgres(postgres) => postgres,
            Database::Sqlite(_) => panic!("it has a SQLite"),
        }
    }

    /// Starts the backend anew, where it was.
    #[track_caller]
    pub(crate) fn restart(&mut self) {
        let listen = self.backend.address.to_string();
        let (database, redis) = (self.database.url(), self.redis.url());
        let arguments = ["--traffic", "0", "--database", &database, "--redis", &redis];
        self.sessions = 0;
        self.backend = Backend::run(backend::command(&["--listen", &listen]).args(arguments));
    }

    /// Starts the clients.
    #[track_caller]
    pub(crate) fn start_load(&mut self) {
        let token = self.log_in("A-01");
        self.start_load_with(&token);
    }

    /// Starts clients that call with this token.
    pub(crate) fn start_load_with(&mut self, token: &str) {
        self.load = Some(Load::start(self.backend.address, token));
    }

    #[track_caller]
    fn log_in(&mut self, account: &str) -> String {
        self.sessions += 1;
        self.backend.log_in(account)
    }

    /// Starts a client more, who asks this every so often.
    #[track_caller]
    pub(crate) fn start_load_of(&mut self, request: Request, pause: Duration) {
        let token = self.log_in("A-02");
        let more = Load::of(request, pause, self.backend.address, &token);
        self.load = self.load.take().map(|load| load.and(more));
    }

    /// Stops the clients.
    #[track_caller]
    pub(crate) fn stop_load(&mut self) {
        self.tally.add(self.load.take().expect("there are clients").stop());
    }

    /// Waits until a query, whose times are divided as those of the rules are, has a result.
    #[track_caller]
    pub(crate) fn comes_true(&self, promql: &str) {
        let promql = with_windows_divided(promql, TIMES);
        self.read_until(|| match self.prometheus.query(&promql).as_slice() {
            [] => Err(format!("nothing of {promql}")),
            _ => Ok(()),
        });
    }

    /// Waits while the fault lasts, and meanwhile reads the runbooks of what fires.
    #[track_caller]
    fn read_until(&self, mut ask: impl FnMut() -> Result<(), String>) {
        let look = || self.runbooks.borrow_mut().look(&self.prometheus);
        at_last(|| {
            look();
            ask()
        });
        look();
    }

    /// Waits until the receiver is told of an alert.
    #[track_caller]
    pub(crate) fn fires(&self, receiver: &str, alert: &str) {
        let since = Instant::now();
        self.read_until(|| self.is_told(receiver, alert, "firing"));
        println!("{}: {alert} fires after {:.0} s", self.name, since.elapsed().as_secs_f64());
    }

    /// Waits until the receiver is told that an alert is over.
    #[track_caller]
    pub(crate) fn resolves(&self, receiver: &str, alert: &str) {
        let since = Instant::now();
        at_last(|| self.is_told(receiver, alert, "resolved"));
        println!("{}: {alert} resolves after {:.0} s", self.name, since.elapsed().as_secs_f64());
    }

    fn is_told(&self, receiver: &str, alert: &str, status: &str) -> Result<(), String> {
        let last = self.told(receiver);
        match last.get(alert) {
            Some(found) if found == status => Ok(()),
            _ => Err(format!("{alert} is not {status}: {last:?}")),
        }
    }

    /// Waits until every one of these alerts has fired, whether someone is told of it or another explains it: a fault
    /// that ends then has had its consequences.
    #[track_caller]
    pub(crate) fn all_fire(&self, alerts: &[&str]) {
        self.read_until(|| {
            let fired = watch::fired(&self.prometheus, self.began);
            let silent: Vec<_> = alerts.iter().filter(|alert| !fired.contains(**alert)).collect();
            if silent.is_empty() {
                Ok(())
            } else {
                Err(format!("{silent:?} did not fire: {fired:?}"))
            }
        });
    }

    /// Waits until nothing pages any more. Sees that nothing has fired but this, and that each query in the runbooks of
    /// it has shown something while the fault lasted, but for those that are excused.
    #[track_caller]
    pub(crate) fn is_over(&self, expected: &[&str], shows_nothing: &[Excuse]) {
        // A group is one incident to the pager, and ends with a notification that all of it is over. Of an alert that
        // another explains by then it is not told by name.
        at_last(|| {
            let posts = self.webhook.posts("/pager").into_iter();
            let groups: BTreeMap<_, _> = posts
                .map(|post| (text(&post.body["groupKey"]), text(&post.body["status"])))
                .collect();
            if groups.values().all(|status| status == "resolved") {
                Ok(())
            } else {
                Err(format!("{groups:?}"))
            }
        });
        let fired = watch::fired(&self.prometheus, self.began);
        let expected: BTreeSet<_> = expected.iter().copied().map(str::to_owned).collect();
        assert_eq!(fired, expected, "{}", self.name);
        self.runbooks.borrow().check(self.name, shows_nothing);
    }

    /// What a receiver was told last of each alert.
    fn told(&self, receiver: &str) -> BTreeMap<String, String> {
        let alerts = self.webhook.alerts(&format!("/{receiver}")).into_iter();
        alerts.map(|alert| (watch::name(&alert["labels"]), text(&alert["status"]))).collect()
    }

    /// Stops the clients, and compares what they and the servers say with what Prometheus says.
    #[track_caller]
    pub(crate) fn nothing_has_drifted(&mut self) {
        self.stop_load();
        let tally = &self.tally;
        assert_eq!(tally.unanswered, [""; 0]);
        let of_clients =
            |endpoint: &str| tally.answers.keys().any(|(_, known, _)| known == endpoint);
        let counted = || -> BTreeMap<_, _> {
            let requests = self.prometheus.query("http_requests_total > 0").into_iter();
            let requests = requests.map(|Sample { labels, value }| {
                let label = |name: &str| labels[name].clone();
                ((label("method"), label("endpoint"), label("status")), value)
            });
            requests.filter(|((_, endpoint, _), _)| of_clients(endpoint)).collect()
        };
        #[expect(clippy::cast_precision_loss, reason = "they are few")]
        let seen: BTreeMap<_, _> =
            tally.answers.iter().map(|(key, count)| (key.clone(), *count as f64)).collect();
        eventually(DEADLINE, || {
            self.prometheus.settle();
            let counted = counted();
            if counted == seen { Ok(()) } else { Err(format!("{counted:?}, clients saw {seen:?}")) }
        });
        self.one_is_one();
        for (promql, truth) in self.levels() {
            eventually(DEADLINE, || {
                // Workers go on, so a level is read between two looks at the truth.
                let before = truth();
                let value = self.prometheus.value(&promql)?;
                if value.total_cmp(&before).is_eq() && truth().total_cmp(&before).is_eq() {
                    Ok(())
                } else {
                    Err(format!("{}: {promql} is {value}, not {before}", self.name))
                }
            });
        }
        assert_eq!(self.prometheus.warnings(), [""; 0]);
    }

    /// Begins one of each: a level that has fallen below zero is shown at zero, and would be there still.
    fn one_is_one(&self) {
        let address = self.backend.address;
        let mut request = TcpStream::connect(address).expect("it listens");
        // The body does not come.
        let head = "POST /auth/login HTTP/1.1\r\nHost: backend\r\nContent-Length: 2\r\n\r\n";
        request.write_all(head.as_bytes()).expect("it is read");
        let stream = TcpStream::connect(address).expect("it listens");
        let uri = format!("ws://{address}/ws/fo/stream");
        let mut upgrade = uri.into_client_request().expect("it is a request");
        upgrade.headers_mut().insert("x-api-key", "demo-key-A-02".parse().expect("it is a header"));
        let (mut socket, _) = tungstenite::client(upgrade, stream).expect("it is let in");
        let subscribe = json!({ "action": "subscribe", "symbols": ["NOT-TRADED"] });
        socket.send(Message::text(subscribe.to_string())).expect("it is read");
        for gauge in [
            "http_active_requests",
            "websocket_connections_active",
            "websocket_subscriptions_active",
        ] {
            self.prometheus.wait_for(&format!("sum({gauge})"), 1.0);
        }
    }

    /// Gauges at rest, and who knows better what they should be.
    fn levels(&self) -> Vec<(String, Box<dyn Fn() -> f64 + '_>)> {
        let mut levels: Vec<(String, Box<dyn Fn() -> f64>)> = Vec::new();
        for at_zero in [
            "http_active_requests",
            "database_pool_pending_acquires",
            r#"database_pool_connections{state="active"}"#,
            r#"redis_pool_connections{state="active"}"#,
            "websocket_connections_active",
            "websocket_subscriptions_active",
            "websocket_send_queue_depth",
            "worker_queue_depth",
            "worker_tasks_active",
            "ticker_service_circuit_breaker_state",
            "rate_limit_current_usage",
        ] {
            levels.push((format!("sum({at_zero}) or vector(0)"), Box::new(|| 0.0)));
        }
        // The stream of ticks.
        levels.push((
            r#"http_client_active_requests{upstream="ticker"}"#.to_owned(),
            Box::new(|| 1.0),
        ));
        levels.push(("active_sessions".to_owned(), Box::new(|| f64::from(self.sessions))));
        let instruments = || self.prometheus.value("fo_instruments_cached").unwrap_or(f64::NAN);
        levels.push(("ticker_service_subscriptions_active".to_owned(), Box::new(instruments)));
        let redis = || f64::from(self.redis.clients());
        levels.push((r#"redis_pool_connections{state="idle"}"#.to_owned(), Box::new(redis)));
        let files = || {
            let files = fs::read_dir(format!("/proc/{}/fd", self.backend.id()));
            f64::from(u32::try_from(files.expect("it runs").count()).expect("they are few"))
        };
        levels.push(("process_open_fds".to_owned(), Box::new(files)));
        if let Database::Postgres(postgres) = &self.database {
            let count = |sql: String| move || postgres.query(&sql).parse().expect("it is a number");
            let connections = "SELECT COUNT(*) FROM pg_stat_activity \
                WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
            // Of its own: those of a backend that was stopped nobody matches, and they expire.
            let started = self.prometheus.value("process_start_time_seconds").unwrap_or(f64::NAN);
            let open = format!(
                "SELECT COUNT(*) FROM orders WHERE state IN ('open', 'partially_filled') AND placed_at >= {started:.3} * 1000"
            );
            levels.push((
                r#"database_pool_connections{state="idle"}"#.to_owned(),
                Box::new(count(connections.to_owned())),
            ));
            levels.push(("sum(orders_open)".to_owned(), Box::new(count(open))));
        }
        levels
    }
}

/// Waits for what may take as long as an incident.
#[track_caller]
fn at_last(mut ask: impl FnMut() -> Result<(), String>) {
    eventually(INCIDENT, || {
        // Many wait, on one machine.
        thread::sleep(PAUSE);
        ask()
    });
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
