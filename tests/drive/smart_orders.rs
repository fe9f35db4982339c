use backend_metrics::{
    ValidationOutcome,
    labels::{
        CostTransactionType, MarginMethod, MarginStatus, MarketImpactLevel, OrderRejectionReason,
        OrderSide, OrderState, OrderType, PlacementStatus,
    },
};

use super::{Driver, ms, panic_with};

pub(super) fn drive(to: &mut Driver) {
    validations(to);
    margins(to);
    for transaction_type in CostTransactionType::ALL.iter().copied() {
        to.step_with(
            transaction_type.as_str(),
            |to| call!(to.track_cost_breakdown(transaction_type, ms(6))),
            r#"
            cost_breakdown_calculations_total{transaction_type="$"} +1
            cost_breakdown_duration_seconds{transaction_type="$"} observes 0.006
            "#,
        );
    }
    for level in MarketImpactLevel::ALL.iter().copied() {
        to.step_with(
            level.as_str(),
            |to| call!(to.track_market_impact_assessment(level, ms(3))),
            r#"
            market_impact_assessments_total{impact_level="$"} +1
            market_impact_assessment_duration_seconds observes 0.003
            "#,
        );
    }
    placements(to);
    states(to);
    open_orders(to);
    for (side, fill_price, direction) in [
        (OrderSide::Buy, 100.5, "adverse"),
        (OrderSide::Buy, 99.5, "favourable"),
        (OrderSide::Sell, 99.5, "adverse"),
        (OrderSide::Sell, 100.5, "favourable"),
    ] {
        to.step_with(
            side.as_str(),
            |to| call!(to.track_order_slippage(side, 100.0, fill_price)),
            &format!("order_slippage_ratio{{side=\"$\",direction=\"{direction}\"}} observes 0.005"),
        );
    }
}

fn validations(to: &mut Driver) {
    to.step(
        |to| call!(to.track_smart_order_validation(ms(20), ValidationOutcome::Passed)),
        r#"
        smart_order_validations_total{status="passed"} +1
        smart_order_validation_duration_seconds observes 0.02
        "#,
    );
    for reason in OrderRejectionReason::ALL.iter().copied() {
        to.step_with(
            reason.as_str(),
            |to| {
                let outcome = ValidationOutcome::Rejected(reason);
                call!(to.track_smart_order_validation(ms(30), outcome));
            },
            r#"
            smart_order_validations_total{status="rejected"} +1
            smart_order_validation_duration_seconds observes 0.03
            smart_order_rejection_reasons_total{reason="$"} +1
            "#,
        );
    }

    let start = |to: &Driver| {
        let validation = call!(to.start_smart_order_validation());
        to.advance(ms(11));
        validation
    };
    to.step(
        |to| start(to).passed(),
        r#"
        smart_order_validations_total{status="passed"} +1
        smart_order_validation_duration_seconds observes 0.011
        "#,
    );
    to.step(
        |to| start(to).rejected(OrderRejectionReason::WideSpread),
        r#"
        smart_order_validations_total{status="rejected"} +1
        smart_order_validation_duration_seconds observes 0.011
        smart_order_rejection_reasons_total{reason="wide_spread"} +1
        "#,
    );
    to.step(
        |to| drop(start(to)),
        r#"
        smart_order_validations_total{status="cancelled"} +1
        smart_order_validation_duration_seconds observes 0.011
        "#,
    );
    let error = r#"
        smart_order_validations_total{status="error"} +1
        smart_order_validation_duration_seconds observes 0.011
        "#;
    to.step(|to| start(to).error(), error);
    to.step(|to| panic_with(start(to)), error);
}

fn margins(to: &mut Driver) {
    for status in MarginStatus::ALL.iter().copied() {
        to.step_with(
            status.as_str(),
            |to| call!(to.track_margin_calculation(MarginMethod::TickerService, ms(60), status)),
            r#"
            margin_calculations_total{status="$"} +1
            margin_calculation_duration_seconds{method="ticker_service"} observes 0.06
            "#,
        );
    }

    let start = |to: &Driver, method| {
        let margin = call!(to.start_margin_calculation(method));
        to.advance(ms(40));
        margin
    };
    to.step(
        |to| start(to, MarginMethod::TickerService).success(),
        r#"
        margin_calculations_total{status="success"} +1
        margin_calculation_duration_seconds{method="ticker_service"} observes 0.04
        "#,
    );
    let fallback = r#"
        margin_calculations_total{status="fallback"} +1
        margin_calculation_duration_seconds{method="fallback"} observes 0.04
        "#;
    to.step(|to| start(to, MarginMethod::TickerService).fallback(), fallback);
    to.step(|to| start(to, MarginMethod::Fallback).success(), fallback);
    let error = r#"
        margin_calculations_total{status="error"} +1
        margin_calculation_duration_seconds{method="ticker_service"} observes 0.04
        "#;
    to.step(|to| start(to, MarginMethod::TickerService).error(), error);
    to.step(|to| panic_with(start(to, MarginMethod::TickerService)), error);
    to.step(
        |to| drop(start(to, MarginMethod::TickerService)),
        r#"
        margin_calculations_total{status="cancelled"} +1
        margin_calculation_duration_seconds{method="ticker_service"} observes 0.04
        "#,
    );
}

