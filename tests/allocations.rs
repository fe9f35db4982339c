//! What has been recorded once is recorded again without an allocation.
//!
//! The first time, a thread takes a slab and its cells, block by block, and a label value gets its place. After that every
//! helper, every guard and every request through the layers is counted here, thread by thread, with an allocator that
//! counts.

#[expect(dead_code, reason = "it also reads what guards have")]
#[path = "drive/source.rs"]
mod source;

use std::{
    convert::Infallible,
    future::{Ready, ready},
    mem,
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use allocation_counter::measure;
use backend_metrics::{
    BusinessStats, CacheStats, Clock, Counter, CounterFamily, Domain, Gauge, Histogram, LateGauge,
    Metrics, Open, PoolStats, ProcessStats, RuntimeStats, UpDownGauge, ValidationOutcome,
    WebsocketConnection, buckets, families,
    labels::{
        AcquireStatus, ActiveUsersWindow, ApiKeyStatus, AuthStatus, CacheEvictionReason,
        CacheLayer, CacheOperation, CacheStatus, CalendarStatus, CircuitBreakerState,
        CostTransactionType, DatabaseErrorType, DenialReason, ErrorSeverity, FoQueryStatus,
        FoQueryType, GreeksStatus, IndicatorStatus, IndicatorType, JwtStatus, LogLevel,
        MarginMethod, MarginStatus, MarketDataType, MarketImpactLevel, MessageDirection,
        MessageDropReason, OrderRejectionReason, OrderSide, OrderState, OrderType, PlacementStatus,
        QueryStatus, QueryType, RateLimitDecision, RedisCommandStatus, ScrapeFormat, ScrapeStatus,
        SessionEndReason, StatementErrorType, StatementFileType, StatementStatus,
        StrategyM2mStatus, StrategyOperation, StrategyOperationStatus, StrategySignal,
        SubscriptionType, TickerErrorType, TickerOperation, TickerRequestStatus,
        TokenRefreshStatus, TransactionCategory, TransactionOutcome, WorkerTaskStatus,
    },
    middleware::{ClientLayer, Endpoint, MetricsLayer},
    open_labels,
};
use bytes::Bytes;
use futures_util::FutureExt;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tower::{Layer, Service, service_fn};

/// Helpers that are called once, when the service starts or a pool is closed, and allocate.
const AT_START: &[&str] = &[
    "add_database_pool_source",
    "remove_database_pool_source",
    "add_redis_pool_source",
    "remove_redis_pool_source",
    "watch_tokio",
];

open_labels! {
    /// A desk.
    pub struct Desk(desk);
}

families! {
    /// One family of each type.
    pub struct Plain = "plain" {
        with {
            /// The desks.
            pub desks: Domain<Desk>,
        }

        /// A counter
        pub counter: Counter = "plain_events_total",

        /// A counter with an open label
        pub open: CounterFamily<Open<Desk>> = "plain_desk_events_total",

        /// A gauge
        pub gauge: Gauge = "plain_level",

        /// A gauge that appears
        pub late: LateGauge = "plain_late_level",

        /// A gauge of steps
        pub steps: UpDownGauge = "plain_steps",

        /// A histogram
        pub histogram: Histogram = "plain_duration_seconds" in buckets::QUERY,
    }
}

/// A thing to record, and its text.
type Event = (&'static str, fn(Metrics));

macro_rules! events {
    ($($name:ident: $metrics:ident => { $($event:expr;)+ })+) => {$(
        const $name: &[Event] = &[$((stringify!($event), |$metrics| _ = $event),)+];
    )+};
}

const MS: Duration = Duration::from_millis(1);
const DONE: Result<(), ()> = Ok(());
const POOL: PoolStats = PoolStats { active: 1, idle: 2, max: 8 };

fn plain(metrics: Metrics) -> &'static Plain {
    metrics.mounted().expect("it is mounted")
}

events! {
    FAMILIES: m => {
        plain(m).counter.inc();
        plain(m).counter.add(7);
        plain(m).open.get(plain(m).desks.get("equity")).inc();
        plain(m).desks.find("equity");
        plain(m).gauge.set(0.5);
        plain(m).late.set(0.5);
        plain(m).steps.inc();
        plain(m).steps.dec();
        drop(plain(m).steps.track());
        plain(m).histogram.observe(MS);
        plain(m).histogram.observe(Duration::MAX);
    }

    HELPERS: m => {
        m.track_authentication(AuthStatus::Failed, MS);
        m.track_jwt_validation(JwtStatus::Valid, MS);
        m.track_api_key_validation(ApiKeyStatus::Valid);
        m.track_session_created();
        m.track_session_ended(SessionEndReason::Logout);
        m.set_active_sessions(3);
        m.track_auth_lockout();
        m.track_token_refresh(TokenRefreshStatus::Success);
        m.track_authorization_denial(DenialReason::InsufficientScope);

        m.track_user_activity("user-17");
        m.set_active_users(ActiveUsersWindow::OneHour, 3);
        m.set_daily_active_users(3);
        m.set_orders_placed_today(3);
        m.set_strategies_created_today(3);
        m.track_order_turnover(1_500.0);
        m.set_turnover_today(1_500.0);
        m.update_business_metrics(BusinessStats::default());

        m.track_cache_operation(CacheOperation::Get, CacheLayer::Redis, MS, CacheStatus::Hit);
        m.track_cache_value_size(CacheLayer::Memory, 900);
        m.track_cache_evictions(CacheLayer::Memory, CacheEvictionReason::Capacity, 2);
        m.update_cache_stats(CacheStats { memory_entries: Some(5), ..CacheStats::default() });
        m.set_cache_hit_rate(CacheLayer::Memory, 87.5);
        m.track_redis_command("hget", MS, RedisCommandStatus::Success);
        m.track_redis_connection_error();
        m.track_redis_reconnect();
        m.update_redis_pool(POOL);

        m.track_database_query(QueryType::Select, MS, QueryStatus::Success);
        m.track_database_query(QueryType::Select, MS * 900, QueryStatus::Error);
        m.track_database_rows(QueryType::Select, 40);
        m.track_database_error(DatabaseErrorType::Deadlock);
        m.track_database_acquire(MS, AcquireStatus::Timeout);
        m.track_database_transaction("settle", MS, TransactionOutcome::Committed);
        m.update_database_pool(POOL);

        m.track_application_error("price_feed", ErrorSeverity::Critical);
        m.track_unhandled_exception("price_feed");
        m.track_log_event(LogLevel::Warn);

        m.track_fo_query(FoQueryType::OptionChain, MS, FoQueryStatus::Success);
        m.track_fo_query_rows(FoQueryType::OptionChain, 40);
        m.track_greeks_calculation(MS, GreeksStatus::Success);
        m.track_fo_cache_refreshed(40);
        m.track_fo_cache_refresh_failed();
        m.set_fo_instruments_cached(40);

        m.track_http_request(&Method::GET, "/orders/{id}", StatusCode::OK, MS, (0, 90));
        m.track_upstream_request("broker", &Method::GET, Some(StatusCode::OK), MS);

        m.track_calendar_request("/holidays", MS, CalendarStatus::Success);
        m.track_market_data_update(MarketDataType::Tick, Some(MS));
        m.track_market_data_gap(MarketDataType::Tick);
        m.track_indicator_calculation(IndicatorType::Delta, MS, IndicatorStatus::Success);
        m.track_indicator_cache(IndicatorType::Delta, true);
        m.set_indicator_cache_hit_rate(IndicatorType::Delta, 87.5);

        m.update_process(ProcessStats::default());
        m.update_tokio(RuntimeStats::default());

        m.track_rate_limit("/orders", RateLimitDecision::Limited);
        m.set_rate_limit_usage("/orders", 87.5);

        m.track_scrape(ScrapeFormat::Text, ScrapeStatus::Ok, MS, 90_000);

        m.track_smart_order_validation(MS, ValidationOutcome::Passed);
        m.track_smart_order_validation(MS, ValidationOutcome::Rejected(OrderRejectionReason::WideSpread));
        m.track_margin_calculation(MarginMethod::Fallback, MS, MarginStatus::Success);
        m.track_cost_breakdown(CostTransactionType::Equity, MS);
        m.track_market_impact_assessment(MarketImpactLevel::High, MS);
        m.track_order_placement(OrderType::Limit, OrderSide::Buy, MS, PlacementStatus::Accepted);
        m.track_order_state(OrderType::Limit, Some(OrderState::Open), OrderState::Filled);
        m.track_open_orders(OrderType::Limit, 1);
        m.track_order_fill(OrderType::Limit, MS);
        m.track_order_slippage(OrderSide::Buy, 100.0, 100.5);

        m.track_statement_upload(StatementFileType::Csv, 900, MS, StatementStatus::Success);
        m.track_transactions_parsed(TransactionCategory::Equity, 40);
        m.track_statement_error(StatementErrorType::Decimal);

        m.update_strategy_account("ACC-17", 3, 9, -1_500.0);
        m.set_strategy_pnl("ACC-17", 1_500.0);
        m.remove_strategy_account("ACC-18");
        m.track_strategy_operation(StrategyOperation::Create, MS, StrategyOperationStatus::Success);
        m.track_strategy_m2m(MS, StrategyM2mStatus::Success);
        m.track_strategy_signal(StrategySignal::Entry);
        m.track_strategy_stop_loss();

        m.track_ticker_request(TickerOperation::History, MS, TickerRequestStatus::Success);
        m.track_ticker_error(TickerErrorType::Timeout);
        m.track_ticker_retry(TickerOperation::History);
        m.set_circuit_breaker_state(CircuitBreakerState::HalfOpen);
        m.track_circuit_breaker_failure();
        m.set_ticker_subscriptions(40);
        m.track_ticker_subscriptions(-1);
        m.track_tick(MS);
        m.track_ticks(3, [MS, MS, MS]);

        m.track_websocket_connection("/ws", WebsocketConnection::Connected);
        m.track_websocket_connection_duration("/ws", MS);
        m.track_websocket_handshake("/ws", MS);
        m.track_websocket_rejection("/ws");
        m.track_websocket_message("/ws", "tick", MessageDirection::Sent, 310);
        m.track_websocket_message_latency("/ws", MS);
        m.track_websocket_message_drop("/ws", MessageDropReason::SlowConsumer);
        m.track_websocket_error("/ws", "bad_token");
        m.track_websocket_subscriptions("/ws", SubscriptionType::Instruments, 5);
        m.track_websocket_queue("/ws", 4);

        m.track_worker_task("m2m", MS, WorkerTaskStatus::Success);
        m.track_worker_wait("m2m", MS);
        m.set_worker_queue_depth("m2m", 4);
        m.track_worker_retry("m2m");
        m.track_worker_panic("m2m");
    }

    GUARDS: m => {
        m.start_jwt_validation().valid();
        drop(m.start_jwt_validation());
        m.start_cache_operation(CacheOperation::Get, CacheLayer::Redis).bytes(900).hit();
        m.start_redis_command("hget").finish(&DONE);
        m.start_redis_command("hget").connection_error();
        m.start_database_query(QueryType::Insert).rows(3).success();
        m.start_database_query(QueryType::Insert).error(DatabaseErrorType::Deadlock);
        drop(m.start_database_query(QueryType::Insert));
        m.start_database_acquire().success();
        m.start_database_transaction("settle").commit();
        drop(m.start_database_transaction("settle"));
        m.start_fo_query(FoQueryType::OptionChain).rows(3).success();
        http_request(m);
        drop(m.start_http_request(&Method::POST, "/orders"));
        m.start_http_request(&Method::POST, "/orders").panicked();
        m.start_upstream_request("broker", &Method::GET).finish(StatusCode::OK);
        m.start_upstream_request("broker", &Method::GET).error();
        m.start_calendar_request("/holidays").success();
        m.start_indicator_calculation(IndicatorType::Vega).success();
        m.start_smart_order_validation().rejected(OrderRejectionReason::HighImpact);
        m.start_margin_calculation(MarginMethod::TickerService).fallback();
        m.start_order(OrderType::Limit, OrderSide::Buy).accepted();
        m.start_order(OrderType::Limit, OrderSide::Buy).accepted_open().filled();
        open_order(m);
        m.start_statement_upload(StatementFileType::Csv, 900).success();
        m.start_strategy_operation(StrategyOperation::Update).success();
        m.start_strategy_m2m().finish(&DONE);
        m.start_ticker_request(TickerOperation::Subscribe).error(TickerErrorType::Http);
        drop(m.start_websocket_session("/ws"));
        websocket_session(m);
        m.start_websocket_handshake("/ws").reject();
        m.start_worker_task("m2m").waited(MS).success();
        drop(m.start_worker_task("m2m"));
    }
}

fn http_request(metrics: Metrics) {
    let mut request = metrics.start_http_request(&Method::GET, "/orders/{id}");
    request.received(120);
    request.head(StatusCode::CREATED);
    request.sent(400);
    request.end();
}

fn open_order(metrics: Metrics) {
    let mut order = metrics.start_open_order(OrderType::StopLoss, OrderSide::Sell);
    order.fill_price(200.0, 199.0);
    order.partially_filled();
    order.modified();
    order.cancelled();
}

fn websocket_session(metrics: Metrics) {
    let session = metrics.start_websocket_handshake("/ws").accept();
    session.received("subscribe", 48);
    session.sent("tick", 310);
    session.latency(MS);
    session.dropped(MessageDropReason::Closed);
    session.error("bad_token");
    session.subscribe(SubscriptionType::Instruments, 20);
    session.unsubscribe(SubscriptionType::Instruments, 8);
    session.queued(9);
}

/// An instance whose time stands still, so that no minute and no day ends.
fn metrics() -> Metrics {
    Metrics::builder().clock(Clock::manual()).mount::<Plain>().build().unwrap()
}

fn allocations<T>(act: impl FnOnce() -> T) -> u64 {
    let act = || _ = act();
    measure(act).count_total
}

/// Records each event twice and counts what the second time allocates.
fn check(metrics: Metrics, events: &[Event]) {
    for (_, event) in events {
        event(metrics);
    }
    let allocating: Vec<_> = events
        .iter()
        .map(|(text, event)| (*text, allocations(|| event(metrics))))
        .filter(|(_, allocations)| *allocations > 0)
        .collect();
    assert!(allocating.is_empty(), "these allocate: {allocating:#?}");
}

/// Checks on this thread, and then on another one that begins with its first use.
fn check_on_two_threads(events: &'static [Event]) {
    let metrics = metrics();
    check(metrics, events);
    thread::spawn(move || check(metrics, events)).join().unwrap();
}

#[test]
fn a_new_label_value_allocates_so_the_counting_works() {
    let metrics = metrics();
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(1)))), 1);
    assert!(allocations(|| metrics.track_websocket_rejection("/new")) > 0);
    assert_eq!(allocations(|| metrics.track_websocket_rejection("/new")), 0);
}

