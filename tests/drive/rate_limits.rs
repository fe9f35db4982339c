use backend_metrics::labels::RateLimitDecision;

use super::Driver;

pub(super) fn drive(to: &mut Driver) {
    to.step(
        |to| call!(to.track_rate_limit("/orders", RateLimitDecision::Allowed)),
        r#"rate_limit_requests_total{endpoint="/orders",decision="allowed"} +1"#,
    );
    to.step(
        |to| call!(to.track_rate_limit("/orders", RateLimitDecision::Limited)),
        r#"
        rate_limit_requests_total{endpoint="/orders",decision="limited"} +1
        rate_limit_exceeded_total{endpoint="/orders"} +1
        "#,
    );
    to.step(
        |to| call!(to.set_rate_limit_usage("/quotes", 62.5)),
        r#"rate_limit_current_usage{endpoint="/quotes"} = 62.5"#,
    );
    // There is room for two endpoints: the third is `other`.
    to.step(
        |to| call!(to.track_rate_limit("/positions", RateLimitDecision::Allowed)),
        r#"
        rate_limit_requests_total{endpoint="other",decision="allowed"} +1
        metrics_label_overflows_total{family="rate_limit_exceeded_total"} +1
        "#,
    );
}
