//! The library itself, by its public interface.

use std::hint::black_box;

use backend_metrics::{
    Exporter, Format, LogEvents, Metrics, catalog,
    labels::{ApiKeyStatus, QueryStatus, QueryType},
    track_api_key_validation, track_database_query,
};
use http_body_util::BodyExt;
use tracing_subscriber::layer::SubscriberExt;

use crate::{
    bench::{Bench, Sample, long, long_elapsed, sample},
    case::{Case, Use},
    library::{ENDPOINTS, THREADS, endpoints_row, leaked_requests, threads_row},
    load::{self, Loaded},
    shape::{Method, Request, TOOK, Turn},
};

pub const NAME: &str = "backend-metrics";
/// The floor of a log event and of a span.
pub const NO_LAYER: &str = "without the layer";

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    queries(&mut cases);
    helpers(&mut cases);
    requests(&mut cases);
    cases.extend(load::cases::<HttpOnly>());
    growth(&mut cases);
    extras(&mut cases);
    #[cfg(feature = "all-features")]
    cases.extend(crate::features::cases());
    cases
}

/// A row, of which `event_of` makes the event that a thread repeats.
fn add<E: FnMut()>(
    cases: &mut Vec<Case>,
    row: &str,
    usage: Use,
    threads: usize,
    event_of: impl Fn(Metrics) -> E + Copy + Sync + 'static,
) {
    cases.push(Case::new(threads_row(row, threads), NAME, usage, move |bench| {
        let metrics = Metrics::new();
        if threads == 1 {
            bench.event(event_of(metrics))
        } else {
            bench.threads(threads, || event_of(metrics), || ())
        }
    }));
}

pub fn labels() -> (QueryType, QueryStatus) {
    (black_box(QueryType::Select), black_box(QueryStatus::Success))
}

fn queries(cases: &mut Vec<Case>) {
    add(cases, "counter", Use::Idiomatic, 1, |metrics| {
        move || metrics.database.queries.get(labels()).inc()
    });
    add(cases, "counter", Use::Fastest, 1, |metrics| {
        let counter = metrics.database.queries.get(labels());
        move || black_box(&counter).inc()
    });
    add(cases, "histogram", Use::Idiomatic, 1, |metrics| {
        move || {
            metrics
                .database
                .query_duration
                .get(black_box(QueryType::Select))
                .observe(black_box(TOOK));
        }
    });
    add(cases, "histogram", Use::Fastest, 1, |metrics| {
        let histogram = metrics.database.query_duration.get(QueryType::Select);
        move || black_box(&histogram).observe(black_box(TOOK))
    });
    for threads in THREADS {
        add(cases, "query", Use::Idiomatic, threads, |metrics| {
            move || {
                let (query, status) = labels();
                metrics.track_database_query(query, black_box(TOOK), status);
            }
        });
    }
    for threads in [1, 2] {
        add(cases, "guard", Use::Idiomatic, threads, |metrics| {
            move || metrics.start_database_query(black_box(QueryType::Select)).success()
        });
    }
}

/// A helper of one counter, and the free functions, which look for the installed instance at each event.
fn helpers(cases: &mut Vec<Case>) {
    add(cases, "helper-counter", Use::Idiomatic, 1, |metrics| {
        move || metrics.track_api_key_validation(black_box(ApiKeyStatus::Valid))
    });
    add(cases, "free-counter", Use::Idiomatic, 1, |metrics| {
        metrics.install().expect("the first of the process");
        || track_api_key_validation(black_box(ApiKeyStatus::Valid))
    });
    add(cases, "free-query", Use::Idiomatic, 1, |metrics| {
        metrics.install().expect("the first of the process");
        || {
            let (query, status) = labels();
            track_database_query(query, black_box(TOOK), status);
        }
    });
}

impl From<Method> for http::Method {
    fn from(method: Method) -> Self {
        match method {
            Method::Get => Self::GET,
            Method::Post => Self::POST,
            Method::Put => Self::PUT,
            Method::Patch => Self::PATCH,
            Method::Delete => Self::DELETE,
            Method::Head => Self::HEAD,
            Method::Options => Self::OPTIONS,
            Method::Connect => Self::CONNECT,
            Method::Trace => Self::TRACE,
        }
    }
}

fn track(metrics: Metrics, request: &Request) {
    let sizes = (request.received, request.sent);
    metrics.track_http_request(
        &request.method.into(),
        &request.endpoint,
        request.status,
        request.took,
        sizes,
    );
}

/// All six families, with three readings of the clock.
fn serve(metrics: Metrics, request: &Request) {
    let mut guard = metrics.start_http_request(&request.method.into(), &request.endpoint);
    guard.received(request.received);
    guard.head(request.status);
    guard.sent(request.sent);
    guard.end();
}

fn requests(cases: &mut Vec<Case>) {
    add(cases, "http-track", Use::Idiomatic, 1, |metrics| {
        let mut turn = Turn::new(leaked_requests(50));
        move || track(metrics, turn.next())
    });
    for endpoints in ENDPOINTS.into_iter().chain([50]) {
        cases.push(Case::new(endpoints_row(endpoints), NAME, Use::Idiomatic, move |bench| {
            let metrics =
                Metrics::builder().label_cap(endpoints).build().expect("within the limits");
            let mut turn = Turn::new(leaked_requests(endpoints));
            bench.event(|| serve(metrics, turn.next()))
        }));
    }
}

