//! The guards of work that has an outcome.

use backend_metrics::{
    ValidationOutcome,
    labels::{
        AcquireStatus, CacheLayer, CacheOperation, CacheStatus, CalendarStatus, DatabaseErrorType,
        FoQueryStatus, FoQueryType, IndicatorStatus, IndicatorType, JwtStatus, MarginMethod,
        MarginStatus, OrderRejectionReason, OrderSide, OrderType, PlacementStatus, QueryStatus,
        QueryType, RedisCommandStatus, StatementErrorType, StatementFileType, StatementStatus,
        StrategyM2mStatus, StrategyOperation, StrategyOperationStatus, TickerErrorType,
        TickerOperation, TickerRequestStatus, TransactionCategory, TransactionOutcome,
        WorkerTaskStatus,
    },
    subsystems::{
        auth::JwtValidationGuard,
        cache::{CacheGuard, RedisCommandGuard},
        database::{AcquireGuard, QueryGuard, TransactionGuard},
        fno::FoQueryGuard,
        market_data::{CalendarRequestGuard, IndicatorCalculationGuard},
        smart_orders::{MarginGuard, OpenOrder, OrderGuard, ValidationGuard},
        statements::StatementUploadGuard,
        strategies::{StrategyM2mGuard, StrategyOperationGuard},
        ticker_service::TickerRequestGuard,
        workers::WorkerTaskGuard,
    },
};

use crate::arguments::{Blamed, Came};

use super::guards;

