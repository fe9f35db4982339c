//! Many requests at once, of every outcome in random order: each is recorded once, and exactly.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use backend_metrics::middleware::{Endpoint, MetricsService};
use http::{
    Method, Request,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
};
use http_body_util::BodyExt;
use tokio::{
    io::AsyncReadExt,
    sync::{Semaphore, watch},
    task::yield_now,
};
use tower::{Layer, Service, ServiceExt};

use crate::{
    exposed::{Scrape, Test, assert_same},
    scripted::{Answer, Answers, Failure, Plan, Scripted, Served, Step::*, poll, poll_frame},
    server::Server,
};

/// What the caller does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Caller {
    /// Reads until there is no further frame.
    Reads,
    /// Takes so many frames, which are all, and does not ask again.
    Takes(usize),
    /// Takes so many frames, and goes away.
    Leaves(usize),
    /// Goes away before there is a head.
    LeavesEarly,
}

impl Caller {
    fn has_enough(self, taken: usize) -> bool {
        self == Self::Takes(taken) || self == Self::Leaves(taken)
    }
}

/// What is counted beside the request itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Also {
    Nothing,
    Cancelled,
    Panic,
    HandlerError,
    BodyError,
}

/// A way in which a request can go.
#[derive(Clone, Copy)]
struct Outcome {
    plan: fn() -> Plan,
    caller: Caller,
    /// A method that it takes; any other if there is none.
    method: Option<&'static str>,
    status: u16,
    /// Whether there is a head.
    head: bool,
    /// Bytes of the response's body, if it has one.
    sent: Option<usize>,
    also: Also,
}

/// An answer that is read to its end.
const COMPLETE: Outcome = Outcome {
    plan: Plan::ok,
    caller: Caller::Reads,
    method: None,
    status: 200,
    head: true,
    sent: Some(0),
    also: Also::Nothing,
};

/// A handler that gives no head.
const HEADLESS: Outcome = Outcome { status: 500, head: false, sent: None, ..COMPLETE };

const CANCELLED: Outcome = Outcome { status: 499, also: Also::Cancelled, ..COMPLETE };

fn events() -> Plan {
    Plan::ok().header(CONTENT_TYPE, "text/event-stream; charset=utf-8")
}

