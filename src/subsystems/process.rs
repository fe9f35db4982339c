//! The process and its runtime.
//!
//! | family | recorded by |
//! | --- | --- |
//! | `backend_service_info` | [`Builder::service`](crate::Builder::service) |
//! | `process_cpu_seconds_total`, `process_open_fds`, `process_max_fds`, `process_virtual_memory_bytes`, `process_resident_memory_bytes`, `process_start_time_seconds`, `process_threads` | the feature `process` on Linux, or [`Metrics::update_process`] |
//! | `tokio_workers`, `tokio_alive_tasks`, `tokio_global_queue_depth`, `tokio_worker_busy_seconds_total` | `Metrics::watch_tokio` (feature `tokio`), or [`Metrics::update_tokio`] |
//!
//! With the feature `process`, the figures are read from
//! [`/proc/self`](https://man7.org/linux/man-pages/man5/proc.5.html) before every scrape. What nobody
//! reads or gives is left out of the exposition, and so is what cannot be read for a scrape, as with no file descriptors
//! left; `metrics_callback_failures_total{callback="process"}` counts that.
//!
//! ```
//! use backend_metrics::{Metrics, ProcessStats};
//!
//! let metrics = Metrics::builder().service("1.4.2", "order-gateway").build()?;
//! metrics.update_process(ProcessStats { threads: Some(9), ..ProcessStats::default() });
//! let text = metrics.to_text();
//! assert!(text.contains("process_threads 9\n"));
//! assert!(text.contains("backend_service_info{version=\"1.4.2\",component=\"order-gateway\"} 1\n"));
//! # Ok::<(), backend_metrics::BuildError>(())
//! ```
//!
//! [`Metrics::update_process`]: crate::Metrics::update_process
//! [`Metrics::update_tokio`]: crate::Metrics::update_tokio

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use parking_lot::Mutex;

use crate::{
    Info, LateGauge, Now, Part, ReadCounter, Registrar, RuntimeStats,
    collect::{
        process::ProcessStats,
        runtime::{RuntimeSources, Watched},
    },
};

use super::helpers::helpers;

families! {
    /// The process and its runtime.
    pub struct ProcessMetrics = "process" {
        with {
            /// Whether the service gives the figures of the process itself.
            pub(crate) given: ProcessGiven,
            /// The runtimes that are read before a scrape.
            pub(crate) runtimes: RuntimeSources,
        }

        /// Version and component of the service
        ///
        /// From [`Builder::service`](crate::Builder::service); the value is always 1.
        pub service_info: Info = "backend_service_info",

        /// CPU time that the process has used, in user and system mode
        ///
        /// All threads together. From `/proc/self/stat`, fields 14 and 15, in steps of 10 ms.
        pub cpu: ReadCounter = "process_cpu_seconds_total",

        /// File descriptors that are open
        ///
        /// The entries of `/proc/self/fd`.
        pub open_fds: LateGauge = "process_open_fds",

        /// The most file descriptors that may be open
        ///
        /// The soft limit in `/proc/self/limits`; left out if there is none.
        pub max_fds: LateGauge = "process_max_fds",

        /// Virtual memory of the process
        ///
        /// From `/proc/self/stat`, field 23.
        pub virtual_memory: LateGauge = "process_virtual_memory_bytes",

        /// Memory of the process that is in RAM
        ///
        /// From `/proc/self/stat`, field 24.
        pub resident_memory: LateGauge = "process_resident_memory_bytes",

        /// When the process started
        ///
        /// The boot time and `/proc/self/stat`, field 22. It is read once, so that it changes with a restart
        /// alone.
        pub start_time: LateGauge = "process_start_time_seconds",

        /// Threads of the process
        ///
        /// From `/proc/self/stat`, field 20.
        pub threads: LateGauge = "process_threads",

        /// Threads that run tasks of the runtime
        pub tokio_workers: LateGauge = "tokio_workers",

        /// Tasks that were spawned and have not ended
        pub tokio_alive_tasks: LateGauge = "tokio_alive_tasks",

        /// Tasks in the queue that all workers share
        ///
        /// More than a few for long: the workers are too slow or too few.
        pub tokio_global_queue_depth: LateGauge = "tokio_global_queue_depth",

        /// Time that all workers together spent on tasks
        ///
        /// `rate(tokio_worker_busy_seconds_total[5m]) / tokio_workers` is their utilisation, from 0 to 1.
        pub tokio_worker_busy: ReadCounter = "tokio_worker_busy_seconds_total",
    }
    on_scrape = ProcessMetrics::read
}

