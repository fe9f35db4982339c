//! A driver that calls every helper with known numbers and knows what comes of it.
//!
//! A step is one event, and beside it stands everything that it changes, a series a line:
//!
//! - `series +2` or `series -2`: it changes by that;
//! - `series = 5`: it is that now (`= now`: the time of the instance's clock);
//! - `series observes 0.03 0.05`: a histogram gets these observations;
//! - `series gone`: it is no longer exposed.
//!
//! What a step changes besides fails it. So the steps together say what every series comes to.

#![allow(dead_code, reason = "each test binary uses a part")]

/// Calls a helper, as a method or as a free function, and notes that it was called.
macro_rules! call {
    ($to:ident.$helper:ident($($argument:expr),* $(,)?)) => {{
        $to.note(stringify!($helper));
        match $to.via {
            $crate::drive::Via::Methods => $to.metrics.$helper($($argument),*),
            $crate::drive::Via::Functions => backend_metrics::$helper($($argument),*),
        }
    }};
}

mod auth;
mod business;
mod cache;
mod database;
mod errors;
mod fno;
mod http;
mod http_client;
mod market_data;
mod process;
mod rate_limits;
mod self_metrics;
mod smart_orders;
pub(crate) mod source;
mod statements;
mod strategies;
mod ticker_service;
mod websocket;
mod workers;

