//! What the model keeps of a request to the service.

use std::{mem, time::Duration};

use http::{Method, StatusCode};

use crate::{arguments::method as label, model::Model};

/// A request, by the documentation of `HttpRequestGuard` and of the families.
pub(crate) struct Exchange {
    method: &'static str,
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

impl Model {
    /// The endpoint that a request counts under: none of its own for a method that it refuses.
    pub(crate) fn answered(
        &mut self,
        endpoint: String,
        method: &str,
        status: StatusCode,
    ) -> String {
        if ![405, 501].contains(&status.as_u16()) || self.has_method(("http", &endpoint), method) {
            return endpoint;
        }
        self.show("http", &[("endpoint", "unmatched".into())]);
        "unmatched".into()
    }
}

impl Exchange {
    pub(crate) fn begin(m: &mut Model, method: &Method, endpoint: String) -> Self {
        m.step("http_active_requests", &[&endpoint], 1);
        Self {
            method: label(method),
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

    pub(crate) fn head(&mut self, m: &mut Model, status: StatusCode, after: Duration) {
        self.head = Some((status, after));
        let endpoint = mem::take(&mut self.endpoint);
        self.set_endpoint(m, endpoint);
    }

    /// The head may be there already.
    pub(crate) fn set_endpoint(&mut self, m: &mut Model, endpoint: String) {
        self.endpoint = match self.head {
            Some((status, _)) => m.answered(endpoint, self.method, status),
            None => endpoint,
        };
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
        let to = ("http", &*self.endpoint);
        let method = m.method(to, self.method);
        let route = [&*method, &*self.endpoint];
        let status = match self.head {
            _ if cancelled => "499",
            Some((ref status, _)) => status.as_str(),
            None if self.failed => "500",
            // It was said to have ended, and what it was answered with is unknown.
            None => "499",
        };
        let status = m.status(to, &method, status);
        m.count("http_requests_total", &[route[0], route[1], &status], 1);
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
