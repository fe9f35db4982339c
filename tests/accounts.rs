//! Account ids as they are, as a keyed hash, and not at all.

mod common;

use std::{thread, time::Duration};

use allocation_counter::measure;
use backend_metrics::{
    Builder, Counter, CounterFamily, Domain, Gauge, GaugeFamily, Histogram, HistogramFamily,
    LateGauge, LateGaugeFamily, Metrics, Open, UpDownGauge, UpDownGaugeFamily, families,
    open_labels, subsystems::strategies::Account,
};
use common::exposition::read;

open_labels! {
    /// An account and the desk that trades for it.
    pub struct DeskAccount(desk, account_id);
}

families! {
    /// Families of a service with accounts of its own.
    pub struct DeskMetrics = "desk" {
        with {
            /// The accounts of the desks.
            pub accounts: Domain<DeskAccount>,
        }

        /// Trades
        pub trades: CounterFamily<Open<DeskAccount>> = "desk_trades_total",

        /// Time to a trade
        pub wait: HistogramFamily<Open<DeskAccount>> = "desk_wait_seconds" in &[0.1, 1.0],

        /// Orders in the market
        pub orders: UpDownGaugeFamily<Open<DeskAccount>> = "desk_orders",

        /// Limit of an account
        pub limit: LateGaugeFamily<Open<DeskAccount>> = "desk_limit_rupees",

        /// Margin that an account has used
        pub margin: GaugeFamily<Open<DeskAccount>> = "desk_margin_rupees",
    }
}

impl DeskMetrics {
    fn of(&self, account: &str) -> Handles {
        let place = self.accounts.get(("equity", account));
        Handles {
            trades: self.trades.get(place),
            wait: self.wait.get(place),
            orders: self.orders.get(place),
            limit: self.limit.get(place),
            margin: self.margin.get(place),
        }
    }
}

struct Handles {
    trades: Counter,
    wait: Histogram,
    orders: UpDownGauge,
    limit: LateGauge,
    margin: Gauge,
}

fn built(builder: Builder) -> (Metrics, &'static DeskMetrics) {
    let metrics = builder.mount::<DeskMetrics>().build().unwrap();
    (metrics, metrics.mounted().unwrap())
}

/// Accounts whose ids are nowhere in the exposition.
fn assert_no_ids(metrics: Metrics) {
    let text = metrics.to_text();
    assert!(!text.contains("ACC"), "{text}");
}

