//! Events of every subsystem that has open labels, and values for these.

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

/// Label values that nobody should send.
#[allow(dead_code, reason = "not every test asks for everything")]
pub(crate) fn hostile_texts() -> Vec<String> {
    let mut texts: Vec<String> = [
        "",
        " ",
        "\"",
        "\\",
        "\\n",
        "\\\\\"",
        "\n",
        "\r\n",
        "\0",
        "a\0b",
        "}",
        "\"} 1\nhostile_trades_total 7\n# EOF\n",
        "# EOF",
        "{le=\"+Inf\"}",
        "a,b=\"c\"",
        "😀",
        "👨\u{200d}👩\u{200d}👧",
        "\u{301}\u{301}\u{301}",
        "\u{202e}txet",
        "\u{feff}",
        "\u{2028}",
        "\u{85}",
        "\u{10ffff}",
        "\u{1b}[31mred",
        "other",
        "NaN",
        "__name__",
        "a\tb",
        " lead",
        "trail ",
    ]
    .map(str::to_owned)
    .into();
    texts.push("quote\"".repeat(2_000));
    texts.push("\\".repeat(10_000));
    texts.push("\n".repeat(10_000));
    // The cut at 128 bytes falls on every place inside a character.
    for before in 120..132 {
        for character in ["é", "क", "😀", "\u{301}"] {
            texts.push(format!("{}{character} and more", "x".repeat(before)));
        }
    }
    texts
}
