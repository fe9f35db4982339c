//! `Metrics::max_lines` is a bound whatever an instance is made of.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use backend_metrics::{
    CounterFamily, Domain, Format, GaugeFamily, HistogramFamily, LateGaugeFamily, Metrics, Open,
    PoolStats, Subsystem, UpDownGaugeFamily, buckets, catalog, families,
    labels::{CalendarStatus, ErrorSeverity, ScrapeFormat, ScrapeStatus, WorkerTaskStatus},
    middleware::{ClientLayer, Endpoint, MetricsLayer},
    open_labels,
    subsystems::{
        http::{HttpEndpoint, HttpResponse, HttpRoute},
        http_client::{UpstreamResponse, UpstreamRoute},
        self_metrics::{CallbackName, FamilyName},
    },
};
use futures_util::FutureExt;
use http::{Method, Request, Response, StatusCode};
use prometheus_client::registry::Registry;
use tower::{Layer, Service, service_fn};

open_labels! {
    /// An account and a symbol.
    pub struct Position(account_id, symbol);
}

open_labels! {
    /// An account alone.
    pub struct Holder(account_id) [removable];
}

open_labels! {
    /// A symbol and an account.
    pub struct Quote(symbol, account_id) [removable];
}

families! {
    /// Labels of every kind.
    pub struct DeskMetrics = "desk" {
        with {
            pub positions: Domain<Position>,
            pub holders: Domain<Holder>,
            pub quotes: Domain<Quote>,
            pub endpoints: Domain<HttpEndpoint>,
        }
        /// Orders by position
        pub orders: CounterFamily<(WorkerTaskStatus, Open<Position>)> = "desk_orders_total",
        /// Time by position
        pub time: HistogramFamily<Open<Position>> = "desk_time_seconds" in buckets::REQUEST,
        /// Open orders by position
        pub open: UpDownGaugeFamily<Open<Position>> = "desk_open",
        /// Cash of a holder
        pub cash: GaugeFamily<(Open<Holder>, ErrorSeverity)> = "desk_cash",
        /// Price by account
        pub price: LateGaugeFamily<Open<Quote>> = "desk_price",
        /// Calls of an endpoint
        pub calls: CounterFamily<Open<HttpEndpoint>> = "desk_calls_total",
    }
}

families! {
    /// A label whose values are the library's own.
    pub struct NoteMetrics = "notes" {
        with {
            pub names: Domain<FamilyName>,
        }
        /// Notes on a family
        pub notes: CounterFamily<Open<FamilyName>> = "notes_total",
    }
}

/// Numbers that look random, the same ones in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % end
    }

    fn cap(&mut self) -> usize {
        1 + usize::try_from(self.below(3)).unwrap()
    }
}

/// An instance, how many families it has, and how it was made.
fn configured(random: &mut Random) -> (Metrics, usize, String) {
    let mut families = catalog().count();
    let mut said = Vec::new();
    let mut builder = Metrics::builder();
    let cap = random.cap();
    said.push(format!("label_cap({cap})"));
    builder = builder.label_cap(cap);
    let cap = random.cap() - 1;
    said.push(format!("path_cap({cap})"));
    builder = builder.path_cap(cap);
    macro_rules! cap_of {
        ($($Domain:ident)+) => {$(
            if random.below(2) == 0 {
                let cap = random.cap();
                said.push(format!("cap_of::<{}>({cap})", stringify!($Domain)));
                builder = builder.cap_of::<$Domain>(cap);
            }
        )+};
    }
    cap_of! { HttpEndpoint HttpRoute HttpResponse UpstreamRoute UpstreamResponse CallbackName }
    match random.below(3) {
        0 => {}
        1 => {
            said.push("without_account_ids()".to_owned());
            builder = builder.without_account_ids();
        }
        _ => {
            #[cfg(feature = "hmac")]
            {
                said.push("hash_account_ids()".to_owned());
                builder = builder.hash_account_ids([7; 32]);
            }
        }
    }
    // Most are off, so that the room that histograms do not take hides nothing.
    let subsystems: BTreeSet<_> = catalog().map(|entry| entry.subsystem).collect();
    for name in subsystems {
        if random.below(12) > 0 {
            said.push(format!("without({name})"));
            builder = builder.without(name);
            families -= catalog().filter(|entry| entry.subsystem == name).count();
        }
    }
    if random.below(2) == 0 {
        said.push("mount".to_owned());
        builder = builder.mount::<DeskMetrics>();
        families += DeskMetrics::DEFINITIONS.len();
    }
    if random.below(2) == 0 {
        said.push("mount_notes".to_owned());
        builder = builder.mount::<NoteMetrics>();
        families += NoteMetrics::DEFINITIONS.len();
    }
    if random.below(2) == 0 {
        said.push("constant_label".to_owned());
        builder = builder.constant_label("region", "a\nb");
    }
    for _ in 0..random.below(12) {
        said.push("registry".to_owned());
        builder = builder.registry(Arc::new(Registry::default()));
    }
    (builder.build().unwrap(), families, said.join("."))
}

