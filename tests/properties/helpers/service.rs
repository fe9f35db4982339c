//! The helpers around the service itself: requests, users, errors, the process, the metrics.

use std::time::{Duration, UNIX_EPOCH};

use backend_metrics::{
    BusinessStats, ProcessStats, RuntimeStats,
    labels::{
        ActiveUsersWindow, ApiKeyStatus, AuthStatus, DenialReason, ErrorSeverity, JwtStatus,
        LogLevel, RateLimitDecision, ScrapeFormat, ScrapeStatus, SessionEndReason,
        TokenRefreshStatus, WorkerTaskStatus,
    },
};
use http::{Method, StatusCode};

#[cfg(feature = "tokio")]
use crate::arguments::IdleRuntime;
use crate::arguments::method as label;

use super::helpers;

helpers! { for m:
    fn track_http_request(method: Method, endpoint: &'static str, status: StatusCode, took: Duration, sizes: (u64, u64)) {
        let (method, endpoint) = (label(&method), m.open("http", "endpoint", endpoint));
        let endpoint = m.answered(endpoint, method, status);
        let method = &*m.method(("http", &endpoint), method);
        let status = m.status(("http", &endpoint), method, status.as_str());
        m.count("http_requests_total", &[method, &endpoint, &status], 1);
        m.observe("http_request_duration_seconds", &[method, &endpoint], took);
        m.observe("http_request_size_bytes", &[method, &endpoint], sizes.0);
        m.observe("http_response_size_bytes", &[method, &endpoint], sizes.1);
    }

    fn track_upstream_request(upstream: &'static str, method: Method, status: Option<StatusCode>, took: Duration) {
        let upstream = m.open("http_client", "upstream", upstream);
        m.upstream_request(&upstream, &method, status, took);
    }

    fn track_authentication(status: AuthStatus, took: Duration) {
        m.count("auth_attempts_total", &[status.as_str()], 1);
        m.observe("auth_attempt_duration_seconds", &[], took);
    }

    fn track_jwt_validation(status: JwtStatus, took: Duration) {
        m.count("jwt_validations_total", &[status.as_str()], 1);
        m.observe("jwt_validation_duration_seconds", &[], took);
    }

    fn track_api_key_validation(status: ApiKeyStatus) {
        m.count("api_key_validations_total", &[status.as_str()], 1);
    }

    fn track_session_created() {
        m.count("sessions_created_total", &[], 1);
        m.change("active_sessions", |sessions| sessions + 1.0);
    }

    fn track_session_ended(reason: SessionEndReason) {
        m.count("sessions_ended_total", &[reason.as_str()], 1);
        m.change("active_sessions", |sessions| if sessions < 1.0 { 0.0 } else { sessions - 1.0 });
    }

    fn set_active_sessions(sessions: u32) {
        m.set("active_sessions", &[], sessions.into());
    }

    fn track_auth_lockout() {
        m.count("auth_lockouts_total", &[], 1);
    }

    fn track_token_refresh(status: TokenRefreshStatus) {
        m.count("auth_token_refreshes_total", &[status.as_str()], 1);
    }

    fn track_authorization_denial(reason: DenialReason) {
        m.count("authorization_denials_total", &[reason.as_str()], 1);
    }

    fn track_worker_task(worker: &'static str, took: Duration, status: WorkerTaskStatus) {
        let worker = m.open("workers", "worker_type", worker);
        m.worker_task(&worker, took, status);
    }

    fn track_worker_wait(worker: &'static str, waited: Duration) {
        let worker = m.open("workers", "worker_type", worker);
        m.observe("worker_task_wait_duration_seconds", &[&worker], waited);
    }

    fn set_worker_queue_depth(worker: &'static str, depth: u64) {
        let worker = m.open("workers", "worker_type", worker);
        m.set("worker_queue_depth", &[&worker], depth as f64);
    }

    fn track_worker_retry(worker: &'static str) {
        let worker = m.open("workers", "worker_type", worker);
        m.count("worker_task_retries_total", &[&worker], 1);
    }

    fn track_worker_panic(worker: &'static str) {
        let worker = m.open("workers", "worker_type", worker);
        m.count("worker_panics_total", &[&worker], 1);
    }

    fn track_user_activity(user: &'static str) {
        let seen = (user, m.uptime.as_secs() / 60, m.day());
        m.derived.active.push(seen);
    }

    fn set_active_users(window: ActiveUsersWindow, count: u64) {
        m.give("active_users", window.as_str(), count as f64);
    }

    fn set_daily_active_users(count: u64) {
        m.give("daily_active_users", "", count as f64);
    }

    fn set_orders_placed_today(orders: u64) {
        m.set_today("total_orders_placed_today", orders);
    }

    fn set_strategies_created_today(strategies: u64) {
        m.set_today("total_strategies_created_today", strategies);
    }

    fn track_order_turnover(rupees: f64) {
        if let Some(paise) = paise(rupees) {
            m.add_today("total_turnover_today_rupees", paise);
        }
    }

    fn set_turnover_today(rupees: f64) {
        if let Some(paise) = paise(rupees) {
            m.set_today("total_turnover_today_rupees", paise);
        }
    }

    fn update_business_metrics(stats: BusinessStats) {
        for (window, count) in [
            (ActiveUsersWindow::FiveMinutes, stats.active_users_5m),
            (ActiveUsersWindow::FifteenMinutes, stats.active_users_15m),
            (ActiveUsersWindow::OneHour, stats.active_users_1h),
        ] {
            if let Some(count) = count {
                m.set_active_users(window, count);
            }
        }
        if let Some(count) = stats.daily_active_users {
            m.set_daily_active_users(count);
        }
        if let Some(orders) = stats.orders_placed_today {
            m.set_orders_placed_today(orders);
        }
        if let Some(strategies) = stats.strategies_created_today {
            m.set_strategies_created_today(strategies);
        }
        if let Some(rupees) = stats.turnover_today_rupees {
            m.set_turnover_today(rupees);
        }
    }

    fn track_application_error(error_type: &'static str, severity: ErrorSeverity) {
        let error_type = m.open("errors", "error_type", error_type);
        m.count("application_errors_total", &[&error_type, severity.as_str()], 1);
    }

    fn track_unhandled_exception(exception_type: &'static str) {
        let exception_type = m.open("errors", "exception_type", exception_type);
        m.count("unhandled_exceptions_total", &[&exception_type], 1);
    }

    fn track_log_event(level: LogLevel) {
        m.count("log_events_total", &[level.as_str()], 1);
    }

    fn track_rate_limit(endpoint: &'static str, decision: RateLimitDecision) {
        let endpoint = m.open("rate_limits", "endpoint", endpoint);
        m.count("rate_limit_requests_total", &[&endpoint, decision.as_str()], 1);
        if decision == RateLimitDecision::Limited {
            m.count("rate_limit_exceeded_total", &[&endpoint], 1);
        }
    }

    fn set_rate_limit_usage(endpoint: &'static str, percent: f64) {
        let endpoint = m.open("rate_limits", "endpoint", endpoint);
        m.set("rate_limit_current_usage", &[&endpoint], percent);
    }

    fn update_process(stats: ProcessStats) {
        for (gauge, value) in [
            ("process_open_fds", stats.open_fds),
            ("process_max_fds", stats.max_fds),
            ("process_virtual_memory_bytes", stats.virtual_memory_bytes),
            ("process_resident_memory_bytes", stats.resident_memory_bytes),
            ("process_threads", stats.threads),
        ] {
            if let Some(value) = value {
                m.set(gauge, &[], value as f64);
            }
        }
        if let Some(cpu) = stats.cpu {
            m.set("process_cpu_seconds_total", &[], cpu.as_secs_f64());
        }
        if let Some(start) = stats.start_time {
            let start = start.duration_since(UNIX_EPOCH).expect("it is past 1970");
            m.set("process_start_time_seconds", &[], start.as_secs_f64());
        }
    }

    fn update_tokio(stats: RuntimeStats) {
        m.set("tokio_workers", &[], stats.workers as f64);
        m.set("tokio_alive_tasks", &[], stats.alive_tasks as f64);
        m.set("tokio_global_queue_depth", &[], stats.global_queue_depth as f64);
        m.set("tokio_worker_busy_seconds_total", &[], stats.busy.as_secs_f64());
    }

    #[cfg(feature = "tokio")]
    fn watch_tokio(runtime: IdleRuntime) {
        let IdleRuntime = runtime;
        m.derived.runtime = true;
    }

    fn track_scrape(format: ScrapeFormat, status: ScrapeStatus, took: Duration, bytes: u64) {
        m.count("metrics_scrapes_total", &[format.as_str(), status.as_str()], 1);
        m.observe("metrics_scrape_duration_seconds", &[], took);
        if status == ScrapeStatus::Ok {
            m.set("metrics_scrape_size_bytes", &[], bytes as f64);
        }
    }
}

/// An amount in paise, if it is one.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it saturates, and is not negative"
)]
fn paise(rupees: f64) -> Option<u64> {
    (0.0..f64::INFINITY).contains(&rupees).then(|| (rupees * 100.0).round() as u64)
}

impl crate::model::Model {
    /// A request to an upstream whose label is known.
    pub(crate) fn upstream_request(
        &mut self,
        upstream: &str,
        method: &Method,
        status: Option<StatusCode>,
        took: Duration,
    ) {
        let to = ("http_client", upstream);
        let method = &*self.method(to, label(method));
        let status = status.as_ref().map_or("error", StatusCode::as_str);
        let status = &*self.status(to, method, status);
        self.count("http_client_requests_total", &[upstream, method, status], 1);
        self.observe("http_client_request_duration_seconds", &[upstream, method], took);
    }

    /// A task of a worker whose label is known.
    pub(crate) fn worker_task(&mut self, worker: &str, took: Duration, status: WorkerTaskStatus) {
        self.count("worker_tasks_total", &[worker, status.as_str()], 1);
        self.observe("worker_task_duration_seconds", &[worker], took);
        if status == WorkerTaskStatus::Success {
            self.now("worker_last_success_timestamp_seconds", &[worker]);
        }
    }
}