/// A thousand endpoints that another thread has made known, recorded by a thread that has recorded before.
#[test]
fn a_thread_allocates_a_block_of_cells_when_it_first_writes_to_one() {
    const BLOCK: u64 = 8 * 1_024;
    let metrics = metrics();
    let endpoints: Vec<_> = (0..1_000).map(|endpoint| format!("/orders/{endpoint}")).collect();
    let record = move |endpoints: &[String]| {
        for endpoint in endpoints {
            metrics.track_http_request(&Method::GET, endpoint, StatusCode::OK, MS, (1, 1));
        }
    };
    record(&endpoints);
    let again = thread::spawn(move || {
        metrics.track_jwt_validation(JwtStatus::Valid, MS);
        let first = measure(|| record(&endpoints));
        // About twenty endpoints to a block; tests beside this one take cells in between, and a thread of theirs may
        // have left some of the blocks.
        assert_eq!(first.bytes_total, first.count_total * BLOCK);
        assert!((1..=100).contains(&first.count_total), "{} blocks", first.count_total);
        allocations(|| record(&endpoints))
    });
    assert_eq!(again.join().unwrap(), 0);
}

#[test]
fn distinct_users_allocate_as_their_sketch_grows() {
    let metrics = metrics();
    let users: Vec<_> = (0..10_000).map(|user| format!("user-{user}")).collect();
    metrics.track_user_activity("the first one");
    let note = || {
        for user in &users {
            metrics.track_user_activity(user);
        }
    };
    let first = measure(note);
    assert!((1..=20).contains(&first.count_total), "{} allocations", first.count_total);
    assert!(first.bytes_max <= 8 * 1_024, "{} bytes", first.bytes_max);
    assert_eq!(allocations(note), 0);
}

