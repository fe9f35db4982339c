use std::time::Duration;

use backend_metrics::{ProcessStats, RuntimeStats};

use super::{Driver, ms, started};

pub(super) fn drive(to: &mut Driver) {
    to.step(
        |to| {
            call!(to.update_process(ProcessStats {
                cpu: Some(Duration::from_millis(12_340)),
                open_fds: Some(48),
                max_fds: Some(1_024),
                virtual_memory_bytes: Some(900_000_000),
                resident_memory_bytes: Some(64_000_000),
                start_time: Some(started()),
                threads: Some(9),
            }));
        },
        "
        process_cpu_seconds_total = 12.34
        process_open_fds = 48
        process_max_fds = 1024
        process_virtual_memory_bytes = 900000000
        process_resident_memory_bytes = 64000000
        process_start_time_seconds = 1699992800
        process_threads = 9
        ",
    );
    to.step(
        |to| {
            call!(to.update_tokio(RuntimeStats {
                workers: 4,
                alive_tasks: 120,
                global_queue_depth: 2,
                busy: ms(7_500),
            }));
        },
        "
        tokio_workers = 4
        tokio_alive_tasks = 120
        tokio_global_queue_depth = 2
        tokio_worker_busy_seconds_total = 7.5
        ",
    );
}

/// A runtime that was never run has one worker, and a task that waits for it.
#[cfg(feature = "tokio")]
pub(super) fn watch(to: &mut Driver) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.spawn(std::future::pending::<()>());
    to.step(
        |to| call!(to.watch_tokio(runtime.handle())),
        "
        tokio_workers = 1
        tokio_alive_tasks = 1
        tokio_global_queue_depth = 1
        tokio_worker_busy_seconds_total = 0
        ",
    );
}

/// Without the feature there is nothing to watch.
#[cfg(not(feature = "tokio"))]
pub(super) fn watch(_: &mut Driver) {}
