//! Events of every subsystem that has open labels.

use std::time::Duration;

use backend_metrics::{
    Metrics,
    labels::{CacheLayer, ErrorSeverity, QueryStatus, QueryType, WorkerTaskStatus},
};
use http::{Method, StatusCode};

/// Calls helpers of every subsystem that has open labels, and some that have none.
#[allow(dead_code, reason = "not every test asks for everything")]
pub(crate) fn record(metrics: Metrics, text: &str) {
    metrics.track_http_request(&Method::GET, text, StatusCode::OK, Duration::ZERO, (1, 1));
    drop(metrics.start_http_request(&Method::POST, text));
    metrics.track_upstream_request(text, &Method::GET, None, Duration::ZERO);
    metrics.track_database_query(QueryType::Select, Duration::ZERO, QueryStatus::Success);
    metrics.start_database_transaction(text).commit();
    drop(metrics.start_redis_command(text));
    metrics.set_cache_hit_rate(CacheLayer::Memory, 50.0);
    drop(metrics.start_websocket_session(text));
    metrics.track_websocket_error(text, text);
    metrics.update_strategy_account(text, 1, 1, 1.0);
    metrics.track_worker_task(text, Duration::ZERO, WorkerTaskStatus::Success);
    metrics.set_rate_limit_usage(text, 1.0);
    metrics.track_application_error(text, ErrorSeverity::Error);
    metrics.track_unhandled_exception(text);
    metrics.track_user_activity(text);
    drop(metrics.start_calendar_request(text));
}
