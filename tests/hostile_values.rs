//! Whatever is observed, counted, set or named: it is counted, and the scrape stays valid.

mod common;

use std::{
    thread,
    time::{Duration, SystemTime},
};

use backend_metrics::{
    BusinessStats, Clock, Counter, CounterFamily, Domain, Gauge, GaugeFamily, Histogram,
    HistogramFamily, LateGauge, Metrics, Open, UpDownGauge, WebsocketConnection, families,
    labels::{ErrorSeverity, QueryStatus, QueryType},
    open_labels,
};
use common::{
    events::hostile_texts,
    exposition::{Exposition, read},
};

open_labels! {
    /// The book a trade belongs to.
    pub struct Book(book);
}

open_labels! {
    /// The account a trade is for, and its desk.
    pub struct Desk(account, desk);
}

families! {
    /// A family of each type.
    pub struct HostileMetrics = "hostile" {
        with {
            /// The books seen so far.
            pub books: Domain<Book>,
            /// The accounts and desks seen so far.
            pub desks: Domain<Desk>,
        }

        /// Trades
        pub trades: Counter = "hostile_trades_total",

        /// Time to a trade
        pub wait: Histogram = "hostile_wait_seconds" in &[0.0, 0.1, 1.0],

        /// Lots of a trade
        pub lots: Histogram<u64> = "hostile_lots" in &[0.0, 10.0, 1e15],

        /// Share of a trade that was filled
        pub filled: Histogram<f64> = "hostile_filled_ratio" in &[0.0, 0.5, 1.0],

        /// Limit of a trade
        pub limit: Gauge = "hostile_limit_rupees",

        /// Limit of a trade, once there is one
        pub late_limit: LateGauge = "hostile_late_limit_rupees",

        /// Trades under way
        pub under_way: UpDownGauge = "hostile_trades_under_way",

        /// Trades by book
        pub book_trades: CounterFamily<Open<Book>> = "hostile_book_trades_total",

        /// Lots by book
        pub book_lots: HistogramFamily<Open<Book>, u64> = "hostile_book_lots" in &[10.0],

        /// Position by account and desk
        pub position: GaugeFamily<Open<Desk>> = "hostile_position",
    }
}

fn hostile() -> (Metrics, &'static HostileMetrics) {
    let metrics = Metrics::builder().mount::<HostileMetrics>().build().unwrap();
    (metrics, metrics.mounted().unwrap())
}

/// The counts of the buckets of a histogram, its sum and its count.
fn histogram(exposition: &Exposition, name: &str) -> Vec<String> {
    let family = exposition.families.iter().find(|family| family.name == name).unwrap();
    family.samples.iter().map(|sample| sample.value.clone()).collect()
}

#[test]
fn durations_of_any_length_are_counted() {
    let (metrics, hostile) = hostile();
    let lengths = [
        Duration::ZERO,
        Duration::from_nanos(1),
        Duration::from_millis(100),
        Duration::from_nanos(100_000_001),
        Duration::from_secs(u64::MAX / 1_000_000_000),
        Duration::MAX,
    ];
    for length in lengths {
        hostile.wait.observe(length);
    }
    // The last two add 2^53 nanoseconds each.
    let sum = "18014398.709481986";
    assert_eq!(histogram(&read(metrics), "hostile_wait_seconds"), ["1", "3", "4", "6", sum, "6"]);
}

#[test]
fn counts_of_any_size_are_counted() {
    let (metrics, hostile) = hostile();
    let sizes =
        [0, 1, 10, 11, 1_000_000_000_000_000, 1_000_000_000_000_001, u64::MAX - 1, u64::MAX];
    for size in sizes {
        hostile.lots.observe(size);
    }
    let sum = (22 + 2_000_000_000_000_001 + 2 * (1_u64 << 53)).to_string();
    assert_eq!(histogram(&read(metrics), "hostile_lots"), ["1", "3", "5", "8", &*sum, "8"]);
}