const OUTCOMES: &[Outcome] = &[
    // The body is sent to its end.
    COMPLETE,
    Outcome { plan: || Plan::ok().sized().before([Yields]), ..COMPLETE },
    Outcome { plan: || Plan::ok().tells_end(), caller: Caller::Takes(0), ..COMPLETE },
    Outcome {
        plan: || Plan::status(201).before([Yields]).body([Data(7), Yields, Data(8)]),
        status: 201,
        sent: Some(15),
        ..COMPLETE
    },
    Outcome {
        plan: || Plan::ok().body([Data(7), Yields, Data(8)]).sized(),
        caller: Caller::Takes(2),
        sent: Some(15),
        ..COMPLETE
    },
    Outcome {
        plan: || Plan::ok().body([Yields, Data(7), Data(8)]).header(CONTENT_LENGTH, "15"),
        caller: Caller::Takes(2),
        sent: Some(15),
        ..COMPLETE
    },
    Outcome {
        plan: || Plan::ok().body([Data(9), Yields]).header(CONTENT_LENGTH, "15"),
        sent: Some(9),
        ..COMPLETE
    },
    Outcome {
        plan: || Plan::ok().body([Data(7), Data(8)]).tells_end(),
        caller: Caller::Takes(2),
        sent: Some(15),
        ..COMPLETE
    },
    Outcome {
        plan: || Plan::ok().body([Data(7), Yields, Trailers]),
        caller: Caller::Takes(2),
        sent: Some(7),
        ..COMPLETE
    },
    Outcome { plan: || Plan::status(404), status: 404, ..COMPLETE },
    Outcome { plan: || Plan::status(409).sized(), status: 409, ..COMPLETE },
    Outcome {
        plan: || Plan::status(500).body([Data(5)]).sized(),
        status: 500,
        sent: Some(5),
        ..COMPLETE
    },
    // There is none.
    Outcome {
        plan: || Plan::ok().before([Yields]).body([Hangs]).header(CONTENT_LENGTH, "9"),
        caller: Caller::Takes(0),
        method: Some("HEAD"),
        ..COMPLETE
    },
    Outcome { plan: || Plan::status(204), caller: Caller::Takes(0), status: 204, ..COMPLETE },
    Outcome {
        plan: || Plan::status(304).header(CONTENT_LENGTH, "9"),
        caller: Caller::Takes(0),
        status: 304,
        ..COMPLETE
    },
    // The handler fails.
    Outcome { plan: || Plan::ok().before([Yields, Fails]), also: Also::HandlerError, ..HEADLESS },
    // It panics.
    Outcome { plan: Plan::panics_in_call, also: Also::Panic, ..HEADLESS },
    Outcome { plan: || Plan::ok().before([Yields, Panics]), also: Also::Panic, ..HEADLESS },
    // The client goes away.
    Outcome {
        plan: || Plan::ok().before([Yields, Hangs]),
        caller: Caller::LeavesEarly,
        head: false,
        sent: None,
        ..CANCELLED
    },
    Outcome {
        plan: || Plan::ok().before([Yields]).body([Hangs]),
        caller: Caller::Leaves(0),
        ..CANCELLED
    },
    Outcome {
        plan: || Plan::ok().body([Data(7), Hangs]),
        caller: Caller::Leaves(1),
        sent: Some(7),
        ..CANCELLED
    },
    Outcome {
        plan: || Plan::ok().body([Data(7), Data(1), Yields, Hangs, Data(8)]).sized(),
        caller: Caller::Leaves(2),
        sent: Some(8),
        ..CANCELLED
    },
    // The body fails.
    Outcome {
        plan: || Plan::ok().body([Data(7), Yields, Fails]),
        sent: Some(7),
        also: Also::BodyError,
        ..COMPLETE
    },
    // It panics.
    Outcome {
        plan: || Plan::ok().body([Data(7), Yields, Panics]),
        sent: Some(7),
        also: Also::Panic,
        ..COMPLETE
    },
    // The connection is handed over.
    Outcome {
        plan: || Plan::status(101).before([Yields]),
        caller: Caller::Takes(0),
        status: 101,
        sent: None,
        ..COMPLETE
    },
    Outcome {
        plan: Plan::ok,
        caller: Caller::Takes(0),
        method: Some("CONNECT"),
        sent: None,
        ..COMPLETE
    },
    // A stream of events, which ends, is left, fails.
    Outcome { plan: || events().body([Data(7), Yields, Data(8)]), sent: Some(15), ..COMPLETE },
    Outcome {
        plan: || events().body([Data(7), Hangs]),
        caller: Caller::Leaves(1),
        sent: Some(7),
        ..COMPLETE
    },
    Outcome {
        plan: || events().body([Data(7), Yields, Fails]),
        sent: Some(7),
        also: Also::BodyError,
        ..COMPLETE
    },
];

/// Numbers that are random, and the same in each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.next() % of.len() as u64).unwrap()]
    }
}

/// Where the endpoint of a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Function,
    OfRequest,
    OfResponse,
    Path,
}

/// A request that was thrown for.
struct Thrown {
    /// Its place among the outcomes.
    index: usize,
    outcome: Outcome,
    method: &'static str,
    source: Source,
    path: String,
}

impl Thrown {
    fn throw(random: &mut Random, sources: &[Source]) -> Self {
        let index = random.pick(&(0..OUTCOMES.len()).collect::<Vec<_>>());
        let outcome = OUTCOMES[index];
        let any = ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"];
        let method = outcome.method.unwrap_or_else(|| random.pick(&any));
        let mut source = random.pick(sources);
        if source == Source::OfResponse && !outcome.head {
            source = Source::Path;
        }
        let number = random.next() % 1_000;
        let path = match source {
            Source::Function => format!("/quotes/{number}"),
            Source::Path => format!("/scan/{number}"),
            Source::OfRequest | Source::OfResponse => format!("/orders/{number}"),
        };
        Self { index, outcome, method, source, path }
    }

