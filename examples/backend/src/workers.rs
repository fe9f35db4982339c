//! Work that nobody waits for, in queues.
//!
//! Each kind of work has a queue and does one job after the other. A job that fails is tried again, and one that
//! panics ends alone.

use std::{collections::BTreeSet, error::Error, mem, sync::Arc, time::Duration};

use backend_metrics::{
    Metrics, Stopwatch,
    labels::{ErrorSeverity, HOUSEKEEPING, ORDER_CLEANUP, STRATEGY_M2M},
};
use backon::{ExponentialBuilder, Retryable};
use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::{
    sync::mpsc::{self, Receiver, Sender},
    time::{self, MissedTickBehavior},
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use uuid::Uuid;

use crate::{app::App, faults::Fault, fno, orders, reply::Problem, strategies};

/// The most jobs that wait in a queue. A backlog of more than 100 is an alert, and is to be seen.
const LONGEST_QUEUE: usize = 256;
/// How often a job is tried again, and how long after it failed; then twice as long.
const RETRIES: usize = 2;
const FIRST_RETRY: Duration = Duration::from_millis(100);

const MARK_EVERY: Duration = Duration::from_secs(2);
const CLEAN_UP_EVERY: Duration = Duration::from_secs(5);
const KEEP_HOUSE_EVERY: Duration = Duration::from_secs(15);

/// What a worker can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// Marks the strategies of an account to the market.
    MarkToMarket(String),
    /// Ends the orders that nobody wants any more.
    CleanUpOrders,
    /// Learns of new instruments and forgets old sessions.
    KeepHouse,
}

/// The queues of the workers.
#[derive(Debug)]
pub struct Workers {
    mark_to_market: Arc<Queue>,
    clean_up_orders: Arc<Queue>,
    keep_house: Arc<Queue>,
    /// Until [`run`] takes them.
    idle: Mutex<Vec<Worker>>,
}

impl Workers {
    /// Queues without work.
    #[must_use]
    pub fn new(metrics: Metrics) -> Self {
        let mut idle = Vec::new();
        let mut open = |worker_type| {
            let worker = Worker::new(worker_type, metrics);
            let queue = worker.queue.clone();
            idle.push(worker);
            queue
        };
        Self {
            mark_to_market: open(STRATEGY_M2M),
            clean_up_orders: open(ORDER_CLEANUP),
            keep_house: open(HOUSEKEEPING),
            idle: Mutex::new(idle),
        }
    }

    /// Has work done soon. If its queue is full it is left out.
    pub fn enqueue(&self, work: Work) {
        let queue = match work {
            Work::MarkToMarket(_) => &self.mark_to_market,
            Work::CleanUpOrders => &self.clean_up_orders,
            Work::KeepHouse => &self.keep_house,
        };
        queue.push(work);
    }
}

/// Works until the backend stops, then lets the jobs that are under way end.
pub async fn run(app: Arc<App>) {
    let workers = mem::take(&mut *app.workers.idle.lock());
    let performer = app.clone();
    let perform = move |work| {
        let app = performer.clone();
        async move { perform(&app, work).await }
    };
    let working =
        join_all(workers.into_iter().map(|worker| worker.run(app.stop.clone(), perform.clone())));
    tokio::join!(working, app.stop.run_until_cancelled(schedule(&app)));
}

/// Puts into the queues what is to be done from time to time.
async fn schedule(app: &App) {
    let every = |period| {
        let mut interval = time::interval(period);
        interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
        interval
    };
    let (mut mark, mut clean_up) = (every(MARK_EVERY), every(CLEAN_UP_EVERY));
    let mut keep_house = every(KEEP_HOUSE_EVERY);
    // Not at once: the market has no prices yet.
    mark.reset();
    let mut accounts = BTreeSet::new();
    loop {
        tokio::select! {
            _ = mark.tick() => {
                let before = accounts.clone();
                match strategies::accounts(app).await {
                    Ok(now) => accounts = now,
                    // Those of before still wait to be marked.
                    Err(problem) => tracing::warn!(%problem, "cannot tell who has strategies"),
                }
                // Once more those that have none left, maybe removed by another replica.
                for account in before.union(&accounts) {
                    app.workers.enqueue(Work::MarkToMarket(account.clone()));
                }
            }
            _ = clean_up.tick() => app.workers.enqueue(Work::CleanUpOrders),
            _ = keep_house.tick() => app.workers.enqueue(Work::KeepHouse),
        }
    }
}

