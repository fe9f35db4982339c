//! Why is it slow: the database, its pool, the cache and Redis.

use crate::{
    dashboard::{Dashboard, Row, Scope, row},
    panel::{Panel, heatmap, stat, timeseries, unit},
    query,
};

/// What a pool shows whose gauges are absent.
const UNREAD: &str = "Not read: see Callback failures on backend-api";

pub(crate) fn dashboard() -> Dashboard {
    Dashboard {
        file: "dashboard-2-database-cache.json",
        uid: "backend-db-cache",
        title: "Backend: database and cache",
        description: "Why it is slow: use, saturation and errors of the database pool, of queries and of the cache.",
        tags: &["database", "cache"],
        refresh: "10s",
        from: "now-15m",
        logs: false,
        scope: Scope::Instance,
        rows: vec![database(), pool(), queries(), cache(), redis()],
    }
}

fn database() -> Row {
    row(
        "Database overview",
        "ElevatedDatabaseLatency",
        [
            timeseries("Query rate", unit::QUERIES)
                .says("Queries by outcome. `cancelled`: whoever asked had gone before the answer.")
                .rate("database_queries_total", &["status"])
                .stacked()
                .size(12, 6),
            stat("Pool acquire timeouts", unit::EVENTS)
                .says("Requests that waited in vain for a connection. The alert is at 1 a second per instance.")
                .rate("database_pool_acquire_timeouts_total", &[])
                .limits(0.1, 1.0)
                .alert("DatabaseAcquireTimeouts")
                .details("Objectives", "backend-slo"),
            stat("Pool acquire duration p95", unit::SECONDS)
                .says("How long a request waits for a connection. Microseconds while one is idle.")
                .p95("database_pool_acquire_duration_seconds", &[])
                .limits(0.01, 0.05)
                .alert("DatabaseAcquireTimeouts")
                .details("Objectives", "backend-slo"),
            stat("Pool in use", unit::RATIO)
                .nothing(UNREAD)
                .says("Connections in use among the configured maximum, of the fullest instance in the last minute.")
                .query("in use", format!("max({})", query::pool_in_use("1m")))
                .limits(0.75, 0.95)
                .range(0.0, 1.0)
                .alert("DatabasePoolExhausted")
                .alert("HighDatabasePoolUtilization")
                .details("Objectives", "backend-slo"),
            stat("Query duration p95", unit::SECONDS)
                .says("19 of 20 queries are faster. Yellow is the objective of 100 ms, red the alert at 500 ms. The wait for a connection is not in it.")
                .p95("database_query_duration_seconds", &[])
                .limits(0.1, 0.5)
                .alert("ElevatedDatabaseLatency")
                .details("Objectives", "backend-slo"),
            stat("Query duration p99", unit::SECONDS)
                .says("99 of 100 queries are faster; the histogram ends at 5 s.")
                .p99("database_query_duration_seconds")
                .limits(0.25, 1.0)
                .details("Objectives", "backend-slo"),
            stat("Database errors/sec", unit::EVENTS)
                .says("Failed queries and connections. A request that got no connection is a timeout of the pool, and not in it.")
                .rate("database_errors_total", &[])
                .limits(1.0, 5.0)
                .alert("HighAPIErrorRate")
                .details("API errors", "backend-api"),
            // Below the first one, as the panels go from the top left.
            hit_rate().size(12, 6),
            stat("Pool active connections", unit::NUMBER)
                .says("In use now, of all instances.")
                .nothing(UNREAD)
                .query("active", r#"sum(database_pool_connections{@, state="active"})"#)
                .details("Objectives", "backend-slo"),
            stat("Pool idle connections", unit::NUMBER)
                .says("Open and free. None for a long time: the pool is at its limit.")
                .nothing(UNREAD)
                .query("idle", r#"sum(database_pool_connections{@, state="idle"})"#)
                .details("Objectives", "backend-slo"),
            stat("Transaction duration p95", unit::SECONDS)
                .says("From begin to commit or rollback. A transaction holds a connection all the while.")
                .p95("database_transaction_duration_seconds", &[])
                .limits(0.1, 0.5)
                .details("Objectives", "backend-slo"),
        ],
    )
}

fn queries() -> Row {
    row(
        "Query analysis",
        "ElevatedDatabaseLatency",
        [
            timeseries("Queries by type", unit::QUERIES)
                .says("What the database is asked for.")
                .rate("database_queries_total", &["query_type"])
                .stacked(),
            timeseries("Query duration by type (p95)", unit::SECONDS)
                .says("Selects slow alone: a missing index. All slow: the database itself.")
                .p95("database_query_duration_seconds", &["query_type"])
                .limits(0.1, 0.5)
                .alert("ElevatedDatabaseLatency"),
            timeseries("Failed share of queries", unit::RATIO)
                .says("By instance and kind. The alert is at 50%. All that write, and no select: the database is read-only. One instance: its connection or its schema.")
                .share("database_queries_total", &["instance", "query_type"], r#"status="error""#, r#"status!="cancelled""#)
                .limit(0.5)
                .alert("DatabaseQueriesFailing"),
            timeseries("Database errors by type", unit::EVENTS)
                .says("`connection_error`: it is gone. `timeout`: it is too busy. `deadlock`: two transactions met. `query_error`: the rest.")
                .rate("database_errors_total", &["error_type"])
                .stacked(),
            heatmap("Transaction duration heatmap", "database_transaction_duration_seconds")
                .says("How many transactions took how long."),
            timeseries("Transactions by outcome", unit::OPERATIONS)
                .says("A rollback is an error, or a transaction that was dropped half-way.")
                .rate("database_transactions_total", &["operation", "outcome"]),
            timeseries("Slow queries", unit::QUERIES)
                .says("Slower than the limit that the service has configured; the statement is in its log.")
                .rate("database_slow_queries_total", &["query_type"]),
            timeseries("Rows returned (p95)", unit::NUMBER)
                .says("Rows of a query. Thousands for one screen: a missing limit.")
                .p95("database_rows_returned", &["query_type"]),
        ],
    )
}

fn pool() -> Row {
    row(
        "Pool",
        "DatabaseAcquireTimeouts",
        [
            timeseries("Connection pool health", unit::NUMBER)
                .says("Active and idle connections of all instances, under the configured maximum.")
                .level("database_pool_connections", &["state"])
                .stacked()
                .dashed("total"),
            timeseries("Pool utilisation", unit::RATIO)
                .says("Connections in use among the configured maximum, by instance: the most around each point. The target is 80% on average over 15 minutes.")
                .query("{{instance}}", query::pool_in_use("$__rate_interval"))
                .limits(0.75, 0.95)
                .range(0.0, 1.0)
                .alert("HighDatabasePoolUtilization")
                .alert("DatabasePoolExhausted"),
            timeseries("Pool utilisation by pool", unit::RATIO)
                .says("The same for each named pool. In the sum a full pool hides behind an idle one.")
                .query("{{instance}} {{pool}}", query::named_pool_in_use("$__rate_interval"))
                .limits(0.75, 0.95)
                .range(0.0, 1.0)
                .alert("HighDatabasePoolUtilization")
                .alert("DatabasePoolExhausted"),
            timeseries("Pool acquires", unit::OPERATIONS)
                .says("Who asked for a connection, and how it ended. The objective is one timeout in 1,000.")
                .rate("database_pool_acquires_total", &["status"])
                .alert("DatabaseAcquireTimeouts"),
            timeseries("Pending acquires", unit::NUMBER)
                .says("Requests that wait for a connection now.")
                .level("database_pool_pending_acquires", &["instance"]),
        ],
    )
}

fn cache() -> Row {
    row(
        "Cache",
        "LowCacheHitRate",
        [
            timeseries("Cache operations/sec", unit::OPERATIONS)
                .says("By operation and outcome. A read that misses memory and finds the value in Redis is a miss and a hit.")
                .rate("cache_operations_total", &["operation", "status"]),
            timeseries("Failed share of Redis operations", unit::RATIO)
                .says("By instance. The alert is at 50%. A failure is neither a hit nor a miss, so the hit rate does not show it.")
                .share("cache_operations_total", &["instance"], r#"cache_layer="l2_redis", status="error""#, r#"cache_layer="l2_redis", status!="cancelled""#)
                .limit(0.5)
                .alert("RedisOperationsFailing"),
            timeseries("Cache entries by layer", unit::NUMBER)
                .says("Values kept. Redis is shared by the instances, so its number is theirs alike.")
                .query("{{cache_layer}}", r#"max by (cache_layer) (cache_entries_total{@, cache_layer="l2_redis"}) or sum by (cache_layer) (cache_entries_total{@, cache_layer="l1_memory"})"#),
            timeseries("Cache operation duration (p95)", unit::SECONDS)
                .says("The objective is 10 ms. Memory takes microseconds, so slow ones are of Redis or of the network.")
                .p95("cache_operation_duration_seconds", &["operation", "cache_layer"])
                .limit(0.01)
                .alert("SLOErrorBudgetBurn"),
            timeseries("Hit rate by instance", unit::PERCENT)
                .says("Hits among the reads of five minutes, as each instance reports them.")
                .query("{{instance}} {{cache_layer}}", "max by (instance, cache_layer) (cache_hit_rate{@})")
                .range(0.0, 100.0),
            timeseries("Cache evictions", unit::OPERATIONS)
                .says("Values that left. `capacity`: the cache is too small for what is asked of it.")
                .rate("cache_evictions_total", &["cache_layer", "reason"]),
            timeseries("Memory cache usage", unit::BYTES)
                .says("Bytes of the cache in memory, by instance.")
                .query("{{instance}}", "sum by (instance) (cache_memory_usage_bytes{@})"),
            timeseries("Cache value size (p95)", unit::BYTES)
                .says("Bytes of a value that was written.")
                .p95("cache_value_size_bytes", &["cache_layer"]),
        ],
    )
}

fn redis() -> Row {
    row(
        "Redis",
        "RedisConnectionFailure",
        [
            timeseries("Redis command duration (p95)", unit::SECONDS)
                .says("By command. One slow command holds up all others of the same Redis.")
                .p95("redis_command_duration_seconds", &["command"])
                .limit(0.01),
            timeseries("Redis connection errors", unit::EVENTS)
                .says("By instance. One instance: its network. All: Redis. The alert is at 1 a second.")
                .rate("redis_connection_errors_total", &["instance"])
                .limit(1.0)
                .alert("RedisConnectionFailure"),
            timeseries("Redis commands", unit::OPERATIONS)
                .says("By command and outcome. `dbsize` is the backend counting its entries.")
                .rate("redis_commands_total", &["command", "status"]),
            timeseries("Redis reconnects", unit::EVENTS)
                .says("Connections that were made anew after one was lost.")
                .rate("redis_reconnects_total", &["instance"]),
            timeseries("Redis connections", unit::NUMBER)
                .says("Of all instances; `total` is the configured maximum.")
                .level("redis_pool_connections", &["state"])
                .stacked()
                .dashed("total"),
            timeseries("Redis connections in use by pool", unit::NUMBER)
                .says("Of each named pool, by instance.")
                .query("{{instance}} {{pool}}", r#"sum by (instance, pool) (redis_pool_connections_by_pool{@, state="active"})"#),
        ],
    )
}

fn hit_rate() -> Panel {
    let share = |layer: &str| {
        let reads = |status: &str| {
            format!(
                r#"sum(rate(cache_operations_total{{@, cache_layer="{layer}", operation="get", {status}}}[$__rate_interval]))"#
            )
        };
        format!("1 - ({} / {})", reads(r#"status="miss""#), reads(r#"status=~"hit|miss""#))
    };
    timeseries("Cache hit rate (L1/L2)", unit::RATIO)
        .says("Reads that found a value, in memory and in Redis. The lines are the alert at 70% and the target of 80% for Redis; memory's is 90%.")
        .over_a_minute()
        .query("L1 memory", share("l1_memory"))
        .query("L2 redis", share("l2_redis"))
        .at_least(0.7, 0.8)
        .range(0.0, 1.0)
        .alert("LowCacheHitRate")
        .alert("RedisHitRateBelowTarget")
}
