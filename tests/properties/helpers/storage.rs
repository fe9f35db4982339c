//! The helpers around the database, the caches and uploads.

use std::time::Duration;

use backend_metrics::{
    CacheStats, PoolStats,
    labels::{
        AcquireStatus, CacheEvictionReason, CacheLayer, CacheOperation, CacheStatus,
        DatabaseErrorType, QueryStatus, QueryType, RedisCommandStatus, StatementErrorType,
        StatementFileType, StatementStatus, TransactionCategory, TransactionOutcome,
    },
};

use crate::arguments::PoolSource;

use super::helpers;

/// Longer queries are slow.
const SLOW: Duration = Duration::from_millis(500);

helpers! { for m:
    fn track_database_query(query: QueryType, took: Duration, status: QueryStatus) {
        m.count("database_queries_total", &[query.as_str(), status.as_str()], 1);
        m.observe("database_query_duration_seconds", &[query.as_str()], took);
        if took > SLOW {
            m.count("database_slow_queries_total", &[query.as_str()], 1);
        }
    }

    fn track_database_rows(query: QueryType, rows: u64) {
        m.observe("database_rows_returned", &[query.as_str()], rows);
    }

    fn track_database_error(error: DatabaseErrorType) {
        m.count("database_errors_total", &[error.as_str()], 1);
    }

    fn track_database_acquire(took: Duration, status: AcquireStatus) {
        m.count("database_pool_acquires_total", &[status.as_str()], 1);
        m.observe("database_pool_acquire_duration_seconds", &[], took);
        if status == AcquireStatus::Timeout {
            m.count("database_pool_acquire_timeouts_total", &[], 1);
        }
    }

    fn track_database_transaction(operation: &'static str, took: Duration, outcome: TransactionOutcome) {
        let operation = m.open("database", "operation", operation);
        m.transaction(&operation, took, outcome);
    }

    fn update_database_pool(stats: PoolStats) {
        m.set_pool("database_pool_connections", stats);
    }

    fn add_database_pool_source(name: &'static str, source: PoolSource) {
        m.add_pool("database_pool_connections", name, source);
    }

    fn remove_database_pool_source(name: &'static str) {
        m.remove_pool("database_pool_connections", name);
    }

    fn track_cache_operation(operation: CacheOperation, layer: CacheLayer, took: Duration, status: CacheStatus) {
        let labels = [operation.as_str(), layer.as_str(), status.as_str()];
        m.count("cache_operations_total", &labels, 1);
        m.observe("cache_operation_duration_seconds", &labels[..2], took);
        match labels {
            ["get", layer, "hit"] => m.look_up("cache_hit_rate", layer, true),
            ["get", layer, "miss"] => m.look_up("cache_hit_rate", layer, false),
            _ => {}
        }
    }

    fn track_cache_value_size(layer: CacheLayer, bytes: u64) {
        m.observe("cache_value_size_bytes", &[layer.as_str()], bytes);
    }

    fn track_cache_evictions(layer: CacheLayer, reason: CacheEvictionReason, entries: u64) {
        m.count("cache_evictions_total", &[layer.as_str(), reason.as_str()], entries);
    }

    fn update_cache_stats(stats: CacheStats) {
        for (gauge, labels, value) in [
            ("cache_entries_total", &["l1_memory"][..], stats.memory_entries),
            ("cache_entries_total", &["l2_redis"], stats.redis_entries),
            ("cache_memory_usage_bytes", &[], stats.memory_bytes),
        ] {
            if let Some(value) = value {
                m.set(gauge, labels, value as f64);
            }
        }
    }

    fn set_cache_hit_rate(layer: CacheLayer, percent: f64) {
        m.give("cache_hit_rate", layer.as_str(), percent);
    }

    fn track_redis_command(command: &'static str, took: Duration, status: RedisCommandStatus) {
        let command = m.open("cache", "command", command);
        m.redis_command(&command, took, status);
    }

    fn track_redis_connection_error() {
        m.count("redis_connection_errors_total", &[], 1);
    }

    fn track_redis_reconnect() {
        m.count("redis_reconnects_total", &[], 1);
    }

    fn update_redis_pool(stats: PoolStats) {
        m.set_pool("redis_pool_connections", stats);
    }

    fn add_redis_pool_source(name: &'static str, source: PoolSource) {
        m.add_pool("redis_pool_connections", name, source);
    }

    fn remove_redis_pool_source(name: &'static str) {
        m.remove_pool("redis_pool_connections", name);
    }

    fn track_statement_upload(file: StatementFileType, bytes: u64, took: Duration, status: StatementStatus) {
        m.count("statement_uploads_total", &[status.as_str(), file.as_str()], 1);
        m.observe("statement_parsing_duration_seconds", &[file.as_str()], took);
        m.observe("statement_upload_size_bytes", &[file.as_str()], bytes);
    }

    fn track_transactions_parsed(category: TransactionCategory, transactions: u64) {
        m.count("transactions_parsed_total", &[category.as_str()], transactions);
    }

    fn track_statement_error(error: StatementErrorType) {
        m.count("statement_parsing_errors_total", &[error.as_str()], 1);
    }
}

impl crate::model::Model {
    /// A transaction whose label is known.
    pub(crate) fn transaction(
        &mut self,
        operation: &str,
        took: Duration,
        outcome: TransactionOutcome,
    ) {
        self.count("database_transactions_total", &[operation, outcome.as_str()], 1);
        self.observe("database_transaction_duration_seconds", &[operation], took);
    }

    /// A command whose label is known.
    pub(crate) fn redis_command(
        &mut self,
        command: &str,
        took: Duration,
        status: RedisCommandStatus,
    ) {
        self.count("redis_commands_total", &[command, status.as_str()], 1);
        self.observe("redis_command_duration_seconds", &[command], took);
    }
}
