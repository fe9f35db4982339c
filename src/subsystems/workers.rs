//! Background workers and their queues.
//!
//! | family | labels | recorded by |
//! | --- | --- | --- |
//! | `worker_tasks_total`, `worker_task_duration_seconds`, `worker_last_success_timestamp_seconds` | `worker_type`; `status` | [`Metrics::start_worker_task`], [`Metrics::track_worker_task`] |
//! | `worker_tasks_active` | `worker_type` | [`Metrics::start_worker_task`] |
//! | `worker_task_wait_duration_seconds` | `worker_type` | [`WorkerTaskGuard::waited`], [`Metrics::track_worker_wait`] |
//! | `worker_queue_depth` | `worker_type` | [`Metrics::set_worker_queue_depth`] |
//! | `worker_task_retries_total` | `worker_type` | [`Metrics::track_worker_retry`] |
//! | `worker_panics_total` | `worker_type` | [`Metrics::start_worker_task`], [`Metrics::track_worker_panic`] |
//!
//! ```
//! use backend_metrics::{Metrics, labels::ORDER_CLEANUP};
//!
//! fn clean_up(metrics: Metrics) -> Result<u32, std::io::Error> {
//!     let task = metrics.start_worker_task(ORDER_CLEANUP);
//!     let result = Ok(3); // the work; an early return, a panic or a cancelled task is recorded too
//!     task.finish(&result);
//!     result
//! }
//!
//! let metrics = Metrics::new();
//! clean_up(metrics)?;
//! assert!(
//!     metrics
//!         .to_text()
//!         .contains("worker_tasks_total{worker_type=\"order_cleanup\",status=\"success\"} 1\n")
//! );
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! [`Metrics::start_worker_task`]: crate::Metrics::start_worker_task
//! [`Metrics::track_worker_task`]: crate::Metrics::track_worker_task
//! [`Metrics::track_worker_wait`]: crate::Metrics::track_worker_wait
//! [`Metrics::set_worker_queue_depth`]: crate::Metrics::set_worker_queue_depth
//! [`Metrics::track_worker_retry`]: crate::Metrics::track_worker_retry
//! [`Metrics::track_worker_panic`]: crate::Metrics::track_worker_panic

use std::time::Duration;

use crate::{
    CounterFamily, Domain, GaugeFamily, HistogramFamily, InFlight, LateGaugeFamily, Metrics, Open,
    Stopwatch, UpDownGaugeFamily, guard::dropped,
};

use super::helpers::helpers;

/// The worker that marks strategies to market.
pub const STRATEGY_M2M: &str = "strategy_m2m";
/// The worker that ends orders nobody waits for.
pub const ORDER_CLEANUP: &str = "order_cleanup";
/// The worker that removes old data.
pub const HOUSEKEEPING: &str = "housekeeping";

families! {
    /// Background workers and their queues.
    pub struct WorkerMetrics = "workers" {
        with {
            /// The workers seen so far.
            pub worker_types: Domain<WorkerType>,
        }

        /// Tasks of background workers by how they ended
        pub tasks: CounterFamily<(Open<WorkerType>, WorkerTaskStatus)> = "worker_tasks_total",

        /// Time from the beginning of a task to its end
        ///
        /// Failed and cancelled tasks are included, the wait in the queue is not.
        pub task_duration: HistogramFamily<Open<WorkerType>> =
            "worker_task_duration_seconds" in &[0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0],

        /// Tasks that wait in the queue
        ///
        /// The maximum over the replicas is the longest queue: the one that they share and all report alike, or
        /// that of a replica where each has its own.
        pub queue_depth: GaugeFamily<Open<WorkerType>> = "worker_queue_depth" [shared],

        /// Tasks that are under way
        pub tasks_active: UpDownGaugeFamily<Open<WorkerType>> = "worker_tasks_active",

        /// Time a task waited in the queue before it began
        pub task_wait_duration: HistogramFamily<Open<WorkerType>> =
            "worker_task_wait_duration_seconds"
            in &[0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0],

        /// Tasks that were tried again after a failure
        pub task_retries: CounterFamily<Open<WorkerType>> = "worker_task_retries_total",

        /// When a task last succeeded
        ///
        /// `time() - worker_last_success_timestamp_seconds` says how long a worker has done nothing of use.
        pub last_success_timestamp: LateGaugeFamily<Open<WorkerType>> =
            "worker_last_success_timestamp_seconds",

        /// Tasks that ended in a panic
        ///
        /// They count as `error` in [`tasks`](Self::tasks) too.
        pub panics: CounterFamily<Open<WorkerType>> = "worker_panics_total",
    }
}