/// Of a subsystem that is off, and before an instance is installed.
#[test]
fn what_is_recorded_nowhere_does_not_allocate() {
    let off = Metrics::builder().without("http").without("websocket").build().unwrap();
    let record = |endpoint: &str| {
        off.track_http_request(&Method::GET, endpoint, StatusCode::OK, MS, (1, 1));
        off.track_websocket_rejection(endpoint);
        backend_metrics::track_websocket_rejection(endpoint);
    };
    record("/orders");
    assert_eq!(allocations(|| ["/orders", "/new", "/other"].map(record)), 0);
}

#[test]
fn families_do_not_allocate() {
    check_on_two_threads(FAMILIES);
}

#[test]
fn helpers_do_not_allocate() {
    check_on_two_threads(HELPERS);
}

#[test]
fn guards_do_not_allocate() {
    check_on_two_threads(GUARDS);
}

#[cfg(feature = "exemplars")]
#[test]
fn exemplars_do_not_allocate() {
    use backend_metrics::{Format, TraceExemplars};
    use tracing_subscriber::layer::SubscriberExt;

    // So that none is refused.
    let layer = TraceExemplars::new().interval(Duration::ZERO);
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::with_default(subscriber, || {
        let span = tracing::info_span!("order", trace_id = "4bf92f3577b34da6a3ce929d0e0e4736");
        let metrics = metrics();
        span.in_scope(|| [FAMILIES, HELPERS, GUARDS].map(|events| check(metrics, events)));
        assert!(metrics.encode(Format::OpenMetrics).contains(" # {trace_id=\"4bf92f3577b3"));
        assert_eq!(allocations(|| span.in_scope(|| plain(metrics).counter.inc())), 0);
    });
}

