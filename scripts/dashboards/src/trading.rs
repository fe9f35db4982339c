//! Does the business run: orders, strategies, analytics, market data, statements, users, workers.

use crate::{
    dashboard::{Dashboard, Row, Scope, row},
    panel::{bars, pie, stat, timeseries, unit},
};

pub(crate) fn dashboard() -> Dashboard {
    Dashboard {
        file: "dashboard-3-business-trading.json",
        uid: "backend-trading",
        title: "Backend: business and trading",
        description: "Whether the business runs: orders, strategies, analytics, market data, statements, users and workers.",
        tags: &["business", "trading"],
        refresh: "10s",
        from: "now-1h",
        logs: false,
        scope: Scope::Instance,
        rows: vec![
            overview(),
            orders(),
            lifecycle(),
            ticker(),
            market_data(),
            costs(),
            strategies(),
            analytics(),
            indicators(),
            statements(),
            users(),
            workers(),
        ],
    }
}

/// The share of validations that ended in a rejection.
fn rejected(window: &str) -> String {
    format!(
        r#"(sum(rate(smart_order_validations_total{{@, status="rejected"}}[{window}])) or vector(0)) / sum(rate(smart_order_validations_total{{@, status!="cancelled"}}[{window}]))"#
    )
}

/// The seconds since a moment, by labels.
fn age(moment: &str, by: &str) -> String {
    format!("time() - max by ({by}) ({moment}{{@}})")
}

