//! Small ones.

mod hosts {
    //! Hosts are equal in upper and lower case.

    use std::convert::Infallible;

    use backend_metrics::{Metrics, middleware::ClientLayer};
    use http::{Request, Response};
    use tower::{ServiceBuilder, ServiceExt as _, service_fn};

    /// The upstreams that requests for these targets count under, and how many do.
    async fn upstreams(targets: &[&str]) -> Vec<String> {
        let metrics = Metrics::new();
        let client = ServiceBuilder::new()
            .layer(ClientLayer::by_host(metrics))
            .service(service_fn(async |_| Ok::<_, Infallible>(Response::new(String::new()))));
        for target in targets {
            let request = Request::get(*target).body(String::new()).unwrap();
            drop(client.clone().oneshot(request).await);
        }
        let text = metrics.to_text();
        let counted = text.lines().filter_map(|line| {
            let (_, rest) =
                line.strip_prefix("http_client_requests_total{")?.split_once("upstream=\"")?;
            let (upstream, rest) = rest.split_once('"')?;
            let (_, count) = rest.split_once("status=\"200\"} ")?;
            Some(format!("{upstream} {count}"))
        });
        counted.collect()
    }

    #[tokio::test]
    async fn a_host_is_one_upstream_however_it_is_written() {
        let same = [
            "http://localhost/a",
            "http://LOCALHOST/b",
            "http://Localhost:8080/c",
            "https://localhost./d",
            "http://LocalHost.:443/e",
            "http://user@localhost/f",
        ];
        assert_eq!(upstreams(&same).await, ["localhost 6"]);
        assert_eq!(
            upstreams(&["http://[2001:DB8::1]/", "http://[2001:db8::1]:80/"]).await,
            ["[2001:db8::1] 2"]
        );
        assert_eq!(upstreams(&["/orders", "*", "http://./"]).await, ["unknown 3"]);
    }
}

mod accept {
    //! Q-values are read as leniently as by Go.

    use backend_metrics::Format;
    use http::{HeaderMap, HeaderValue, header::ACCEPT};

    #[test]
    fn a_q_value_needs_no_digit_before_or_after_its_point() {
        let format = |accept: &str| {
            let value = HeaderValue::from_str(accept).unwrap();
            Format::negotiate(&HeaderMap::from_iter([(ACCEPT, value)]))
        };
        for quality in [
            "q=.5",
            "q=0.5",
            "q=00.5",
            "q=1.",
            "q=1.0000",
            "Q=.5",
            "q = .5",
            "q=\".5\"",
            "q=01",
            "q=.4000001",
        ] {
            let accept = format!("text/plain;q=0.3,application/openmetrics-text;{quality}");
            assert_eq!(format(&accept), Format::OpenMetrics, "{accept}");
        }
        for quality in
            ["q=.", "q=", "q=.0", "q=0.", "q=1.1", "q=1.0001", "q=.5.5", "q=-.5", "q=.2", "q=5e-1"]
        {
            let accept = format!("text/plain;q=0.3,application/openmetrics-text;{quality}");
            assert_eq!(format(&accept), Format::Text, "{accept}");
        }
    }
}

/// Accounts that are not shown, and names and values that are given to the builder.
mod accounts_and_names {
    use backend_metrics::{
        BuildError, Builder, Counter, CounterFamily, Domain, Gauge, GaugeFamily, LateGaugeFamily,
        Metrics, Open, families, open_labels,
    };

    open_labels! {
        /// A desk and an account that it trades for.
        pub struct DeskAccount(desk, account_id);
    }

    open_labels! {
        /// An account.
        pub struct Account(account_id) [removable];
    }

    families! {
        /// Families by account.
        pub struct AccountMetrics = "accounts" {
            with {
                /// The accounts of the desks.
                pub desk_accounts: Domain<DeskAccount>,
                /// The accounts.
                pub accounts: Domain<Account>,
            }

            /// Trades
            pub trades: CounterFamily<Open<DeskAccount>> = "accounts_trades_total",

            /// Limit
            pub limit: GaugeFamily<Open<Account>> = "accounts_limit_rupees",

            /// Profit or loss
            pub pnl: LateGaugeFamily<Open<Account>> = "accounts_pnl_rupees",
        }
    }