fn use_all(metrics: Metrics) {
    let answer = |request: Request<String>| {
        let mut response = Response::new(String::new());
        let status = request.uri().query().unwrap().parse().unwrap();
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        async { Ok::<_, std::convert::Infallible>(response) }
    };
    let mut server = MetricsLayer::new(metrics).layer(service_fn(answer));
    let mut client = ClientLayer::by_host(metrics).layer(service_fn(answer));
    let values = ["a", "b", "c", "d", "e", "unmatched", "other", "panic"];
    for value in values {
        let request = Request::get(format!("/{value}?200")).body(String::new()).unwrap();
        drop(server.call(request).now_or_never().unwrap());
    }
    for method in ["GET", "POST", "PUT", "OPTIONS", "BREW", "OTHER"] {
        for status in [200, 201, 404, 405, 500, 999] {
            for value in values {
                let request = || Request::builder().method(method);
                let to = request().uri(format!("/{value}?{status}"));
                drop(server.call(to.body(String::new()).unwrap()).now_or_never().unwrap());
                let to = request().uri(format!("/?{status}")).extension(Endpoint::new(value));
                drop(server.call(to.body(String::new()).unwrap()).now_or_never().unwrap());
                let to = request().uri(format!("http://{value}/?{status}"));
                drop(client.call(to.body(String::new()).unwrap()).now_or_never().unwrap());
                let method = Method::from_bytes(method.as_bytes()).unwrap();
                let status = StatusCode::from_u16(status).unwrap();
                metrics.track_http_request(&method, value, status, Duration::ZERO, (1, 1));
                metrics.track_upstream_request(value, &method, None, Duration::ZERO);
            }
        }
    }
    for value in values {
        metrics.track_application_error(value, ErrorSeverity::Error);
        metrics.track_unhandled_exception(value);
        metrics.track_worker_task(value, Duration::ZERO, WorkerTaskStatus::Success);
        metrics.track_calendar_request(value, Duration::ZERO, CalendarStatus::Success);
        metrics.update_strategy_account(value, 1, 1, 1.0);
        metrics.add_database_pool_source(value, || Some(PoolStats::default()));
        metrics.add_redis_pool_source(value, || Some(PoolStats::default()));
    }
    metrics.track_scrape(ScrapeFormat::Text, ScrapeStatus::Ok, Duration::ZERO, 1);
    if let Some(notes) = metrics.mounted::<NoteMetrics>() {
        for value in values {
            notes.notes.get(notes.names.get(value)).inc();
        }
    }
    let Some(desk) = metrics.mounted::<DeskMetrics>() else { return };
    let long = "l".repeat(500);
    for first in values.into_iter().chain([&*long]) {
        for second in values.into_iter().chain([&*long]) {
            let position = desk.positions.get((first, second));
            desk.orders.get((WorkerTaskStatus::Success, position)).inc();
            desk.time.get(position).observe(Duration::ZERO);
            desk.open.get(position).inc();
            desk.price.get(desk.quotes.get((first, second))).set(1.0);
            desk.quotes.remove((second, first));
        }
        desk.cash.get((desk.holders.get(first), ErrorSeverity::Error)).set(1.0);
        desk.holders.remove("a");
        desk.calls.get(desk.endpoints.get(first)).inc();
    }
}

#[test]
fn no_configuration_has_more_lines_than_its_bound() {
    let mut random = Random(7);
    let mut over = Vec::new();
    for _ in 0..300 {
        let (metrics, families, configuration) = configured(&mut random);
        // The bound counts the end, and three lines in the head of each family: not all of them are there.
        let bound = metrics.max_lines() - 1 - 3 * families;
        use_all(metrics);
        for format in [Format::Text, Format::OpenMetrics, Format::Text] {
            let text = metrics.encode(format);
            let samples = text.lines().filter(|line| !line.starts_with('#')).count();
            if samples > bound {
                over.push(format!("{samples} of {bound}: {configuration}"));
            }
        }
    }
    assert!(over.is_empty(), "{}", over.join("\n"));
}
