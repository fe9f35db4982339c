//! The helpers around orders and strategies.

use std::time::Duration;

use backend_metrics::{
    ValidationOutcome,
    labels::{
        CostTransactionType, MarginMethod, MarginStatus, MarketImpactLevel, OrderSide, OrderState,
        OrderType, PlacementStatus, StrategyM2mStatus, StrategyOperation, StrategyOperationStatus,
        StrategySignal,
    },
};

use super::helpers;

helpers! { for m:
    fn track_smart_order_validation(took: Duration, outcome: ValidationOutcome) {
        let status = match outcome {
            ValidationOutcome::Passed => "passed",
            ValidationOutcome::Error => "error",
            ValidationOutcome::Cancelled => "cancelled",
            ValidationOutcome::Rejected(reason) => {
                m.count("smart_order_rejection_reasons_total", &[reason.as_str()], 1);
                "rejected"
            }
        };
        m.count("smart_order_validations_total", &[status], 1);
        m.observe("smart_order_validation_duration_seconds", &[], took);
    }

    fn track_margin_calculation(method: MarginMethod, took: Duration, status: MarginStatus) {
        m.count("margin_calculations_total", &[status.as_str()], 1);
        m.observe("margin_calculation_duration_seconds", &[method.as_str()], took);
    }

    fn track_cost_breakdown(of: CostTransactionType, took: Duration) {
        m.count("cost_breakdown_calculations_total", &[of.as_str()], 1);
        m.observe("cost_breakdown_duration_seconds", &[of.as_str()], took);
    }

    fn track_market_impact_assessment(level: MarketImpactLevel, took: Duration) {
        m.count("market_impact_assessments_total", &[level.as_str()], 1);
        m.observe("market_impact_assessment_duration_seconds", &[], took);
    }

    fn track_order_placement(of: OrderType, side: OrderSide, took: Duration, status: PlacementStatus) {
        m.count("orders_placed_total", &[of.as_str(), side.as_str(), status.as_str()], 1);
        m.observe("order_placement_duration_seconds", &[of.as_str()], took);
        if status == PlacementStatus::Accepted {
            m.add_today("total_orders_placed_today", 1);
        }
    }

    fn track_order_state(of: OrderType, previous: Option<OrderState>, state: OrderState) {
        m.count("order_state_transitions_total", &[state.as_str()], 1);
        let stands = |state: OrderState| {
            ["open", "partially_filled", "modified"].contains(&state.as_str())
        };
        let (was, is) = (previous.is_some_and(stands), stands(state));
        m.step("orders_open", &[of.as_str()], i64::from(is) - i64::from(was));
    }

    fn track_open_orders(of: OrderType, change: i64) {
        m.step("orders_open", &[of.as_str()], change);
    }

    fn track_order_fill(of: OrderType, took: Duration) {
        m.observe("order_fill_duration_seconds", &[of.as_str()], took);
    }

    fn track_order_slippage(side: OrderSide, expected: f64, filled: f64) {
        if expected.is_finite() && filled.is_finite() && expected > 0.0 {
            let worse = match side {
                OrderSide::Sell => filled < expected,
                _ => filled > expected,
            };
            let direction = if worse { "adverse" } else { "favourable" };
            let size = ((filled - expected) / expected).abs();
            m.observe("order_slippage_ratio", &[side.as_str(), direction], size);
        }
    }

    fn update_strategy_account(account: &'static str, strategies: u32, instruments: u32, pnl: f64) {
        let account = m.open("strategies", "account_id", account);
        m.set("strategies_total", &[&account], strategies.into());
        m.set("strategy_instruments_total", &[&account], instruments.into());
        m.set("strategy_pnl_total", &[&account], pnl);
    }

    fn set_strategy_pnl(account: &'static str, pnl: f64) {
        let account = m.open("strategies", "account_id", account);
        m.set("strategy_pnl_total", &[&account], pnl);
    }

    fn remove_strategy_account(account: &'static str) {
        m.close("strategies", "account_id", account);
    }

    fn track_strategy_operation(operation: StrategyOperation, took: Duration, status: StrategyOperationStatus) {
        m.count("strategy_operations_total", &[operation.as_str(), status.as_str()], 1);
        m.observe("strategy_operation_duration_seconds", &[operation.as_str()], took);
        if operation == StrategyOperation::Create && status == StrategyOperationStatus::Success {
            m.add_today("total_strategies_created_today", 1);
        }
    }

    fn track_strategy_m2m(took: Duration, status: StrategyM2mStatus) {
        m.count("strategy_m2m_calculations_total", &[status.as_str()], 1);
        m.observe("strategy_m2m_calculation_duration_seconds", &[], took);
        if status == StrategyM2mStatus::Success {
            m.now("strategy_m2m_last_success_timestamp_seconds", &[]);
        }
    }

    fn track_strategy_signal(signal: StrategySignal) {
        m.count("strategy_signals_total", &[signal.as_str()], 1);
    }

    fn track_strategy_stop_loss() {
        m.count("strategy_stop_losses_triggered_total", &[], 1);
    }
}