guards! { for m, t, took:
    mod jwt: JwtValidationGuard = start_jwt_validation()
    keeps {}
    begins {}
    uses {}
    ends(status: JwtStatus, dropped: JwtStatus::Cancelled, panics: JwtStatus::Error) {
        valid() => JwtStatus::Valid,
        expired() => JwtStatus::Expired,
        invalid() => JwtStatus::Invalid,
        error() => JwtStatus::Error,
    } then { m.track_jwt_validation(status, took); }

    mod cache_operation: CacheGuard = start_cache_operation(operation: CacheOperation, layer: CacheLayer)
    keeps { size: Option<u64> = None }
    begins {}
    uses { chain bytes(bytes: u64) => { t.size = Some(bytes); } }
    ends(status: CacheStatus, dropped: CacheStatus::Cancelled, panics: CacheStatus::Error) {
        hit() => CacheStatus::Hit,
        miss() => CacheStatus::Miss,
        success() => CacheStatus::Success,
        error() => CacheStatus::Error,
    } then {
        m.track_cache_operation(t.operation, t.layer, took, status);
        if let Some(size) = t.size {
            m.track_cache_value_size(t.layer, size);
        }
    }

    mod redis: RedisCommandGuard = start_redis_command(command: &'static str)
    keeps { label: String = m.open("cache", "command", command) }
    begins {}
    uses {}
    ends(status: RedisCommandStatus, dropped: RedisCommandStatus::Cancelled, panics: RedisCommandStatus::Error) {
        success() => RedisCommandStatus::Success,
        error() => RedisCommandStatus::Error,
        connection_error() => {
            m.track_redis_connection_error();
            RedisCommandStatus::Error
        },
        finish(came: Came) => if came.0 { RedisCommandStatus::Success } else { RedisCommandStatus::Error },
    } then { m.redis_command(&t.label, took, status); }

    mod query: QueryGuard = start_database_query(query: QueryType)
    keeps { returned: Option<u64> = None }
    begins {}
    uses { chain rows(rows: u64) => { t.returned = Some(rows); } }
    ends(status: QueryStatus, dropped: QueryStatus::Cancelled, panics: QueryStatus::Error) {
        success() => QueryStatus::Success,
        error(error: DatabaseErrorType) => {
            m.track_database_error(error);
            QueryStatus::Error
        },
        finish(came: Came) => if came.0 {
            QueryStatus::Success
        } else {
            m.track_database_error(DatabaseErrorType::Query);
            QueryStatus::Error
        },
    } then {
        m.track_database_query(t.query, took, status);
        if let Some(rows) = t.returned {
            m.track_database_rows(t.query, rows);
        }
    }

    mod acquire: AcquireGuard = start_database_acquire()
    keeps {}
    begins { m.step("database_pool_pending_acquires", &[], 1); }
    uses {}
    ends(status: AcquireStatus, dropped: AcquireStatus::Cancelled, panics: AcquireStatus::Error) {
        success() => AcquireStatus::Success,
        timeout() => AcquireStatus::Timeout,
        error() => AcquireStatus::Error,
    } then {
        m.track_database_acquire(took, status);
        m.step("database_pool_pending_acquires", &[], -1);
    }

    mod transaction: TransactionGuard = start_database_transaction(operation: &'static str)
    keeps { label: String = m.open("database", "operation", operation) }
    begins {}
    uses {}
    ends(outcome: TransactionOutcome, dropped: TransactionOutcome::RolledBack, panics: TransactionOutcome::RolledBack) {
        commit() => TransactionOutcome::Committed,
        rollback() => TransactionOutcome::RolledBack,
    } then { m.transaction(&t.label, took, outcome); }

    mod fo_query: FoQueryGuard = start_fo_query(query: FoQueryType)
    keeps { returned: Option<u64> = None }
    begins {}
    uses { chain rows(rows: u64) => { t.returned = Some(rows); } }
    ends(status: FoQueryStatus, dropped: FoQueryStatus::Cancelled, panics: FoQueryStatus::Error) {
        success() => FoQueryStatus::Success,
        error() => FoQueryStatus::Error,
        finish(came: Came) => if came.0 { FoQueryStatus::Success } else { FoQueryStatus::Error },
    } then {
        m.track_fo_query(t.query, took, status);
        if let Some(rows) = t.returned {
            m.track_fo_query_rows(t.query, rows);
        }
    }

    mod calendar: CalendarRequestGuard = start_calendar_request(endpoint: &'static str)
    keeps { label: String = m.open("market_data", "endpoint", endpoint) }
    begins {}
    uses {}
    ends(status: CalendarStatus, dropped: CalendarStatus::Error, panics: CalendarStatus::Error) {
        success() => CalendarStatus::Success,
        error() => CalendarStatus::Error,
        finish(came: Came) => if came.0 { CalendarStatus::Success } else { CalendarStatus::Error },
    } then { m.calendar_request(&t.label, took, status); }

    mod indicator: IndicatorCalculationGuard = start_indicator_calculation(of: IndicatorType)
    keeps {}
    begins {}
    uses {}
    ends(status: IndicatorStatus, dropped: IndicatorStatus::Error, panics: IndicatorStatus::Error) {
        success() => IndicatorStatus::Success,
        error() => IndicatorStatus::Error,
        finish(came: Came) => if came.0 { IndicatorStatus::Success } else { IndicatorStatus::Error },
    } then { m.track_indicator_calculation(t.of, took, status); }

    mod statement: StatementUploadGuard = start_statement_upload(file: StatementFileType, bytes: u64)
    keeps {}
    begins {}
    uses {
        note transactions(category: TransactionCategory, count: u64) => {
            m.track_transactions_parsed(category, count);
        }
    }
    ends(status: StatementStatus, dropped: StatementStatus::Cancelled, panics: StatementStatus::Error) {
        success() => StatementStatus::Success,
        error(error: StatementErrorType) => {
            m.track_statement_error(error);
            StatementStatus::Error
        },
        finish(came: Came, kind: Blamed<StatementErrorType>) => if came.0 {
            StatementStatus::Success
        } else {
            m.track_statement_error(kind.0);
            StatementStatus::Error
        },
    } then { m.track_statement_upload(t.file, t.bytes, took, status); }

    mod strategy: StrategyOperationGuard = start_strategy_operation(operation: StrategyOperation)
    keeps {}
    begins {}
    uses {}
    ends(status: StrategyOperationStatus, dropped: StrategyOperationStatus::Cancelled, panics: StrategyOperationStatus::Error) {
        success() => StrategyOperationStatus::Success,
        error() => StrategyOperationStatus::Error,
        finish(came: Came) => if came.0 {
            StrategyOperationStatus::Success
        } else {
            StrategyOperationStatus::Error
        },
    } then { m.track_strategy_operation(t.operation, took, status); }

    mod m2m: StrategyM2mGuard = start_strategy_m2m()
    keeps {}
    begins {}
    uses {}
    ends(status: StrategyM2mStatus, dropped: StrategyM2mStatus::Cancelled, panics: StrategyM2mStatus::Error) {
        success() => StrategyM2mStatus::Success,
        error() => StrategyM2mStatus::Error,
        finish(came: Came) => if came.0 { StrategyM2mStatus::Success } else { StrategyM2mStatus::Error },
    } then { m.track_strategy_m2m(took, status); }

    mod ticker: TickerRequestGuard = start_ticker_request(operation: TickerOperation)
    keeps {}
    begins {}
    uses {}
    ends(status: TickerRequestStatus, dropped: TickerRequestStatus::Cancelled, panics: TickerRequestStatus::Error) {
        success() => TickerRequestStatus::Success,
        error(error: TickerErrorType) => {
            m.track_ticker_error(error);
            TickerRequestStatus::Error
        },
        finish(came: Came, kind: Blamed<TickerErrorType>) => if came.0 {
            TickerRequestStatus::Success
        } else {
            m.track_ticker_error(kind.0);
            TickerRequestStatus::Error
        },
    } then { m.track_ticker_request(t.operation, took, status); }

    mod worker: WorkerTaskGuard = start_worker_task(worker: &'static str)
    keeps { label: String = m.open("workers", "worker_type", worker) }
    begins { m.step("worker_tasks_active", &[&t.label], 1); }
    uses {
        chain waited(waited: Duration) => {
            m.observe("worker_task_wait_duration_seconds", &[&t.label], waited);
        }
    }
    ends(status: WorkerTaskStatus, dropped: WorkerTaskStatus::Cancelled, panics: {
            m.count("worker_panics_total", &[&t.label], 1);
            WorkerTaskStatus::Error
        }) {
        success() => WorkerTaskStatus::Success,
        error() => WorkerTaskStatus::Error,
        finish(came: Came) => if came.0 { WorkerTaskStatus::Success } else { WorkerTaskStatus::Error },
    } then {
        m.worker_task(&t.label, took, status);
        m.step("worker_tasks_active", &[&t.label], -1);
    }

    mod validation: ValidationGuard = start_smart_order_validation()
    keeps {}
    begins {}
    uses {}
    ends(outcome: ValidationOutcome, dropped: ValidationOutcome::Cancelled, panics: ValidationOutcome::Error) {
        passed() => ValidationOutcome::Passed,
        rejected(reason: OrderRejectionReason) => ValidationOutcome::Rejected(reason),
        error() => ValidationOutcome::Error,
    } then { m.track_smart_order_validation(took, outcome); }

    mod margin: MarginGuard = start_margin_calculation(method: MarginMethod)
    keeps {}
    begins {}
    uses {}
    ends(status: MarginStatus, dropped: MarginStatus::Cancelled, panics: MarginStatus::Error) {
        success() => match t.method {
            MarginMethod::TickerService => MarginStatus::Success,
            _ => MarginStatus::Fallback,
        },
        fallback() => {
            t.method = MarginMethod::Fallback;
            MarginStatus::Fallback
        },
        error() => MarginStatus::Error,
    } then { m.track_margin_calculation(t.method, took, status); }

    mod placement: OrderGuard = start_order(of: OrderType, side: OrderSide)
    keeps {}
    begins {}
    uses {}
    ends(status: PlacementStatus, dropped: PlacementStatus::Cancelled, panics: PlacementStatus::Failed) {
        accepted() => PlacementStatus::Accepted,
        accepted_open(life: open_order::Life) via |order| {
            let told = open_order::Told {
                began: m.uptime,
                of: t.of,
                side: t.side,
                since_acceptance: true,
            };
            Some(Box::new(open_order::Running { guard: order.accepted_open(), told, life }))
        } => {
            m.count("order_state_transitions_total", &["open"], 1);
            m.step("orders_open", &[t.of.as_str()], 1);
            PlacementStatus::Accepted
        },
        rejected() => PlacementStatus::Rejected,
        failed() => PlacementStatus::Failed,
    } then { m.track_order_placement(t.of, t.side, took, status); }

    mod open_order: OpenOrder = start_open_order(of: OrderType, side: OrderSide)
    keeps { since_acceptance: bool = false }
    begins { m.step("orders_open", &[t.of.as_str()], 1); }
    uses {
        note fill_price(expected: f64, filled: f64) => {
            m.track_order_slippage(t.side, expected, filled);
        }
        note partially_filled() => { m.count("order_state_transitions_total", &["partially_filled"], 1); }
        note modified() => { m.count("order_state_transitions_total", &["modified"], 1); }
    }
    ends(state: Option<&'static str>, dropped: None, panics: None) {
        filled() => {
            if t.since_acceptance {
                m.track_order_fill(t.of, took);
            }
            Some("filled")
        },
        cancelled() => Some("cancelled"),
        rejected() => Some("rejected"),
        expired() => Some("expired"),
    } then {
        if let Some(state) = state {
            m.count("order_state_transitions_total", &[state], 1);
        }
        m.step("orders_open", &[t.of.as_str()], -1);
    }
}