    fn plan(&self) -> Plan {
        let plan = (self.outcome.plan)();
        match self.source {
            Source::OfResponse => plan.endpoint("/of/the/response"),
            _ => plan,
        }
    }

    fn endpoint(&self) -> &'static str {
        match self.source {
            Source::Function => "/quotes/{symbol}",
            Source::OfRequest => "/of/the/request",
            Source::OfResponse => "/of/the/response",
            // No path becomes an endpoint.
            Source::Path => "unmatched",
        }
    }

    /// Adds what it comes to, with a request of that size.
    fn expect(&self, size: Option<usize>, expected: &mut BTreeMap<String, f64>) {
        let Outcome { status, head, sent, also, .. } = self.outcome;
        let endpoint = self.endpoint();
        let method = if self.method == "BREW" { "OTHER" } else { self.method };
        let route = format!(r#"method="{method}",endpoint="{endpoint}""#);
        let mut add = |series: String, value: usize| {
            // What stays at zero is not compared.
            if value > 0 {
                *expected.entry(series).or_default() += value as f64;
            }
        };
        add(format!(r#"http_requests_total{{{route},status="{status}"}}"#), 1);
        add(format!("http_request_duration_seconds_count{{{route}}}"), 1);
        add(format!("http_time_to_first_byte_seconds_count{{{route}}}"), head.into());
        if let Some(size) = size {
            add(format!("http_request_size_bytes_count{{{route}}}"), 1);
            add(format!("http_request_size_bytes_sum{{{route}}}"), size);
        }
        if let Some(sent) = sent {
            add(format!("http_response_size_bytes_count{{{route}}}"), 1);
            add(format!("http_response_size_bytes_sum{{{route}}}"), sent);
        }
        let error =
            |error| format!(r#"application_errors_total{{error_type="{error}",severity="error"}}"#);
        match also {
            Also::Nothing => {}
            Also::Cancelled => add(format!("http_requests_cancelled_total{{{route}}}"), 1),
            Also::Panic => add(format!(r#"http_panics_total{{endpoint="{endpoint}"}}"#), 1),
            Also::HandlerError => add(error("handler_error"), 1),
            Also::BodyError => add(error("response_body_error"), 1),
        }
    }
}

/// A service that answers by plan, with a layer around it that has a function.
fn service<S>(test: &Test, inner: S) -> MetricsService<S> {
    let layer = test.layer().endpoint(|request| {
        request.uri.path().starts_with("/quotes/").then_some("/quotes/{symbol}".into())
    });
    layer.layer(inner)
}

/// Asserts that so many requests were recorded, each once, and that none is active.
#[track_caller]
fn assert_recorded(test: &Test, count: usize, expected: &BTreeMap<String, f64>) {
    assert_same(&test.moved(), expected);
    let scrape = Scrape::of(test.metrics);
    assert_eq!(scrape.sum("http_requests_total"), count as f64);
    assert_eq!(scrape.sum("http_request_duration_seconds_count"), count as f64);
    let active: Vec<_> = scrape
        .series
        .iter()
        .filter(|(series, active)| series.starts_with("http_active_requests") && **active != 0.0)
        .collect();
    assert!(active.is_empty(), "{active:?}");
}

const SOURCES: &[Source] = &[Source::Function, Source::OfRequest, Source::OfResponse, Source::Path];

impl Thrown {
    /// As a request, with its size if that is known.
    fn request(&self, random: &mut Random) -> (Request<Scripted>, Option<usize>) {
        let bytes = usize::try_from(random.next() % 3_000).unwrap();
        let sized = random.pick(&[true, false]);
        let body = if sized { Scripted::sized(bytes) } else { Scripted::unsized_(bytes) };
        let request =
            Request::builder().method(self.method).uri(&*self.path).extension(self.plan());
        let mut request = request.body(body).unwrap();
        if self.source == Source::OfRequest {
            request.extensions_mut().insert(Endpoint::from_static("/of/the/request"));
        }
        (request, sized.then_some(bytes))
    }
}

/// Calls the service as the outcome wants.
async fn call(service: MetricsService<Answers>, request: Request<Scripted>, outcome: Outcome) {
    let mut future = service.oneshot(request);
    if outcome.caller == Caller::LeavesEarly {
        for _ in 0..3 {
            assert!(poll(&mut future).is_pending());
            yield_now().await;
        }
        return;
    }
    let mut response = match future.await {
        Ok(response) => response,
        Err(Failure) => return assert_eq!(outcome.also, Also::HandlerError),
    };
    let mut taken = 0;
    while !outcome.caller.has_enough(taken) {
        match response.body_mut().frame().await {
            Some(Ok(_)) => taken += 1,
            Some(Err(Failure)) => return assert_eq!(outcome.also, Also::BodyError),
            None => return assert_eq!(outcome.caller, Caller::Reads),
        }
        yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_thousand_requests_of_every_outcome_are_recorded_exactly() {
    const REQUESTS: usize = 10_000;
    let test = Test::without_paths();
    let service = service(&test, Answers { clock: test.clock.clone() });
    let mut random = Random(2_026);
    let mut expected = BTreeMap::new();
    let mut tasks = Vec::new();
    let mut seen = [0; OUTCOMES.len()];
    for _ in 0..REQUESTS {
        let thrown = Thrown::throw(&mut random, SOURCES);
        let (request, size) = thrown.request(&mut random);
        thrown.expect(size, &mut expected);
        seen[thrown.index] += 1;
        let task = tokio::spawn(call(service.clone(), request, thrown.outcome));
        tasks.push((task, thrown.outcome.also == Also::Panic));
    }
    for (task, panics) in tasks {
        match task.await {
            Ok(()) => assert!(!panics),
            Err(error) => {
                assert!(panics, "{error}");
                assert_eq!(error.into_panic().downcast_ref(), Some(&Failure));
            }
        }
    }
    assert!(seen.iter().all(|count| *count > 100), "{seen:?}");
    assert_recorded(&test, REQUESTS, &expected);
}

/// A request on its way, moved by hand.
enum Moving {
    Called(Box<<MetricsService<Answers> as Service<Request<Scripted>>>::Future>),
    Answered(Box<Served>, usize),
}

#[test]
fn at_any_time_the_started_are_the_finished_and_those_in_flight() {
    const REQUESTS: usize = 500;
    let test = Test::without_paths();
    let mut service = service(&test, Answers { clock: test.clock.clone() });
    let mut random = Random(7);
    let mut expected = BTreeMap::new();
    let mut moving: Vec<(Moving, Outcome)> = Vec::new();
    let (mut started, mut steps) = (0, 0);
    while started < REQUESTS || !moving.is_empty() {
        steps += 1;
        if started < REQUESTS && random.next().is_multiple_of(4) {
            let thrown = Thrown::throw(&mut random, SOURCES);
            let (request, size) = thrown.request(&mut random);
            thrown.expect(size, &mut expected);
            started += 1;
            let called = std::panic::AssertUnwindSafe(|| service.call(request));
            if let Ok(future) = std::panic::catch_unwind(called) {
                moving.push((Moving::Called(Box::new(future)), thrown.outcome));
            }
        } else if !moving.is_empty() {
            let index = usize::try_from(random.next()).unwrap_or(usize::MAX) % moving.len();
            let (request, outcome) = moving.swap_remove(index);
            let moved = std::panic::AssertUnwindSafe(|| advance(request, outcome));
            if let Ok(Some(request)) = std::panic::catch_unwind(moved) {
                moving.push((request, outcome));
            }
        }
        if steps % 50 == 0 {
            let scrape = Scrape::of(test.metrics);
            let active = scrape.sum("http_active_requests");
            assert!(active <= moving.len() as f64);
            assert_eq!(scrape.sum("http_requests_total") + active, started as f64);
        }
    }
    assert_recorded(&test, REQUESTS, &expected);
}

/// Polls a request once; `None` when its caller leaves it.
fn advance(request: Moving, outcome: Outcome) -> Option<Moving> {
    match request {
        Moving::Called(mut future) => match poll(&mut future) {
            std::task::Poll::Ready(response) => Some(Moving::Answered(Box::new(response.ok()?), 0)),
            std::task::Poll::Pending if outcome.caller == Caller::LeavesEarly => None,
            std::task::Poll::Pending => Some(Moving::Called(future)),
        },
        Moving::Answered(_, taken) if outcome.caller.has_enough(taken) => None,
        Moving::Answered(mut response, taken) => match poll_frame(response.body_mut()) {
            std::task::Poll::Ready(frame) => {
                frame?.ok()?;
                Some(Moving::Answered(response, taken + 1))
            }
            std::task::Poll::Pending => Some(Moving::Answered(response, taken)),
        },
    }
}

/// Answers by the plan that the headers of a request tell.
#[derive(Clone)]
struct ByHeader {
    answers: Answers,
    /// The requests that have come.
    called: watch::Sender<BTreeSet<String>>,
}

impl Service<Request<hyper::body::Incoming>> for ByHeader {
    type Response = http::Response<Scripted>;
    type Error = Failure;
    type Future = Answer;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Failure>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<hyper::body::Incoming>) -> Answer {
        let header = |name| request.headers()[name].to_str().unwrap();
        let mut plan = (OUTCOMES[header("outcome").parse::<usize>().unwrap()].plan)();
        self.called.send_modify(|called| _ = called.insert(header("number").to_owned()));
        if request.headers().contains_key("names-endpoint") {
            plan = plan.endpoint("/of/the/response");
        }
        request.extensions_mut().insert(plan);
        self.answers.call(request)
    }
}

/// Sends a request over a connection of its own, and does with the answer what the outcome wants.
async fn exchange(
    server: &Server,
    thrown: &Thrown,
    number: usize,
    mut called: watch::Receiver<BTreeSet<String>>,
) {
    let Thrown { index, outcome, method, source, path } = thrown;
    let target = if *method == Method::CONNECT { "exchange:443" } else { path };
    let names = if *source == Source::OfResponse { "Names-Endpoint: yes\r\n" } else { "" };
    let text = format!(
        "{method} {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\
         Outcome: {index}\r\nNumber: {number}\r\n{names}\r\n"
    );
    let mut stream = server.send(&text).await;
    let mut answer = Vec::new();
    match outcome.caller {
        // Not before the service knows of it: it would be no request.
        Caller::LeavesEarly => {
            called.wait_for(|called| called.contains(&number.to_string())).await.unwrap();
        }
        Caller::Leaves(_) => {
            let body = |answer: &[u8]| {
                let text = str::from_utf8(answer).unwrap();
                text.split_once("\r\n\r\n").map(|(_, body)| body.matches('x').count())
            };
            while body(&answer) < outcome.sent {
                assert!(stream.read_buf(&mut answer).await.unwrap() > 0);
            }
        }
        // A connection that breaks off is what some outcomes are about.
        _ => _ = stream.read_to_end(&mut answer).await,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_requests_of_every_outcome_over_sockets_are_recorded_exactly() {
    const REQUESTS: usize = 1_000;
    let test = Test::without_paths();
    let called = watch::Sender::default();
    let answers = Answers { clock: test.clock.clone() };
    let answers = ByHeader { answers, called: called.clone() };
    let server = Arc::new(Server::http1(service(&test, answers)).await);
    let at_once = Arc::new(Semaphore::new(32));
    let mut random = Random(1_992);
    let mut expected = BTreeMap::new();
    let mut tasks = Vec::new();
    for number in 0..REQUESTS {
        let sources = [Source::Function, Source::OfResponse, Source::Path];
        let mut thrown = Thrown::throw(&mut random, &sources);
        // Its target has no path.
        if thrown.method == "CONNECT" {
            thrown.source = Source::OfResponse;
        }
        thrown.expect(Some(0), &mut expected);
        let (server, at_once) = (Arc::clone(&server), Arc::clone(&at_once));
        let called = called.subscribe();
        tasks.push(tokio::spawn(async move {
            let _place = at_once.acquire().await.unwrap();
            exchange(&server, &thrown, number, called).await;
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    Arc::into_inner(server).unwrap().ended().await;
    assert_recorded(&test, REQUESTS, &expected);
}
