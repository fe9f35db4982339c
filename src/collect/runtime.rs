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

/// What the runtimes that are watched come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Watched {
    /// Of those that run; none once all have ended.
    pub(crate) running: Option<RuntimeStats>,
    /// Of all, those that have ended included: it never goes back.
    pub(crate) busy: Duration,
}

#[cfg(feature = "tokio")]
pub(crate) use self::watched::RuntimeSources;

/// Without the feature there are none.
#[cfg(not(feature = "tokio"))]
#[derive(Debug)]
pub(crate) struct RuntimeSources;

#[cfg(not(feature = "tokio"))]
impl RuntimeSources {
    #[expect(clippy::unused_self, reason = "as with the feature")]
    pub(crate) const fn read(&self) -> Option<Watched> {
        None
    }
}

#[cfg(not(feature = "tokio"))]
impl Part for RuntimeSources {
    fn register(_: &mut Registrar) -> Self {
        Self
    }
}

#[cfg(feature = "tokio")]
mod watched {
    use std::{
        pin::Pin,
        sync::{
            Arc,
            atomic::{AtomicBool, Ordering::Relaxed},
        },
        task::{Context, Poll},
        time::Duration,
    };

    use parking_lot::Mutex;
    use tokio::runtime::{Handle, Id};

    use super::{Part, Registrar, RuntimeStats, Watched};

    /// The runtimes that are read before a scrape.
    ///
    /// A handle cannot tell whether its runtime has ended. A runtime drops all of its tasks when it is shut down, so a
    /// task that does nothing is spawned in each, one for all instances, and takes the handle out when it is dropped.
    #[derive(Debug)]
    pub(crate) struct RuntimeSources {
        /// Whether anybody sees what they come to.
        exposed: bool,
        runtimes: Arc<Mutex<Runtimes>>,
    }

    #[derive(Debug, Default)]
    struct Runtimes {
        running: Vec<Runtime>,
        /// Of those that have ended.
        busy: Duration,
        /// Whether there ever was one.
        any: bool,
    }

    #[derive(Debug)]
    struct Runtime {
        handle: Handle,
        /// Whether the task that watches it is in no queue any more.
        polled: Arc<AtomicBool>,
    }

    /// The runtimes that have a task that watches them.
    static WATCHED: Mutex<Vec<Watchers>> = Mutex::new(Vec::new());

    struct Watchers {
        id: Id,
        polled: Arc<AtomicBool>,
        /// Who is told of the end.
        told: Vec<Arc<Mutex<Runtimes>>>,
    }

    /// The task that watches a runtime.
    struct Watch {
        id: Id,
        polled: Arc<AtomicBool>,
    }

    impl RuntimeSources {
        /// Adds a runtime, unless it is there.
        pub(crate) fn add(&self, handle: &Handle) {
            if !self.exposed {
                return;
            }
            let id = handle.id();
            let mut watched = WATCHED.lock();
            let mut runtimes = self.runtimes.lock();
            if runtimes.running.iter().any(|known| known.handle.id() == id) {
                return;
            }
            let known = watched.iter_mut().find(|watchers| watchers.id == id);
            let is_watched = known.is_some();
            let polled = known.map_or_else(Arc::default, |watchers| {
                watchers.told.push(Arc::clone(&self.runtimes));
                Arc::clone(&watchers.polled)
            });
            if !is_watched {
                let (polled, told) = (Arc::clone(&polled), vec![Arc::clone(&self.runtimes)]);
                watched.push(Watchers { id, polled, told });
            }
            runtimes.any = true;
            let runtime = Runtime { handle: handle.clone(), polled: Arc::clone(&polled) };
            runtimes.running.push(runtime);
            drop((runtimes, watched));
            if !is_watched {
                // It is dropped at once if the runtime has ended.
                handle.spawn(Watch { id, polled });
            }
        }

        /// What the runtimes come to, if there were any.
        pub(crate) fn read(&self) -> Option<Watched> {
            let runtimes = self.runtimes.lock();
            let running = runtimes.running.iter().map(Runtime::stats).reduce(|a, b| RuntimeStats {
                workers: a.workers.saturating_add(b.workers),
                alive_tasks: a.alive_tasks.saturating_add(b.alive_tasks),
                global_queue_depth: a.global_queue_depth.saturating_add(b.global_queue_depth),
                busy: a.busy.saturating_add(b.busy),
            });
            let busy = running.map_or(Duration::ZERO, |running| running.busy);
            let busy = runtimes.busy.saturating_add(busy);
            runtimes.any.then_some(Watched { running, busy })
        }
    }