async fn perform(app: &App, work: Work) -> Result<(), Problem> {
    assert!(!app.faults.strikes(Fault::Panics), "a panic on purpose");
    match work {
        Work::MarkToMarket(account) => strategies::mark_account(app, &account).await,
        Work::CleanUpOrders => {
            let orders = orders::expire_stale(app).await?;
            tracing::debug!(orders, "ended stale orders");
            Ok(())
        }
        Work::KeepHouse => {
            let sessions = app.auth.end_expired_sessions();
            tracing::debug!(sessions, "ended expired sessions");
            fno::refresh_instruments(app).await
        }
    }
}

/// A job that waits.
#[derive(Debug)]
struct Job {
    work: Work,
    waiting: Stopwatch,
}

/// A queue, and its depth as it is shown.
#[derive(Debug)]
struct Queue {
    worker_type: &'static str,
    metrics: Metrics,
    jobs: Sender<Job>,
    showing: Mutex<()>,
}

impl Queue {
    fn push(&self, work: Work) {
        // Once the worker has ended, nobody misses the work.
        if let Err(mpsc::error::TrySendError::Full(job)) =
            self.jobs.try_send(Job { work, waiting: self.metrics.stopwatch() })
        {
            tracing::warn!(worker_type = self.worker_type, work = ?job.work, "the queue is full");
            self.metrics.track_application_error("worker_queue_full", ErrorSeverity::Error);
        }
        self.show_depth();
    }

    /// Shows the depth, after every change of it.
    ///
    /// Read and set as one: otherwise a depth could be set after a later one, and stay.
    fn show_depth(&self) {
        let _one_at_a_time = self.showing.lock();
        let depth = self.jobs.max_capacity() - self.jobs.capacity();
        self.metrics.set_worker_queue_depth(self.worker_type, depth as u64);
    }
}

/// Does the jobs of a queue.
#[derive(Debug)]
struct Worker {
    queue: Arc<Queue>,
    jobs: Receiver<Job>,
}

impl Worker {
    fn new(worker_type: &'static str, metrics: Metrics) -> Self {
        let (sender, jobs) = mpsc::channel(LONGEST_QUEUE);
        let queue = Queue { worker_type, metrics, jobs: sender, showing: Mutex::new(()) };
        queue.show_depth();
        Self { queue: Arc::new(queue), jobs }
    }

    /// Has `perform` do the jobs until the stop, and leaves the others undone.
    async fn run<P, F>(mut self, stop: CancellationToken, perform: P)
    where
        P: Fn(Work) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<(), Problem>> + Send + 'static,
    {
        loop {
            let job = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                job = self.jobs.recv() => job,
            };
            let Some(job) = job else { break };
            self.queue.show_depth();
            let endpoint = format!("worker/{}", self.queue.worker_type);
            let trace_id = Uuid::new_v4().simple().to_string();
            let span = tracing::info_span!("job", endpoint, trace_id);
            // In a task of its own: when the job panics, it alone ends. Its guard has counted that by then, and
            // so has the panic hook.
            let job = attempt(self.queue.clone(), job, stop.clone(), perform.clone());
            if tokio::spawn(job.instrument(span.clone())).await.is_err() {
                span.in_scope(|| tracing::error!("the job panicked"));
            }
        }
        self.jobs.close();
        while self.jobs.recv().await.is_some() {}
        self.queue.show_depth();
    }
}

