use backend_metrics::labels::{
    StrategyM2mStatus, StrategyOperation, StrategyOperationStatus, StrategySignal,
};

use super::{DONE, Driver, FAILED, ms, panic_with};

pub(super) fn drive(to: &mut Driver) {
    accounts(to);
    operations(to);
    mark_to_market(to);
    for signal in StrategySignal::ALL.iter().copied() {
        to.step_with(
            signal.as_str(),
            |to| call!(to.track_strategy_signal(signal)),
            r#"strategy_signals_total{signal="$"} +1"#,
        );
    }
    to.step(|to| call!(to.track_strategy_stop_loss()), "strategy_stop_losses_triggered_total +1");
}

fn accounts(to: &mut Driver) {
    for account in ["ACC-7", "ACC-8"] {
        to.step_with(
            account,
            |to| call!(to.update_strategy_account(account, 3, 12, -1_250.75)),
            r#"
            strategies_total{account_id="$"} = 3
            strategy_instruments_total{account_id="$"} = 12
            strategy_pnl_total{account_id="$"} = -1250.75
            "#,
        );
    }
    to.step(
        |to| call!(to.set_strategy_pnl("ACC-7", 310.5)),
        r#"strategy_pnl_total{account_id="ACC-7"} = 310.5"#,
    );
    to.step(
        |to| call!(to.remove_strategy_account("ACC-8")),
        r#"
        strategies_total{account_id="ACC-8"} gone
        strategy_instruments_total{account_id="ACC-8"} gone
        strategy_pnl_total{account_id="ACC-8"} gone
        "#,
    );
}

fn operations(to: &mut Driver) {
    for operation in StrategyOperation::ALL.iter().copied() {
        let success = StrategyOperationStatus::Success;
        let created = u8::from(operation == StrategyOperation::Create);
        to.step_with(
            operation.as_str(),
            |to| call!(to.track_strategy_operation(operation, ms(35), success)),
            &format!(
                "strategy_operations_total{{operation=\"$\",status=\"success\"}} +1
                strategy_operation_duration_seconds{{operation=\"$\"}} observes 0.035
                total_strategies_created_today +{created}"
            ),
        );
    }

    let start = |to: &Driver| {
        let operation = call!(to.start_strategy_operation(StrategyOperation::Create));
        to.advance(ms(18));
        operation
    };
    let success = r#"
        strategy_operations_total{operation="create",status="success"} +1
        strategy_operation_duration_seconds{operation="create"} observes 0.018
        total_strategies_created_today +1
        "#;
    let error = r#"
        strategy_operations_total{operation="create",status="error"} +1
        strategy_operation_duration_seconds{operation="create"} observes 0.018
        "#;
    to.step(|to| start(to).success(), success);
    to.step(|to| start(to).finish(&DONE), success);
    to.step(|to| start(to).error(), error);
    to.step(|to| start(to).finish(&FAILED), error);
    to.step(|to| panic_with(start(to)), error);
    to.step(
        |to| drop(start(to)),
        r#"
        strategy_operations_total{operation="create",status="cancelled"} +1
        strategy_operation_duration_seconds{operation="create"} observes 0.018
        "#,
    );
}

fn mark_to_market(to: &mut Driver) {
    to.step(
        |to| call!(to.track_strategy_m2m(ms(90), StrategyM2mStatus::Success)),
        r#"
        strategy_m2m_calculations_total{status="success"} +1
        strategy_m2m_calculation_duration_seconds observes 0.09
        strategy_m2m_last_success_timestamp_seconds = now
        "#,
    );

    let start = |to: &Driver| {
        let calculation = call!(to.start_strategy_m2m());
        to.advance(ms(45));
        calculation
    };
    let success = r#"
        strategy_m2m_calculations_total{status="success"} +1
        strategy_m2m_calculation_duration_seconds observes 0.045
        strategy_m2m_last_success_timestamp_seconds = now
        "#;
    let error = r#"
        strategy_m2m_calculations_total{status="error"} +1
        strategy_m2m_calculation_duration_seconds observes 0.045
        "#;
    to.step(|to| start(to).success(), success);
    to.step(|to| start(to).finish(&DONE), success);
    to.step(|to| start(to).error(), error);
    to.step(|to| start(to).finish(&FAILED), error);
    to.step(|to| panic_with(start(to)), error);
    to.step(
        |to| drop(start(to)),
        r#"
        strategy_m2m_calculations_total{status="cancelled"} +1
        strategy_m2m_calculation_duration_seconds observes 0.045
        "#,
    );
}