label_values! {
    /// How a task of a worker ended.
    pub enum WorkerTaskStatus = "status" {
        /// It did its work.
        Success = "success",
        /// It failed, or its guard was dropped by a panic.
        Error = "error",
        /// Its guard was dropped without an outcome: the task was aborted or its future dropped.
        Cancelled = "cancelled",
    }
}

open_labels! {
    /// The kind of a worker: [`STRATEGY_M2M`], [`ORDER_CLEANUP`], [`HOUSEKEEPING`], or another name out of
    /// the code.
    pub struct WorkerType(worker_type);
}

impl WorkerMetrics {
    fn record(
        &self,
        metrics: Metrics,
        worker: Open<WorkerType>,
        duration: Duration,
        status: WorkerTaskStatus,
    ) {
        let tasks = self.tasks.get((worker, status));
        self.task_duration.get(worker).observe_counted(duration, tasks);
        if status == WorkerTaskStatus::Success {
            self.last_success_timestamp.get(worker).set_time(metrics.clock().wall());
        }
    }
}

helpers! {
    /// Counts a task that ended and observes how long it took.
    ///
    /// Moves `worker_tasks_total`, `worker_task_duration_seconds` and, for a success,
    /// `worker_last_success_timestamp_seconds`.
    /// [`Metrics::start_worker_task`](crate::Metrics::start_worker_task) measures the time itself.
    pub fn track_worker_task(self, worker_type: &str, duration: Duration, status: WorkerTaskStatus) {
        let worker = self.workers.worker_types.get(worker_type);
        self.workers.record(self, worker, duration, status);
    }

    /// Starts a task, which `worker_tasks_active` shows; the guard records how it ended.
    ///
    /// `worker_type` is one of the constants of [`workers`](crate::subsystems::workers) or another name out
    /// of the code.
    pub fn start_worker_task(self, worker_type: &str) -> WorkerTaskGuard {
        let worker = self.workers.worker_types.get(worker_type);
        WorkerTaskGuard {
            _active: self.workers.tasks_active.get(worker).track(),
            watch: self.stopwatch(),
            worker,
            status: None,
        }
    }

    /// Observes how long a task waited in the queue, in `worker_task_wait_duration_seconds`.
    pub fn track_worker_wait(self, worker_type: &str, duration: Duration) {
        let worker = self.workers.worker_types.get(worker_type);
        self.workers.task_wait_duration.get(worker).observe(duration);
    }

    /// Sets how many tasks wait in the queue, in `worker_queue_depth`.
    pub fn set_worker_queue_depth(self, worker_type: &str, depth: u64) {
        let worker = self.workers.worker_types.get(worker_type);
        self.workers.queue_depth.get(worker).set_count(depth);
    }

    /// Counts that a task is tried again after a failure, in `worker_task_retries_total`.
    pub fn track_worker_retry(self, worker_type: &str) {
        let worker = self.workers.worker_types.get(worker_type);
        self.workers.task_retries.get(worker).inc();
    }

    /// Counts a panic of a worker in `worker_panics_total`.
    ///
    /// For tasks without a guard: the guard of
    /// [`Metrics::start_worker_task`](crate::Metrics::start_worker_task) counts a panic by itself.
    pub fn track_worker_panic(self, worker_type: &str) {
        let worker = self.workers.worker_types.get(worker_type);
        self.workers.panics.get(worker).inc();
    }
}

/// A task of a worker that is under way.
///
/// Dropped without an outcome it is `cancelled`. Dropped by a panic it is an `error`, and
/// `worker_panics_total` counts it as well.
#[derive(Debug)]
#[must_use = "a guard dropped at once records a cancelled task"]
pub struct WorkerTaskGuard {
    watch: Stopwatch,
    worker: Open<WorkerType>,
    status: Option<WorkerTaskStatus>,
    _active: InFlight,
}

impl WorkerTaskGuard {
    /// Observes how long the task waited in the queue before it began.
    pub fn waited(self, duration: Duration) -> Self {
        self.watch.metrics().workers.task_wait_duration.get(self.worker).observe(duration);
        self
    }

    /// The task did its work.
    pub fn success(mut self) {
        self.status = Some(WorkerTaskStatus::Success);
    }

    /// The task failed.
    pub fn error(mut self) {
        self.status = Some(WorkerTaskStatus::Error);
    }

    /// The task came to `result`.
    pub fn finish<T, E>(self, result: &Result<T, E>) {
        match result {
            Ok(_) => self.success(),
            Err(_) => self.error(),
        }
    }
}