#[test]
fn accounts_that_are_not_shown_are_one_series_with_their_sum() {
    let (metrics, desk) = built(Metrics::builder().without_account_ids());
    assert!(!metrics.to_text().contains("account_id"), "there is no account");

    metrics.update_strategy_account("ACC-7", 2, 8, -1_250.75);
    metrics.update_strategy_account("ACC-8", 3, 1, 250.5);
    // On threads of their own, so that sums are over several cells.
    for (account, orders) in [("ACC-7", 3), ("ACC-8", -1)] {
        thread::spawn(move || {
            let account = desk.of(account);
            account.trades.add(2);
            account.wait.observe(Duration::from_millis(500));
            account.orders.add(orders);
            account.margin.set(10.0);
        })
        .join()
        .unwrap();
    }
    desk.of("ACC-9").trades.inc();
    desk.of("ACC-9").limit.set(500.0);

    let exposition = read(metrics);
    let strategies = [("account_id", "all")];
    let desks = [("desk", "equity"), ("account_id", "all")];
    let bucket = |le| [("desk", "equity"), ("account_id", "all"), ("le", le)];
    for (name, labels, value) in [
        ("strategies_total", &strategies[..], "5"),
        ("strategy_instruments_total", &strategies, "9"),
        ("strategy_pnl_total", &strategies, "-1000.25"),
        ("desk_trades_total", &desks, "5"),
        ("desk_wait_seconds_bucket", &bucket("0.1"), "0"),
        ("desk_wait_seconds_bucket", &bucket("1.0"), "2"),
        ("desk_wait_seconds_sum", &desks, "1"),
        ("desk_wait_seconds_count", &desks, "2"),
        ("desk_orders", &desks, "2"),
        ("desk_limit_rupees", &desks, "500"),
        ("desk_margin_rupees", &desks, "20"),
    ] {
        assert_eq!(exposition.value(name, labels), Some(value), "{name}");
    }
    let families = exposition.families.iter().map(|family| &family.samples);
    let series = families.flatten().filter(|sample| {
        sample.labels.iter().any(|(name, _)| name == "account_id") && sample.labels.len() < 3
    });
    assert_eq!(
        series.count(),
        3 + 6,
        "one in each family, two in the histogram without its buckets"
    );
    assert_no_ids(metrics);

    metrics.remove_strategy_account("ACC-7");
    assert_eq!(metrics.value(r#"strategy_pnl_total{account_id="all"}"#), Some(250.5));
    metrics.remove_strategy_account("ACC-8");
    assert_eq!(metrics.value(r#"strategy_pnl_total{account_id="all"}"#), None);
}

#[cfg(feature = "hmac")]
const KEY: &str = "0123456789abcdef0123456789abcdef";

#[cfg(feature = "hmac")]
#[test]
fn accounts_are_shown_by_the_hash_that_the_documentation_computes() {
    let (metrics, desk) = built(Metrics::builder().hash_account_ids(KEY));
    metrics.set_strategy_pnl("ACC-7", 7.0);
    metrics.set_strategy_pnl("ACC-8", 8.0);
    desk.of("ACC-7").trades.inc();
    // printf %s ACC-7 | openssl dgst -sha256 -hmac "$KEY" -r | cut -c 1-32
    let [seven, eight] = ["d5b863732c536a9624ea50487d492c75", "c87e7720364af0e981e56ac375eba3f5"];
    let exposition = read(metrics);
    let pnl = |account| exposition.value("strategy_pnl_total", &[("account_id", account)]);
    assert_eq!((pnl(seven), pnl(eight)), (Some("7"), Some("8")));
    let trades =
        exposition.value("desk_trades_total", &[("desk", "equity"), ("account_id", seven)]);
    assert_eq!(trades, Some("1"));
    assert_no_ids(metrics);

    metrics.remove_strategy_account("ACC-7");
    assert_eq!(read(metrics).values_of("strategy_pnl_total", "account_id"), [eight]);
}

#[cfg(feature = "hmac")]
#[test]
fn another_key_gives_other_hashes_and_past_the_cap_all_are_other() {
    let shown = |key: &str| {
        let metrics =
            Metrics::builder().hash_account_ids(key).cap_of::<Account>(2).build().unwrap();
        for account in ["ACC-7", "ACC-8", "ACC-9"] {
            metrics.set_strategy_pnl(account, 1.0);
        }
        let exposition = read(metrics);
        let shown = exposition.values_of("strategy_pnl_total", "account_id");
        shown.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let [one, other] = [shown(KEY), shown(&KEY.replace('0', "g"))];
    assert_eq!(one.len(), 3);
    let common: Vec<_> = one.iter().filter(|value| other.contains(value)).collect();
    assert_eq!(common, ["other"]);
}

#[cfg(feature = "hmac")]
#[test]
fn a_short_key_is_refused_and_no_key_is_printed() {
    let builder = Metrics::builder().hash_account_ids(&KEY[1..]);
    assert!(!format!("{builder:?}").contains(&KEY[1..]));
    let error = builder.build().unwrap_err();
    assert_eq!(error, backend_metrics::BuildError::AccountKey { bytes: 31 });
    assert_eq!(error.to_string(), "hash_account_ids: a key of 31 bytes must have 32 at least");
    // The last of both counts.
    let builder = Metrics::builder().hash_account_ids("short").without_account_ids();
    assert!(builder.build().is_ok());
}

#[test]
fn an_account_is_recorded_again_without_an_allocation() {
    let builders = [
        Metrics::builder().without_account_ids(),
        #[cfg(feature = "hmac")]
        Metrics::builder().hash_account_ids(KEY),
    ];
    for builder in builders {
        let metrics = builder.cap_of::<Account>(10).build().unwrap();
        let accounts: Vec<String> = (0..20).map(|number| format!("ACC-{number}")).collect();
        let record = || accounts.iter().for_each(|id| metrics.set_strategy_pnl(id, 1.0));
        record();
        assert_eq!(measure(record).count_total, 0);
    }
}