#[test]
fn fractions_of_any_kind_are_counted() {
    let (metrics, hostile) = hostile();
    let buckets = |exposition: &Exposition| histogram(exposition, "hostile_filled_ratio");

    for nothing in [0.0, -0.0, f64::MIN_POSITIVE / 2.0, -1e-300, -0.25, f64::MIN, f64::NEG_INFINITY]
    {
        hostile.filled.observe(nothing);
    }
    assert_eq!(buckets(&read(metrics)), ["7", "7", "7", "7", "0", "7"]);

    for not_a_share in [f64::NAN, -f64::NAN, f64::from_bits(u64::MAX), f64::INFINITY] {
        hostile.filled.observe(not_a_share);
    }
    assert_eq!(buckets(&read(metrics)), ["7", "7", "7", "11", "0", "11"]);

    hostile.filled.observe(0.5);
    hostile.filled.observe(0.25);
    assert_eq!(buckets(&read(metrics)), ["7", "9", "9", "13", "0.75", "13"]);

    hostile.filled.observe(f64::MAX);
    hostile.filled.observe(1e300);
    // They add 2^64 - 1 billionths each.
    let sum = "36893488148.16910323";
    assert_eq!(buckets(&read(metrics)), ["7", "9", "9", "15", sum, "15"]);
}

#[test]
fn a_counter_goes_up_to_the_largest_number_and_begins_again() {
    let (metrics, hostile) = hostile();
    let trades = |expected: &str| {
        assert_eq!(read(metrics).value("hostile_trades_total", &[]), Some(expected));
    };
    hostile.trades.add(u64::MAX - 1);
    trades("18446744073709551614");
    hostile.trades.inc();
    trades("18446744073709551615");
    // Which is what Prometheus takes for a restart.
    thread::spawn(|| hostile.trades.add(3)).join().unwrap();
    trades("2");
    hostile.trades.add(0);
    trades("2");
}

#[test]
fn gauges_show_what_they_are_set_to() {
    let (metrics, hostile) = hostile();
    assert_eq!(read(metrics).value("hostile_late_limit_rupees", &[]), None);
    for (value, shown) in [
        (f64::NAN, "NaN"),
        (-f64::NAN, "NaN"),
        (f64::INFINITY, "+Inf"),
        (f64::NEG_INFINITY, "-Inf"),
        (-0.0, "0"),
        (f64::MAX, "1.7976931348623157e308"),
        (f64::MIN, "-1.7976931348623157e308"),
        (5e-324, "5e-324"),
        (0.1 + 0.2, "0.30000000000000004"),
        (-1.5, "-1.5"),
    ] {
        hostile.limit.set(value);
        hostile.late_limit.set(value);
        let exposition = read(metrics);
        assert_eq!(exposition.value("hostile_limit_rupees", &[]), Some(shown));
        assert_eq!(exposition.value("hostile_late_limit_rupees", &[]), Some(shown));
    }
    hostile.late_limit.set_time(SystemTime::UNIX_EPOCH - Duration::from_secs(1));
    hostile.limit.set_count(u64::MAX);
    let exposition = read(metrics);
    assert_eq!(exposition.value("hostile_late_limit_rupees", &[]), Some("0"));
    let most = exposition.value("hostile_limit_rupees", &[]).unwrap();
    assert_eq!(most.parse::<f64>().unwrap().to_bits(), 2_f64.powi(64).to_bits());
}

#[test]
fn an_up_down_gauge_is_never_shown_below_zero() {
    let (metrics, hostile) = hostile();
    let under_way = |expected: &str| {
        assert_eq!(read(metrics).value("hostile_trades_under_way", &[]), Some(expected));
    };
    hostile.under_way.dec();
    under_way("0");
    hostile.under_way.add(i64::MIN);
    hostile.under_way.add(i64::MAX);
    under_way("0");
    // The steps down are not forgotten.
    hostile.under_way.add(2);
    under_way("0");
    hostile.under_way.inc();
    under_way("1");
    hostile.under_way.add(i64::MAX - 1);
    under_way("9223372036854775807");
}