    families! {
        /// Queries as the service itself counts them.
        pub struct OwnQueries = "queries" {
            /// Queries
            pub queries: Counter = "database_queries_total",

            /// Connections
            pub connections: Gauge = "database_pool_connections",
        }
    }

    fn mounted(builder: Builder) -> (Metrics, &'static AccountMetrics) {
        let metrics = builder.mount::<AccountMetrics>().build().unwrap();
        (metrics, metrics.mounted().unwrap())
    }

    /// The lines of a family's samples.
    fn samples(metrics: Metrics, family: &str) -> Vec<String> {
        let text = metrics.to_text();
        let samples = text.lines().filter(|line| line.starts_with(family));
        samples.map(str::to_owned).collect()
    }

    /// Ids that are the same for longer than a label value may be.
    fn long_ids() -> [String; 2] {
        ["7", "8"].map(|last| "ACC-".repeat(40) + last)
    }

    #[cfg(feature = "hmac")]
    #[test]
    fn long_ids_are_hashed_whole() {
        const KEY: &str = "0123456789abcdef0123456789abcdef";
        let (metrics, accounts) = mounted(Metrics::builder().hash_account_ids(KEY));
        for (id, limit) in long_ids().iter().zip([1.0, 2.0]) {
            accounts.limit.get(accounts.accounts.get(id)).set(limit);
            accounts.limit.get(accounts.accounts.get(id)).set(limit + 10.0);
            accounts.trades.get(accounts.desk_accounts.get(("equity", id))).inc();
        }
        // printf %s "$ID" | openssl dgst -sha256 -hmac "$KEY" -r | cut -c 1-32
        let [seven, eight] =
            ["a11a4af59375bfd6b6c323f926ea75c2", "3dd0386fde0bb218e70c81ae5778f80b"];
        // By their hashes, the other comes first.
        assert_eq!(
            samples(metrics, "accounts_limit_rupees"),
            [
                format!("accounts_limit_rupees{{account_id=\"{eight}\"}} 12"),
                format!("accounts_limit_rupees{{account_id=\"{seven}\"}} 11"),
            ]
        );
        assert_eq!(
            samples(metrics, "accounts_trades_total"),
            [
                format!("accounts_trades_total{{desk=\"equity\",account_id=\"{eight}\"}} 1"),
                format!("accounts_trades_total{{desk=\"equity\",account_id=\"{seven}\"}} 1"),
            ]
        );

        assert!(accounts.accounts.find(&long_ids()[0]).is_some());
        assert!(accounts.accounts.remove(&long_ids()[0]));
        assert_eq!(samples(metrics, "accounts_limit_rupees").len(), 1);
    }

    #[test]
    fn long_ids_that_are_not_shown_are_told_apart_too() {
        let (metrics, accounts) = mounted(Metrics::builder().without_account_ids());
        for id in long_ids() {
            accounts.limit.get(accounts.accounts.get(&id)).set(10.0);
        }
        let sum = ["accounts_limit_rupees{account_id=\"all\"} 20"];
        assert_eq!(samples(metrics, "accounts_limit_rupees"), sum);
        let (metrics, accounts) = mounted(Metrics::builder());
        for id in long_ids() {
            accounts.limit.get(accounts.accounts.get(&id)).set(10.0);
        }
        let cut = format!("accounts_limit_rupees{{account_id=\"{}\"}} 10", "ACC-".repeat(32));
        assert_eq!(samples(metrics, "accounts_limit_rupees"), [cut]);
    }

