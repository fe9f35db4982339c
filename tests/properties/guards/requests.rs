//! The guards of requests and connections.

use backend_metrics::{
    labels::{MessageDirection, MessageDropReason, SubscriptionType},
    subsystems::{
        http::HttpRequestGuard,
        http_client::UpstreamRequestGuard,
        websocket::{WebsocketHandshake, WebsocketSession},
    },
};
use http::{Method, StatusCode};

use crate::exchange::Exchange;

use super::guards;

guards! { for m, t, took:
    mod request: HttpRequestGuard = start_http_request(method: Method, endpoint: &'static str)
    keeps {
        exchange: Exchange = {
            let label = m.open("http", "endpoint", endpoint);
            Exchange::begin(m, &method, label)
        }
    }
    begins {}
    uses {
        note set_endpoint(endpoint: &'static str) via |request| {
            let endpoints = &request.metrics().http.endpoints;
            request.set_endpoint(endpoints.get(endpoint));
        } => {
            let endpoint = m.open("http", "endpoint", endpoint);
            t.exchange.set_endpoint(m, endpoint);
        }
        note received(bytes: u64) => { t.exchange.received = (bytes != u64::MAX).then_some(bytes); }
        note head(status: StatusCode) => {
            let after = m.since(t.began);
            t.exchange.head(m, status, after);
        }
        note sent(bytes: u64) => { t.exchange.sent = t.exchange.sent.saturating_add(bytes); }
        note streaming(status: StatusCode) via |request| {
            request.head(status);
            request.streaming();
        } => {
            let after = m.since(t.began);
            t.exchange.head(m, status, after);
            t.exchange.streams = true;
        }
    }
    ends(cancelled: bool, dropped: !t.exchange.streams, panics: t.exchange.panic(m)) {
        end() => false,
        upgraded(status: StatusCode) via |request| {
            request.head(status);
            request.upgraded();
            None
        } => {
            t.exchange.head(m, status, took);
            t.exchange.upgraded = true;
            false
        },
        failed() => { t.exchange.fail(); false },
        panicked() => t.exchange.panic(m),
    } then { t.exchange.record(m, took, cancelled); }

    mod upstream: UpstreamRequestGuard = start_upstream_request(upstream: &'static str, method: Method)
    keeps {
        label: String = m.open("http_client", "upstream", upstream),
        head: Option<StatusCode> = None,
        streamed: Option<Duration> = None,
    }
    begins { m.step("http_client_active_requests", &[&t.label], 1); }
    uses {
        note head(status: StatusCode) => { t.head = Some(status); }
        note streaming() => { t.streamed = Some(m.since(t.began)); }
    }
    ends(status: Option<StatusCode>, dropped: t.head, panics: t.head) {
        finish(status: StatusCode) => Some(status),
        error() => None,
    } then {
        m.upstream_request(&t.label, &t.method, status, t.streamed.unwrap_or(took));
        m.step("http_client_active_requests", &[&t.label], -1);
    }

    mod handshake: WebsocketHandshake = start_websocket_handshake(endpoint: &'static str)
    keeps { label: String = m.open("websocket", "endpoint", endpoint) }
    begins {}
    uses {}
    ends(accepted: bool, dropped: false, panics: false) {
        accept(life: session::Life) via |handshake| {
            let told = session::Told {
                began: m.uptime,
                endpoint: t.endpoint,
                label: t.label.clone(),
                subscriptions: [0; 3],
                waiting: 0,
            };
            Some(Box::new(session::Running { guard: handshake.accept(), told, life }))
        } => true,
        reject() => false,
    } then {
        m.observe("websocket_handshake_duration_seconds", &[&t.label], took);
        if accepted {
            m.websocket_accepted(&t.label);
        } else {
            m.count("websocket_connections_total", &[&t.label, "rejected"], 1);
        }
    }

    mod session: WebsocketSession = start_websocket_session(endpoint: &'static str)
    keeps {
        label: String = m.open("websocket", "endpoint", endpoint),
        subscriptions: [u64; 3] = [0; 3],
        waiting: u64 = 0,
    }
    begins { m.websocket_accepted(&t.label); }
    uses {
        note sent(of: &'static str, bytes: u64) => {
            m.websocket_message(&t.label, of, MessageDirection::Sent, bytes);
        }
        note received(of: &'static str, bytes: u64) => {
            m.websocket_message(&t.label, of, MessageDirection::Received, bytes);
        }
        note latency(latency: Duration) => {
            m.observe("websocket_message_latency_seconds", &[&t.label], latency);
        }
        note dropped(reason: MessageDropReason) => {
            m.count("websocket_messages_dropped_total", &[&t.label, reason.as_str()], 1);
        }
        note error(error: &'static str) => { m.websocket_error(&t.label, error); }
        note subscribe(to: SubscriptionType, count: u32) => {
            t.subscriptions[place(to)] += u64::from(count);
            m.step("websocket_subscriptions_active", &[&t.label, to.as_str()], count.into());
        }
        note unsubscribe(to: SubscriptionType, count: u32) => {
            let ended = t.subscriptions[place(to)].min(count.into());
            t.subscriptions[place(to)] -= ended;
            m.step("websocket_subscriptions_active", &[&t.label, to.as_str()], -signed(ended));
        }
        note queued(messages: u32) via |session| session.queued(messages.into()) => {
            let change = i64::from(messages) - signed(t.waiting);
            t.waiting = messages.into();
            m.step("websocket_send_queue_depth", &[&t.label], change);
        }
    }
    ends(nothing: (), dropped: (), panics: ()) {
    } then {
        for &to in SubscriptionType::ALL {
            let ended = signed(t.subscriptions[place(to)]);
            m.step("websocket_subscriptions_active", &[&t.label, to.as_str()], -ended);
        }
        m.step("websocket_send_queue_depth", &[&t.label], -signed(t.waiting));
        m.step("websocket_connections_active", &[&t.label], -1);
        m.observe("websocket_connection_duration_seconds", &[&t.label], took);
    }
}

fn place(of: SubscriptionType) -> usize {
    SubscriptionType::ALL.iter().position(|to| *to == of).expect("it is one of all")
}

fn signed(count: u64) -> i64 {
    count.try_into().expect("it is a sum of small ones")
}
