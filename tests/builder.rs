//! What a builder refuses, and what it makes of what it takes.

mod common;

use std::{
    thread,
    time::{Duration, SystemTime},
};

use backend_metrics::{
    AlreadyInstalled, BuildError, Builder, Clock, Counter, CounterFamily, Domain, Format, Gauge,
    Histogram, Info, LateGauge, Metrics, Open, Part, Registrar, UpDownGauge, families,
    labels::{ErrorSeverity, QueryStatus, QueryType, WorkerTaskStatus},
    open_labels,
    subsystems::http::HttpEndpoint,
};
use common::{events::record, exposition::read};

open_labels! {
    /// The book a trade belongs to.
    pub struct Book(book);
}

families! {
    /// The trades of the desk.
    pub struct DeskMetrics = "desk" {
        with {
            /// The books seen so far.
            pub books: Domain<Book>,
        }

        /// Trades
        pub trades: Counter = "desk_trades_total",

        /// Trades by book
        pub book_trades: CounterFamily<Open<Book>> = "desk_book_trades_total",

        /// Trades under way
        pub under_way: UpDownGauge = "desk_trades_under_way",

        /// Limit of the desk
        pub limit: Gauge = "desk_limit_rupees",

        /// Time to a trade
        pub wait: Histogram = "desk_wait_seconds" in &[0.1, 1.0],
    }
}

#[track_caller]
fn refused(builder: Builder, error: &BuildError, message: &str) {
    let found = builder.build().unwrap_err();
    assert_eq!(found, *error);
    assert_eq!(found.to_string(), message);
    let source: &dyn std::error::Error = &found;
    assert!(source.source().is_none());
}

#[test]
fn the_name_of_a_constant_label_is_a_label_name() {
    for name in [
        "", "le", "Region", "1st", "_region", "region_", "__name__", "a__b", "a-b", "a b", "é",
        "a\"b", "a\nb",
    ] {
        refused(
            Metrics::builder().constant_label(name, "x"),
            &BuildError::LabelName { name: name.into() },
            &format!(
                "constant_label: the name {name:?} must be lower-case ASCII with single \
                 underscores, and not `le`"
            ),
        );
    }
}

#[test]
fn a_constant_label_is_given_once() {
    refused(
        Metrics::builder().constant_label("region", "mumbai").constant_label("region", "mumbai"),
        &BuildError::DuplicateLabel { name: "region".into() },
        "constant_label: \"region\" is given twice",
    );
}

#[test]
fn a_constant_label_is_no_label_of_a_family() {
    for (name, family) in [
        ("query_type", "database_queries_total"),
        ("endpoint", "http_requests_total"),
        ("version", "backend_service_info"),
        ("family", "metrics_series"),
    ] {
        refused(
            Metrics::builder().constant_label(name, "x"),
            &BuildError::LabelClash { name: name.into(), family },
            &format!("constant_label: {name:?} is a label of {family}"),
        );
    }
    refused(
        Metrics::builder().constant_label("book", "x").mount::<DeskMetrics>(),
        &BuildError::LabelClash { name: "book".into(), family: "desk_book_trades_total" },
        "constant_label: \"book\" is a label of desk_book_trades_total",
    );
    Metrics::builder().constant_label("book", "x").build().unwrap();
    Metrics::builder().constant_label("worker_type", "x").without("workers").build().unwrap();
}

#[test]
fn only_a_subsystem_can_be_left_out() {
    let all = "http, http_client, database, cache, websocket, smart_orders, strategies, fno, ticker_service, auth, \
               statements, market_data, workers, business, errors, rate_limits, process, self";
    let (none, database) = (format!("there are {all}"), "did you mean \"database\"?");
    for (name, near) in [
        ("", &*none),
        ("Database", database),
        ("databse", database),
        ("desk", &*none),
        ("database_queries_total", database),
    ] {
        refused(
            Metrics::builder().mount::<DeskMetrics>().without(name),
            &BuildError::UnknownSubsystem { name: name.into() },
            &format!("without: no subsystem is named {name:?}: {near}"),
        );
    }
    Metrics::builder().without("database").without("database").build().unwrap();
}

families! {
    /// Another subsystem of the same name.
    pub struct OtherDesk = "desk" {
        /// Quotes
        pub quotes: Counter = "other_desk_quotes_total",
    }
}

