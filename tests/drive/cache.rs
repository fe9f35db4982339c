use backend_metrics::{
    CacheStats, PoolStats,
    labels::{CacheEvictionReason, CacheLayer, CacheOperation, CacheStatus, RedisCommandStatus},
};

use super::{DONE, Driver, FAILED, ms, panic_with, us};

pub(super) fn drive(to: &mut Driver) {
    operations(to);
    commands(to);
    for layer in CacheLayer::ALL.iter().copied() {
        to.step_with(
            layer.as_str(),
            |to| call!(to.track_cache_value_size(layer, 1_500)),
            r#"cache_value_size_bytes{cache_layer="$"} observes 1500"#,
        );
    }
    for reason in CacheEvictionReason::ALL.iter().copied() {
        to.step_with(
            reason.as_str(),
            |to| {
                call!(to.track_cache_evictions(CacheLayer::Memory, reason, 3));
                call!(to.track_cache_evictions(CacheLayer::Redis, reason, 4));
            },
            r#"
            cache_evictions_total{cache_layer="l1_memory",reason="$"} +3
            cache_evictions_total{cache_layer="l2_redis",reason="$"} +4
            "#,
        );
    }
    to.step(
        |to| {
            call!(to.update_cache_stats(CacheStats {
                memory_entries: Some(1_200),
                memory_bytes: Some(4_800_000),
                redis_entries: Some(90_000),
            }));
        },
        r#"
        cache_entries_total{cache_layer="l1_memory"} = 1200
        cache_entries_total{cache_layer="l2_redis"} = 90000
        cache_memory_usage_bytes = 4800000
        "#,
    );
    to.step(
        |to| call!(to.set_cache_hit_rate(CacheLayer::Memory, 87.5)),
        r#"cache_hit_rate{cache_layer="l1_memory"} = 87.5"#,
    );
    to.step(
        |to| {
            let stats = PoolStats { active: 5, idle: 3, max: 16 };
            call!(to.add_redis_pool_source("quotes", move || Some(stats)));
        },
        r#"
        redis_pool_connections{state="active"} = 5
        redis_pool_connections{state="idle"} = 3
        redis_pool_connections{state="total"} = 16
        redis_pool_connections_by_pool{pool="quotes",state="active"} = 5
        redis_pool_connections_by_pool{pool="quotes",state="idle"} = 3
        redis_pool_connections_by_pool{pool="quotes",state="total"} = 16
        metrics_callback_failures_total{callback="redis_pool:quotes",reason="none"} +0
        metrics_callback_failures_total{callback="redis_pool:quotes",reason="panic"} +0
        metrics_callback_failures_total{callback="redis_pool:quotes",reason="timeout"} +0
        "#,
    );
    to.step(
        |to| _ = call!(to.remove_redis_pool_source("quotes")),
        r#"
        redis_pool_connections{state="active"} = 0
        redis_pool_connections{state="idle"} = 0
        redis_pool_connections{state="total"} = 0
        redis_pool_connections_by_pool{pool="quotes",state="active"} gone
        redis_pool_connections_by_pool{pool="quotes",state="idle"} gone
        redis_pool_connections_by_pool{pool="quotes",state="total"} gone
        "#,
    );
    to.step(
        |to| call!(to.update_redis_pool(PoolStats { active: 1, idle: 2, max: 8 })),
        r#"
        redis_pool_connections{state="active"} = 1
        redis_pool_connections{state="idle"} = 2
        redis_pool_connections{state="total"} = 8
        "#,
    );
    to.step(
        |to| {
            let stats = PoolStats { active: 1, idle: 1, max: 4 };
            call!(to.add_redis_pool_source("quotes", move || Some(stats)));
        },
        r#"
        redis_pool_connections{state="active"} = 1
        redis_pool_connections{state="idle"} = 1
        redis_pool_connections{state="total"} = 4
        redis_pool_connections_by_pool{pool="quotes",state="active"} = 1
        redis_pool_connections_by_pool{pool="quotes",state="idle"} = 1
        redis_pool_connections_by_pool{pool="quotes",state="total"} = 4
        "#,
    );
}