fn overview() -> Row {
    let validations = timeseries("Order validations/sec", unit::OPERATIONS)
        .says("Smart orders that were checked, by result.")
        .rate("smart_order_validations_total", &["status"])
        .stacked()
        .size(12, 8);
    let numbers = [

            stat("Validation success rate", unit::RATIO)
                .says("Validations that passed. It falls with the market (spreads, liquidity) and with missing margin: see the rejection reasons.")
                .query("passed", format!("1 - ({})", rejected("$__rate_interval")))
                .over_a_minute()
                .at_least(0.8, 0.9)
                .range(0.0, 1.0)
                .alert("HighOrderRejectionRate"),
            stat("Rejection rate", unit::RATIO)
                .says("Rejected validations over the last hour. The alert is at 20% over ten minutes.")
                .query("rejected 1h", rejected("1h"))
                .limits(0.1, 0.2)
                .range(0.0, 1.0)
                .alert("HighOrderRejectionRate"),
            stat("Validation duration p95", unit::SECONDS)
                .says("19 of 20 validations are faster. Margin comes from the ticker service: it is the slow part.")
                .p95("smart_order_validation_duration_seconds", &[])
                .limits(0.1, 0.5)
                .alert("TickerServiceHighLatency"),
            stat("Orders placed today", unit::NUMBER)
                .says("Accepted orders since midnight of the market's day, or the start of the process.")
                .query("orders", "sum(total_orders_placed_today{@})"),
            stat("Total P&L", unit::RUPEES)
                .says("Of all strategies, in rupees. Replicas report the same accounts, so each account counts once. Check the age of the marks before you believe it.")
                .query("P&L", "sum(max by (account_id) (strategy_pnl_total{@})) and on () max(strategy_m2m_last_success_timestamp_seconds{@})")
                .nothing("No mark recorded")
                .floor(0.0)
                .alert("StrategyM2MStale"),
            stat("Ticker service success rate", unit::RATIO)
                .says("Calls to the ticker service that were answered.")
                .query("success", r#"sum(rate(ticker_service_requests_total{@, status="success"}[$__rate_interval])) / sum(rate(ticker_service_requests_total{@, status!="cancelled"}[$__rate_interval]))"#)
                .over_a_minute()
                .at_least(0.95, 0.98)
                .range(0.0, 1.0)
                .alert("CircuitBreakerOpen"),
            stat("Age of the last tick", unit::SECONDS)
                .says("Of the instance that waits longest. In market hours the alert is at a minute: prices stand still.")
                .query("age", "time() - min(ticker_service_last_tick_timestamp_seconds{@})")
                .limit(60.0)
                .alert("TickerTicksStale")
                .details("Circuit breaker", "backend-api"),
            stat("Circuit breaker failures", unit::EVENTS)
                .says("Calls whose failure the breaker counted. While it is open there are few calls, and few failures: look at its state.")
                .rate("ticker_service_circuit_breaker_failures_total", &[])
                .limits(1.0, 5.0)
                .alert("CircuitBreakerOpen")
                .details("Circuit breaker", "backend-api"),
            stat("Circuit breaker", "none")
                .says("The worst state of any instance. Open: margins are estimates.")
                .query("state", "max(ticker_service_circuit_breaker_state{@} == 1) or max(ticker_service_circuit_breaker_state{@})")
                .state("0", "closed", "green")
                .state("1", "open", "red")
                .state("2", "half-open", "yellow")
                .alert("CircuitBreakerOpen")
                .details("Circuit breaker", "backend-api"),
            stat("Strategies created today", unit::NUMBER)
                .says("Since midnight of the market's day, or the start of the process.")
                .query("created", "sum(total_strategies_created_today{@})")
                .details("Requests", "backend-api"),
            stat("Total strategy instruments", unit::NUMBER)
                .says("Instruments in all strategies; each account counts once, whatever the number of replicas.")
                .query("instruments", "sum(max by (account_id) (strategy_instruments_total{@}))")
                .details("Requests", "backend-api"),
            stat("Daily active users", unit::NUMBER)
                .says("Distinct users since midnight of the market's day. Over replicas it is the largest number, not the sum.")
                .query("DAU", "max(daily_active_users{@})")
                .details("Active users", "backend-api"),
    ];
    let panels = [validations].into_iter().chain(numbers.map(|number| number.size(6, 4)));
    row("Overview", "HighOrderRejectionRate", panels)
}

fn orders() -> Row {
    row(
        "Smart orders",
        "HighOrderRejectionRate",
        [
            pie("Rejection reasons")
                .says("Why orders were rejected over the whole range. `margin_insufficient` is the client's, the others are the market's.")
                .query("{{reason}}", "sum by (reason) (increase(smart_order_rejection_reasons_total{@}[$__range]))")
                .alert("HighOrderRejectionRate"),
            timeseries("Market impact assessments", unit::OPERATIONS)
                .says("How much an order would move the market.")
                .rate("market_impact_assessments_total", &["impact_level"])
                .stacked()
                .colour("low", "green")
                .colour("medium", "yellow")
                .colour("high", "red"),
            timeseries("Failed share of validations", unit::RATIO)
                .says("Validations that ended in an error or a panic: neither passed nor rejected. The alert is at 20%.")
                .share("smart_order_validations_total", &["instance"], r#"status="error""#, r#"status!="cancelled""#)
                .limit(0.2)
                .alert("OrderValidationsFailing"),
            timeseries("Market impact assessment duration (p95)", unit::SECONDS)
                .says("A part of the validation.")
                .p95("market_impact_assessment_duration_seconds", &[]),
        ],
    )
}

fn lifecycle() -> Row {
    row(
        "Order life cycle",
        "HighOrderRejectionRate",
        [
            timeseries("Orders placed", unit::OPERATIONS)
                .says("By type and how the exchange answered. `failed` never got there; `cancelled` was given up on the way: ask the exchange what became of it.")
                .rate("orders_placed_total", &["order_type", "status"]),
            timeseries("Failed share of orders", unit::RATIO)
                .says("Orders without an answer of the broker, among those placed. The alert is at 20%. Such an order may have been placed: compare the order book before anyone sends it again.")
                .share("orders_placed_total", &["instance"], r#"status="failed""#, r#"status!="cancelled""#)
                .limit(0.2)
                .alert("OrdersFailing"),
            timeseries("Order placement duration (p95)", unit::SECONDS)
                .says("From sending an order to the exchange's answer.")
                .p95("order_placement_duration_seconds", &["order_type"]),
            timeseries("Order fill duration (p95)", unit::SECONDS)
                .says("From the order to its last fill. Limit orders wait for their price.")
                .nothing("No fill recorded")
                .p95("order_fill_duration_seconds", &["order_type"]),
            timeseries("Order state transitions", unit::OPERATIONS)
                .says("What becomes of orders.")
                .rate("order_state_transitions_total", &["state"])
                .stacked(),
            timeseries("Open orders", unit::NUMBER)
                .says("Orders at the exchange that are neither filled nor ended.")
                .level("orders_open", &["order_type"]),
            timeseries("Orders by side", unit::OPERATIONS)
                .says("Buying against selling.")
                .rate("orders_placed_total", &["side"]),
            timeseries("Order slippage (p95)", unit::RATIO)
                .says("How far fills are from the expected price, as a share of it. Only `adverse` costs.")
                .nothing("No fill recorded")
                .p95("order_slippage_ratio", &["side", "direction"]),
            timeseries("Turnover today", unit::RUPEES)
                .says("Rupees of the fills since midnight of the market's day. There is a line once an order was placed.")
                .query("turnover", "sum(total_turnover_today_rupees{@}) and on () sum(total_orders_placed_today{@}) > 0")
                .nothing("No order recorded today"),
        ],
    )
}

fn costs() -> Row {
    row(
        "Margin and cost",
        "TickerServiceHighLatency",
        [
            timeseries("Margin calculations/sec", unit::OPERATIONS)
                .says("`fallback` is an estimate, made while the ticker service does not answer.")
                .rate("margin_calculations_total", &["status"]),
            timeseries("Margin calculation duration by method (p95)", unit::SECONDS)
                .says("`ticker_service` waits for an answer, `fallback` estimates without one.")
                .p95("margin_calculation_duration_seconds", &["method"]),
            timeseries("Cost breakdowns by transaction type", unit::OPERATIONS)
                .says("Taxes, charges and brokerage of an order, worked out.")
                .rate("cost_breakdown_calculations_total", &["transaction_type"]),
            timeseries("Cost breakdown duration (p95)", unit::SECONDS)
                .says("A calculation without any call: milliseconds are too many.")
                .p95("cost_breakdown_duration_seconds", &["transaction_type"]),
        ],
    )
}

fn ticker() -> Row {
    row(
        "Ticker service",
        "TickerServiceHighLatency",
        [
            timeseries("Ticker service requests", unit::REQUESTS)
                .says("Calls by operation and outcome. `other` is the rest: margins and quotes.")
                .rate("ticker_service_requests_total", &["operation", "status"]),
            timeseries("Ticker service request duration (p95)", unit::SECONDS)
                .says("By operation. The alert is at 2 s over all of them.")
                .p95("ticker_service_request_duration_seconds", &["operation"])
                .limit(2.0)
                .alert("TickerServiceHighLatency"),
            timeseries("Ticker service errors", unit::EVENTS)
                .says("`circuit_open` are calls that were not made, since the breaker is open.")
                .rate("ticker_service_errors_total", &["error_type"])
                .stacked(),
            timeseries("Circuit breaker transitions", unit::EVENTS)
                .says("To which state it went. Back and forth: the service half works.")
                .rate("ticker_service_circuit_breaker_transitions_total", &["state"])
                .colour("closed", "green")
                .colour("open", "red")
                .colour("half_open", "yellow")
                .alert("CircuitBreakerOpen"),
            timeseries("Ticker service retries", unit::EVENTS)
                .says("Calls that were made again. Retries hide errors from users, and add load.")
                .rate("ticker_service_retries_total", &["operation"]),
            timeseries("Ticker subscriptions", unit::NUMBER)
                .says("Instruments that the service is asked to send.")
                .level("ticker_service_subscriptions_active", &["instance"])
                .alert("TickerSubscriptionsLost"),
            timeseries("Ticks received", unit::EVENTS)
                .says("Prices that came in. 0 in market hours is a dead feed.")
                .rate("ticker_service_ticks_received_total", &["instance"])
                .alert("TickerTicksStale"),
            timeseries("Tick latency", unit::SECONDS)
                .says("From the exchange's time of a tick to its arrival. It rises when the service or the network falls behind; it jumps when a clock is wrong. The alert is at a median of 5 s, where the histogram ends.")
                .quantiles("ticker_service_tick_latency_seconds")
                .limit(5.0)
                .alert("TickerTicksLate"),
        ],
    )
}

fn market_data() -> Row {
    row(
        "Market data",
        "MarketDataStale",
        [
            timeseries("Market data updates", unit::EVENTS)
                .says("Ticks, candles and depth that came in. One kind that stops alone is a subscription that was lost.")
                .rate("market_data_updates_total", &["data_type"]),
            timeseries("Market data lag (p95)", unit::SECONDS)
                .says("From the event at the exchange to the update.")
                .p95("market_data_update_lag_seconds", &["data_type"]),
            timeseries("Market data gaps", unit::EVENTS)
                .says("Updates that were lost on the way.")
                .rate("market_data_gaps_total", &["data_type"]),
            timeseries("Age of market data", unit::SECONDS)
                .says("Since the last update. In market hours the alert is at 3 minutes.")
                .query(
                    "{{data_type}}",
                    age("market_data_last_update_timestamp_seconds", "data_type"),
                )
                .limit(180.0)
                .alert("MarketDataStale"),
        ],
    )
}

fn strategies() -> Row {
    row(
        "Strategies",
        "StrategyM2MCalculationErrors",
        [
            bars("Active strategies by account", unit::NUMBER)
                .says("The 20 accounts with the most strategies.")
                .query("{{account_id}}", "topk(20, max by (account_id) (strategies_total{@}))"),
            timeseries("Strategy operations", unit::OPERATIONS)
                .says("By operation and outcome. An error is an answer to a trader who could not change a strategy.")
                .rate("strategy_operations_total", &["operation", "status"]),
            timeseries("Strategy operation duration (p95)", unit::SECONDS)
                .says("From the request to the stored change. It follows the database.")
                .p95("strategy_operation_duration_seconds", &["operation"]),
            timeseries("M2M calculations/sec", unit::OPERATIONS)
                .says("Strategies marked to the market. The line is for errors: at one a second profit and loss is out of date.")
                .rate("strategy_m2m_calculations_total", &["status"])
                .limit(1.0)
                .alert("StrategyM2MCalculationErrors"),
            timeseries("Failed share of M2M calculations", unit::RATIO)
                .says("The alert is at 20%: where strategies are few, errors never reach one a second.")
                .share("strategy_m2m_calculations_total", &["instance"], r#"status="error""#, r#"status!="cancelled""#)
                .limit(0.2)
                .alert("StrategyM2MMostlyFailing"),
            timeseries("M2M calculation duration p95", unit::SECONDS)
                .says("One strategy, all its instruments.")
                .p95("strategy_m2m_calculation_duration_seconds", &[]),
            timeseries("Age of the last M2M", unit::SECONDS)
                .says("Since any instance last marked a strategy. In market hours the alert is at 5 minutes.")
                .query("age", "time() - max(strategy_m2m_last_success_timestamp_seconds{@})")
                .limit(300.0)
                .alert("StrategyM2MStale"),
            timeseries("Strategy signals", unit::EVENTS)
                .says("What strategies ask for.")
                .rate("strategy_signals_total", &["signal"]),
            timeseries("Stop losses triggered", unit::EVENTS)
                .says("Many at once: the market moved, or a price is wrong. Look at market data before the strategies.")
                .rate("strategy_stop_losses_triggered_total", &[]),
            timeseries("P&L by account (5 best and 5 worst)", unit::RUPEES)
                .signed()
                .says("The accounts that win and lose the most, in rupees. Those of the last mark: look at its age.")
                .query("{{account_id}}", "topk(5, max by (account_id) (strategy_pnl_total{@})) or bottomk(5, max by (account_id) (strategy_pnl_total{@}))"),
        ],
    )
}

fn analytics() -> Row {
    row(
        "F&O analytics",
        "FOQueryLatencyIncreasing",
        [
            timeseries("F&O query rate", unit::QUERIES)
                .says("By query and outcome.")
                .rate("fo_queries_total", &["query_type", "status"]),
            timeseries("F&O query duration by type (p95)", unit::SECONDS)
                .says("The alert is at 5 s over all of them. A chain of thousands of strikes takes its time.")
                .p95("fo_query_duration_seconds", &["query_type"])
                .limit(5.0)
                .alert("FOQueryLatencyIncreasing"),
            timeseries("F&O query rows (p95)", unit::NUMBER)
                .says("Rows of an answer. Many more than usual: a filter was dropped.")
                .p95("fo_query_rows", &["query_type"]),
            timeseries("Greeks calculation duration (p95)", unit::SECONDS)
                .says("One calculation, without the wait for it.")
                .p95("fo_greeks_calculation_duration_seconds", &[]),
            timeseries("Instrument cache refreshes", unit::EVENTS)
                .says("The list of contracts, read anew.")
                .rate("fo_instrument_cache_refreshes_total", &["status"])
                .alert("FOInstrumentCacheStale"),
            stat("Greeks calculations/sec", unit::OPERATIONS)
                .says("Delta, gamma, theta and vega of options.")
                .rate("fo_greeks_calculations_total", &[])
                .size(8, 4),
            stat("F&O instruments cached", unit::NUMBER)
                .says("Contracts known. 0 means that no option can be found.")
                .query("cached", "max(fo_instruments_cached{@})")
                .alert("FOInstrumentCacheStale")
                .size(8, 4),
            stat("Age of the F&O instruments", unit::SECONDS)
                .says("Since the list was last read, by the instance that is furthest behind. The alert is at one day.")
                .query("age", "time() - min(fo_instrument_cache_last_refresh_timestamp_seconds{@})")
                .limit(86_400.0)
                .alert("FOInstrumentCacheStale")
                .size(8, 4),
        ],
    )
}

fn indicators() -> Row {
    row(
        "Indicators and calendar",
        "MarketDataStale",
        [
            timeseries("Indicator calculations", unit::OPERATIONS)
                .says("By indicator and outcome.")
                .rate("indicator_calculations_total", &["indicator_type", "status"]),
            timeseries("Indicator calculation duration (p95)", unit::SECONDS)
                .says("One calculation, without reading its inputs.")
                .p95("indicator_calculation_duration_seconds", &["indicator_type"]),
            timeseries("Indicator cache hit rate", unit::PERCENT)
                .says("Hits among the reads of five minutes, by instance. Without a read there is no line.")
                .query(
                    "{{instance}} {{indicator_type}}",
                    "max by (instance, indicator_type) (indicator_cache_hit_rate{@})",
                )
                .range(0.0, 100.0),
            timeseries("Calendar requests", unit::REQUESTS)
                .says("By endpoint and outcome.")
                .rate("calendar_requests_total", &["endpoint", "status"]),
            timeseries("Calendar request duration (p95)", unit::SECONDS)
                .says("The calendar is small and kept in memory: milliseconds are too many.")
                .p95("calendar_request_duration_seconds", &["endpoint"]),
        ],
    )
}

fn statements() -> Row {
    row(
        "Statements",
        "StatementParsingErrors",
        [
            timeseries("Statement uploads", unit::OPERATIONS)
                .says("Files by kind and outcome.")
                .rate("statement_uploads_total", &["file_type", "status"]),
            timeseries("Statement parsing duration (p95)", unit::SECONDS)
                .says("One file, from its first byte to its last row. Excel takes longer than CSV.")
                .p95("statement_parsing_duration_seconds", &["file_type"]),
            timeseries("Transactions parsed", unit::OPERATIONS)
                .says("Rows that were understood. `other` is a category that is not known: a broker changed its file.")
                .rate("transactions_parsed_total", &["category"])
                .stacked(),
            timeseries("Statement parsing errors", unit::EVENTS)
                .says("Rows and files that were not understood. The alert is at 0.1 a second over all types.")
                .rate("statement_parsing_errors_total", &["error_type"])
                .limit(0.1)
                .alert("StatementParsingErrors"),
            timeseries("Statement size (p95)", unit::BYTES)
                .says("Bytes of an uploaded file. Large ones take long to parse.")
                .p95("statement_upload_size_bytes", &["file_type"]),
        ],
    )
}

fn users() -> Row {
    row(
        "Users",
        "NoActiveUsers",
        [timeseries("Active users by time window", unit::NUMBER)
            .says("Distinct users of the last 5 and 15 minutes and of the last hour. Over replicas it is the largest number, not the sum.")
            .query("{{time_window}}", "max by (time_window) (active_users{@})")
            .alert("NoActiveUsers")],
    )
}

fn workers() -> Row {
    row(
        "Workers",
        "BackgroundWorkerQueueBacklog",
        [
            timeseries("Worker task rate", unit::OPERATIONS)
                .says("Tasks by kind and outcome.")
                .rate("worker_tasks_total", &["worker_type", "status"]),
            timeseries("Worker queue depth", unit::NUMBER)
                .says("Tasks that wait in the longest queue: the one that the instances share, or that of an instance. The alert is at 100: more comes in than is done.")
                .query("{{worker_type}}", "max by (worker_type) (worker_queue_depth{@})")
                .limit(100.0)
                .alert("BackgroundWorkerQueueBacklog"),
            timeseries("Worker task duration (p95)", unit::SECONDS)
                .says("One task, without the wait.")
                .p95("worker_task_duration_seconds", &["worker_type"]),
            timeseries("Worker wait (p95)", unit::SECONDS)
                .says("From a task's arrival in the queue to its start.")
                .p95("worker_task_wait_duration_seconds", &["worker_type"]),
            timeseries("Active worker tasks", unit::NUMBER)
                .says("Under way now. One that stays for hours hangs.")
                .level("worker_tasks_active", &["worker_type"]),
            timeseries("Age of the last success", unit::SECONDS)
                .says("Since any instance last finished a task of the kind. The alert is at 15 minutes; for workers that wait for work, only while there is some.")
                .query("{{worker_type}}", age("worker_last_success_timestamp_seconds", "worker_type"))
                .limit(900.0)
                .alert("PeriodicWorkerStale")
                .alert("WorkerWithoutSuccess"),
            timeseries("Age of the last success by instance", unit::SECONDS)
                .says("Of each instance by itself. The alert is at 15 minutes with work all the time: the others hide one that hangs.")
                .query("{{instance}} {{worker_type}}", "job_instance_worker_type:worker_last_success_age:seconds{@}")
                .nothing("Rules are not loaded, or no worker has succeeded")
                .limit(900.0)
                .alert("WorkerStuck"),
            timeseries("Worker retries", unit::EVENTS)
                .says("Tasks that were tried again.")
                .rate("worker_task_retries_total", &["worker_type"]),
            timeseries("Worker panics", unit::EVENTS)
                .says("Tasks that panicked. Zero is normal: each is a bug, with a line in the log.")
                .rate("worker_panics_total", &["worker_type"]),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query;

    #[test]
    fn a_window_stands_on_both_sides_of_the_ratio() {
        assert_eq!(rejected("1h").matches("[1h]").count(), 2);
        assert_eq!(query::expand(&rejected("1h")).matches("instance=~").count(), 2);
    }
}
