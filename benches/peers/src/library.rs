//! The rows that every library is measured in, and what it says of itself for that.

use std::{
    hint::black_box,
    marker::PhantomData,
    time::{Duration, Instant},
};

use backend_metrics::Format;

use crate::{
    case::{Case, Use},
    load::{self, Loaded},
    shape::{Method, QueryStatus, QueryType, Request, TOOK, Turn, requests},
};

/// A handle of a counter.
pub trait Count {
    fn inc(&self);
}

/// A handle of a histogram.
pub trait Observe {
    fn observe(&self, value: f64);
}

/// A handle of a histogram of durations.
pub trait Time {
    fn time(&self, took: Duration);
}

impl<H: Observe> Time for H {
    fn time(&self, took: Duration) {
        self.observe(took.as_secs_f64());
    }
}

/// A handle of a gauge.
pub trait Level {
    fn up(&self);
    fn down(&self);
}

/// The handles that a service keeps for a route, method and status.
pub struct Handles<C, D, R, S, G> {
    pub requests: C,
    pub duration: D,
    pub received: R,
    pub sent: S,
    pub first_byte: D,
    pub active: G,
}

/// What [`Handles`] are for.
pub trait Record {
    fn start(&self);
    fn track(&self, request: &Request, took: Duration);
    fn end(&self, first_byte: Duration);
}

impl<C: Count, D: Time, R: Observe, S: Observe, G: Level> Record for Handles<C, D, R, S, G> {
    fn start(&self) {
        self.active.up();
    }

    fn track(&self, request: &Request, took: Duration) {
        self.requests.inc();
        self.duration.time(took);
        self.received.observe(request.received as f64);
        self.sent.observe(request.sent as f64);
    }

    fn end(&self, first_byte: Duration) {
        self.first_byte.time(first_byte);
        self.active.down();
    }
}

