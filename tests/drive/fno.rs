use backend_metrics::labels::{FoQueryStatus, FoQueryType, GreeksStatus};

use super::{DONE, Driver, FAILED, ms, panic_with, us};

pub(super) fn drive(to: &mut Driver) {
    for query_type in FoQueryType::ALL.iter().copied() {
        to.step_with(
            query_type.as_str(),
            |to| call!(to.track_fo_query(query_type, ms(220), FoQueryStatus::Success)),
            r#"
            fo_queries_total{query_type="$",status="success"} +1
            fo_query_duration_seconds{query_type="$"} observes 0.22
            "#,
        );
        to.step_with(
            query_type.as_str(),
            |to| call!(to.track_fo_query_rows(query_type, 75)),
            r#"fo_query_rows{query_type="$"} observes 75"#,
        );
    }
    guard(to);
    for status in GreeksStatus::ALL.iter().copied() {
        to.step_with(
            status.as_str(),
            |to| call!(to.track_greeks_calculation(us(400), status)),
            r#"
            fo_greeks_calculations_total{status="$"} +1
            fo_greeks_calculation_duration_seconds observes 0.0004
            "#,
        );
    }
    to.step(
        |to| call!(to.track_fo_cache_refreshed(48_210)),
        r#"
        fo_instrument_cache_refreshes_total{status="success"} +1
        fo_instruments_cached = 48210
        fo_instrument_cache_last_refresh_timestamp_seconds = now
        "#,
    );
    to.step(
        |to| call!(to.track_fo_cache_refresh_failed()),
        r#"fo_instrument_cache_refreshes_total{status="error"} +1"#,
    );
    to.step(|to| call!(to.set_fo_instruments_cached(48_215)), "fo_instruments_cached = 48215");
}

fn guard(to: &mut Driver) {
    let start = |to: &Driver| {
        let query = call!(to.start_fo_query(FoQueryType::OptionChain));
        to.advance(ms(130));
        query
    };
    let success = r#"
        fo_queries_total{query_type="option_chain",status="success"} +1
        fo_query_duration_seconds{query_type="option_chain"} observes 0.13
        "#;
    let error = r#"
        fo_queries_total{query_type="option_chain",status="error"} +1
        fo_query_duration_seconds{query_type="option_chain"} observes 0.13
        "#;
    to.step(
        |to| start(to).rows(3).success(),
        r#"
        fo_queries_total{query_type="option_chain",status="success"} +1
        fo_query_duration_seconds{query_type="option_chain"} observes 0.13
        fo_query_rows{query_type="option_chain"} observes 3
        "#,
    );
    to.step(|to| start(to).finish(&DONE), success);
    to.step(|to| start(to).error(), error);
    to.step(|to| start(to).finish(&FAILED), error);
    to.step(|to| panic_with(start(to)), error);
    to.step(
        |to| drop(start(to)),
        r#"
        fo_queries_total{query_type="option_chain",status="cancelled"} +1
        fo_query_duration_seconds{query_type="option_chain"} observes 0.13
        "#,
    );
}