/// Whether the service gives the figures of the process itself.
#[derive(Debug)]
pub(crate) struct ProcessGiven {
    /// Whether anybody sees the figures.
    exposed: bool,
    /// Locked from reading figures until they are set. Otherwise a scrape could set them after another one has set
    /// newer ones, and a counter would fall.
    given: Mutex<bool>,
    /// Whether `/proc` could not be read.
    unreadable: AtomicBool,
}

impl ProcessGiven {
    /// Whether a scrape could not read the figures; that is told once.
    pub(crate) fn was_unreadable(&self) -> bool {
        self.unreadable.swap(false, Relaxed)
    }
}

impl Part for ProcessGiven {
    fn register(registrar: &mut Registrar) -> Self {
        Self {
            exposed: registrar.is_exposed(),
            given: Mutex::new(false),
            unreadable: AtomicBool::new(false),
        }
    }
}

impl ProcessMetrics {
    /// Whether scrapes read `/proc`.
    pub(crate) fn is_read(&self) -> bool {
        self.given.exposed && cfg!(all(feature = "process", target_os = "linux"))
    }

    fn read(&self, _: &Now) {
        let given = self.given.given.lock();
        #[cfg(all(feature = "process", target_os = "linux"))]
        if !*given {
            self.take_over(crate::collect::proc::read());
        }
        match self.runtimes.read() {
            Some(Watched { running: Some(stats), busy }) => {
                self.set_runtime(RuntimeStats { busy, ..stats });
            }
            Some(Watched { running: None, busy }) => {
                self.tokio_workers.clear();
                self.tokio_alive_tasks.clear();
                self.tokio_global_queue_depth.clear();
                self.tokio_worker_busy.set(busy.as_secs_f64());
            }
            None => {}
        }
        drop(given);
    }

    /// Sets the figures to what was read; what could not be read is left out.
    #[cfg(all(feature = "process", target_os = "linux"))]
    fn take_over(&self, read: crate::collect::proc::Read) {
        let crate::collect::proc::Read { stats, complete } = read;
        self.given.unreadable.store(!complete, Relaxed);
        if stats.cpu.is_none() {
            self.cpu.clear();
        }
        for (gauge, is_missing) in [
            (self.open_fds, stats.open_fds.is_none()),
            (self.max_fds, stats.max_fds.is_none()),
            (self.virtual_memory, stats.virtual_memory_bytes.is_none()),
            (self.resident_memory, stats.resident_memory_bytes.is_none()),
            (self.start_time, stats.start_time.is_none()),
            (self.threads, stats.threads.is_none()),
        ] {
            if is_missing {
                gauge.clear();
            }
        }
        self.set_process(stats);
    }

    fn set_process(&self, stats: ProcessStats) {
        if let Some(cpu) = stats.cpu {
            self.cpu.set(cpu.as_secs_f64());
        }
        let counts = [
            (self.open_fds, stats.open_fds),
            (self.max_fds, stats.max_fds),
            (self.virtual_memory, stats.virtual_memory_bytes),
            (self.resident_memory, stats.resident_memory_bytes),
            (self.threads, stats.threads),
        ];
        for (gauge, count) in counts {
            if let Some(count) = count {
                gauge.set_count(count);
            }
        }
        if let Some(start_time) = stats.start_time {
            self.start_time.set_time(start_time);
        }
    }

    fn set_runtime(&self, stats: RuntimeStats) {
        self.tokio_workers.set_count(stats.workers);
        self.tokio_alive_tasks.set_count(stats.alive_tasks);
        self.tokio_global_queue_depth.set_count(stats.global_queue_depth);
        self.tokio_worker_busy.set(stats.busy.as_secs_f64());
    }
}

