//! Trouble made on purpose.
//!
//! A fault is on or off. The modules that it is named for look at it and make trouble of the real kind: a pool
//! without a free connection, a server that hangs up, a client that does not read.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
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
    /// A handler panics now and then, and so does a worker
    Panics,
}

/// Which faults are on.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    on: Arc<[AtomicBool; 7]>,
}

impl Faults {
    /// Those of `faults` on.
    #[must_use]
    pub fn new(faults: &[Fault]) -> Self {
        let this = Self::default();
        for fault in faults {
            this.set(*fault, true);
        }
        this
    }

    /// Whether there is to be trouble.
    #[must_use]
    pub fn is_on(&self, fault: Fault) -> bool {
        self.on[fault as usize].load(Ordering::Relaxed)
    }

    /// Begins or ends trouble.
    pub fn set(&self, fault: Fault, on: bool) {
        self.on[fault as usize].store(on, Ordering::Relaxed);
    }

    /// Waits until there is to be trouble.
    pub async fn begin(&self, fault: Fault) {
        while !self.is_on(fault) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Makes trouble for a while, unless it is made anyway.
    pub async fn hold(&self, fault: Fault, time: Duration) {
        if !self.is_on(fault) {
            // So that a fault ends when whoever made it is stopped half-way.
            let _end = End(self, fault);
            self.set(fault, true);
            tokio::time::sleep(time).await;
        }
    }
}

struct End<'a>(&'a Faults, Fault);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.set(self.1, false);
    }
}
