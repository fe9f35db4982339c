use std::panic::resume_unwind;

use backend_metrics::{
    PoolStats,
    labels::{AcquireStatus, DatabaseErrorType, QueryStatus, QueryType, TransactionOutcome},
};

use super::{DONE, Driver, FAILED, ms, panic_with};

pub(super) fn drive(to: &mut Driver) {
    queries(to);
    acquires(to);
    transactions(to);
    to.step(
        |to| {
            let stats = PoolStats { active: 3, idle: 5, max: 25 };
            call!(to.add_database_pool_source("orders", move || Some(stats)));
            call!(to.add_database_pool_source("reports", move || Some(stats)));
        },
        r#"
        database_pool_connections{state="active"} = 6
        database_pool_connections{state="idle"} = 10
        database_pool_connections{state="total"} = 50
        database_pool_connections_by_pool{pool="orders",state="active"} = 3
        database_pool_connections_by_pool{pool="orders",state="idle"} = 5
        database_pool_connections_by_pool{pool="orders",state="total"} = 25
        database_pool_connections_by_pool{pool="reports",state="active"} = 3
        database_pool_connections_by_pool{pool="reports",state="idle"} = 5
        database_pool_connections_by_pool{pool="reports",state="total"} = 25
        metrics_callback_failures_total{callback="database_pool:orders",reason="none"} +0
        metrics_callback_failures_total{callback="database_pool:orders",reason="panic"} +0
        metrics_callback_failures_total{callback="database_pool:orders",reason="timeout"} +0
        metrics_callback_failures_total{callback="database_pool:reports",reason="none"} +0
        metrics_callback_failures_total{callback="database_pool:reports",reason="panic"} +0
        metrics_callback_failures_total{callback="database_pool:reports",reason="timeout"} +0
        "#,
    );
    to.step(
        |to| _ = call!(to.remove_database_pool_source("reports")),
        r#"
        database_pool_connections{state="active"} = 3
        database_pool_connections{state="idle"} = 5
        database_pool_connections{state="total"} = 25
        database_pool_connections_by_pool{pool="reports",state="active"} gone
        database_pool_connections_by_pool{pool="reports",state="idle"} gone
        database_pool_connections_by_pool{pool="reports",state="total"} gone
        "#,
    );
    to.step(
        |to| call!(to.add_database_pool_source("orders", || None)),
        r#"
        database_pool_connections{state="active"} gone
        database_pool_connections{state="idle"} gone
        database_pool_connections{state="total"} gone
        database_pool_connections_by_pool{pool="orders",state="active"} gone
        database_pool_connections_by_pool{pool="orders",state="idle"} gone
        database_pool_connections_by_pool{pool="orders",state="total"} gone
        metrics_callback_failures_total{callback="database_pool:orders",reason="none"} +1
        "#,
    );
    to.step(
        |to| call!(to.add_database_pool_source("orders", || resume_unwind(Box::new("on purpose")))),
        r#"
        metrics_callback_failures_total{callback="database_pool:orders",reason="panic"} +1
        application_errors_total{error_type="collector_panic",severity="warning"} +0
        application_errors_total{error_type="collector_panic",severity="error"} +1
        application_errors_total{error_type="collector_panic",severity="critical"} +0
        "#,
    );
    to.step(
        |to| _ = call!(to.remove_database_pool_source("orders")),
        r#"
        database_pool_connections{state="active"} = 0
        database_pool_connections{state="idle"} = 0
        database_pool_connections{state="total"} = 0
        "#,
    );
    to.step(
        |to| call!(to.update_database_pool(PoolStats { active: 4, idle: 6, max: 20 })),
        r#"
        database_pool_connections{state="active"} = 4
        database_pool_connections{state="idle"} = 6
        database_pool_connections{state="total"} = 20
        "#,
    );
    to.step(
        |to| {
            let stats = PoolStats { active: 2, idle: 1, max: 5 };
            call!(to.add_database_pool_source("orders", move || Some(stats)));
        },
        r#"
        database_pool_connections{state="active"} = 2
        database_pool_connections{state="idle"} = 1
        database_pool_connections{state="total"} = 5
        database_pool_connections_by_pool{pool="orders",state="active"} = 2
        database_pool_connections_by_pool{pool="orders",state="idle"} = 1
        database_pool_connections_by_pool{pool="orders",state="total"} = 5
        "#,
    );
}