families! {
    /// A subsystem that is named like one of the library.
    pub struct OwnDatabase = "database" {
        /// Quotes
        pub quotes: Counter = "own_quotes_total",
    }
}

families! {
    /// A subsystem with a family that is named like one of the library.
    pub struct OwnRetries = "retries" {
        /// Retries
        pub retries: Counter = "worker_task_retries_total",
    }
}

families! {
    /// A subsystem with a family of the desk.
    pub struct TradesAgain = "again" {
        /// Trades
        pub trades: Gauge = "desk_trades_total" [specified_name],
    }
}

#[test]
fn names_are_declared_once() {
    let duplicate = |builder: Builder, name| {
        let message = format!("mount: {name:?} is declared twice");
        refused(builder, &BuildError::DuplicateName { name }, &message);
    };
    let builder = Metrics::builder;
    duplicate(builder().mount::<DeskMetrics>().mount::<DeskMetrics>(), "desk");
    duplicate(builder().mount::<DeskMetrics>().mount::<OtherDesk>(), "desk");
    duplicate(builder().mount::<OwnDatabase>(), "database");
    duplicate(builder().mount::<OwnDatabase>().without("database"), "database");
    duplicate(builder().mount::<OwnRetries>(), "worker_task_retries_total");
    duplicate(builder().mount::<DeskMetrics>().mount::<TradesAgain>(), "desk_trades_total");
    builder().mount::<OtherDesk>().mount::<TradesAgain>().build().unwrap();
}

/// Subsystems whose families differ in name, but not in what is exposed.
macro_rules! clashing {
    ($($Subsystem:ident $subsystem:literal $Family:ty, $name:literal $(in $buckets:expr)?;)+) => {$(
        families! {
            /// A subsystem whose family clashes with another.
            pub struct $Subsystem = $subsystem {
                /// Something
                pub family: $Family = $name $(in $buckets)?,
            }
        }
    )+};
}

clashing! {
    ClashGauge "gauge" Gauge, "clash";
    ClashCounter "counter" Counter, "clash_total";
    ClashLate "late" LateGauge, "clash";
    ClashInfo "info" Info, "clash_info";
    ClashHistogram "histogram" Histogram<u64>, "clash" in &[1.0];
    ClashCount "count" Counter, "clash_count_total";
    ClashBuckets "buckets" Counter, "clash_bucket_total";
    ClashCreated "created" Counter, "clash_created_total";
    ClashNot "not" Gauge, "clash_seconds";
    ClashQueries "queries" Gauge, "database_queries";
    ClashSum "sum" Counter, "http_request_duration_seconds_sum_total";
}