#[test]
fn every_helper_is_counted() {
    let events = || HELPERS.iter().chain(GUARDS).map(|(text, _)| *text);
    let source = include_str!("allocations.rs");
    let missing: Vec<_> = source::helpers()
        .into_iter()
        .filter(|helper| !AT_START.contains(&helper.as_str()))
        .filter(|helper| !events().any(|text| text.contains(&format!("m.{helper}("))))
        .filter(|helper| !source.contains(&format!("metrics.{helper}(")))
        .collect();
    assert!(missing.is_empty(), "not counted: {missing:?}");
}

#[test]
fn what_the_cap_leaves_no_room_for_does_not_allocate() {
    let metrics = Metrics::builder().label_cap(1).build().unwrap();
    for endpoint in ["/a", "/b"] {
        metrics.track_websocket_rejection(endpoint);
    }
    assert_eq!(allocations(|| metrics.track_websocket_rejection("/c")), 0);
}

type Body = Full<Bytes>;

/// Sends a request and reads the body to its end; the allocations of both.
fn send<S, B>(service: &mut S, request: Request<Body>) -> u64
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
    B: http_body::Body<Data = Bytes> + Unpin,
{
    let mut received = 0;
    let allocations = allocations(|| {
        let response = service.call(request).now_or_never().unwrap().unwrap();
        let mut body = response.into_body();
        while let Some(Ok(frame)) = body.frame().now_or_never().unwrap() {
            received += frame.into_data().unwrap_or_default().len();
        }
    });
    assert_eq!(received, 5);
    allocations
}