impl Drop for WorkerTaskGuard {
    fn drop(&mut self) {
        let metrics = self.watch.metrics();
        let status = self.status.unwrap_or_else(|| {
            if std::thread::panicking() {
                metrics.workers.panics.get(self.worker).inc();
            }
            dropped(WorkerTaskStatus::Error, WorkerTaskStatus::Cancelled)
        });
        metrics.workers.record(metrics, self.worker, self.watch.elapsed(), status);
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::{HOUSEKEEPING, ORDER_CLEANUP, STRATEGY_M2M, WorkerTaskStatus};
    use crate::testing::Fixture;

    #[test]
    fn a_task_is_active_until_it_ends_and_is_counted_once_whatever_its_end() {
        let test = Fixture::new();
        let tasks: Vec<_> = (0..5).map(|_| test.metrics.start_worker_task(STRATEGY_M2M)).collect();
        test.assert_series(&[(r#"worker_tasks_active{worker_type="strategy_m2m"}"#, 5.0)]);
        test.clock.advance(Duration::from_secs(2));
        let mut tasks = tasks.into_iter();
        tasks.next().unwrap().success();
        tasks.next().unwrap().finish(&Ok::<(), ()>(()));
        tasks.next().unwrap().error();
        tasks.next().unwrap().finish(&Err::<(), ()>(()));
        drop(tasks);
        test.metrics.track_worker_task(
            STRATEGY_M2M,
            Duration::from_secs(1),
            WorkerTaskStatus::Success,
        );
        test.assert_series(&[
            (r#"worker_tasks_active{worker_type="strategy_m2m"}"#, 0.0),
            (r#"worker_tasks_total{worker_type="strategy_m2m",status="success"}"#, 3.0),
            (r#"worker_tasks_total{worker_type="strategy_m2m",status="error"}"#, 2.0),
            (r#"worker_tasks_total{worker_type="strategy_m2m",status="cancelled"}"#, 1.0),
            (r#"worker_task_duration_seconds_count{worker_type="strategy_m2m"}"#, 6.0),
            (r#"worker_task_duration_seconds_sum{worker_type="strategy_m2m"}"#, 11.0),
            (r#"worker_panics_total{worker_type="strategy_m2m"}"#, 0.0),
        ]);
    }

    #[test]
    fn a_task_that_panics_is_an_error_and_a_panic() {
        let test = Fixture::new();
        std::panic::catch_unwind(|| {
            let _task = test.metrics.start_worker_task(ORDER_CLEANUP);
            panic!("the guard unwinds");
        })
        .unwrap_err();
        test.metrics.track_worker_panic(ORDER_CLEANUP);
        test.assert_series(&[
            (r#"worker_tasks_total{worker_type="order_cleanup",status="error"}"#, 1.0),
            (r#"worker_panics_total{worker_type="order_cleanup"}"#, 2.0),
            (r#"worker_tasks_active{worker_type="order_cleanup"}"#, 0.0),
        ]);
    }

    #[test]
    fn only_a_success_moves_the_time_of_the_last_success() {
        const TIME: &str = r#"worker_last_success_timestamp_seconds{worker_type="housekeeping"}"#;
        let test = Fixture::new();
        test.clock.set_wall(UNIX_EPOCH + Duration::from_secs(1_700_000_000));
        test.metrics.start_worker_task(HOUSEKEEPING).error();
        drop(test.metrics.start_worker_task(HOUSEKEEPING));
        assert_eq!(test.series(TIME), None);
        test.metrics.start_worker_task(HOUSEKEEPING).success();
        test.clock.advance(Duration::from_mins(1));
        test.metrics.start_worker_task(HOUSEKEEPING).error();
        test.assert_series(&[(TIME, 1_700_000_000.0)]);
    }

    #[test]
    fn waits_retries_and_the_queue_are_recorded() {
        let test = Fixture::new();
        test.metrics.start_worker_task("report").waited(Duration::from_millis(250)).success();
        test.metrics.track_worker_wait("report", Duration::from_millis(500));
        test.metrics.track_worker_retry("report");
        test.metrics.set_worker_queue_depth("report", 12);
        test.assert_series(&[
            (r#"worker_task_wait_duration_seconds_count{worker_type="report"}"#, 2.0),
            (r#"worker_task_wait_duration_seconds_sum{worker_type="report"}"#, 0.75),
            (r#"worker_task_retries_total{worker_type="report"}"#, 1.0),
            (r#"worker_queue_depth{worker_type="report"}"#, 12.0),
        ]);
    }
}