use std::{
    any::Any,
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use backend_metrics::{Builder, Clock, Metrics, subsystems::rate_limits::RateLimitEndpoint};

/// The time of day when a drive starts.
const START: Duration = Duration::from_secs(1_700_000_000);

/// How many endpoints with a rate limit an instance takes, so that one more overflows.
const RATE_LIMIT_CAP: usize = 2;

/// The values of exposed series.
pub(crate) type Samples = BTreeMap<String, f64>;

/// What series are to be; those that are to be gone have no value.
type Effects = BTreeMap<String, Option<f64>>;

/// How helpers are called.
#[derive(Clone, Copy)]
pub(crate) enum Via {
    /// As methods of the instance.
    Methods,
    /// As free functions, which record into the installed instance.
    Functions,
}

/// Drives an instance.
pub(crate) struct Driver {
    pub(crate) metrics: Metrics,
    clock: Clock,
    via: Via,
    /// Whether the effect of each step is checked.
    checked: bool,
    /// By how much the wall clock jumps while something is under way: back, then forward.
    jump: Cell<Duration>,
    called: RefCell<BTreeSet<&'static str>>,
    /// What is under way when the drive ends.
    held: RefCell<Vec<Box<dyn Any>>>,
    before: Samples,
    last: Samples,
    expected: Samples,
    moved: BTreeSet<String>,
    /// The step that each series appeared with.
    born: BTreeMap<String, usize>,
    steps: usize,
}

impl Driver {
    /// A driver of a new instance.
    pub(crate) fn new(via: Via) -> Self {
        Self::built(via, |builder| builder)
    }

    /// A driver of a new instance that is configured further.
    pub(crate) fn built(via: Via, configure: impl FnOnce(Builder) -> Builder) -> Self {
        let clock = Clock::manual();
        clock.set_wall(UNIX_EPOCH + START);
        let builder = Metrics::builder()
            .service("1.4.2", "order-gateway")
            .cap_of::<RateLimitEndpoint>(RATE_LIMIT_CAP)
            .clock(clock.clone());
        let metrics = configure(builder).build().unwrap();
        Self::of(metrics, clock, via)
    }

    /// A driver of an instance that has this clock.
    pub(crate) fn of(metrics: Metrics, clock: Clock, via: Via) -> Self {
        let before = samples(&metrics.to_text());
        Self {
            metrics,
            clock,
            via,
            checked: true,
            jump: Cell::default(),
            called: RefCell::default(),
            held: RefCell::default(),
            last: before.clone(),
            before,
            expected: Samples::new(),
            moved: BTreeSet::new(),
            born: BTreeMap::new(),
            steps: 0,
        }
    }

    /// Has the wall clock jump to and fro, within the day, whenever time goes by.
    pub(crate) fn jump(&self) {
        self.jump.set(Duration::from_hours(3));
    }

    /// Calls every helper but those of [`Driver::watch`].
    pub(crate) fn drive(&mut self) {
        // First, as from then on nothing is read from the process.
        process::drive(self);
        http::drive(self);
        http_client::drive(self);
        database::drive(self);
        cache::drive(self);
        websocket::drive(self);
        smart_orders::drive(self);
        strategies::drive(self);
        fno::drive(self);
        ticker_service::drive(self);
        auth::drive(self);
        statements::drive(self);
        market_data::drive(self);
        workers::drive(self);
        business::drive(self);
        errors::drive(self);
        rate_limits::drive(self);
        self_metrics::drive(self);
    }

    /// Makes the instance watch what has figures of its own from then on.
    pub(crate) fn watch(&mut self) {
        process::watch(self);
    }

    /// Calls every helper as [`Driver::drive`] does, and does not look at what comes of it.
    pub(crate) fn record(&mut self) {
        self.checked = false;
        self.drive();
        self.checked = true;
    }

    /// Ends what is under way.
    pub(crate) fn release(&mut self) {
        self.held.get_mut().clear();
    }

    /// Asserts that everything is as it was before, but for what is read from the process.
    #[track_caller]
    pub(crate) fn assert_untouched(&self) {
        let own = |samples: &Samples| -> Vec<(String, String)> {
            let own = samples.iter().filter(|(series, _)| !series.starts_with("process_"));
            own.map(|(series, value)| (series.clone(), value.to_string())).collect()
        };
        assert_eq!(own(&self.before), own(&samples(&self.metrics.to_text())));
    }

    /// The helpers that were called.
    pub(crate) fn called(&self) -> BTreeSet<&'static str> {
        self.called.borrow().clone()
    }

    /// What was exposed before.
    pub(crate) fn before(&self) -> &Samples {
        &self.before
    }

    /// What every series that was moved came to, by the effects of the steps.
    pub(crate) fn expected(&self) -> &Samples {
        &self.expected
    }

    /// The series that were moved by a step, be it there and back.
    pub(crate) fn moved(&self) -> &BTreeSet<String> {
        &self.moved
    }

    /// The step that each series appeared with, but for those that were there before.
    pub(crate) fn born(&self) -> &BTreeMap<String, usize> {
        &self.born
    }

    /// An event and its effect.
    #[track_caller]
    fn step<T>(&mut self, act: impl FnOnce(&Self) -> T, effect: &str) -> T {
        let result = act(self);
        if self.checked {
            let before = std::mem::replace(&mut self.last, samples(&self.metrics.to_text()));
            self.check(&before, effect);
        }
        result
    }

    /// An event and its effect, in which `$` stands for a label value.
    #[track_caller]
    fn step_with<T>(&mut self, value: &str, act: impl FnOnce(&Self) -> T, effect: &str) -> T {
        self.step(act, &effect.replace('$', value))
    }

    #[track_caller]
    fn check(&mut self, before: &Samples, effect: &str) {
        self.steps += 1;
        let panicked = PANICKED.take();
        for series in self.last.keys().filter(|series| !before.contains_key(*series)) {
            self.born.entry(series.clone()).or_insert(self.steps);
        }
        let mut effects = Effects::new();
        for line in effect.lines().map(str::trim).filter(|line| !line.is_empty()) {
            self.add_effects(&mut effects, before, line);
        }
        for series in before.keys().chain(self.last.keys()).chain(effects.keys()) {
            if is_of(series, "metrics_series") {
                // Every scrape sets it from what it shows.
                continue;
            }
            let (old, new) = (before.get(series), self.last.get(series));
            let expected = effects.get(series).map_or(old, Option::as_ref);
            // Nobody gave up what a panic ended.
            assert!(
                !panicked || same(old, new) || !series.contains("=\"cancelled\""),
                "{series} counts a panic"
            );
            assert!(
                same(expected, new),
                "{series} is {new:?} and not {expected:?} after\n{effect}"
            );
            if !same(old, new) && !self.moved.contains(series) {
                self.moved.insert(series.clone());
            }
        }
        for (series, value) in effects {
            match value {
                Some(value) => self.expected.insert(series, value),
                None => self.expected.remove(&series),
            };
        }
    }

    /// Adds what a line says.
    #[track_caller]
    fn add_effects(&self, effects: &mut Effects, before: &Samples, line: &str) {
        let mut change = |series: String, by: f64| {
            let old = before.get(&series).copied().unwrap_or(0.0);
            let value = effects.entry(series).or_insert(Some(old));
            *value = value.map(|value| value + by);
        };
        if let Some((series, values)) = line.split_once(" observes ") {
            let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
            let inner = labels.strip_suffix('}').unwrap();
            let labels = if inner.is_empty() { String::new() } else { format!("{{{labels}") };
            let comma = if inner.is_empty() { "" } else { "," };
            let bucket = format!("{name}_bucket{{{inner}{comma}le=\"");
            let buckets: Vec<(&String, f64)> = self
                .last
                .range(bucket.clone()..)
                .map_while(|(series, _)| Some((series, series.strip_prefix(&bucket)?)))
                .map(|(series, bound)| (series, bound.strip_suffix("\"}").unwrap()))
                .map(|(series, bound)| (series, bound.parse().unwrap()))
                .collect();
            assert!(!buckets.is_empty(), "{series} has no buckets");
            for value in values.split(' ') {
                let value: f64 = value.parse().unwrap();
                change(format!("{name}_count{labels}"), 1.0);
                change(format!("{name}_sum{labels}"), value);
                for (series, bound) in &buckets {
                    change((*series).clone(), f64::from(u8::from(value <= *bound)));
                }
            }
        } else if let Some(series) = line.strip_suffix(" gone") {
            assert!(before.contains_key(series), "{series} was not there");
            assert!(!self.last.contains_key(series), "{series} is still there");
            effects.insert(series.to_owned(), None);
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            match (series.strip_suffix(" ="), value) {
                (Some(series), "now") => {
                    let now = self.clock.wall().duration_since(UNIX_EPOCH).unwrap();
                    effects.insert(series.to_owned(), Some(now.as_secs_f64()));
                }
                (Some(series), value) => {
                    effects.insert(series.to_owned(), Some(value.parse().unwrap()));
                }
                (None, by) => {
                    assert!(by.starts_with(['+', '-']), "{line}");
                    change(series.to_owned(), by.parse().unwrap());
                }
            }
        }
    }

    fn note(&self, helper: &'static str) {
        self.called.borrow_mut().insert(helper);
    }

    fn advance(&self, by: Duration) {
        self.clock.advance(by);
        let (wall, start) = (self.clock.wall(), UNIX_EPOCH + START);
        let jump = self.jump.get();
        self.clock.set_wall(if wall < start { wall + jump } else { wall - jump });
    }

    /// Keeps a guard to the end of the driver.
    fn hold(&self, guard: impl Any) {
        self.held.borrow_mut().push(Box::new(guard));
    }
}