/// The service that both are built on: its future is ready and its body fixed.
fn answer(_: Request<Body>) -> Ready<Result<Response<Body>, Infallible>> {
    ready(Ok(Response::new(Full::new(Bytes::from_static(b"order")))))
}

/// Compares a service in a layer with the service alone, here and on another thread.
fn check_service<S, B>(service: &S, request: fn() -> Request<Body>)
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    B: http_body::Body<Data = Bytes> + Unpin,
{
    let check = move |mut service: S| {
        let mut alone = service_fn(answer);
        for send_first in [true, false] {
            let (with, without) = (send(&mut service, request()), send(&mut alone, request()));
            assert!(send_first || with == without, "{with} in the layer, {without} without it");
        }
    };
    check(service.clone());
    let service = service.clone();
    thread::spawn(move || check(service)).join().unwrap();
}

#[test]
fn the_layer_does_not_allocate_for_a_template() {
    let metrics = metrics();
    check_service(&MetricsLayer::new(metrics).layer(service_fn(answer)), || {
        let endpoint = Endpoint::from_static("/orders/{id}");
        Request::get("/orders/17").extension(endpoint).body(Body::default()).unwrap()
    });
    check_service(
        &MetricsLayer::new(metrics)
            .endpoint(|request| Some(request.uri.path().into()))
            .layer(service_fn(answer)),
        || Request::get("/orders").body(Body::default()).unwrap(),
    );
    let text = metrics.to_text();
    for endpoint in ["/orders/{id}", "/orders"] {
        let series = format!(
            "http_requests_total{{method=\"GET\",endpoint=\"{endpoint}\",status=\"200\"}} 4\n"
        );
        assert!(text.contains(&series), "{text}");
    }
}