fn operations(to: &mut Driver) {
    to.step(
        |to| {
            let (get, memory) = (CacheOperation::Get, CacheLayer::Memory);
            call!(to.track_cache_operation(get, memory, us(200), CacheStatus::Hit));
        },
        r#"
        cache_operations_total{operation="get",cache_layer="l1_memory",status="hit"} +1
        cache_operation_duration_seconds{operation="get",cache_layer="l1_memory"} observes 0.0002
        cache_hit_rate{cache_layer="l1_memory"} = 100
        "#,
    );

    let start = |to: &Driver, operation, layer| {
        let operation = call!(to.start_cache_operation(operation, layer));
        to.advance(ms(2));
        operation
    };
    to.step(
        |to| start(to, CacheOperation::Get, CacheLayer::Redis).bytes(900).hit(),
        r#"
        cache_operations_total{operation="get",cache_layer="l2_redis",status="hit"} +1
        cache_operation_duration_seconds{operation="get",cache_layer="l2_redis"} observes 0.002
        cache_value_size_bytes{cache_layer="l2_redis"} observes 900
        cache_hit_rate{cache_layer="l2_redis"} = 100
        "#,
    );
    to.step(
        |to| start(to, CacheOperation::Get, CacheLayer::Redis).miss(),
        r#"
        cache_operations_total{operation="get",cache_layer="l2_redis",status="miss"} +1
        cache_operation_duration_seconds{operation="get",cache_layer="l2_redis"} observes 0.002
        cache_hit_rate{cache_layer="l2_redis"} = 50
        "#,
    );
    for layer in CacheLayer::ALL.iter().copied() {
        to.step_with(
            layer.as_str(),
            |to| start(to, CacheOperation::Set, layer).success(),
            r#"
            cache_operations_total{operation="set",cache_layer="$",status="success"} +1
            cache_operation_duration_seconds{operation="set",cache_layer="$"} observes 0.002
            "#,
        );
        to.step_with(
            layer.as_str(),
            |to| start(to, CacheOperation::Delete, layer).error(),
            r#"
            cache_operations_total{operation="delete",cache_layer="$",status="error"} +1
            cache_operation_duration_seconds{operation="delete",cache_layer="$"} observes 0.002
            "#,
        );
        to.step_with(
            layer.as_str(),
            |to| drop(start(to, CacheOperation::Get, layer)),
            r#"
            cache_operations_total{operation="get",cache_layer="$",status="cancelled"} +1
            cache_operation_duration_seconds{operation="get",cache_layer="$"} observes 0.002
            "#,
        );
        to.step_with(
            layer.as_str(),
            |to| panic_with(start(to, CacheOperation::Get, layer)),
            r#"
            cache_operations_total{operation="get",cache_layer="$",status="error"} +1
            cache_operation_duration_seconds{operation="get",cache_layer="$"} observes 0.002
            "#,
        );
    }
}

fn commands(to: &mut Driver) {
    to.step(
        |to| call!(to.track_redis_command("hget", us(300), RedisCommandStatus::Success)),
        r#"
        redis_commands_total{command="hget",status="success"} +1
        redis_command_duration_seconds{command="hget"} observes 0.0003
        "#,
    );
    to.step(|to| call!(to.track_redis_connection_error()), "redis_connection_errors_total +1");
    to.step(|to| call!(to.track_redis_reconnect()), "redis_reconnects_total +1");

    let start = |to: &Driver| {
        let command = call!(to.start_redis_command("publish"));
        to.advance(ms(1));
        command
    };
    let success = r#"
        redis_commands_total{command="publish",status="success"} +1
        redis_command_duration_seconds{command="publish"} observes 0.001
        "#;
    let error = r#"
        redis_commands_total{command="publish",status="error"} +1
        redis_command_duration_seconds{command="publish"} observes 0.001
        "#;
    to.step(|to| start(to).success(), success);
    to.step(|to| start(to).finish(&DONE), success);
    to.step(|to| start(to).error(), error);
    to.step(|to| start(to).finish(&FAILED), error);
    to.step(|to| panic_with(start(to)), error);
    to.step(
        |to| start(to).connection_error(),
        r#"
        redis_commands_total{command="publish",status="error"} +1
        redis_command_duration_seconds{command="publish"} observes 0.001
        redis_connection_errors_total +1
        "#,
    );
    to.step(
        |to| drop(start(to)),
        r#"
        redis_commands_total{command="publish",status="cancelled"} +1
        redis_command_duration_seconds{command="publish"} observes 0.001
        "#,
    );
}