helpers! {
    /// Sets the figures of the process that are given.
    ///
    /// For services without the feature `process` or not on Linux. From the first call on, `/proc` is not
    /// read.
    pub fn update_process(self, stats: ProcessStats) {
        let mut given = self.process.given.given.lock();
        *given = true;
        self.process.set_process(stats);
    }

    /// Sets the figures of the runtime.
    ///
    /// For services that read a runtime themselves; `watch_tokio` of the feature `tokio` keeps them up to
    /// date by itself.
    pub fn update_tokio(self, stats: RuntimeStats) {
        self.process.set_runtime(stats);
    }

    /// Reads the figures of a tokio runtime before every scrape, from now on.
    ///
    /// Several runtimes are added up, and one that is given twice counts once. One that has been shut down is taken
    /// out, and its busy time stays in the sum; once all of them have, the gauges are absent.
    ///
    /// To see the end of a runtime, a task that does nothing is spawned in it, which the runtime drops then. The gauges
    /// do not count it.
    #[cfg(feature = "tokio")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tokio")))]
    pub fn watch_tokio(self, handle: &tokio::runtime::Handle) {
        self.process.runtimes.add(handle);
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::ProcessStats;
    use crate::{Metrics, RuntimeStats, testing::Fixture};

    #[test]
    fn the_service_is_named_by_the_builder() {
        let test = Fixture::new();
        test.assert_series(&[(
            r#"backend_service_info{version="unknown",component="backend"}"#,
            1.0,
        )]);
        let metrics = Metrics::builder().service("1.4.2", "gateway").build().unwrap();
        let text = metrics.to_text();
        assert!(text.contains("backend_service_info{version=\"1.4.2\",component=\"gateway\"} 1\n"));
    }

    #[test]
    fn figures_that_are_given_are_exposed_and_stay() {
        let test = Fixture::new();
        test.metrics.update_process(ProcessStats {
            cpu: Some(Duration::from_millis(1_250)),
            open_fds: Some(11),
            max_fds: Some(1_024),
            virtual_memory_bytes: Some(2_000_000),
            resident_memory_bytes: Some(1_000_000),
            start_time: Some(UNIX_EPOCH + Duration::from_millis(1_700_000_000_500)),
            threads: None,
        });
        test.metrics.update_process(ProcessStats { threads: Some(4), ..ProcessStats::default() });
        test.assert_series(&[
            ("process_cpu_seconds_total", 1.25),
            ("process_open_fds", 11.0),
            ("process_max_fds", 1_024.0),
            ("process_virtual_memory_bytes", 2_000_000.0),
            ("process_resident_memory_bytes", 1_000_000.0),
            ("process_start_time_seconds", 1_700_000_000.5),
            ("process_threads", 4.0),
        ]);
    }

    #[test]
    fn figures_of_a_runtime_are_absent_until_they_are_given() {
        let test = Fixture::new();
        for family in [
            "tokio_workers",
            "tokio_alive_tasks",
            "tokio_global_queue_depth",
            "tokio_worker_busy_seconds_total",
        ] {
            assert_eq!(test.series(family), None);
        }
        test.metrics.update_tokio(RuntimeStats {
            workers: 2,
            alive_tasks: 30,
            global_queue_depth: 0,
            busy: Duration::from_millis(1_500),
        });
        test.assert_series(&[
            ("tokio_workers", 2.0),
            ("tokio_alive_tasks", 30.0),
            ("tokio_global_queue_depth", 0.0),
            ("tokio_worker_busy_seconds_total", 1.5),
        ]);
    }

    #[cfg(not(all(feature = "process", target_os = "linux")))]
    #[test]
    fn figures_of_the_process_are_absent_until_they_are_given() {
        let text = Fixture::new().metrics.to_text();
        assert!(!text.lines().any(|line| line.starts_with("process_")));
    }

    #[cfg(all(feature = "process", target_os = "linux"))]
    #[test]
    fn figures_of_the_process_are_read_at_scrape() {
        let test = Fixture::new();
        for family in [
            "process_cpu_seconds_total",
            "process_open_fds",
            "process_max_fds",
            "process_virtual_memory_bytes",
            "process_resident_memory_bytes",
            "process_start_time_seconds",
            "process_threads",
        ] {
            assert!(test.series(family).unwrap() >= 0.0, "{family}");
        }
    }

    #[cfg(feature = "tokio")]
    #[test]
    fn a_watched_runtime_is_read_at_scrape() {
        let test = Fixture::new();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        test.metrics.watch_tokio(runtime.handle());
        test.metrics.watch_tokio(runtime.handle());
        drop(runtime.spawn(std::future::pending::<()>()));
        test.assert_series(&[
            ("tokio_workers", 1.0),
            ("tokio_alive_tasks", 1.0),
            ("tokio_global_queue_depth", 1.0),
        ]);
        runtime.block_on(async {
            let burnt = std::time::Instant::now();
            while burnt.elapsed() < Duration::from_millis(2) {}
            tokio::task::yield_now().await;
        });
        assert!(test.series("tokio_worker_busy_seconds_total").unwrap() > 0.0);
    }
}
