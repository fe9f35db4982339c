use backend_metrics::{BusinessStats, labels::ActiveUsersWindow};

use super::Driver;

pub(super) fn drive(to: &mut Driver) {
    to.step(
        |to| {
            call!(to.track_user_activity("trader-7"));
            call!(to.track_user_activity("trader-8"));
            call!(to.track_user_activity("trader-7"));
        },
        r#"
        active_users{time_window="5m"} = 2
        active_users{time_window="15m"} = 2
        active_users{time_window="1h"} = 2
        daily_active_users = 2
        "#,
    );
    for window in ActiveUsersWindow::ALL.iter().copied() {
        to.step_with(
            window.as_str(),
            |to| call!(to.set_active_users(window, 12)),
            r#"active_users{time_window="$"} = 12"#,
        );
    }
    to.step(|to| call!(to.set_daily_active_users(40)), "daily_active_users = 40");
    to.step(|to| call!(to.set_orders_placed_today(250)), "total_orders_placed_today = 250");
    to.step(|to| call!(to.set_strategies_created_today(9)), "total_strategies_created_today = 9");
    to.step(|to| call!(to.track_order_turnover(15_250.5)), "total_turnover_today_rupees +15250.5");
    to.step(|to| call!(to.set_turnover_today(1_000.25)), "total_turnover_today_rupees = 1000.25");
    to.step(
        |to| {
            call!(to.update_business_metrics(BusinessStats {
                active_users_5m: Some(21),
                active_users_15m: Some(22),
                active_users_1h: Some(23),
                daily_active_users: Some(1_250),
                orders_placed_today: Some(300),
                strategies_created_today: Some(11),
                turnover_today_rupees: Some(2_500_000.75),
            }));
        },
        r#"
        active_users{time_window="5m"} = 21
        active_users{time_window="15m"} = 22
        active_users{time_window="1h"} = 23
        daily_active_users = 1250
        total_orders_placed_today = 300
        total_strategies_created_today = 11
        total_turnover_today_rupees = 2500000.75
        "#,
    );
}
