use backend_metrics::labels::{HOUSEKEEPING, ORDER_CLEANUP, STRATEGY_M2M, WorkerTaskStatus};

use super::{DONE, Driver, FAILED, ms, panic_with};

pub(super) fn drive(to: &mut Driver) {
    to.step(
        |to| call!(to.track_worker_task(STRATEGY_M2M, ms(1_200), WorkerTaskStatus::Success)),
        r#"
        worker_tasks_total{worker_type="strategy_m2m",status="success"} +1
        worker_task_duration_seconds{worker_type="strategy_m2m"} observes 1.2
        worker_last_success_timestamp_seconds{worker_type="strategy_m2m"} = now
        "#,
    );
    to.step(
        |to| call!(to.track_worker_wait(STRATEGY_M2M, ms(300))),
        r#"worker_task_wait_duration_seconds{worker_type="strategy_m2m"} observes 0.3"#,
    );
    to.step(
        |to| call!(to.set_worker_queue_depth(HOUSEKEEPING, 17)),
        r#"worker_queue_depth{worker_type="housekeeping"} = 17"#,
    );
    to.step(
        |to| call!(to.track_worker_retry(HOUSEKEEPING)),
        r#"worker_task_retries_total{worker_type="housekeeping"} +1"#,
    );
    to.step(
        |to| call!(to.track_worker_panic(HOUSEKEEPING)),
        r#"worker_panics_total{worker_type="housekeeping"} +1"#,
    );
    guard(to);
}

fn guard(to: &mut Driver) {
    const ACTIVE: &str = r#"worker_tasks_active{worker_type="order_cleanup"} +1"#;
    const SUCCESS: &str = r#"
        worker_tasks_active{worker_type="order_cleanup"} -1
        worker_tasks_total{worker_type="order_cleanup",status="success"} +1
        worker_task_duration_seconds{worker_type="order_cleanup"} observes 0.4
        worker_last_success_timestamp_seconds{worker_type="order_cleanup"} = now
        "#;
    const ERROR: &str = r#"
        worker_tasks_active{worker_type="order_cleanup"} -1
        worker_tasks_total{worker_type="order_cleanup",status="error"} +1
        worker_task_duration_seconds{worker_type="order_cleanup"} observes 0.4
        "#;
    let start = |to: &Driver| call!(to.start_worker_task(ORDER_CLEANUP));
    let task = to.step(start, ACTIVE);
    let task = to.step(
        |to| {
            to.advance(ms(400));
            task.waited(ms(50))
        },
        r#"worker_task_wait_duration_seconds{worker_type="order_cleanup"} observes 0.05"#,
    );
    to.step(|_| task.success(), SUCCESS);
    let start = |to: &Driver| {
        let task = call!(to.start_worker_task(ORDER_CLEANUP));
        to.advance(ms(400));
        task
    };
    let task = to.step(start, ACTIVE);
    to.step(|_| task.finish(&DONE), SUCCESS);
    let task = to.step(start, ACTIVE);
    to.step(|_| task.error(), ERROR);
    let task = to.step(start, ACTIVE);
    to.step(|_| task.finish(&FAILED), ERROR);
    let task = to.step(start, ACTIVE);
    to.step(
        |_| panic_with(task),
        r#"
        worker_tasks_active{worker_type="order_cleanup"} -1
        worker_tasks_total{worker_type="order_cleanup",status="error"} +1
        worker_task_duration_seconds{worker_type="order_cleanup"} observes 0.4
        worker_panics_total{worker_type="order_cleanup"} +1
        "#,
    );
    let task = to.step(start, ACTIVE);
    to.step(
        |_| drop(task),
        r#"
        worker_tasks_active{worker_type="order_cleanup"} -1
        worker_tasks_total{worker_type="order_cleanup",status="cancelled"} +1
        worker_task_duration_seconds{worker_type="order_cleanup"} observes 0.4
        "#,
    );
    to.step(|to| to.hold(start(to)), ACTIVE);
}
