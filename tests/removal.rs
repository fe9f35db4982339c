//! Series of values that have ended are removed, and nothing that another thread does meanwhile shows up in a wrong
//! place.

mod common;

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    thread::{self, ScopedJoinHandle},
};

use backend_metrics::{
    Domain, Format, Gauge, GaugeFamily, LateGauge, LateGaugeFamily, Metrics, Open, families,
    open_labels,
};
use common::exposition::{Exposition, parse, read};

open_labels! {
    /// A session of the terminal, and its user.
    pub struct Session(user, session) [removable];
}

families! {
    /// Sessions of the terminal.
    pub struct TerminalMetrics = "terminal" {
        with {
            /// The sessions that are open.
            pub sessions: Domain<Session>,
        }

        /// Windows that a session shows
        pub windows: GaugeFamily<Open<Session>> = "terminal_windows",

        /// Delay of a session
        pub delay: LateGaugeFamily<Open<Session>> = "terminal_delay_seconds",
    }
}

/// Sessions that come and go.
const SESSIONS: usize = 24;
/// Fewer than there are, so that places are given up and taken.
const CAP: usize = 8;
/// What each thread does so many times.
const ROUNDS: usize = 20_000;

fn terminal(cap: usize) -> (Metrics, &'static TerminalMetrics) {
    let metrics =
        Metrics::builder().mount::<TerminalMetrics>().cap_of::<Session>(cap).build().unwrap();
    (metrics, metrics.mounted().unwrap())
}

fn session(number: usize) -> (&'static str, String) {
    ("trader", format!("session {number}"))
}

impl TerminalMetrics {
    fn find(&self, number: usize) -> Open<Session> {
        let (user, session) = session(number);
        self.sessions.get((user, &session))
    }

    fn end(&self, number: usize) -> bool {
        let (user, session) = session(number);
        self.sessions.remove((user, &session))
    }

    /// Sets a number that tells whose it is.
    fn set(&self, number: usize, place: Open<Session>, round: usize) {
        let (windows, delay) = self.handles(place);
        #[expect(clippy::cast_precision_loss, reason = "they are small")]
        let value = (number + SESSIONS * round) as f64;
        windows.set(value);
        delay.set(value);
    }

    fn handles(&self, place: Open<Session>) -> (Gauge, LateGauge) {
        (self.windows.get(place), self.delay.get(place))
    }
}

/// Asserts that each session shows a number of its own, or none as long as it has not been set.
fn assert_own_numbers(exposition: &Exposition) {
    for sample in exposition.samples().filter(|sample| sample.name.starts_with("terminal_")) {
        let (_, shown) = &sample.labels[1];
        if shown != "other" {
            let value: usize = sample.value.parse().unwrap();
            let (_, own) = session(value % SESSIONS);
            let is_unset = value == 0 && sample.name == "terminal_windows";
            assert!(is_unset || own == *shown, "{sample:?}");
        }
    }
}

#[test]
fn sessions_that_come_and_go_never_show_the_number_of_another() {
    let (metrics, terminal) = terminal(CAP);
    let (overflows, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let other = terminal.sessions.get(("other", "other"));
    // Places from before, which are used whether their sessions are there or not.
    let kept: Vec<_> = (1..=CAP).map(|number| (number, terminal.find(number))).collect();
    thread::scope(|scope| {
        let mut threads = Vec::new();
        for step in [1, 5, 7] {
            let overflows = &overflows;
            threads.push(scope.spawn(move || {
                for round in 0..ROUNDS {
                    let number = round * step % SESSIONS;
                    let place = terminal.find(number);
                    if place == other {
                        overflows.fetch_add(1, Relaxed);
                    } else {
                        terminal.set(number, place, round);
                    }
                }
            }));
        }
        let kept = &kept;
        threads.push(scope.spawn(move || {
            for round in 0..ROUNDS {
                let (number, place) = kept[round % kept.len()];
                terminal.set(number, place, round);
            }
        }));
        threads.push(scope.spawn(move || {
            for round in 0..ROUNDS {
                terminal.end(round * 11 % SESSIONS);
            }
        }));
        let observer = scope.spawn(|| {
            let mut scrapes = 0;
            while !stop.load(Relaxed) {
                let text = metrics.encode(Format::Text);
                assert_own_numbers(&parse(&text, Format::Text).unwrap());
                scrapes += 1;
            }
            scrapes
        });
        let recorded: Vec<_> = threads.into_iter().map(ScopedJoinHandle::join).collect();
        stop.store(true, Relaxed);
        assert!(observer.join().unwrap() > 1);
        assert!(recorded.iter().all(Result::is_ok));
    });

    let exposition = read(metrics);
    assert!(exposition.values_of("terminal_windows", "session").len() <= CAP + 1);
    let counted =
        exposition.value("metrics_label_overflows_total", &[("family", "terminal_windows")]);
    assert_eq!(counted, Some(&*overflows.load(Relaxed).to_string()));
    assert!(overflows.into_inner() > 0, "no session found the cap reached");

    // All places can be had again.
    (0..SESSIONS).for_each(|number| _ = terminal.end(number));
    assert!(!metrics.to_text().contains("session 1"));
    assert!((0..CAP).all(|number| terminal.find(number) != other));
    assert!(terminal.find(CAP) == other);
}

#[test]
fn what_is_set_through_a_place_from_before_is_forgotten_when_the_values_come_back() {
    let (metrics, terminal) = terminal(CAP);
    let kept = terminal.find(1);
    let (windows, delay) = terminal.handles(kept);
    windows.set(4.0);
    delay.set(0.5);
    assert!(terminal.end(1));
    assert!(!terminal.end(1), "it has ended");
    assert!(terminal.sessions.find(("trader", "session 1")).is_none());
    windows.set(5.0);
    delay.set(0.25);
    assert!(!metrics.to_text().contains("session 1"), "it is not shown");

    assert!(terminal.find(1) == kept, "a place is that of its values");
    let labels = r#"{user="trader",session="session 1"}"#;
    let value = |name: &str| metrics.value(&format!("{name}{labels}"));
    assert_eq!(value("terminal_windows"), Some(0.0));
    assert_eq!(value("terminal_delay_seconds"), None);
    windows.set(6.0);
    assert_eq!(value("terminal_windows"), Some(6.0));
}

/// As many as the documentation of `Domain::remove` says.
#[test]
fn a_removed_session_comes_back_though_no_new_one_is_taken() {
    let (metrics, terminal) = terminal(2);
    for number in 0..2 * 64 {
        terminal.find(number);
        assert!(terminal.end(number));
    }
    assert!(terminal.find(1_000) == terminal.sessions.get(("other", "other")));
    assert!(terminal.find(7) != terminal.sessions.get(("other", "other")));
    assert_eq!(read(metrics).values_of("terminal_windows", "session"), ["other", "session 7"]);
}

#[test]
fn what_is_not_there_cannot_be_removed() {
    let (metrics, terminal) = terminal(1);
    terminal.find(1);
    terminal.find(2);
    for values in [("trader", "session 2"), ("other", "other"), ("session 1", "trader"), ("", "")] {
        assert!(!terminal.sessions.remove(values), "{values:?}");
    }
    assert_eq!(read(metrics).values_of("terminal_windows", "session"), ["other", "session 1"]);
}