/// Does a job, in as many attempts as it may take.
async fn attempt<P, F>(queue: Arc<Queue>, job: Job, stop: CancellationToken, perform: P)
where
    P: Fn(Work) -> F,
    F: Future<Output = Result<(), Problem>>,
{
    let Queue { worker_type, metrics, .. } = *queue;
    metrics.track_worker_wait(worker_type, job.waiting.elapsed());
    let once = || async {
        // Dropped by a panic, the guard counts an error and a panic.
        let task = metrics.start_worker_task(worker_type);
        let result = perform(job.work.clone()).await;
        task.finish(&result);
        result
    };
    let retries = ExponentialBuilder::new().with_min_delay(FIRST_RETRY).with_max_times(RETRIES);
    let result = once
        .retry(retries)
        .when(|problem| may_pass(problem) && !stop.is_cancelled())
        .notify(|_, _| metrics.track_worker_retry(worker_type))
        .await;
    if let Err(problem) = result {
        let cause = problem.source().map(ToString::to_string);
        tracing::error!(work = ?job.work, cause, "the job failed: {problem}");
        metrics.track_application_error("worker_job", ErrorSeverity::Error);
    }
}

/// Whether it can be another time.
fn may_pass(problem: &Problem) -> bool {
    matches!(problem, Problem::Database(_) | Problem::Upstream(_))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    use backend_metrics::Clock;
    use futures_util::{FutureExt, future};
    use tokio::sync::Notify;

    use super::*;

    fn metrics() -> (Metrics, Clock) {
        let clock = Clock::manual();
        (Metrics::builder().clock(clock.clone()).build().unwrap(), clock)
    }

    #[track_caller]
    fn check(metrics: Metrics, expected: &[&str]) {
        let text = metrics.to_text();
        for line in expected {
            assert!(text.lines().any(|found| found == *line), "{line}\n{text}");
        }
    }

    /// Runs a worker until its queue is empty.
    async fn work_off<F>(
        worker: Worker,
        perform: impl Fn(Work) -> F + Clone + Send + Sync + 'static,
    ) where
        F: Future<Output = Result<(), Problem>> + Send + 'static,
    {
        let (stop, queue) = (CancellationToken::new(), worker.queue.clone());
        // The last job, so all before it are done.
        queue.push(Work::KeepHouse);
        let last = stop.clone();
        let perform = move |work| {
            if work == Work::KeepHouse {
                last.cancel();
                return future::ready(Ok(())).boxed();
            }
            perform(work).boxed()
        };
        worker.run(stop, perform).await;
    }

    #[tokio::test]
    async fn a_job_that_panics_ends_alone() {
        let (metrics, _) = metrics();
        let worker = Worker::new("test", metrics);
        worker.queue.push(Work::CleanUpOrders);
        work_off(worker, |_| async { panic!("a panic on purpose") }).await;
        check(
            metrics,
            &[
                r#"worker_panics_total{worker_type="test"} 1"#,
                r#"worker_tasks_total{worker_type="test",status="error"} 1"#,
                r#"worker_tasks_total{worker_type="test",status="success"} 1"#,
                r#"worker_tasks_active{worker_type="test"} 0"#,
                r#"worker_queue_depth{worker_type="test"} 0"#,
            ],
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_pass_is_tried_again() {
        let (metrics, _) = metrics();
        let worker = Worker::new("test", metrics);
        worker.queue.push(Work::CleanUpOrders);
        let attempts = Arc::new(AtomicU32::new(0));
        work_off(worker, move |_| {
            let attempt = attempts.fetch_add(1, Relaxed);
            async move { if attempt < 2 { Err(Problem::Upstream("gone".into())) } else { Ok(()) } }
        })
        .await;
        check(
            metrics,
            &[
                r#"worker_task_retries_total{worker_type="test"} 2"#,
                r#"worker_tasks_total{worker_type="test",status="error"} 2"#,
                r#"worker_tasks_total{worker_type="test",status="success"} 2"#,
                r#"worker_task_wait_duration_seconds_count{worker_type="test"} 2"#,
            ],
        );
        assert!(!metrics.to_text().contains("worker_job"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_that_fails_for_good_is_an_error() {
        let (metrics, _) = metrics();
        let worker = Worker::new("test", metrics);
        worker.queue.push(Work::CleanUpOrders);
        worker.queue.push(Work::MarkToMarket("A-01".to_owned()));
        work_off(worker, |work| async move {
            Err(match work {
                Work::CleanUpOrders => Problem::Upstream("gone".into()),
                // Another attempt would not help.
                _ => Problem::Conflict("no price".to_owned()),
            })
        })
        .await;
        check(
            metrics,
            &[
                r#"worker_task_retries_total{worker_type="test"} 2"#,
                r#"worker_tasks_total{worker_type="test",status="error"} 4"#,
                r#"application_errors_total{error_type="worker_job",severity="error"} 2"#,
            ],
        );
    }

    #[tokio::test]
    async fn the_depth_and_the_wait_are_those_of_the_queue() {
        let (metrics, clock) = metrics();
        let worker = Worker::new("test", metrics);
        check(metrics, &[r#"worker_queue_depth{worker_type="test"} 0"#]);
        for _ in 0..3 {
            worker.queue.push(Work::CleanUpOrders);
        }
        check(metrics, &[r#"worker_queue_depth{worker_type="test"} 3"#]);
        clock.advance(Duration::from_secs(2));
        work_off(worker, |_| async { Ok(()) }).await;
        check(
            metrics,
            &[
                r#"worker_queue_depth{worker_type="test"} 0"#,
                r#"worker_task_wait_duration_seconds_sum{worker_type="test"} 6"#,
            ],
        );
    }

    #[tokio::test]
    async fn work_for_a_full_queue_is_left_out() {
        let (metrics, _) = metrics();
        let worker = Worker::new("test", metrics);
        for _ in 0..=LONGEST_QUEUE {
            worker.queue.push(Work::CleanUpOrders);
        }
        check(
            metrics,
            &[
                r#"worker_queue_depth{worker_type="test"} 256"#,
                r#"application_errors_total{error_type="worker_queue_full",severity="error"} 1"#,
            ],
        );
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_depth_is_right_after_many_at_once() {
        let (metrics, _) = metrics();
        let worker = Worker::new("test", metrics);
        let pushers = (0..8).map(|_| {
            let queue = worker.queue.clone();
            tokio::spawn(async move { (0..20).for_each(|_| queue.push(Work::CleanUpOrders)) })
        });
        for pusher in pushers.collect::<Vec<_>>() {
            pusher.await.unwrap();
        }
        check(metrics, &[r#"worker_queue_depth{worker_type="test"} 160"#]);
    }

    #[tokio::test]
    async fn a_stop_lets_the_job_end_and_drops_those_that_wait() {
        let (metrics, _) = metrics();
        let worker = Worker::new("test", metrics);
        let (queue, stop) = (worker.queue.clone(), CancellationToken::new());
        for _ in 0..3 {
            queue.push(Work::CleanUpOrders);
        }
        let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (tell, wait) = (begun.clone(), go_on.clone());
        let working = tokio::spawn(worker.run(stop.clone(), move |_| {
            let (tell, wait) = (tell.clone(), wait.clone());
            async move {
                tell.notify_one();
                wait.notified().await;
                Ok(())
            }
        }));
        begun.notified().await;
        check(metrics, &[r#"worker_queue_depth{worker_type="test"} 2"#]);
        stop.cancel();
        go_on.notify_one();
        working.await.unwrap();
        queue.push(Work::CleanUpOrders);
        check(
            metrics,
            &[
                r#"worker_queue_depth{worker_type="test"} 0"#,
                r#"worker_tasks_total{worker_type="test",status="success"} 1"#,
                r#"worker_tasks_total{worker_type="test",status="cancelled"} 0"#,
            ],
        );
    }
}
