//! What the model keeps of a request to the service.

use std::time::Duration;

use http::{Method, StatusCode};

use crate::{arguments::method as label, model::Model};

/// A request, by the documentation of `HttpRequestGuard` and of the families.
pub(crate) struct Exchange {
    method: String,
    pub(crate) endpoint: String,
    /// What the active gauge was raised under.
    raised: String,
    /// The status of the head, and the time to it.
    head: Option<(StatusCode, Duration)>,
    failed: bool,
    pub(crate) received: Option<u64>,
    pub(crate) sent: u64,
    pub(crate) streams: bool,
    pub(crate) upgraded: bool,
}

impl Exchange {
    pub(crate) fn begin(m: &mut Model, method: &Method, endpoint: String) -> Self {
        m.step("http_active_requests", &[&endpoint], 1);
        Self {
            method: label(method).to_owned(),
            raised: endpoint.clone(),
            endpoint,
            head: None,
            failed: false,
            received: None,
            sent: 0,
            streams: false,
            upgraded: false,
        }
    }

    pub(crate) fn head(&mut self, status: StatusCode, after: Duration) {
        self.head = Some((status, after));
    }

    pub(crate) fn fail(&mut self) {
        self.failed = true;
    }

    /// A panic ends it: it is not cancelled.
    pub(crate) fn panic(&mut self, m: &mut Model) -> bool {
        m.count("http_panics_total", &[&self.endpoint], 1);
        self.fail();
        false
    }

    pub(crate) fn record(&self, m: &mut Model, took: Duration, cancelled: bool) {
        let route = [&*self.method, &*self.endpoint];
        let status = match self.head {
            _ if cancelled => "499",
            Some((ref status, _)) => status.as_str(),
            None if self.failed => "500",
            // It was said to have ended, and what it was answered with is unknown.
            None => "499",
        };
        m.count("http_requests_total", &[route[0], route[1], status], 1);
        m.count("http_requests_cancelled_total", &route, cancelled.into());
        let at_head = self.head.filter(|_| self.streams || self.upgraded);
        let took = at_head.map_or(took, |(_, after)| after);
        m.observe("http_request_duration_seconds", &route, took);
        if let Some((_, after)) = self.head {
            m.observe("http_time_to_first_byte_seconds", &route, after);
            if !self.upgraded {
                m.observe("http_response_size_bytes", &route, self.sent);
            }
        }
        if let Some(received) = self.received {
            m.observe("http_request_size_bytes", &route, received);
        }
        m.step("http_active_requests", &[&self.raised], -1);
    }
}
