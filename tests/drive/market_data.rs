use backend_metrics::labels::{CalendarStatus, IndicatorStatus, IndicatorType, MarketDataType};

use super::{DONE, Driver, FAILED, ms, panic_with};

pub(super) fn drive(to: &mut Driver) {
    calendar(to);
    for data_type in MarketDataType::ALL.iter().copied() {
        to.step_with(
            data_type.as_str(),
            |to| call!(to.track_market_data_update(data_type, Some(ms(4)))),
            r#"
            market_data_updates_total{data_type="$"} +1
            market_data_update_lag_seconds{data_type="$"} observes 0.004
            market_data_last_update_timestamp_seconds{data_type="$"} = now
            "#,
        );
        to.step_with(
            data_type.as_str(),
            |to| call!(to.track_market_data_gap(data_type)),
            r#"market_data_gaps_total{data_type="$"} +1"#,
        );
    }
    to.step(
        |to| {
            to.advance(ms(1_000));
            call!(to.track_market_data_update(MarketDataType::Tick, None));
        },
        r#"
        market_data_updates_total{data_type="tick"} +1
        market_data_last_update_timestamp_seconds{data_type="tick"} = now
        "#,
    );
    indicators(to);
}

fn calendar(to: &mut Driver) {
    const ENDED: &str = r#"
        calendar_requests_total{endpoint="/calendar/expiries",status="$"} +1
        calendar_request_duration_seconds{endpoint="/calendar/expiries"} observes 0.012
        "#;

    for status in CalendarStatus::ALL.iter().copied() {
        to.step_with(
            status.as_str(),
            |to| call!(to.track_calendar_request("/calendar/holidays", ms(16), status)),
            r#"
            calendar_requests_total{endpoint="/calendar/holidays",status="$"} +1
            calendar_request_duration_seconds{endpoint="/calendar/holidays"} observes 0.016
            "#,
        );
    }

    let start = |to: &Driver| {
        let request = call!(to.start_calendar_request("/calendar/expiries"));
        to.advance(ms(12));
        request
    };
    to.step_with("success", |to| start(to).success(), ENDED);
    to.step_with("success", |to| start(to).finish(&DONE), ENDED);
    to.step_with("error", |to| start(to).error(), ENDED);
    to.step_with("error", |to| start(to).finish(&FAILED), ENDED);
    to.step_with("error", |to| drop(start(to)), ENDED);
    to.step_with("error", |to| panic_with(start(to)), ENDED);
}

fn indicators(to: &mut Driver) {
    const ENDED: &str = r#"
        indicator_calculations_total{indicator_type="delta",status="$"} +1
        indicator_calculation_duration_seconds{indicator_type="delta"} observes 0.006
        "#;

    for indicator in IndicatorType::ALL.iter().copied() {
        to.step_with(
            indicator.as_str(),
            |to| call!(to.track_indicator_calculation(indicator, ms(2), IndicatorStatus::Success)),
            r#"
            indicator_calculations_total{indicator_type="$",status="success"} +1
            indicator_calculation_duration_seconds{indicator_type="$"} observes 0.002
            "#,
        );
        to.step_with(
            indicator.as_str(),
            |to| {
                call!(to.track_indicator_cache(indicator, true));
                call!(to.track_indicator_cache(indicator, true));
                call!(to.track_indicator_cache(indicator, true));
                call!(to.track_indicator_cache(indicator, false));
            },
            r#"indicator_cache_hit_rate{indicator_type="$"} = 75"#,
        );
    }
    to.step(
        |to| call!(to.set_indicator_cache_hit_rate(IndicatorType::Vega, 62.5)),
        r#"indicator_cache_hit_rate{indicator_type="vega"} = 62.5"#,
    );

    let start = |to: &Driver| {
        let calculation = call!(to.start_indicator_calculation(IndicatorType::Delta));
        to.advance(ms(6));
        calculation
    };
    to.step_with("success", |to| start(to).success(), ENDED);
    to.step_with("success", |to| start(to).finish(&DONE), ENDED);
    to.step_with("error", |to| start(to).error(), ENDED);
    to.step_with("error", |to| start(to).finish(&FAILED), ENDED);
    to.step_with("error", |to| drop(start(to)), ENDED);
    to.step_with("error", |to| panic_with(start(to)), ENDED);
}
