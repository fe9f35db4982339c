//! What the unit tests have in common.

use crate::{Clock, Metrics, exposition::value_in};

/// An instance with a clock that the test moves.
pub(crate) struct Fixture {
    pub(crate) metrics: Metrics,
    pub(crate) clock: Clock,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let clock = Clock::manual();
        let metrics = Metrics::builder().clock(clock.clone()).build().unwrap();
        Self { metrics, clock }
    }

    /// The value of one exposed series, given with its labels.
    pub(crate) fn series(&self, series: &str) -> Option<f64> {
        self.metrics.value(series)
    }

    /// Asserts the values of exposed series.
    #[track_caller]
    pub(crate) fn assert_series(&self, expected: &[(&str, f64)]) {
        let text = self.metrics.to_text();
        for (series, value) in expected {
            assert_eq!(value_in(&text, series), Some(*value), "{series}\n{text}");
        }
    }
}

/// What panics when it is dropped, be it carried by a panic.
pub(crate) struct PanicsAgain;

impl Drop for PanicsAgain {
    fn drop(&mut self) {
        panic!("what is dropped panics, as the test wants");
    }
}

/// A subsystem that a test holds up while it is encoded.
#[expect(unreachable_pub, reason = "what `families!` declares is public")]
pub(crate) mod gate {
    use parking_lot::{Condvar, Mutex};

    use crate::{Counter, Part, Registrar};

    families! {
        /// A gate and who passed it.
        pub struct Gated = "gated" {
            with {
                /// What encoding has to pass.
                pub(crate) gate: Gate,
            }

            /// Times that encoding passed
            pub passed: Counter = "gated_passed_total",
        }
        on_scrape = Gated::pass
    }

    impl Gated {
        fn pass(&self, _: &crate::Now) {
            self.gate.pass();
            self.passed.inc();
        }
    }

    /// Open, unless it is closed.
    #[derive(Debug, Default)]
    pub(crate) struct Gate {
        state: Mutex<State>,
        changed: Condvar,
    }

    #[derive(Debug, Default)]
    struct State {
        closed: bool,
        arrivals: usize,
    }

    impl Part for Gate {
        fn register(_: &mut Registrar) -> Self {
            Self::default()
        }
    }

    impl Gate {
        pub(crate) fn close(&self) {
            self.state.lock().closed = true;
        }

        pub(crate) fn open(&self) {
            self.state.lock().closed = false;
            self.changed.notify_all();
        }

        /// How often the gate was come to.
        pub(crate) fn arrivals(&self) -> usize {
            self.state.lock().arrivals
        }

        pub(crate) fn wait_for_arrivals(&self, count: usize) {
            self.changed.wait_while(&mut self.state.lock(), |state| state.arrivals < count);
        }

        fn pass(&self) {
            let mut state = self.state.lock();
            state.arrivals += 1;
            self.changed.notify_all();
            self.changed.wait_while(&mut state, |state| state.closed);
        }
    }
}
