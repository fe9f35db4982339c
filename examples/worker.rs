//! A worker without HTTP of its own: jobs from a queue, retries, panics, and a listener for `/metrics`.
//!
//! ```text
//! cargo run --release --example worker --features process,server,tokio
//! curl -s http://127.0.0.1:9464/metrics | grep -E '^(worker|process|tokio|unhandled)_'
//! ```
//!
//! Another address is given as the first argument. Ctrl-C ends the program once the queue is worked off.

use std::{env, error::Error, io, pin::pin, time::Duration};

use backend_metrics::{Exporter, Metrics, Stopwatch, exporter::Server, labels::ErrorSeverity};
use tokio::{
    runtime::Handle,
    signal,
    sync::mpsc::{self, Receiver, Sender},
    task::JoinSet,
    time,
};

/// The `worker_type` of the families.
const SETTLEMENT: &str = "settlement";
/// Jobs at the same time.
const WORKERS: usize = 4;
const ATTEMPTS: u32 = 3;

struct Job {
    id: u64,
    /// Started when the job came into the queue.
    waiting: Stopwatch,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let metrics =
        Metrics::builder().service(env!("CARGO_PKG_VERSION"), "worker-example").build()?;
    backend_metrics::install_panic_hook(metrics)?;
    // The figures of the process need no call: the feature alone has them read before a scrape.
    metrics.watch_tokio(&Handle::current());

    let address = env::args().nth(1).map_or(Ok(Server::DEFAULT_ADDRESS), |text| text.parse())?;
    let server = Server::bind(Exporter::new(metrics), address)?;
    println!("http://{}/metrics", server.local_addr());

    let (jobs, queue) = mpsc::channel(1_000);
    tokio::spawn(take_in(metrics, jobs));
    // `/metrics` is served until the last job has ended.
    server.serve(work_off(metrics, queue)).await?;
    Ok(())
}

/// Puts jobs into the queue every second, until Ctrl-C.
async fn take_in(metrics: Metrics, jobs: Sender<Job>) {
    let mut stop = pin!(signal::ctrl_c());
    let mut second = time::interval(Duration::from_secs(1));
    let mut ids = 0..;
    loop {
        tokio::select! {
            _ = &mut stop => return,
            _ = second.tick() => {}
        }
        for id in ids.by_ref().take(40) {
            if jobs.send(Job { id, waiting: metrics.stopwatch() }).await.is_err() {
                return;
            }
        }
    }
}

/// Does the jobs of the queue, until nobody can put one in and all have ended.
async fn work_off(metrics: Metrics, mut queue: Receiver<Job>) {
    let mut running = JoinSet::new();
    // So that the depth is known when all workers are busy for long.
    let mut look = time::interval(Duration::from_secs(1));
    loop {
        metrics.set_worker_queue_depth(SETTLEMENT, queue.len() as u64);
        tokio::select! {
            job = queue.recv(), if running.len() < WORKERS => match job {
                // A task of its own: when a job panics, it alone ends.
                Some(job) => _ = running.spawn(run(metrics, job)),
                None => break,
            },
            Some(_) = running.join_next() => {}
            _ = look.tick() => {}
        }
    }
    while running.join_next().await.is_some() {}
}

/// Does a job, in as many attempts as it may take.
async fn run(metrics: Metrics, job: Job) {
    metrics.track_worker_wait(SETTLEMENT, job.waiting.elapsed());
    for attempt in 1..=ATTEMPTS {
        if attempt > 1 {
            metrics.track_worker_retry(SETTLEMENT);
            time::sleep(Duration::from_millis(50) * attempt).await;
        }
        // Each attempt is a task. When it panics, the guard counts an error and a panic.
        let task = metrics.start_worker_task(SETTLEMENT);
        let result = settle(job.id, attempt).await;
        task.finish(&result);
        if result.is_ok() {
            return;
        }
    }
    metrics.track_application_error("settlement_given_up", ErrorSeverity::Error);
}

/// In place of the work: of 50 jobs, two succeed at the second attempt, one never does and one panics.
async fn settle(id: u64, attempt: u32) -> io::Result<()> {
    time::sleep(Duration::from_millis(20 + id % 7 * 20)).await;
    match id % 50 {
        3 | 9 if attempt == 1 => Err(io::ErrorKind::TimedOut.into()),
        13 => Err(io::ErrorKind::InvalidData.into()),
        17 => panic!("job {id} is broken"),
        _ => Ok(()),
    }
}