fn queries(to: &mut Driver) {
    for query_type in QueryType::ALL.iter().copied() {
        to.step_with(
            query_type.as_str(),
            |to| call!(to.track_database_query(query_type, ms(750), QueryStatus::Success)),
            r#"
            database_queries_total{query_type="$",status="success"} +1
            database_query_duration_seconds{query_type="$"} observes 0.75
            database_slow_queries_total{query_type="$"} +1
            "#,
        );
        to.step_with(
            query_type.as_str(),
            |to| call!(to.track_database_rows(query_type, 40)),
            r#"database_rows_returned{query_type="$"} observes 40"#,
        );
    }
    for error_type in DatabaseErrorType::ALL.iter().copied() {
        to.step_with(
            error_type.as_str(),
            |to| call!(to.track_database_error(error_type)),
            r#"database_errors_total{error_type="$"} +1"#,
        );
    }

    let start = |to: &Driver| {
        let query = call!(to.start_database_query(QueryType::Insert));
        to.advance(ms(4));
        query
    };
    to.step(
        |to| start(to).rows(2).success(),
        r#"
        database_queries_total{query_type="insert",status="success"} +1
        database_query_duration_seconds{query_type="insert"} observes 0.004
        database_rows_returned{query_type="insert"} observes 2
        "#,
    );
    to.step(
        |to| start(to).finish(&DONE),
        r#"
        database_queries_total{query_type="insert",status="success"} +1
        database_query_duration_seconds{query_type="insert"} observes 0.004
        "#,
    );
    to.step(
        |to| start(to).error(DatabaseErrorType::Deadlock),
        r#"
        database_queries_total{query_type="insert",status="error"} +1
        database_query_duration_seconds{query_type="insert"} observes 0.004
        database_errors_total{error_type="deadlock"} +1
        "#,
    );
    to.step(
        |to| start(to).finish(&FAILED),
        r#"
        database_queries_total{query_type="insert",status="error"} +1
        database_query_duration_seconds{query_type="insert"} observes 0.004
        database_errors_total{error_type="query_error"} +1
        "#,
    );
    to.step(
        |to| drop(start(to)),
        r#"
        database_queries_total{query_type="insert",status="cancelled"} +1
        database_query_duration_seconds{query_type="insert"} observes 0.004
        "#,
    );
    to.step(
        |to| panic_with(start(to)),
        r#"
        database_queries_total{query_type="insert",status="error"} +1
        database_query_duration_seconds{query_type="insert"} observes 0.004
        "#,
    );
}

fn acquires(to: &mut Driver) {
    const PENDING: &str = "database_pool_pending_acquires +1";

    for status in AcquireStatus::ALL.iter().copied() {
        let timeouts = u8::from(status == AcquireStatus::Timeout);
        to.step_with(
            status.as_str(),
            |to| call!(to.track_database_acquire(ms(2), status)),
            &format!(
                "database_pool_acquires_total{{status=\"$\"}} +1
                database_pool_acquire_duration_seconds observes 0.002
                database_pool_acquire_timeouts_total +{timeouts}"
            ),
        );
    }

    let start = |to: &Driver| call!(to.start_database_acquire());
    let acquire = to.step(start, PENDING);
    to.step(
        |to| {
            to.advance(ms(1));
            acquire.success();
        },
        r#"
        database_pool_pending_acquires -1
        database_pool_acquires_total{status="success"} +1
        database_pool_acquire_duration_seconds observes 0.001
        "#,
    );
    let acquire = to.step(start, PENDING);
    to.step(
        |to| {
            to.advance(ms(5_000));
            acquire.timeout();
        },
        r#"
        database_pool_pending_acquires -1
        database_pool_acquires_total{status="timeout"} +1
        database_pool_acquire_duration_seconds observes 5
        database_pool_acquire_timeouts_total +1
        "#,
    );
    let acquire = to.step(start, PENDING);
    to.step(
        |_| acquire.error(),
        r#"
        database_pool_pending_acquires -1
        database_pool_acquires_total{status="error"} +1
        database_pool_acquire_duration_seconds observes 0
        "#,
    );
    let acquire = to.step(start, PENDING);
    to.step(
        |_| drop(acquire),
        r#"
        database_pool_pending_acquires -1
        database_pool_acquires_total{status="cancelled"} +1
        database_pool_acquire_duration_seconds observes 0
        "#,
    );
    let acquire = to.step(start, PENDING);
    to.step(
        |_| panic_with(acquire),
        r#"
        database_pool_pending_acquires -1
        database_pool_acquires_total{status="error"} +1
        database_pool_acquire_duration_seconds observes 0
        "#,
    );
    to.step(|to| to.hold(start(to)), PENDING);
}

fn transactions(to: &mut Driver) {
    for outcome in TransactionOutcome::ALL.iter().copied() {
        to.step_with(
            outcome.as_str(),
            |to| call!(to.track_database_transaction("settle", ms(80), outcome)),
            r#"
            database_transactions_total{operation="settle",outcome="$"} +1
            database_transaction_duration_seconds{operation="settle"} observes 0.08
            "#,
        );
    }

    let start = |to: &Driver| {
        let transaction = call!(to.start_database_transaction("place_order"));
        to.advance(ms(15));
        transaction
    };
    to.step(
        |to| start(to).commit(),
        r#"
        database_transactions_total{operation="place_order",outcome="committed"} +1
        database_transaction_duration_seconds{operation="place_order"} observes 0.015
        "#,
    );
    let rolled_back = r#"
        database_transactions_total{operation="place_order",outcome="rolled_back"} +1
        database_transaction_duration_seconds{operation="place_order"} observes 0.015
        "#;
    to.step(|to| start(to).rollback(), rolled_back);
    to.step(|to| drop(start(to)), rolled_back);
    to.step(|to| panic_with(start(to)), rolled_back);
}