/// An instance with the HTTP families alone, as the peers have.
struct HttpOnly(Metrics);

impl Loaded for HttpOnly {
    const NAME: &'static str = NAME;

    fn new(endpoints: usize) -> Self {
        let others =
            catalog().map(|entry| entry.subsystem).filter(|subsystem| *subsystem != "http");
        let builder = Metrics::builder().label_cap(endpoints.max(1));
        Self(
            others
                .fold(builder, backend_metrics::Builder::without)
                .build()
                .expect("within the limits"),
        )
    }

    fn record(&self, request: &Request) {
        serve(self.0, request);
    }

    fn track(&self, request: &Request) {
        track(self.0, request);
    }

    fn encode(&self, format: Format) -> Option<String> {
        Some(self.0.encode(format))
    }
}

/// A million lines.
fn growth(cases: &mut Vec<Case>) {
    const LINES: usize = 1_000_000;
    for (format, name) in load::FORMATS {
        let row = format!("scrape-{name}-{LINES}");
        cases.push(Case::new(row, NAME, Use::Idiomatic, move |_| {
            load::scrape::<HttpOnly>(LINES, format, Use::Idiomatic)
        }));
    }
    for lines in [1_000, 10_000, LINES] {
        let row = format!("memory-{lines}-lines");
        cases.push(Case::new(row, NAME, Use::Idiomatic, move |_| {
            load::memory::<HttpOnly>(lines, 1)
        }));
    }
    for lines in load::LINES.into_iter().chain([LINES]) {
        for coding in ["identity", "gzip"] {
            let row = format!("exporter-{coding}-{lines}");
            cases.push(Case::new(row, NAME, Use::Idiomatic, move |_| exporter(lines, coding)));
        }
    }
}

/// What the endpoint takes to answer, with its thread.
fn exporter(lines: usize, coding: &'static str) -> Sample {
    let instance = load::loaded::<HttpOnly>(lines, 1);
    let exporter = Exporter::new(instance.0);
    let runtime =
        tokio::runtime::Builder::new_current_thread().build().expect("no drivers to fail");
    let scrape = || {
        let request = http::Request::get("/metrics").header("accept-encoding", coding);
        let request = request.body(()).expect("a valid request");
        runtime.block_on(async {
            let response = exporter.respond(&request).await.expect("it does not fail");
            response.into_body().collect().await.expect("it does not fail").to_bytes()
        })
    };
    let bytes = scrape().len();
    sample([("ns", long_elapsed(scrape)), ("bytes", bytes as f64)])
}

/// What can be turned on.
fn extras(cases: &mut Vec<Case>) {
    let labelled = || {
        let builder = Metrics::builder().service("1.4.2", "order-gateway");
        builder
            .constant_label("region", "mumbai")
            .constant_label("cluster", "a")
            .constant_label("shard", "17")
    };
    cases.push(Case::new("constant-labels-query", NAME, Use::Idiomatic, move |bench| {
        let metrics = labelled().build().expect("valid labels");
        bench.event(|| {
            let (query, status) = labels();
            metrics.track_database_query(query, black_box(TOOK), status);
        })
    }));
    for (row, with) in [("constant-labels-scrape", true), ("full-scrape", false)] {
        cases.push(Case::new(row, NAME, Use::Idiomatic, move |_| {
            let builder = if with { labelled() } else { Metrics::builder() };
            let metrics = builder.build().expect("valid labels");
            for request in leaked_requests(200) {
                serve(metrics, request);
            }
            let text = metrics.encode(Format::OpenMetrics);
            let took = long(|| metrics.encode(Format::OpenMetrics));
            sample([
                ("ns", took),
                ("bytes", text.len() as f64),
                ("lines", text.lines().count() as f64),
            ])
        }));
    }
    cases.push(Case::new("log-event", NO_LAYER, Use::Floor, |bench| {
        log_event(bench, tracing_subscriber::registry())
    }));
    cases.push(Case::new("log-event", NAME, Use::Idiomatic, |bench| {
        log_event(bench, tracing_subscriber::registry().with(LogEvents::new(Metrics::new())))
    }));
    for (row, again) in SPANS {
        cases.push(Case::new(row, NO_LAYER, Use::Floor, move |bench| {
            span(bench, again, tracing_subscriber::registry())
        }));
    }
}

fn log_event(bench: Bench, subscriber: impl tracing::Subscriber + Send + Sync) -> Sample {
    tracing::subscriber::with_default(subscriber, || {
        bench.event(|| tracing::warn!("the margin service is slow"))
    })
}

/// The rows of a span of a trace, and whether it is the same one again and again.
pub const SPANS: [(&str, bool); 2] = [("span", false), ("span-entered", true)];

/// A span from its making to its end, or entered and left.
pub fn span(
    bench: Bench,
    again: bool,
    subscriber: impl tracing::Subscriber + Send + Sync,
) -> Sample {
    let order = || tracing::info_span!("order", trace_id = TRACE);
    tracing::subscriber::with_default(subscriber, || {
        if again {
            let order = order();
            bench.event(|| order.in_scope(|| black_box(())))
        } else {
            bench.event(|| order().in_scope(|| black_box(())))
        }
    })
}

pub const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