/// The series of an exposition in text.
#[track_caller]
pub(crate) fn samples(text: &str) -> Samples {
    let mut samples = Samples::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let twice = samples.insert(series.to_owned(), value.parse().unwrap());
        assert_eq!(twice, None, "{series} is exposed twice");
    }
    samples
}

/// The name of a series' family, told by the name of the series.
pub(crate) fn is_of(series: &str, family: &str) -> bool {
    let name = series.split('{').next().unwrap();
    name == family
        || ["_bucket", "_sum", "_count"]
            .iter()
            .any(|part| name.strip_suffix(part).is_some_and(|name| name == family))
}

/// Whether two values are the same; a series that is not there is at zero.
fn same(one: Option<&f64>, other: Option<&f64>) -> bool {
    let (one, other) = (*one.unwrap_or(&0.0), *other.unwrap_or(&0.0));
    // Sums are whole numbers of nanoseconds, their differences as floating-point numbers are not.
    (one.is_nan() && other.is_nan()) || (one - other).abs() <= 1e-9 + 1e-12 * one.abs()
}

thread_local! {
    /// Whether the step at hand dropped a guard by a panic.
    static PANICKED: Cell<bool> = const { Cell::new(false) };
}

/// Drops a guard as a panic does, but for the message.
fn panic_with(guard: impl Any) {
    PANICKED.set(true);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _guard = guard;
        resume_unwind(Box::new("on purpose"));
    }));
    panicked.unwrap_err();
}

fn us(microseconds: u64) -> Duration {
    Duration::from_micros(microseconds)
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn started() -> SystemTime {
    UNIX_EPOCH + START - Duration::from_hours(2)
}

/// What work came to that is done.
const DONE: Result<(), ()> = Ok(());
/// What work came to that failed.
const FAILED: Result<(), ()> = Err(());
