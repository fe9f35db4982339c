//! WebSocket connections and messages.

use crate::Counter;

families! {
    /// WebSocket connections and messages.
    pub struct WebsocketMetrics = "websocket" {
        /// Stands in for the families to come
        pub stub: Counter = "websocket_stub_total",
    }
}
