//! Is the service well, and what do its clients feel: requests, WebSockets, security, process.

use crate::{
    dashboard::{Dashboard, Row, Scope, row},
    panel::{bars, gauge, heatmap, logs, pie, stat, states, table, timeseries, unit},
    query,
};

pub(crate) fn dashboard() -> Dashboard {
    Dashboard {
        file: "dashboard-1-api-performance.json",
        uid: "backend-api",
        title: "Backend: API performance and health",
        description: "Start here: what clients of the service feel, and the process behind it.",
        tags: &["api"],
        refresh: "5s",
        from: "now-15m",
        logs: true,
        scope: Scope::Instance,
        rows: vec![
            overview(),
            latency(),
            errors(),
            row(
                "Logs",
                "HighAPIErrorRate",
                [logs("Backend errors", r#"{compose_service="backend"} | json | level="ERROR""#)
                    .says("What the service logged as an error. The trace id of a line leads to the other lines of the same request.")],
            ),
            details(),
            process(),
            upstreams(),
            websockets(),
            security(),
            limits(),
            metrics(),
        ],
    }
}

fn overview() -> Row {
    row(
        "Overview",
        "BackendServiceDown",
        [
            stat("Instances up", unit::NUMBER)
                .says("Instances that Prometheus can scrape. 0: the service is down, or Prometheus has lost it; all other panels then show the past or nothing.")
                .query("up", "sum(up{@}) or vector(0)")
                .floor(1.0)
                .alert("BackendServiceDown"),
            stat("Alerts firing", unit::NUMBER)
                .says("Critical: act now. Warning: this week. Their names, and since when, are on the dashboard of objectives.")
                .nothing("Rules are not loaded")
                .query("critical", r#"count(ALERTS{alertstate="firing", severity="critical", job=~"$job"}) or 0 * count(slo:objective:ratio{job=~"$job"})"#)
                .query("warning", r#"count(ALERTS{alertstate="firing", severity="warning", job=~"$job"}) or 0 * count(slo:objective:ratio{job=~"$job"})"#)
                .series_limit("critical", 1.0, "red")
                .series_limit("warning", 1.0, "yellow")
                .details("Firing alerts", "backend-slo"),
            stat("Error rate", unit::RATIO)
                .says("Requests answered with 5xx among all. Yellow is the target of 1%, red the alert at 5%. Look at errors by endpoint, then at the database and the ticker service.")
                .query("5xx", r#"(sum(rate(http_requests_total{@, status=~"5.."}[$__rate_interval])) or vector(0)) / sum(rate(http_requests_total{@}[$__rate_interval]))"#)
                .over_a_minute()
                .limits(0.01, 0.05)
                .range(0.0, 1.0)
                .alert("HighAPIErrorRate")
                .alert("APIErrorRateAboveTarget")
                .details("Firing alerts", "backend-slo"),
            stat("Request duration p95", unit::SECONDS)
                .says("19 of 20 requests are faster, measured to the end of the answer. Yellow is the objective of 500 ms, red the alert at 1 s. WebSockets and event streams are not in it.")
                .p95("http_request_duration_seconds", &[])
                .limits(0.5, 1.0)
                .alert("HighAPILatency")
                .alert("API_SLA_Breach_Latency")
                .details("Database and cache", "backend-db-cache"),
            stat("Request duration p99", unit::SECONDS)
                .says("99 of 100 requests are faster. Yellow is the objective of 1 s, red the alert at 5 s; the histogram ends at 10 s.")
                .p99("http_request_duration_seconds")
                .limits(1.0, 5.0)
                .alert("CriticalAPILatency")
                .details("Database and cache", "backend-db-cache"),
            stat("Active requests", unit::NUMBER)
                .says("Requests under way: the most at a scrape of the last minute. It rises with latency before it rises with load: look at the slowest endpoint.")
                .query("active", "max_over_time(sum(http_active_requests{@})[1m:5s])")
                .limits(50.0, 80.0)
                .details("Database and cache", "backend-db-cache")
                .alert("HighAPILatency"),
            timeseries("Request rate", unit::REQUESTS)
                .says("Finished requests by the class of their status. A drop without a deployment is an outage in front of the service; 499 (dropped by the client or by a timeout further out) is in 4xx.")
                .query("{{class}}", r#"sum by (class) (label_replace(rate(http_requests_total{@}[$__rate_interval]), "class", "${1}xx", "status", "(.).."))"#)
                .stacked()
                .colour("1xx", "blue")
                .colour("2xx", "green")
                .colour("3xx", "purple")
                .colour("4xx", "yellow")
                .colour("5xx", "red")
                .size(12, 10),
            gauge("Database pool status")
                .nothing("Not read: see Callback failures")
                .says("Connections in use among the configured maximum, by instance: the most in the last minute. At 1 requests wait for a connection.")
                .query("{{instance}}", query::pool_in_use("1m"))
                .limits(0.75, 0.95)
                .alert("HighDatabasePoolUtilization")
                .alert("DatabasePoolExhausted")
                .details("Database and cache", "backend-db-cache")
                .size(6, 5),
            stat("Active WebSocket connections", unit::NUMBER)
                .says("WebSockets open now. The alert at 100 is a warning of capacity.")
                .level("websocket_connections_active", &[])
                .limits(80.0, 100.0)
                .alert("WebSocketConnectionsHigh")
                .size(6, 5),
            stat("Active users (15m)", unit::NUMBER)
                .says("Distinct users of the last 15 minutes. Each replica knows its own users: over replicas it is the largest number, not the sum. 0 in market hours means that nobody gets in.")
                .query("users", r#"max(active_users{@, time_window="15m"})"#)
                .alert("NoActiveUsers")
                .details("Users", "backend-trading")
                .size(6, 5),
            states("Circuit breaker state")
                .says("The breaker of the ticker service, by instance. Open: calls are refused without being sent, margins are estimates. Half-open: a probe is on its way.")
                .query("{{instance}}", "max by (instance) (ticker_service_circuit_breaker_state{@})")
                .state("0", "closed", "green")
                .state("1", "open", "red")
                .state("2", "half-open", "yellow")
                .alert("CircuitBreakerOpen")
                .details("Ticker service", "backend-trading")
                .size(6, 5),
        ],
    )
}

fn latency() -> Row {
    row(
        "API latency",
        "HighAPILatency",
        [
            timeseries("Request duration by endpoint (p95)", unit::SECONDS)
                .says("The slow endpoint is the one to look at first. Its points are exemplars: traces of single requests.")
                .p95("http_request_duration_seconds", &["endpoint"])
                .limits(0.5, 1.0)
                .alert("HighAPILatency"),
            heatmap("Request duration heatmap", "http_request_duration_seconds")
                .says("How many requests took how long. Two bands are two kinds of requests; one that widens is a resource that runs short."),
            timeseries("Time to first byte by endpoint (p95)", unit::SECONDS)
                .says("Time to the response headers. What the whole request takes beyond that is the body, or a client that reads slowly.")
                .p95("http_time_to_first_byte_seconds", &["endpoint"]),
        ],
    )
}

fn errors() -> Row {
    row(
        "Errors and cancellations",
        "HighAPIErrorRate",
        [
            timeseries("Errors by endpoint", unit::REQUESTS)
                .says("Answers of 5xx. One endpoint: its code or its data. All: a dependency.")
                .query("{{endpoint}}", r#"sum by (endpoint) (rate(http_requests_total{@, status=~"5.."}[$__rate_interval]))"#)
                .stacked(),
            timeseries("Failed share by endpoint", unit::RATIO)
                .says("Answers of 5xx among those of each endpoint. The alert is at 50%: an endpoint with little traffic can fail completely and be lost in the error rate of all.")
                .nothing("No answer of 5xx")
                .share("http_requests_total", &["endpoint"], r#"status=~"5..""#, "")
                .limits(0.05, 0.5)
                .alert("EndpointFailing"),
            timeseries("Failed share by instance", unit::RATIO)
                .says("Answers of 5xx among those of each instance. The alert is at 50%. One alone: take it out of the load balancer.")
                .nothing("No answer of 5xx")
                .share("http_requests_total", &["instance"], r#"status=~"5..""#, "")
                .limits(0.05, 0.5)
                .alert("InstanceFailing"),
            timeseries("Refused share by instance", unit::RATIO)
                .says("Answers of 401, 403 and 429 among all. The alert is at 50%, if fewer requests succeed as well: a lost key, or a limiter that counts wrong.")
                .nothing("No request was refused")
                .share("http_requests_total", &["instance"], r#"status=~"401|403|429""#, "")
                .limit(0.5)
                .alert("MostRequestsRefused"),
            timeseries("Cancelled requests by endpoint", unit::REQUESTS)
                .says("Dropped before the end of the answer, by the client or by a timeout further out. Many at once: they ran into that timeout, so look at latency.")
                .rate("http_requests_cancelled_total", &["endpoint"])
                .alert("HighDroppedRequestRate"),
            timeseries("Application errors by type", unit::EVENTS)
                .says("Errors that the code reports, by type and severity. The type is the same as in the log.")
                .rate("application_errors_total", &["error_type", "severity"]),
            timeseries("Panics in requests", unit::EVENTS)
                .says("Requests that panicked. Zero is normal: each is a bug, with a line in the log.")
                .rate("http_panics_total", &["endpoint"]),
            timeseries("Unhandled exceptions", unit::EVENTS)
                .says("Panics anywhere in the process, and errors that reached the top of a task. Zero is normal.")
                .rate("unhandled_exceptions_total", &["exception_type"]),
            timeseries("Log events by level", unit::EVENTS)
                .says("What the service logs, whether it is collected or not.")
                .rate("log_events_total", &["level"]),
        ],
    )
}

fn details() -> Row {
    row(
        "HTTP details",
        "HighAPILatency",
        [
            bars("Requests by endpoint (top 10)", unit::REQUESTS)
                .says("The busiest endpoints over the whole range.")
                .query("{{endpoint}}", "topk(10, sum by (endpoint) (rate(http_requests_total{@}[$__range])))"),
            pie("HTTP status code distribution")
                .says("Answers by status over the whole range. 404 and 401 are mostly clients; 429 is the rate limit, 499 a request dropped by its client or by a timeout further out.")
                .query("{{status}}", "sum by (status) (increase(http_requests_total{@}[$__range]))"),
            bars("Requests by method", unit::REQUESTS)
                .says("`OTHER` is a method that HTTP does not define: a scanner, mostly.")
                .rate("http_requests_total", &["method"]),
            timeseries("Active requests by endpoint", unit::NUMBER)
                .says("Where requests are held up now. `unmatched` are paths that no route knows.")
                .level("http_active_requests", &["endpoint"]),
            timeseries("Request size (p95)", unit::BYTES)
                .says("Bytes of the body that the head announces.")
                .p95("http_request_size_bytes", &["endpoint"]),
            timeseries("Response size (p95)", unit::BYTES)
                .says("Bytes of the body that the server has taken. A list without a limit shows here first.")
                .p95("http_response_size_bytes", &["endpoint"]),
        ],
    )
}

fn upstreams() -> Row {
    row(
        "Requests to other services",
        "TickerServiceHighLatency",
        [
            timeseries("Outgoing requests", unit::REQUESTS)
                .says("Requests by upstream and status; `error` is one without an answer.")
                .rate("http_client_requests_total", &["upstream", "status"]),
            timeseries("Outgoing request duration (p95)", unit::SECONDS)
                .says("To the end of the answer, by upstream. The timeout of the client is its ceiling.")
                .p95("http_client_request_duration_seconds", &["upstream"]),
            timeseries("Active outgoing requests", unit::NUMBER)
                .says("Under way, by upstream. It piles up where an upstream hangs.")
                .level("http_client_active_requests", &["upstream"]),
        ],
    )
}

fn websockets() -> Row {
    row(
        "WebSocket",
        "WebSocketConnectionsHigh",
        [
            timeseries("WebSocket connections by endpoint", unit::NUMBER)
                .says("Open connections. A sawtooth is a client that reconnects in a loop.")
                .level("websocket_connections_active", &["endpoint"])
                .limit(100.0)
                .alert("WebSocketConnectionsHigh"),
            timeseries("WebSocket message rate", unit::EVENTS)
                .says("Messages sent above the axis, received below. Nothing sent while connections are open: the market is closed, or the feed is dead.")
                .query("sent {{endpoint}}", "sum by (endpoint) (rate(websocket_messages_sent_total{@}[$__rate_interval]))")
                .query("received {{endpoint}}", "sum by (endpoint) (rate(websocket_messages_received_total{@}[$__rate_interval]))")
                .below("/^received /"),
            timeseries("WebSocket connection duration (p95)", unit::SECONDS)
                .says("How long connections lasted that ended. Seconds instead of hours: clients are thrown out. It ends at two hours.")
                .p95("websocket_connection_duration_seconds", &["endpoint"]),
            timeseries("WebSocket errors", unit::EVENTS)
                .says("By type. The objective is one in 1,000 messages.")
                .rate("websocket_errors_total", &["error_type"])
                .stacked()
                .alert("SLOErrorBudgetBurn"),
            timeseries("WebSocket handshakes", unit::EVENTS)
                .says("Connections that were accepted or rejected.")
                .rate("websocket_connections_total", &["endpoint", "status"]),
            timeseries("WebSocket handshake duration (p95)", unit::SECONDS)
                .says("From the request to the open connection. The objective is 1 s.")
                .p95("websocket_handshake_duration_seconds", &["endpoint"])
                .limit(1.0)
                .alert("SLOErrorBudgetBurn"),
            timeseries("WebSocket message latency (p95)", unit::SECONDS)
                .says("From the event to the message handed to the network. The objective is 100 ms.")
                .p95("websocket_message_latency_seconds", &["endpoint"])
                .limit(0.1)
                .alert("SLOErrorBudgetBurn"),
            timeseries("WebSocket message size (p95)", unit::BYTES)
                .says("Bytes of a message, by direction.")
                .p95("websocket_message_size_bytes", &["endpoint", "direction"]),
            timeseries("WebSocket messages dropped", unit::EVENTS)
                .says("`slow_consumer`: the queue of a client was full. `closed`: it had gone. `oversized`: the message was refused.")
                .rate("websocket_messages_dropped_total", &["endpoint", "reason"]),
            timeseries("WebSocket send queue depth", unit::NUMBER)
                .says("Messages that wait for clients to read. It rises before messages are dropped.")
                .level("websocket_send_queue_depth", &["endpoint"]),
            timeseries("WebSocket subscriptions", unit::NUMBER)
                .says("What clients have subscribed to. 0 with open connections: they get nothing.")
                .level("websocket_subscriptions_active", &["endpoint", "subscription_type"]),
        ],
    )
}

fn security() -> Row {
    row(
        "Security",
        "HighAuthenticationFailureRate",
        [
            timeseries("Authentication attempts", unit::EVENTS)
                .says("Log-ins. The alert fires when a tenth fail: someone guesses, or a client has an old password.")
                .rate("auth_attempts_total", &["status"])
                .alert("HighAuthenticationFailureRate"),
            timeseries("JWT validation rate", unit::EVENTS)
                .says("`expired` is normal at a low level. `invalid` is a key that was changed, or a forger.")
                .rate("jwt_validations_total", &["status"]),
            timeseries("Active sessions", unit::NUMBER)
                .says("Sessions that have neither ended nor expired.")
                .level("active_sessions", &[]),
            timeseries("Sessions begun and ended", unit::EVENTS)
                .says("By reason of the end. Many revoked ones at once: someone was logged out on purpose.")
                .query("begun", query::rate("sessions_created_total", &[]))
                .rate("sessions_ended_total", &["reason"]),
            timeseries("API key validations", unit::EVENTS)
                .says("Programs that come with a key.")
                .rate("api_key_validations_total", &["status"]),
            timeseries("Authorization denials", unit::EVENTS)
                .says("Authenticated, but not allowed. `account_mismatch`: someone asks for another's account.")
                .rate("authorization_denials_total", &["reason"]),
            timeseries("Account lockouts", unit::EVENTS)
                .says("Accounts locked after too many wrong passwords.")
                .rate("auth_lockouts_total", &[]),
            timeseries("Token refreshes", unit::EVENTS)
                .says("Sessions that go on with a new token.")
                .rate("auth_token_refreshes_total", &["status"]),
            timeseries("Authentication duration (p95)", unit::SECONDS)
                .says("A log-in compares a hash that is slow on purpose. Tokens take microseconds.")
                .query("log-in", query::quantile(0.95, "auth_attempt_duration_seconds", &[]))
                .query("JWT", query::quantile(0.95, "jwt_validation_duration_seconds", &[])),
        ],
    )
}

fn limits() -> Row {
    row(
        "Rate limits",
        "HighRateLimitViolations",
        [
            timeseries("Rate limit violations", unit::EVENTS)
                .says("Requests over the limit, by endpoint. The alert is at 5 a second: one client in a loop, or a limit that is too low.")
                .rate("rate_limit_exceeded_total", &["endpoint"])
                .limit(5.0)
                .alert("HighRateLimitViolations"),
            timeseries("Rate limit decisions", unit::REQUESTS)
                .says("All requests that a limit was asked for.")
                .rate("rate_limit_requests_total", &["decision"]),
            timeseries("Rate limit usage", unit::PERCENT)
                .says("How near the busiest client is to the limit of an endpoint.")
                .query("{{endpoint}}", "max by (endpoint) (rate_limit_current_usage{@})")
                .range(0.0, 100.0),
        ],
    )
}

fn process() -> Row {
    row(
        "Process and runtime",
        "BackendServiceDown",
        [
            table("Versions")
                .says("What runs where. Two versions for a long time: a deployment that got stuck.")
                .query("", "max by (instance, version, component) (backend_service_info{@})")
                .columns(&[("instance", "Instance"), ("component", "Component"), ("version", "Version")]),
            timeseries("Uptime", unit::SECONDS)
                .says("Since the start of the process. A sawtooth is a process that crashes.")
                .query("{{instance}}", "time() - max by (instance) (process_start_time_seconds{@})"),
            timeseries("CPU", unit::NUMBER)
                .says("Cores in use, by instance.")
                .rate("process_cpu_seconds_total", &["instance"]),
            timeseries("Memory", unit::BYTES)
                .says("Resident memory. One that only rises is a leak.")
                .query("{{instance}}", "max by (instance) (process_resident_memory_bytes{@})"),
            timeseries("Virtual memory", unit::BYTES)
                .says("Reserved addresses, most of them without memory behind. It matters where a limit is set on it.")
                .query("{{instance}}", "max by (instance) (process_virtual_memory_bytes{@})"),
            timeseries("File descriptors", unit::RATIO)
                .says("Open ones among those allowed. At 1 no connection is accepted any more.")
                .query("{{instance}}", "max by (instance) (process_open_fds{@}) / max by (instance) (process_max_fds{@})")
                .limits(0.8, 0.9)
                .range(0.0, 1.0),
            timeseries("Threads", unit::NUMBER)
                .says("Threads of the process, and the workers of the runtime among them.")
                .query("threads {{instance}}", "sum by (instance) (process_threads{@})")
                .query("workers {{instance}}", "sum by (instance) (tokio_workers{@})"),
            timeseries("Runtime load", unit::RATIO)
                .says("Time for which the runtime's workers are busy. At 1 every task waits: something computes or blocks on a worker.")
                .query("{{instance}}", "sum by (instance) (rate(tokio_worker_busy_seconds_total{@}[$__rate_interval])) / sum by (instance) (tokio_workers{@})")
                .range(0.0, 1.0),
            timeseries("Tasks", unit::NUMBER)
                .says("Tasks that are alive. One that only rises is a leak.")
                .level("tokio_alive_tasks", &["instance"]),
            timeseries("Runtime queue", unit::NUMBER)
                .says("Tasks that wait for a worker. It is empty, but for moments.")
                .level("tokio_global_queue_depth", &["instance"]),
        ],
    )
}

fn metrics() -> Row {
    row(
        "Metrics themselves",
        "BackendServiceDown",
        [
            bars("Series by family (top 10)", unit::NUMBER)
                .says("Series of the largest families of one instance. What grows without end has a label that should not be one.")
                .query("{{family}}", "topk(10, max by (family) (metrics_series{@}))"),
            timeseries("Label overflows", unit::EVENTS)
                .says("Events counted under `other`, since their open label has more values than its cap. Find the label, then raise its cap or fix its values.")
                .rate("metrics_label_overflows_total", &["family"])
                .alert("MetricLabelOverflow"),
            timeseries("Callback failures", unit::EVENTS)
                .says("Code of the service that gave nothing for a scrape, by name and reason: pools, registries, subsystems. Its metrics are absent meanwhile.")
                .rate("metrics_callback_failures_total", &["callback", "reason"])
                .alert("MetricsCallbackFailing"),
            timeseries("Scrapes", unit::EVENTS)
                .says("By format and status. `error` is a scrape that could not be answered.")
                .rate("metrics_scrapes_total", &["format", "status"]),
            timeseries("Scrape duration (p95)", unit::SECONDS)
                .says("What an answer costs the service.")
                .p95("metrics_scrape_duration_seconds", &["instance"]),
            timeseries("Scrape size", unit::BYTES)
                .says("Bytes of an answer before compression.")
                .query("{{instance}}", "max by (instance) (metrics_scrape_size_bytes{@})"),
        ],
    )
}
