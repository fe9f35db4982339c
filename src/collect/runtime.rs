//! The figures of tokio runtimes.

use std::time::Duration;

use crate::registry::{Part, Registrar};

/// The figures of a tokio runtime, or of all runtimes of a process together.
///
/// Later versions may have more fields: end with `..RuntimeStats::default()`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RuntimeStats {
    /// Threads that run tasks.
    pub workers: u64,
    /// Tasks that were spawned and have not ended.
    pub alive_tasks: u64,
    /// Tasks in the queue that all workers share.
    pub global_queue_depth: u64,
    /// Time that the workers spent on tasks since the runtime started, added up.
    pub busy: Duration,
}

/// The runtimes that are read before a scrape.
#[derive(Debug, Default)]
pub(crate) struct RuntimeSources(
    #[cfg(feature = "tokio")] parking_lot::Mutex<Vec<tokio::runtime::Handle>>,
);

#[cfg(feature = "tokio")]
impl RuntimeSources {
    /// Adds a runtime, unless it is there.
    pub(crate) fn add(&self, handle: &tokio::runtime::Handle) {
        let mut handles = self.0.lock();
        if !handles.iter().any(|known| known.id() == handle.id()) {
            handles.push(handle.clone());
        }
    }

    /// The sum over all runtimes, if there are any. One that was shut down keeps its busy time, so that the
    /// sum never goes back.
    pub(crate) fn read(&self) -> Option<RuntimeStats> {
        self.0.lock().iter().map(stats).reduce(|a, b| RuntimeStats {
            workers: a.workers.saturating_add(b.workers),
            alive_tasks: a.alive_tasks.saturating_add(b.alive_tasks),
            global_queue_depth: a.global_queue_depth.saturating_add(b.global_queue_depth),
            busy: a.busy.saturating_add(b.busy),
        })
    }
}

#[cfg(not(feature = "tokio"))]
impl RuntimeSources {
    /// There are none.
    #[expect(clippy::unused_self, reason = "as with the feature")]
    pub(crate) const fn read(&self) -> Option<RuntimeStats> {
        None
    }
}

#[cfg(feature = "tokio")]
fn stats(handle: &tokio::runtime::Handle) -> RuntimeStats {
    let metrics = handle.metrics();
    let workers = metrics.num_workers();
    RuntimeStats {
        workers: workers as u64,
        alive_tasks: metrics.num_alive_tasks() as u64,
        global_queue_depth: metrics.global_queue_depth() as u64,
        busy: (0..workers).map(|worker| metrics.worker_total_busy_duration(worker)).sum(),
    }
}

impl Part for RuntimeSources {
    fn register(_: &mut Registrar) -> Self {
        Self::default()
    }
}

#[cfg(all(test, feature = "tokio"))]
mod tests {
    use super::RuntimeSources;

    #[test]
    fn runtimes_are_added_up_and_each_counts_once() {
        let sources = RuntimeSources::default();
        assert_eq!(sources.read(), None);
        let one = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let other = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for runtime in [&one, &other, &one] {
            sources.add(runtime.handle());
        }
        let task = one.spawn(std::future::pending::<()>());
        let stats = sources.read().unwrap();
        assert_eq!((stats.workers, stats.alive_tasks, stats.global_queue_depth), (2, 1, 1));
        one.block_on(async { tokio::task::yield_now().await });
        assert_eq!(sources.read().unwrap().global_queue_depth, 0);
        task.abort();
        drop((one, other));
        assert_eq!(sources.read().unwrap().alive_tasks, 0);
    }
}
