use backend_metrics::{
    WebsocketConnection,
    labels::{MessageDirection, MessageDropReason, SubscriptionType},
};

use super::{Driver, ms};

const ENDPOINT: &str = "/ws/fo/stream";

pub(super) fn drive(to: &mut Driver) {
    session(to);
    handshake(to);
    to.step(
        |to| call!(to.track_websocket_connection(ENDPOINT, WebsocketConnection::Connected)),
        r#"
        websocket_connections_active{endpoint="/ws/fo/stream"} +1
        websocket_connections_total{endpoint="/ws/fo/stream",status="accepted"} +1
        "#,
    );
    to.step(
        |to| call!(to.track_websocket_connection(ENDPOINT, WebsocketConnection::Disconnected)),
        r#"websocket_connections_active{endpoint="/ws/fo/stream"} -1"#,
    );
    to.step(
        |to| call!(to.track_websocket_connection_duration(ENDPOINT, ms(90_000))),
        r#"websocket_connection_duration_seconds{endpoint="/ws/fo/stream"} observes 90"#,
    );
    to.step(
        |to| call!(to.track_websocket_rejection(ENDPOINT)),
        r#"websocket_connections_total{endpoint="/ws/fo/stream",status="rejected"} +1"#,
    );
    to.step(
        |to| call!(to.track_websocket_handshake(ENDPOINT, ms(12))),
        r#"websocket_handshake_duration_seconds{endpoint="/ws/fo/stream"} observes 0.012"#,
    );
    for direction in MessageDirection::ALL.iter().copied() {
        to.step_with(
            direction.as_str(),
            |to| call!(to.track_websocket_message(ENDPOINT, "tick", direction, 310)),
            r#"
            websocket_messages_$_total{endpoint="/ws/fo/stream",message_type="tick"} +1
            websocket_message_size_bytes{endpoint="/ws/fo/stream",direction="$"} observes 310
            "#,
        );
    }
    to.step(
        |to| call!(to.track_websocket_message_latency(ENDPOINT, ms(3))),
        r#"websocket_message_latency_seconds{endpoint="/ws/fo/stream"} observes 0.003"#,
    );
    for reason in MessageDropReason::ALL.iter().copied() {
        to.step_with(
            reason.as_str(),
            |to| call!(to.track_websocket_message_drop(ENDPOINT, reason)),
            r#"websocket_messages_dropped_total{endpoint="/ws/fo/stream",reason="$"} +1"#,
        );
    }
    to.step(
        |to| call!(to.track_websocket_error(ENDPOINT, "protocol_error")),
        r#"websocket_errors_total{endpoint="/ws/fo/stream",error_type="protocol_error"} +1"#,
    );
    for subscription_type in SubscriptionType::ALL.iter().copied() {
        to.step_with(
            subscription_type.as_str(),
            |to| call!(to.track_websocket_subscriptions(ENDPOINT, subscription_type, 5)),
            r#"websocket_subscriptions_active{endpoint="/ws/fo/stream",subscription_type="$"} +5"#,
        );
    }
    to.step(
        |to| call!(to.track_websocket_queue(ENDPOINT, 4)),
        r#"websocket_send_queue_depth{endpoint="/ws/fo/stream"} +4"#,
    );
}

fn session(to: &mut Driver) {
    let session = to.step(
        |to| call!(to.start_websocket_session(ENDPOINT)),
        r#"
        websocket_connections_active{endpoint="/ws/fo/stream"} +1
        websocket_connections_total{endpoint="/ws/fo/stream",status="accepted"} +1
        "#,
    );
    to.step(
        |_| session.received("subscribe", 48),
        r#"
        websocket_messages_received_total{endpoint="/ws/fo/stream",message_type="subscribe"} +1
        websocket_message_size_bytes{endpoint="/ws/fo/stream",direction="received"} observes 48
        "#,
    );
    to.step(
        |_| session.sent("tick", 310),
        r#"
        websocket_messages_sent_total{endpoint="/ws/fo/stream",message_type="tick"} +1
        websocket_message_size_bytes{endpoint="/ws/fo/stream",direction="sent"} observes 310
        "#,
    );
    to.step(
        |_| session.latency(ms(6)),
        r#"websocket_message_latency_seconds{endpoint="/ws/fo/stream"} observes 0.006"#,
    );
    to.step(
        |_| session.dropped(MessageDropReason::SlowConsumer),
        r#"websocket_messages_dropped_total{endpoint="/ws/fo/stream",reason="slow_consumer"} +1"#,
    );
    to.step(
        |_| session.error("bad_token"),
        r#"websocket_errors_total{endpoint="/ws/fo/stream",error_type="bad_token"} +1"#,
    );
    to.step(
        |_| {
            session.subscribe(SubscriptionType::Instruments, 20);
            session.unsubscribe(SubscriptionType::Instruments, 8);
            session.queued(9);
            session.queued(7);
        },
        r#"
        websocket_subscriptions_active{endpoint="/ws/fo/stream",subscription_type="instruments"} +12
        websocket_send_queue_depth{endpoint="/ws/fo/stream"} +7
        "#,
    );
    to.step(
        |to| {
            to.advance(ms(4_000));
            drop(session);
        },
        r#"
        websocket_connections_active{endpoint="/ws/fo/stream"} -1
        websocket_connection_duration_seconds{endpoint="/ws/fo/stream"} observes 4
        websocket_subscriptions_active{endpoint="/ws/fo/stream",subscription_type="instruments"} -12
        websocket_send_queue_depth{endpoint="/ws/fo/stream"} -7
        "#,
    );
}

fn handshake(to: &mut Driver) {
    let start = |to: &Driver| {
        let handshake = call!(to.start_websocket_handshake(ENDPOINT));
        to.advance(ms(9));
        handshake
    };
    to.step(
        |to| to.hold(start(to).accept()),
        r#"
        websocket_handshake_duration_seconds{endpoint="/ws/fo/stream"} observes 0.009
        websocket_connections_active{endpoint="/ws/fo/stream"} +1
        websocket_connections_total{endpoint="/ws/fo/stream",status="accepted"} +1
        "#,
    );
    let rejected = r#"
        websocket_handshake_duration_seconds{endpoint="/ws/fo/stream"} observes 0.009
        websocket_connections_total{endpoint="/ws/fo/stream",status="rejected"} +1
        "#;
    to.step(|to| start(to).reject(), rejected);
    to.step(|to| drop(start(to)), rejected);
}