fn placements(to: &mut Driver) {
    for order_type in OrderType::ALL.iter().copied() {
        to.step_with(
            order_type.as_str(),
            |to| {
                let accepted = PlacementStatus::Accepted;
                call!(to.track_order_placement(order_type, OrderSide::Sell, ms(70), accepted));
            },
            r#"
            orders_placed_total{order_type="$",side="sell",status="accepted"} +1
            order_placement_duration_seconds{order_type="$"} observes 0.07
            total_orders_placed_today +1
            "#,
        );
        to.step_with(
            order_type.as_str(),
            |to| call!(to.track_order_fill(order_type, ms(1_500))),
            r#"order_fill_duration_seconds{order_type="$"} observes 1.5"#,
        );
    }

    let start = |to: &Driver| {
        let order = call!(to.start_order(OrderType::Limit, OrderSide::Buy));
        to.advance(ms(25));
        order
    };
    to.step(
        |to| start(to).accepted(),
        r#"
        orders_placed_total{order_type="limit",side="buy",status="accepted"} +1
        order_placement_duration_seconds{order_type="limit"} observes 0.025
        total_orders_placed_today +1
        "#,
    );
    to.step(
        |to| start(to).rejected(),
        r#"
        orders_placed_total{order_type="limit",side="buy",status="rejected"} +1
        order_placement_duration_seconds{order_type="limit"} observes 0.025
        "#,
    );
    let failed = r#"
        orders_placed_total{order_type="limit",side="buy",status="failed"} +1
        order_placement_duration_seconds{order_type="limit"} observes 0.025
        "#;
    to.step(|to| start(to).failed(), failed);
    to.step(|to| panic_with(start(to)), failed);
    to.step(
        |to| drop(start(to)),
        r#"
        orders_placed_total{order_type="limit",side="buy",status="cancelled"} +1
        order_placement_duration_seconds{order_type="limit"} observes 0.025
        "#,
    );

    let order = to.step(
        |to| start(to).accepted_open(),
        r#"
        orders_placed_total{order_type="limit",side="buy",status="accepted"} +1
        order_placement_duration_seconds{order_type="limit"} observes 0.025
        total_orders_placed_today +1
        order_state_transitions_total{state="open"} +1
        orders_open{order_type="limit"} +1
        "#,
    );
    to.step(
        |to| {
            to.advance(ms(2_000));
            order.filled();
        },
        r#"
        order_state_transitions_total{state="filled"} +1
        order_fill_duration_seconds{order_type="limit"} observes 2
        orders_open{order_type="limit"} -1
        "#,
    );
}

fn states(to: &mut Driver) {
    let limit = OrderType::Limit;
    let mut previous = None;
    for (state, change) in [
        (OrderState::Open, "+1"),
        (OrderState::PartiallyFilled, "+0"),
        (OrderState::Modified, "+0"),
        (OrderState::Filled, "-1"),
        (OrderState::Cancelled, "+0"),
        (OrderState::Rejected, "+0"),
        (OrderState::Expired, "+0"),
    ] {
        to.step_with(
            state.as_str(),
            |to| call!(to.track_order_state(limit, previous, state)),
            &format!(
                "order_state_transitions_total{{state=\"$\"}} +1
                orders_open{{order_type=\"limit\"}} {change}"
            ),
        );
        previous = Some(state);
    }
    for order_type in OrderType::ALL.iter().copied() {
        to.step_with(
            order_type.as_str(),
            |to| call!(to.track_open_orders(order_type, 2)),
            r#"orders_open{order_type="$"} +2"#,
        );
    }
}

fn open_orders(to: &mut Driver) {
    const OPEN: &str = r#"orders_open{order_type="stop_loss"} +1"#;
    const ENDED: &str = r#"
        order_state_transitions_total{state="$"} +1
        orders_open{order_type="stop_loss"} -1
        "#;
    let start = |to: &Driver| call!(to.start_open_order(OrderType::StopLoss, OrderSide::Sell));
    let mut order = to.step(start, OPEN);
    to.step(
        |_| {
            order.fill_price(200.0, 199.0);
            order.partially_filled();
            order.modified();
        },
        r#"
        order_slippage_ratio{side="sell",direction="adverse"} observes 0.005
        order_state_transitions_total{state="partially_filled"} +1
        order_state_transitions_total{state="modified"} +1
        "#,
    );
    // Its acceptance is not known, so its fill is not timed.
    to.step_with("filled", |_| order.filled(), ENDED);
    let order = to.step(start, OPEN);
    to.step_with("cancelled", |_| order.cancelled(), ENDED);
    let order = to.step(start, OPEN);
    to.step_with("rejected", |_| order.rejected(), ENDED);
    let order = to.step(start, OPEN);
    to.step_with("expired", |_| order.expired(), ENDED);
    let order = to.step(start, OPEN);
    to.step(|_| drop(order), r#"orders_open{order_type="stop_loss"} -1"#);
}