#[test]
fn label_values_are_cut_between_characters_and_read_back() {
    let (metrics, hostile) = hostile();
    let mut expected = Vec::new();
    for text in hostile_texts() {
        hostile.book_trades.get(hostile.books.get(&text)).inc();
        hostile.book_lots.get(hostile.books.get(&text)).observe(1);
        let cut = (0..=128.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap();
        expected.push(text[..cut].to_owned());
    }
    expected.sort();
    let texts = expected.len();
    expected.dedup();
    assert!(expected.len() < texts && expected.len() > 50, "some differ only after the cut");

    let exposition = read(metrics);
    for name in ["hostile_book_trades_total", "hostile_book_lots_count"] {
        let mut found = exposition.values_of(name, "book");
        found.sort_unstable();
        assert_eq!(found, expected);
    }
    let counted: u64 = exposition
        .samples()
        .filter(|sample| sample.name == "hostile_book_trades_total")
        .map(|sample| sample.value.parse::<u64>().unwrap())
        .sum();
    assert_eq!(counted, texts as u64);
}

#[test]
fn pairs_of_label_values_are_told_apart_up_to_the_cap() {
    let builder = Metrics::builder().mount::<HostileMetrics>().cap_of::<Desk>(500);
    let metrics = builder.build().unwrap();
    let hostile = metrics.mounted::<HostileMetrics>().unwrap();
    let texts = hostile_texts();
    let texts = || texts.iter().map(String::as_str).filter(|text| text.len() <= 120);
    let pairs: Vec<_> = texts().flat_map(|one| texts().map(move |other| (one, other))).collect();
    assert_eq!(pairs.len(), 900);
    for (value, pair) in pairs.iter().enumerate() {
        hostile.position.get(hostile.desks.get(*pair)).set_count(value as u64);
    }
    let exposition = read(metrics);
    let position = |account, desk| {
        exposition.value("hostile_position", &[("account", account), ("desk", desk)])
    };
    for (value, (account, desk)) in pairs.iter().take(500).enumerate() {
        assert_eq!(position(account, desk), Some(&*value.to_string()));
    }
    assert_eq!(exposition.values_of("hostile_position", "account").len(), 501);
    assert_eq!(position("other", "other"), Some("899"));
    // All that are left, but for the pair that is `other` by itself.
    assert_eq!(
        exposition.value("metrics_label_overflows_total", &[("family", "hostile_position")]),
        Some("399")
    );
}

#[test]
fn the_helpers_take_anything() {
    let metrics = Metrics::builder()
        .service("1.0\"\\\n\0😀", "x".repeat(1_024))
        .clock(Clock::manual())
        .label_cap(100)
        .build()
        .unwrap();
    for text in hostile_texts() {
        metrics.track_application_error(&text, ErrorSeverity::Critical);
        metrics.track_unhandled_exception(&text);
        metrics.start_database_transaction(&text).commit();
        metrics.track_user_activity(&text);
        metrics.track_websocket_connection(&text, WebsocketConnection::Connected);
        let method = http::Method::from_bytes(b"PURGE").unwrap();
        drop(metrics.start_http_request(&method, &text));
    }
    for duration in [Duration::ZERO, Duration::MAX] {
        metrics.track_database_query(QueryType::Select, duration, QueryStatus::Success);
    }
    for value in [f64::NAN, f64::INFINITY, f64::MIN] {
        metrics.update_business_metrics(BusinessStats {
            turnover_today_rupees: Some(value),
            ..BusinessStats::default()
        });
        read(metrics);
    }
    let exposition = read(metrics);
    assert_eq!(exposition.values_of("backend_service_info", "version"), ["1.0\"\\\n\0😀"]);
    assert_eq!(
        exposition.value("database_slow_queries_total", &[("query_type", "select")]),
        Some("1")
    );
    let transactions: u64 = exposition
        .samples()
        .filter(|sample| sample.name == "database_transactions_total")
        .map(|sample| sample.value.parse::<u64>().unwrap())
        .sum();
    assert_eq!(transactions, hostile_texts().len() as u64);
}
