//! Sums are exact for as long as a process lives.

use std::{
    sync::{
        Barrier,
        atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use backend_metrics::{
    Clock, Domain, Format, Histogram, HistogramFamily, Metrics, Open, families,
    labels::{CacheLayer, CacheOperation, CacheStatus},
    open_labels,
};
use prometheus_client::registry::Registry;

open_labels! {
    /// An account.
    pub struct Account(account_id);
}

families! {
    /// Histograms of each type.
    pub struct SumMetrics = "sums" {
        with {
            /// The accounts.
            pub accounts: Domain<Account>,
        }

        /// Time to a trade
        pub wait: Histogram = "sums_wait_seconds" in &[1.0],

        /// Value of a trade in lots
        pub lots: Histogram<u64> = "sums_lots" in &[1.0],

        /// Value of a trade
        pub value: Histogram<f64> = "sums_value_rupees" in &[1.0],

        /// Lots of an account
        pub account_lots: HistogramFamily<Open<Account>, u64> = "sums_account_lots" in &[1.0],
    }
}

/// The most that one count adds.
const MOST: u64 = 1 << 53;
/// So many of them are one more than 64 bits hold.
const OVERFLOW: u64 = 1 << 11;

fn mounted() -> (Metrics, &'static SumMetrics) {
    let metrics = Metrics::builder().mount::<SumMetrics>().build().unwrap();
    (metrics, metrics.mounted().unwrap())
}

/// The value of a series as it is exposed.
#[track_caller]
fn shown(metrics: Metrics, series: &str) -> String {
    let text = metrics.to_text();
    let values = text.lines().filter_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    let values: Vec<_> = values.collect();
    assert_eq!(values.len(), 1, "{series}");
    values[0].to_owned()
}

/// 10,000 sockets of two hours each are 584 years in 21.5 days: here they are for 22.
#[test]
fn the_durations_of_websockets_are_summed_for_longer_than_five_centuries() {
    let metrics = Metrics::new();
    for _ in 0..10_000 * 12 * 22 {
        metrics.track_websocket_connection_duration("/quotes", Duration::new(7_200, 0));
    }
    let sum = "websocket_connection_duration_seconds_sum{endpoint=\"/quotes\"}";
    assert_eq!(shown(metrics, sum), "19008000000");
    assert_eq!(metrics.value(sum), Some(19_008_000_000.0));
    metrics.track_websocket_connection_duration("/quotes", Duration::from_nanos(1));
    assert_eq!(shown(metrics, sum), "19008000000.000000001");
}

#[test]
fn a_histogram_of_any_type_has_a_sum_past_64_bits() {
    let (metrics, sums) = mounted();
    for _ in 0..3 * OVERFLOW {
        sums.wait.observe(Duration::MAX);
        sums.lots.observe(u64::MAX);
    }
    for _ in 0..3 {
        sums.value.observe(f64::MAX);
    }
    assert_eq!(shown(metrics, "sums_wait_seconds_sum"), "55340232221.128654848");
    sums.wait.observe(Duration::from_nanos(1));
    assert_eq!(shown(metrics, "sums_wait_seconds_sum"), "55340232221.128654849");
    assert_eq!(shown(metrics, "sums_wait_seconds_count"), "6145");
    assert_eq!(shown(metrics, "sums_lots_sum"), "55340232221128654848");
    assert_eq!(shown(metrics, "sums_value_rupees_sum"), "55340232221.128654845");
}

/// The value of an order is more than nine million rupees now and then.
#[test]
fn a_fraction_past_nine_million_is_added_whole() {
    let (metrics, sums) = mounted();
    for _ in 0..1_000 {
        sums.value.observe(123_456_789.25);
    }
    assert_eq!(shown(metrics, "sums_value_rupees_sum"), "123456789250");
}

#[test]
fn what_is_below_64_bits_is_written_as_before() {
    let (metrics, sums) = mounted();
    for (duration, sum) in [
        (Duration::ZERO, "0"),
        (Duration::from_nanos(1), "0.000000001"),
        (Duration::from_millis(1_500), "1.500000001"),
        (Duration::new(98, 499_999_999), "100"),
        (Duration::from_nanos(MOST - 1), "9007299.254740991"),
    ] {
        sums.wait.observe(duration);
        assert_eq!(shown(metrics, "sums_wait_seconds_sum"), sum);
    }
}

/// Past 256 threads some share their cells, and those that have ended leave theirs to others.
#[test]
fn threads_add_up_whether_they_have_cells_of_their_own_share_them_or_have_ended() {
    let (metrics, sums) = mounted();
    let overflow = || (0..=OVERFLOW).for_each(|_| sums.lots.observe(MOST));
    let all = Barrier::new(300);
    thread::scope(|scope| {
        for _ in 0..300 {
            scope.spawn(|| {
                sums.lots.observe(0);
                all.wait();
                overflow();
            });
        }
    });
    for _ in 0..10 {
        thread::spawn(overflow).join().unwrap();
    }
    let sum = 310 * (u128::from(OVERFLOW) + 1) * u128::from(MOST);
    assert_eq!(shown(metrics, "sums_lots_sum"), sum.to_string());
}

/// What a thread records after its cells were given back goes to those that are shared.
#[test]
fn a_destructor_of_a_thread_local_adds_up_too() {
    struct Late(Histogram<u64>);
    impl Drop for Late {
        fn drop(&mut self) {
            (0..OVERFLOW).for_each(|_| self.0.observe(MOST));
        }
    }
    thread_local!(static LATE: std::cell::RefCell<Option<Late>> = const { std::cell::RefCell::new(None) });
    let (metrics, sums) = mounted();
    thread::spawn(|| {
        LATE.set(Some(Late(sums.lots)));
        (0..OVERFLOW).for_each(|_| sums.lots.observe(MOST));
    })
    .join()
    .unwrap();
    assert_eq!(shown(metrics, "sums_lots_sum"), "36893488147419103232");
}

/// Each observation is as large as may be, so that a cell is full after 2,047 of them.
#[test]
fn a_sum_never_falls_nor_jumps_while_threads_carry() {
    const OBSERVATIONS: u64 = 50 * OVERFLOW;
    let (metrics, sums) = mounted();
    let (begun, running) = (AtomicU64::new(0), AtomicUsize::new(3));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..OBSERVATIONS {
                    begun.fetch_add(1, SeqCst);
                    sums.lots.observe(MOST);
                }
                running.fetch_sub(1, SeqCst);
            });
        }
        let mut before = 0;
        while running.load(SeqCst) > 0 {
            let text = metrics.to_text();
            let most = u128::from(begun.load(SeqCst)) * u128::from(MOST);
            let sum = text.lines().find_map(|line| line.strip_prefix("sums_lots_sum "));
            let now = sum.map_or(0, |sum| sum.parse::<u128>().unwrap());
            assert!((before..=most).contains(&now), "{now} after {before}, of {most}");
            before = now;
        }
    });
    let sum = 3 * u128::from(OBSERVATIONS) * u128::from(MOST);
    assert_eq!(shown(metrics, "sums_lots_sum"), sum.to_string());
}