/// A library with the families of the comparison.
///
/// The methods that record are its idiomatic use; the others give handles, for its fastest.
pub trait Library: Sync + Sized + 'static {
    const NAME: &'static str;
    type Counter: Count;
    type Histogram: Time;
    type Handles: Record;

    /// With its families registered and installed as its documentation has it.
    fn new() -> Self;

    fn count_query(&self, query: QueryType, status: QueryStatus);
    fn observe_query(&self, query: QueryType, took: Duration);
    /// Raises the gauge of active requests.
    fn start_request(&self, request: &Request);
    /// The families that need no clock: the count, the duration and both sizes.
    fn track_request(&self, request: &Request, took: Duration);
    /// The time to the first byte, and the gauge goes down.
    fn end_request(&self, request: &Request, first_byte: Duration);
    /// Makes the series of the request that stand at zero.
    fn make_quiet_series(&self, request: &Request);

    fn query_counter(&'static self, query: QueryType, status: QueryStatus) -> Self::Counter;
    fn query_histogram(&'static self, query: QueryType) -> Self::Histogram;
    fn request_handles(&'static self, request: &Request) -> Self::Handles;

    /// A scrape, if it knows the format.
    fn encode(&self, format: Format) -> Option<String>;
    /// A scrape into memory that is kept from one to the next, and its bytes, if that is another way.
    fn encode_kept(&self, _: Format) -> Option<Box<dyn FnMut() -> usize + '_>> {
        None
    }
    /// What its documentation asks to be run now and then.
    fn upkeep(&self) {}
}

/// The handles of every request, found by one look-up: a map that a thread has for itself, with a fast hash.
struct Kept<L: Library>(foldhash::HashMap<(Method, &'static str, u16), L::Handles>);

impl<L: Library> Kept<L> {
    fn new(library: &'static L, requests: &'static [Request]) -> Self {
        let key = |request: &'static Request| {
            (request.method, request.endpoint.as_str(), request.status.as_u16())
        };
        Self(
            requests
                .iter()
                .map(|request| (key(request), library.request_handles(request)))
                .collect(),
        )
    }

    #[inline]
    fn get(&self, request: &'static Request) -> &L::Handles {
        &self.0[&(request.method, request.endpoint.as_str(), request.status.as_u16())]
    }
}

/// One request to each of so many endpoints, for the life of the process.
pub fn leaked_requests(endpoints: usize) -> &'static [Request] {
    requests(endpoints).leak()
}

/// How often the same event is measured: on so many threads.
pub const THREADS: [usize; 5] = [1, 2, 4, 16, 64];
/// The endpoints of the rows that grow; the others have 50.
pub const ENDPOINTS: [usize; 3] = [10, 1_000, 10_000];

pub fn threads_row(row: &str, threads: usize) -> String {
    if threads == 1 { row.to_owned() } else { format!("{row}-{threads}-threads") }
}

/// The cases of a library.
pub fn cases<L: Library>() -> Vec<Case> {
    let mut cases = Cases::<L>(Vec::new(), PhantomData);
    cases.queries();
    cases.requests();
    let mut cases = cases.0;
    cases.extend(load::cases::<L>());
    cases
}

struct Cases<L>(Vec<Case>, PhantomData<L>);

impl<L: Library> Cases<L> {
    /// A row, of which `event_of` makes the event that a thread repeats.
    fn add<E: FnMut()>(
        &mut self,
        row: &str,
        usage: Use,
        threads: usize,
        event_of: impl Fn(&'static L) -> E + Copy + Sync + 'static,
    ) {
        self.0.push(Case::new(threads_row(row, threads), L::NAME, usage, move |bench| {
            let library: &'static L = Box::leak(Box::new(L::new()));
            if threads == 1 {
                bench.event_with_upkeep(event_of(library), || library.upkeep())
            } else {
                bench.threads(threads, || event_of(library), || library.upkeep())
            }
        }));
    }

    fn queries(&mut self) {
        let labels = || (black_box(QueryType::Select), black_box(QueryStatus::Success));
        self.add("counter", Use::Idiomatic, 1, move |library| {
            move || {
                let (query, status) = labels();
                library.count_query(query, status);
            }
        });
        self.add("counter", Use::Fastest, 1, |library| {
            let counter = library.query_counter(QueryType::Select, QueryStatus::Success);
            move || black_box(&counter).inc()
        });
        self.add("histogram", Use::Idiomatic, 1, |library| {
            move || library.observe_query(black_box(QueryType::Select), black_box(TOOK))
        });
        self.add("histogram", Use::Fastest, 1, |library| {
            let histogram = library.query_histogram(QueryType::Select);
            move || black_box(&histogram).time(black_box(TOOK))
        });
        for threads in THREADS {
            self.add("query", Use::Idiomatic, threads, move |library| {
                move || {
                    let (query, status) = labels();
                    library.count_query(query, status);
                    library.observe_query(query, black_box(TOOK));
                }
            });
            self.add("query", Use::Fastest, threads, |library| {
                let counter = library.query_counter(QueryType::Select, QueryStatus::Success);
                let histogram = library.query_histogram(QueryType::Select);
                move || {
                    black_box(&counter).inc();
                    black_box(&histogram).time(black_box(TOOK));
                }
            });
        }
        for threads in [1, 2] {
            self.add("guard", Use::Idiomatic, threads, move |library| {
                move || {
                    let started = black_box(Instant::now());
                    let (query, status) = labels();
                    library.count_query(query, status);
                    library.observe_query(query, started.elapsed());
                }
            });
            self.add("guard", Use::Fastest, threads, |library| {
                let counter = library.query_counter(QueryType::Select, QueryStatus::Success);
                let histogram = library.query_histogram(QueryType::Select);
                move || {
                    let started = black_box(Instant::now());
                    black_box(&counter).inc();
                    black_box(&histogram).time(started.elapsed());
                }
            });
        }
    }

    fn requests(&mut self) {
        self.add("http-track", Use::Idiomatic, 1, |library| {
            let mut turn = Turn::new(leaked_requests(50));
            move || {
                let request = turn.next();
                library.track_request(request, request.took);
            }
        });
        self.add("http-track", Use::Fastest, 1, |library| {
            let requests = leaked_requests(50);
            let (kept, mut turn) = (Kept::new(library, requests), Turn::new(requests));
            move || {
                let request = turn.next();
                kept.get(request).track(request, request.took);
            }
        });
        for endpoints in ENDPOINTS.into_iter().chain([50]) {
            let row = endpoints_row(endpoints);
            self.add(&row, Use::Idiomatic, 1, move |library| {
                let mut turn = Turn::new(leaked_requests(endpoints));
                move || {
                    let request = turn.next();
                    library.start_request(request);
                    let started = black_box(Instant::now());
                    let first_byte = black_box(started.elapsed());
                    library.track_request(request, started.elapsed());
                    library.end_request(request, first_byte);
                }
            });
            self.add(&row, Use::Fastest, 1, move |library| {
                let requests = leaked_requests(endpoints);
                let (kept, mut turn) = (Kept::new(library, requests), Turn::new(requests));
                move || {
                    let request = turn.next();
                    let handles = kept.get(request);
                    handles.start();
                    let started = black_box(Instant::now());
                    let first_byte = black_box(started.elapsed());
                    handles.track(request, started.elapsed());
                    handles.end(first_byte);
                }
            });
        }
    }
}

pub fn endpoints_row(endpoints: usize) -> String {
    if endpoints == 50 { "http".to_owned() } else { format!("http-{endpoints}-endpoints") }
}

impl<L: Library> Loaded for L {
    const NAME: &'static str = L::NAME;

    fn new(_: usize) -> Self {
        L::new()
    }

    fn record(&self, request: &Request) {
        self.start_request(request);
        self.track_request(request, request.took);
        self.end_request(request, request.took);
        self.make_quiet_series(request);
    }

    fn track(&self, request: &Request) {
        self.track_request(request, request.took);
    }

    fn encode(&self, format: Format) -> Option<String> {
        Library::encode(self, format)
    }

    fn encode_kept(&self, format: Format) -> Option<Box<dyn FnMut() -> usize + '_>> {
        Library::encode_kept(self, format)
    }
}
