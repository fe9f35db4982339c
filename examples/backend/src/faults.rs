//! Trouble made on purpose.
//!
//! A fault is on or off. The modules that it is named for look at it and make trouble of the real kind: a pool
//! without a free connection, a server that hangs up, a client that does not read.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use clap::ValueEnum;

/// A kind of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Fault {
    /// Connections of the pool are taken and kept, and queries fail
    Database,
    /// Redis hangs up
    Redis,
    /// The ticker service answers with errors
    Ticker,
    /// The ticker service takes seconds to answer
    TickerSlow,
    /// WebSocket clients stop reading
    SlowClients,
    /// A tenth of the requests ends in an internal error
    Errors,
    /// A tenth of the requests panics
    Panics,
    /// A tenth of the jobs of workers panics
    WorkerPanics,
}

const FAULTS: usize = Fault::WorkerPanics as usize + 1;

const OFF: u8 = 0;
const ON: u8 = 1;
const ONCE: u8 = 2;

/// Which faults are on.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    states: Arc<[AtomicU8; FAULTS]>,
}

impl Faults {
    /// Those of `faults` on.
    #[must_use]
    pub fn new(faults: &[Fault]) -> Self {
        let this = Self::default();
        this.turn_on(faults);
        this
    }

    /// Makes trouble from now on.
    pub fn turn_on(&self, faults: &[Fault]) {
        for fault in faults {
            self.state(*fault).store(ON, Ordering::Relaxed);
        }
    }

    /// Ends the trouble if it is made, and makes it if it is not.
    pub fn switch(&self, faults: &[Fault]) {
        for fault in faults {
            let state = if self.is_on(*fault) { OFF } else { ON };
            self.state(*fault).store(state, Ordering::Relaxed);
        }
    }

    /// Whether there is to be trouble.
    #[must_use]
    pub fn is_on(&self, fault: Fault) -> bool {
        self.state(fault).load(Ordering::Relaxed) == ON
    }

    /// Whether this one shall have trouble: one in ten while the fault is on, and the first after
    /// [`once`](Self::once).
    #[must_use]
    pub fn strikes(&self, fault: Fault) -> bool {
        if self.is_on(fault) {
            return rand::random_ratio(1, 10);
        }
        self.replace(fault, ONCE, OFF)
    }

    /// Makes trouble for one, unless it is made anyway.
    pub fn once(&self, fault: Fault) {
        self.replace(fault, OFF, ONCE);
    }

    /// Waits until there is to be trouble.
    pub async fn begin(&self, fault: Fault) {
        while !self.is_on(fault) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Makes trouble for a while, unless it is made anyway.
    pub async fn hold(&self, fault: Fault, time: Duration) {
        if self.replace(fault, OFF, ON) {
            // So that it ends as well when whoever makes it is stopped half-way.
            let _end = End(self, fault);
            tokio::time::sleep(time).await;
        }
    }

    fn state(&self, fault: Fault) -> &AtomicU8 {
        &self.states[fault as usize]
    }

    fn replace(&self, fault: Fault, from: u8, to: u8) -> bool {
        self.state(fault).compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

struct End<'a>(&'a Faults, Fault);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.state(self.1).store(OFF, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Fault, Faults};

    #[test]
    fn a_fault_that_is_made_once_strikes_one() {
        let faults = Faults::default();
        assert!(!faults.strikes(Fault::Panics));
        faults.once(Fault::Panics);
        assert!(!faults.strikes(Fault::Errors));
        assert!(faults.strikes(Fault::Panics));
        assert!(!faults.strikes(Fault::Panics));
    }

    #[test]
    fn faults_that_are_switched_end_and_begin_again() {
        let faults = Faults::new(&[Fault::Redis, Fault::Errors]);
        for is_on in [false, true] {
            faults.switch(&[Fault::Redis]);
            assert_eq!(faults.is_on(Fault::Redis), is_on);
            assert!(faults.is_on(Fault::Errors));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_fault_that_is_held_ends_even_when_its_maker_is_dropped() {
        let faults = Faults::new(&[Fault::Errors]);
        for fault in [Fault::Redis, Fault::Errors] {
            let held = faults.hold(fault, Duration::from_secs(5));
            drop(tokio::time::timeout(Duration::from_secs(1), held).await);
        }
        assert!(!faults.is_on(Fault::Redis));
        assert!(faults.is_on(Fault::Errors));
    }
}
