//! Connection pools.

use std::{fmt, mem};

use parking_lot::Mutex;

use super::callback::{Call, Callback, CallbackError, Deadline};
use crate::registry::{Now, Part, Registrar};

/// The connections of a pool.
///
/// Later versions may have more fields: end with `..PoolStats::default()`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolStats {
    /// In use by a caller.
    pub active: u32,
    /// Open and free.
    pub idle: u32,
    /// The most there can be, as configured.
    pub max: u32,
}

impl PoolStats {
    fn plus(self, other: Self) -> Self {
        Self {
            active: self.active.saturating_add(other.active),
            idle: self.idle.saturating_add(other.idle),
            max: self.max.saturating_add(other.max),
        }
    }
}

/// The pools of a process, by name.
pub(crate) struct PoolSources {
    /// Whether anybody sees what they give.
    exposed: bool,
    sources: Mutex<Sources>,
}

#[derive(Default)]
struct Sources {
    callbacks: Vec<Callback<PoolStats>>,
    /// Whether a scrape has set the gauges to what sources gave.
    shown: bool,
}

impl PoolSources {
    /// Adds a source, in place of one of the same name; `false` if nobody would see what it gives.
    pub(crate) fn add(&self, source: Callback<PoolStats>) -> bool {
        if !self.exposed {
            return false;
        }
        let mut sources = self.sources.lock();
        let known = sources.callbacks.iter_mut().find(|known| known.name() == source.name());
        let replaced = if let Some(known) = known {
            Some(mem::replace(known, source))
        } else {
            sources.callbacks.push(source);
            None
        };
        // It is the service's: it is dropped without the lock.
        drop(sources);
        drop(replaced);
        true
    }

    /// Removes a source, whose gauges `clear` leaves out; `false` if there is none of the name.
    pub(crate) fn remove(&self, name: &str, clear: impl FnOnce()) -> bool {
        let mut sources = self.sources.lock();
        let position = sources.callbacks.iter().position(|source| source.name() == name);
        let removed = position.map(|position| sources.callbacks.remove(position));
        if removed.is_some() {
            clear();
        }
        drop(sources);
        removed.is_some()
    }

    /// Begins all sources for a scrape.
    pub(crate) fn begin(&self, now: &Now, deadline: Deadline) -> Vec<Call<PoolStats>> {
        let sources = self.sources.lock();
        sources.callbacks.iter().map(|source| source.begin(now, deadline)).collect()
    }

    /// Sets the gauges of each source, and those of the sum over all: to none where a source gave nothing, and so there
    /// is no sum. Without sources the sum is left alone, after the last one was removed it is zero.
    pub(crate) fn finish(
        &self,
        calls: &[Call<PoolStats>],
        mut failed: impl FnMut(&str, CallbackError),
        set_each: impl Fn(&str, Option<PoolStats>),
        set: impl FnOnce(Option<PoolStats>),
    ) {
        let mut sum = Some(PoolStats::default());
        let mut given = Vec::new();
        for call in calls {
            let stats = call.finish().inspect_err(|error| failed(call.name(), *error)).ok();
            sum = sum.zip(stats).map(|(sum, stats)| sum.plus(stats));
            given.push((call.name(), stats));
        }
        let mut sources = self.sources.lock();
        // One that was removed meanwhile has no gauges any more.
        given.retain(|(name, _)| sources.callbacks.iter().any(|source| source.name() == *name));
        for (name, stats) in given {
            set_each(name, stats);
        }
        let shown = mem::replace(&mut sources.shown, !calls.is_empty());
        if shown || !calls.is_empty() {
            set(sum);
        }
    }
}

impl Part for PoolSources {
    fn register(registrar: &mut Registrar) -> Self {
        Self { exposed: registrar.is_exposed(), sources: Mutex::default() }
    }
}

impl fmt::Debug for PoolSources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PoolSources").field(&self.sources.lock().callbacks).finish()
    }
}