#[test]
fn names_as_exposed_differ() {
    fn clash(builder: Builder, name: &str, families: [&'static str; 2]) {
        let [one, other] = families;
        let message = format!("mount: {one:?} and {other:?} are both exposed as {name:?}");
        refused(builder, &BuildError::NameClash { name: name.into(), families }, &message);
    }
    let with_gauge = || Metrics::builder().mount::<ClashGauge>();
    clash(with_gauge().mount::<ClashCounter>(), "clash", ["clash", "clash_total"]);
    clash(with_gauge().mount::<ClashInfo>(), "clash", ["clash", "clash_info"]);
    let with_counter = || Metrics::builder().mount::<ClashCounter>();
    clash(with_counter().mount::<ClashLate>(), "clash", ["clash_total", "clash"]);
    clash(with_counter().mount::<ClashInfo>(), "clash", ["clash_total", "clash_info"]);
    clash(
        with_counter().mount::<ClashCreated>(),
        "clash_created",
        ["clash_total", "clash_created_total"],
    );
    let with_histogram = || Metrics::builder().mount::<ClashHistogram>();
    clash(with_histogram().mount::<ClashCounter>(), "clash", ["clash", "clash_total"]);
    clash(with_histogram().mount::<ClashCount>(), "clash_count", ["clash", "clash_count_total"]);
    clash(
        with_histogram().mount::<ClashBuckets>(),
        "clash_bucket",
        ["clash", "clash_bucket_total"],
    );
    clash(
        Metrics::builder().mount::<ClashQueries>(),
        "database_queries",
        ["database_queries_total", "database_queries"],
    );
    clash(
        Metrics::builder().mount::<ClashSum>(),
        "http_request_duration_seconds_sum",
        ["http_request_duration_seconds", "http_request_duration_seconds_sum_total"],
    );
    let both_gauges = with_gauge().mount::<ClashLate>().build().unwrap_err();
    assert_eq!(both_gauges, BuildError::DuplicateName { name: "clash" });
    read(with_gauge().mount::<ClashNot>().mount::<ClashCount>().build().unwrap());
}

#[test]
fn caps_are_in_range() {
    for cap in [0, 10_000_001, usize::MAX] {
        refused(
            Metrics::builder().label_cap(cap),
            &BuildError::Cap { cap, domain: None },
            &format!("label_cap: {cap} must be between 1 and 10,000,000"),
        );
        refused(
            Metrics::builder().cap_of::<Book>(cap),
            &BuildError::Cap { cap, domain: Some("builder::Book") },
            &format!("cap_of::<builder::Book>: {cap} must be between 1 and 10,000,000"),
        );
    }
    for cap in [1, 10_000_000] {
        let builder = Metrics::builder().label_cap(cap).path_cap(cap - 1);
        builder.mount::<DeskMetrics>().cap_of::<Book>(cap).build().unwrap();
    }
    refused(
        Metrics::builder().path_cap(10_000_001),
        &BuildError::PathCap { cap: 10_000_001 },
        "path_cap: 10000001 must be 10,000,000 at most",
    );
}

#[test]
fn a_cap_that_limits_nothing_is_refused() {
    refused(
        Metrics::builder().cap_of::<Book>(5),
        &BuildError::UnlimitedDomain { domain: "builder::Book", is_known: false },
        "cap_of::<builder::Book>: no family of the instance has these labels",
    );
    let domain = "backend_metrics::subsystems::self_metrics::FamilyName";
    refused(
        Metrics::builder().cap_of::<backend_metrics::subsystems::self_metrics::FamilyName>(5),
        &BuildError::UnlimitedDomain { domain, is_known: true },
        &format!("cap_of::<{domain}>: the values of these labels are the library's own"),
    );
    // That of a subsystem that is off is one of the instance all the same.
    Metrics::builder().without("http").cap_of::<HttpEndpoint>(5).build().unwrap();
}

#[test]
fn a_process_without_room_says_so() {
    // How it comes to that is tested in a process of its own, in `exhaustion.rs`.
    assert_eq!(
        BuildError::TooManyInstances.to_string(),
        "build: the process has no room for another instance"
    );
}

#[test]
fn the_last_cap_of_a_domain_counts() {
    let builder = Metrics::builder().mount::<DeskMetrics>().label_cap(1);
    let metrics = builder.cap_of::<Book>(5).cap_of::<Book>(2).build().unwrap();
    let desk = metrics.mounted::<DeskMetrics>().unwrap();
    for book in ["a", "b", "c", "d"] {
        desk.book_trades.get(desk.books.get(book)).inc();
    }
    let exposition = read(metrics);
    assert_eq!(exposition.values_of("desk_book_trades_total", "book"), ["a", "b", "other"]);
    let overflows = [("family", "desk_book_trades_total")];
    assert_eq!(exposition.value("metrics_label_overflows_total", &overflows), Some("2"));
}

#[test]
fn the_utc_offset_is_within_a_day() {
    for minutes in [24 * 60, -24 * 60, i32::MAX, i32::MIN] {
        let seconds = i64::from(minutes) * 60;
        refused(
            Metrics::builder().utc_offset_minutes(minutes),
            &BuildError::UtcOffset { seconds },
            &format!("utc_offset: {seconds} s must be less than a day"),
        );
    }
    for minutes in [24 * 60 - 1, 1 - 24 * 60, 0] {
        let clock = Clock::manual();
        let builder = Metrics::builder().utc_offset_minutes(minutes).clock(clock.clone());
        let metrics = builder.build().unwrap();
        metrics.set_orders_placed_today(3);
        clock.set_wall(SystemTime::UNIX_EPOCH - Duration::from_secs(100_000_000));
        metrics.set_orders_placed_today(4);
        assert_eq!(read(metrics).value("total_orders_placed_today", &[]), Some("4"));
    }
}

#[test]
fn the_threshold_of_slow_queries_is_any_duration() {
    for (threshold, slow) in [(Duration::ZERO, "1"), (Duration::MAX, "0")] {
        let metrics = Metrics::builder().slow_query(threshold).build().unwrap();
        metrics.track_database_query(QueryType::Select, Duration::ZERO, QueryStatus::Success);
        metrics.track_database_query(QueryType::Select, Duration::MAX, QueryStatus::Success);
        let labels = [("query_type", "select")];
        assert_eq!(read(metrics).value("database_slow_queries_total", &labels), Some(slow));
    }
}

#[test]
fn constant_labels_hold_any_text() {
    let long = "\\\"\n😀".repeat(146);
    let values = [
        ("quotes", "a \"quoted\" \\ word\\"),
        ("newline", "\n# EOF\n"),
        ("nul", "\0"),
        ("emoji", "👨\u{200d}👩\u{200d}👧"),
        ("empty", ""),
        ("long", &long),
    ];
    let builder = Metrics::builder().mount::<DeskMetrics>();
    let builder =
        values.iter().fold(builder, |builder, (name, value)| builder.constant_label(*name, *value));
    let metrics = builder.build().unwrap();
    let desk = metrics.mounted::<DeskMetrics>().unwrap();
    desk.book_trades.get(desk.books.get("\"")).inc();
    desk.wait.observe(Duration::from_secs(1));
    metrics.track_worker_task("w", Duration::ZERO, WorkerTaskStatus::Success);
    for sample in read(metrics).samples() {
        let first = sample.labels.iter().take(values.len());
        let first: Vec<_> = first.map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(first, values, "{}", sample.name);
    }
}

#[test]
fn instances_side_by_side_never_mix() {
    let instances: Vec<Metrics> = (0..12)
        .map(|_| Metrics::builder().mount::<DeskMetrics>().cap_of::<Book>(3).build().unwrap())
        .collect();
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..50 {
                    for (number, metrics) in instances.iter().enumerate() {
                        let desk = metrics.mounted::<DeskMetrics>().unwrap();
                        desk.trades.add(number as u64);
                        // The same values, in another order and with other neighbours.
                        for book in 0..=number % 5 {
                            let book =
                                desk.books.get(["a", "b", "c", "d", "e"][(book + number) % 5]);
                            desk.book_trades.get(book).inc();
                        }
                        desk.under_way.add(i64::try_from(number).unwrap());
                        desk.limit.set_count(number as u64);
                        desk.wait.observe(Duration::from_secs(number as u64));
                        metrics.track_application_error(&number.to_string(), ErrorSeverity::Error);
                    }
                }
            });
        }
    });
    for (number, metrics) in instances.iter().enumerate() {
        let exposition = read(*metrics);
        let value = |name: &str| exposition.value(name, &[]).unwrap().parse::<usize>().unwrap();
        assert_eq!(value("desk_trades_total"), number * 150);
        assert_eq!(value("desk_trades_under_way"), number * 150);
        assert_eq!(value("desk_limit_rupees"), number);
        assert_eq!(value("desk_wait_seconds_sum"), number * 150);
        assert_eq!(value("desk_wait_seconds_count"), 150);
        assert_eq!(
            exposition.values_of("application_errors_total", "error_type"),
            [&*number.to_string(); 3]
        );
        let books = exposition.values_of("desk_book_trades_total", "book");
        let used = number % 5 + 1;
        assert_eq!(books.len(), used.min(4), "{number}: {books:?}");
        assert_eq!(books.contains(&"other"), used > 3);
        for book in books.iter().filter(|book| **book != "other") {
            let trades = exposition.value("desk_book_trades_total", &[("book", book)]);
            assert_eq!(trades, Some("150"));
        }
    }
}