    #[test]
    fn a_sum_of_accounts_keeps_the_other_label() {
        let (metrics, accounts) = mounted(Metrics::builder().without_account_ids());
        for (desk, account, trades) in
            [("equity", "ACC-7", 1), ("fno", "ACC-7", 20), ("equity", "ACC-8", 300)]
        {
            accounts.trades.get(accounts.desk_accounts.get((desk, account))).add(trades);
        }
        assert_eq!(
            samples(metrics, "accounts_trades_total"),
            [
                "accounts_trades_total{desk=\"equity\",account_id=\"all\"} 301",
                "accounts_trades_total{desk=\"fno\",account_id=\"all\"} 20",
            ]
        );
    }

    #[test]
    fn a_number_that_is_none_is_left_out_of_a_sum() {
        let (metrics, accounts) = mounted(Metrics::builder().without_account_ids());
        let set = |account, limit, pnl| {
            let account = accounts.accounts.get(account);
            accounts.limit.get(account).set(limit);
            accounts.pnl.get(account).set(pnl);
        };
        let sums = || {
            ["accounts_limit_rupees", "accounts_pnl_rupees"]
                .map(|family| samples(metrics, family).concat())
        };
        let shown = |limit, pnl| {
            [
                format!("accounts_limit_rupees{{account_id=\"all\"}} {limit}"),
                format!("accounts_pnl_rupees{{account_id=\"all\"}} {pnl}"),
            ]
        };
        set("ACC-1", f64::NAN, f64::NAN);
        assert_eq!(sums(), shown("NaN", "NaN"));
        set("ACC-2", 20.0, -2.5);
        set("ACC-3", f64::NAN, f64::NAN);
        set("ACC-4", 1.0, 1.0);
        assert_eq!(sums(), shown("21", "-1.5"));
        set("ACC-5", f64::INFINITY, f64::NEG_INFINITY);
        assert_eq!(sums(), shown("+Inf", "-Inf"));
        // In whatever order they are added up.
        set("ACC-0", f64::NEG_INFINITY, f64::INFINITY);
        set("ACC-6", f64::NEG_INFINITY, f64::INFINITY);
        set("ACC-7", 7.0, 7.0);
        assert_eq!(sums(), shown("NaN", "NaN"));
    }

    #[test]
    fn a_constant_label_has_a_kilobyte_at_most() {
        let text = |bytes| "x".repeat(bytes);
        let refused = |builder: Builder, method: &'static str, name: &str| {
            let error = builder.build().unwrap_err();
            let name = name.to_owned();
            assert_eq!(error, BuildError::LabelValue { method, name, bytes: 1_025 });
            error.to_string()
        };
        let builder = Metrics::builder().constant_label("region", text(1_025));
        assert_eq!(
            refused(builder, "constant_label", "region"),
            "constant_label: the 1025 bytes of the value of \"region\" must be 1,024 at most"
        );
        refused(Metrics::builder().service(text(1_025), "desk"), "service", "version");
        refused(Metrics::builder().service("1", text(1_025)), "service", "component");
        let builder = Metrics::builder().service(text(1_024), text(1_024));
        builder.constant_label("region", text(1_024)).build().unwrap();
    }

    #[test]
    fn a_subsystem_that_is_unknown_is_told_its_nearest() {
        let message =
            |name: &str| Metrics::builder().without(name).build().unwrap_err().to_string();
        assert_eq!(
            message("databse"),
            "without: no subsystem is named \"databse\": did you mean \"database\"?"
        );
        assert!(message("invoices").ends_with(
            ": there are http, http_client, database, cache, \
             websocket, smart_orders, strategies, fno, ticker_service, auth, statements, \
             market_data, workers, business, errors, rate_limits, process, self"
        ));
    }

    #[test]
    fn the_names_of_a_subsystem_that_is_off_are_free() {
        let builder = || Metrics::builder().mount::<OwnQueries>();
        let taken = BuildError::DuplicateName { name: "database_queries_total" };
        assert_eq!(builder().build().unwrap_err(), taken);
        let metrics = builder().without("database").build().unwrap();
        metrics.mounted::<OwnQueries>().unwrap().queries.add(7);
        assert_eq!(
            samples(metrics, "database_"),
            ["database_queries_total 7", "database_pool_connections 0"]
        );
    }
}