/// Not ready when it is first asked.
#[derive(Clone)]
struct Waits(bool);

impl Service<Request<Body>> for Waits {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        if mem::take(&mut self.0) { Poll::Pending } else { Poll::Ready(Ok(())) }
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        answer(request)
    }
}

#[test]
fn a_request_that_waits_for_its_service_allocates_once() {
    fn check<S>(service: &S)
    where
        S: Service<Request<Body>, Error = Infallible> + Clone,
    {
        let mut context = Context::from_waker(Waker::noop());
        for expected in [None, Some(1)] {
            let mut service = service.clone();
            let request = Request::get("/orders").body(Body::default()).unwrap();
            let allocations = allocations(|| {
                assert!(service.poll_ready(&mut context).is_pending());
                assert!(service.poll_ready(&mut context).is_ready());
                assert!(service.poll_ready(&mut context).is_ready());
                drop(service.call(request).now_or_never().unwrap().unwrap());
            });
            assert!(expected.is_none_or(|expected| allocations == expected), "{allocations}");
        }
    }
    let layer = MetricsLayer::new(metrics()).endpoint(|_| Some("/orders".into()));
    check(&layer.layer(Waits(true)));
    check(&ClientLayer::new(metrics(), "broker").layer(Waits(true)));
}

#[test]
fn the_layer_does_not_allocate_for_a_normalised_path() {
    let metrics = metrics();
    check_service(&MetricsLayer::new(metrics).layer(service_fn(answer)), || {
        Request::get("/orders/17").body(Body::default()).unwrap()
    });
    let series = r#"http_requests_total{method="GET",endpoint="/orders/{id}",status="200"} 4"#;
    assert!(metrics.to_text().contains(series), "{}", metrics.to_text());
}

#[test]
fn the_layer_of_a_client_does_not_allocate() {
    let metrics = metrics();
    let request = || Request::get("http://broker/orders").body(Body::default()).unwrap();
    check_service(&ClientLayer::new(metrics, "broker").layer(service_fn(answer)), request);
    check_service(&ClientLayer::by_host(metrics).layer(service_fn(answer)), request);
}