    impl Part for RuntimeSources {
        fn register(registrar: &mut Registrar) -> Self {
            Self { exposed: registrar.is_exposed(), runtimes: Arc::default() }
        }
    }

    impl Runtimes {
        fn end(&mut self, id: Id) {
            if let Some(position) = self.running.iter().position(|known| known.handle.id() == id) {
                let ended = self.running.swap_remove(position);
                self.busy = self.busy.saturating_add(ended.busy());
            }
        }
    }

    impl Runtime {
        /// Its figures without the task that watches it.
        fn stats(&self) -> RuntimeStats {
            let metrics = self.handle.metrics();
            let queued = usize::from(!self.polled.load(Relaxed));
            RuntimeStats {
                workers: metrics.num_workers() as u64,
                alive_tasks: metrics.num_alive_tasks().saturating_sub(1) as u64,
                global_queue_depth: metrics.global_queue_depth().saturating_sub(queued) as u64,
                busy: self.busy(),
            }
        }

        /// None before the task that watches it was polled: a runtime that has ended never does, and its time was
        /// added when it ended.
        fn busy(&self) -> Duration {
            if !self.polled.load(Relaxed) {
                return Duration::ZERO;
            }
            let metrics = self.handle.metrics();
            (0..metrics.num_workers())
                .map(|worker| metrics.worker_total_busy_duration(worker))
                .sum()
        }
    }

    impl Future for Watch {
        type Output = ();

        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            self.polled.store(true, Relaxed);
            Poll::Pending
        }
    }

    impl Drop for Watch {
        fn drop(&mut self) {
            let mut watched = WATCHED.lock();
            let position = watched.iter().position(|watchers| watchers.id == self.id);
            let watchers = position.map(|position| watched.swap_remove(position));
            drop(watched);
            for runtimes in watchers.into_iter().flat_map(|watchers| watchers.told) {
                runtimes.lock().end(self.id);
            }
        }
    }

    #[cfg(test)]
    mod tests {
        use std::collections::HashMap;

        use super::*;
        use crate::registry::Accounts;

        fn sources() -> RuntimeSources {
            RuntimeSources::register(&mut Registrar::new(1, HashMap::new(), 0, Accounts::Plain))
        }

        fn runtime() -> tokio::runtime::Runtime {
            tokio::runtime::Builder::new_current_thread().build().unwrap()
        }

        #[test]
        fn runtimes_are_added_up_and_each_counts_once() {
            let sources = sources();
            assert_eq!(sources.read(), None);
            let (one, other) = (runtime(), runtime());
            for runtime in [&one, &other, &one] {
                sources.add(runtime.handle());
            }
            let task = one.spawn(std::future::pending::<()>());
            let stats = sources.read().unwrap().running.unwrap();
            assert_eq!((stats.workers, stats.alive_tasks, stats.global_queue_depth), (2, 1, 1));
            one.block_on(async { tokio::task::yield_now().await });
            assert_eq!(sources.read().unwrap().running.unwrap().global_queue_depth, 0);
            task.abort();
        }

        #[test]
        fn a_runtime_that_has_ended_is_forgotten_and_its_busy_time_is_not() {
            let sources = sources();
            let (stays, ends) = (runtime(), runtime());
            sources.add(stays.handle());
            sources.add(ends.handle());
            let handle = ends.handle().clone();
            ends.block_on(async { std::hint::black_box((0..100_000).sum::<u64>()) });
            let busy = sources.read().unwrap().busy;
            drop(ends);
            let read = sources.read().unwrap();
            assert_eq!(read.running.unwrap().workers, 1);
            assert!(read.busy >= busy);
            assert_eq!(sources.runtimes.lock().running.len(), 1);
            // One that has ended before it is watched.
            sources.add(&handle);
            assert_eq!(sources.read().unwrap().running.unwrap().workers, 1);
            drop(stays);
            assert_eq!(sources.read().unwrap(), Watched { running: None, busy: read.busy });
        }

        #[test]
        fn a_runtime_of_several_threads_is_forgotten_however_it_is_shut_down() {
            let sources = sources();
            for shut_down in [drop, tokio::runtime::Runtime::shutdown_background] {
                let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build();
                let runtime = runtime.unwrap();
                sources.add(runtime.handle());
                shut_down(runtime);
                // In the background it takes a moment.
                while sources.read().unwrap().running.is_some() {
                    std::thread::yield_now();
                }
            }
        }
    }
}