#[test]
fn a_subsystem_that_is_off_shows_nothing_and_takes_everything() {
    let subsystems: Vec<&str> = {
        let mut names: Vec<_> = backend_metrics::catalog().map(|entry| entry.subsystem).collect();
        names.dedup();
        names
    };
    assert_eq!(subsystems.len(), 18);
    for off in &subsystems {
        let metrics = Metrics::builder().without(*off).label_cap(2).build().unwrap();
        for text in ["a", "b", "c", "d"] {
            record(metrics, text);
        }
        let exposition = read(metrics);
        let names = || exposition.families.iter().map(|family| &*family.name);
        for entry in backend_metrics::catalog().filter(|entry| entry.subsystem == *off) {
            let name = entry.family.openmetrics_name();
            assert!(!names().any(|shown| shown == name), "{name}");
            // Nor is it a value of the library's own families.
            for own in ["metrics_series", "metrics_label_overflows_total"] {
                assert!(!exposition.values_of(own, "family").contains(&entry.family.name));
            }
        }
        assert!(names().count() > 80);
        if *off != "self" {
            let overflows = exposition.samples().filter(|sample| {
                sample.name == "metrics_label_overflows_total" && sample.value != "0"
            });
            assert!(overflows.count() > 5);
        }
    }
    let all_off =
        subsystems.iter().fold(Metrics::builder(), |builder, name| builder.without(*name));
    let metrics = all_off.build().unwrap();
    record(metrics, "a");
    assert_eq!(metrics.encode(Format::OpenMetrics), "# EOF\n");
    assert_eq!(metrics.encode(Format::Text), "");
}