#[test]
fn accounts_that_are_not_shown_are_summed_past_64_bits() {
    let builder = Metrics::builder().mount::<SumMetrics>().without_account_ids();
    let metrics = builder.build().unwrap();
    let sums = metrics.mounted::<SumMetrics>().unwrap();
    for account in ["ACC-7", "ACC-8"] {
        let lots = sums.account_lots.get(sums.accounts.get(account));
        (0..=OVERFLOW).for_each(|_| lots.observe(MOST));
    }
    // 2^65 and twice 2^53.
    assert_eq!(shown(metrics, "sums_account_lots_sum{account_id=\"all\"}"), "36911502545928585216");
    assert_eq!(shown(metrics, "sums_account_lots_count{account_id=\"all\"}"), "4098");
}

#[test]
fn a_registry_of_prometheus_client_has_the_sum_too() {
    let (metrics, sums) = mounted();
    (0..3 * OVERFLOW).for_each(|_| sums.lots.observe(MOST));
    assert!(metrics.encode(Format::OpenMetrics).contains("\nsums_lots_sum 55340232221128654848\n"));
    let mut registry = Registry::default();
    registry.register_collector(Box::new(metrics.collector()));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    assert!(text.contains("\nsums_lots_sum 55340232221128658000.0\n"), "{text}");
}

/// The number of a slice of time has room for more than the life of a process.
#[test]
fn a_rate_of_hits_is_derived_after_eleven_years_too() {
    let clock = Clock::manual();
    let metrics = Metrics::builder().clock(clock.clone()).build().unwrap();
    for years in [0, 11, 50, 100] {
        clock.advance(Duration::from_secs(years * 365 * 24 * 60 * 60));
        for status in [CacheStatus::Hit, CacheStatus::Hit, CacheStatus::Hit, CacheStatus::Miss] {
            let (get, layer) = (CacheOperation::Get, CacheLayer::Redis);
            metrics.track_cache_operation(get, layer, Duration::ZERO, status);
        }
        assert_eq!(shown(metrics, "cache_hit_rate{cache_layer=\"l2_redis\"}"), "75", "{years}");
    }
}