families! {
    /// A subsystem that counts by a domain of another.
    pub struct EndpointMetrics = "endpoints" {
        with {
            /// The route templates.
            endpoints: Domain<HttpEndpoint>,
        }

        /// Orders by where they came in
        pub orders: CounterFamily<Open<HttpEndpoint>> = "endpoint_orders_total",
    }
}

#[test]
fn a_domain_of_a_subsystem_that_is_off_is_there_for_others() {
    let builder = Metrics::builder().without("http").cap_of::<HttpEndpoint>(1);
    let metrics = builder.mount::<EndpointMetrics>().build().unwrap();
    let mounted = metrics.mounted::<EndpointMetrics>().unwrap();
    for endpoint in ["/orders", "/orders/{id}", "/fills"] {
        drop(metrics.start_http_request(&http::Method::GET, endpoint));
        mounted.orders.get(mounted.endpoints.get(endpoint)).inc();
    }
    let exposition = read(metrics);
    let orders = |endpoint| exposition.value("endpoint_orders_total", &[("endpoint", endpoint)]);
    assert_eq!([orders("/orders"), orders("other")], [Some("1"), Some("2")]);
    assert!(!exposition.families.iter().any(|family| family.name.starts_with("http_re")));
    let family = [("family", "endpoint_orders_total")];
    assert_eq!(exposition.value("metrics_label_overflows_total", &family), Some("4"));
}

families! {
    /// A subsystem whose part is in a hurry.
    pub struct HastyMetrics = "hasty" {
        with {
            /// A book that is there from the start.
            pub book: HastyBook,
        }

        /// Trades
        pub trades: CounterFamily<Open<Book>> = "hasty_trades_total",
    }
}

/// Looks its value up before there is a place for it.
#[derive(Debug)]
pub struct HastyBook(pub Open<Book>);

impl Part for HastyBook {
    fn register(registrar: &mut Registrar) -> Self {
        Self(<Domain<Book> as Part>::register(registrar).get("volatility"))
    }
}

#[test]
fn a_value_is_looked_up_when_the_instance_is_there() {
    refused(
        Metrics::builder().mount::<HastyMetrics>(),
        &BuildError::EarlyValue { labels: &["book"] },
        "mount: a value of [\"book\"] is looked up before the instance is there",
    );
}

#[test]
fn a_source_of_a_subsystem_that_is_off_is_not_read() {
    let reads = |builder: Builder| {
        let metrics = builder.build().unwrap();
        let (sender, receiver) = std::sync::mpsc::channel();
        metrics.add_database_pool_source("orders", move || {
            sender.send(()).unwrap();
            None
        });
        _ = metrics.to_text();
        receiver.try_iter().count()
    };
    assert_eq!(reads(Metrics::builder()), 1);
    assert_eq!(reads(Metrics::builder().without("database")), 0);
}

#[test]
fn one_instance_is_installed_and_the_first_stays() {
    backend_metrics::track_unhandled_exception("before");
    assert!(Metrics::installed().is_none());
    let (first, second) = (Metrics::new(), Metrics::new());
    first.install().unwrap();
    let refused: AlreadyInstalled = second.install().unwrap_err();
    assert_eq!(refused.to_string(), "another instance is installed as the one of the process");
    assert_eq!(first.install(), Err(refused));
    backend_metrics::track_unhandled_exception("after");
    second.track_unhandled_exception("second");
    for (metrics, exception) in
        [(first, "after"), (second, "second"), (Metrics::installed().unwrap(), "after")]
    {
        let exposition = read(metrics);
        let shown = exposition.values_of("unhandled_exceptions_total", "exception_type");
        assert_eq!(shown, [exception]);
    }
}
