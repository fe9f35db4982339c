//! What is recorded: the same labels, bounds and events for every library.

use std::time::Duration;

use http::StatusCode;

/// Upper bounds in seconds and bytes, those of the library's own families.
pub use backend_metrics::buckets::{QUERY, REQUEST, SIZE};
pub const RESPONSE_SIZE: &[f64] = &[100.0, 1_000.0, 10_000.0, 100_000.0, 1_000_000.0, 10_000_000.0];

/// How long a query took: past the first bound.
pub const TOOK: Duration = Duration::from_micros(1_700);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "peers",
    derive(
        fastmetrics::derive::EncodeLabelValue,
        foundations::telemetry::metrics::LowCardinalityLabel,
        measured::FixedCardinalityLabel,
        prometheus_client::encoding::EncodeLabelValue,
        serde::Serialize,
    )
)]
pub enum QueryType {
    Select,
    Insert,
    Update,
    Delete,
    Procedure,
}

impl QueryType {
    /// For libraries whose labels are text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Select => "select",
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Procedure => "procedure",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "peers",
    derive(
        fastmetrics::derive::EncodeLabelValue,
        foundations::telemetry::metrics::LowCardinalityLabel,
        measured::FixedCardinalityLabel,
        prometheus_client::encoding::EncodeLabelValue,
        serde::Serialize,
    )
)]
pub enum QueryStatus {
    Success,
    Error,
    Cancelled,
}

impl QueryStatus {
    /// For libraries whose labels are text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Error => "error",
            Self::Cancelled => "cancelled",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "peers",
    derive(
        fastmetrics::derive::EncodeLabelValue,
        foundations::telemetry::metrics::LowCardinalityLabel,
        measured::FixedCardinalityLabel,
        prometheus_client::encoding::EncodeLabelValue,
        serde::Serialize,
    )
)]
pub enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
    Head,
    Options,
    Connect,
    Trace,
}

impl Method {
    /// For libraries whose labels are text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Head => "HEAD",
            Self::Options => "OPTIONS",
            Self::Connect => "CONNECT",
            Self::Trace => "TRACE",
        }
    }
}

/// A request as the layers see it.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: Method,
    pub endpoint: String,
    pub status: StatusCode,
    pub took: Duration,
    pub received: u64,
    pub sent: u64,
}

impl Request {
    fn to(endpoint: String) -> Self {
        Self {
            method: Method::Get,
            endpoint,
            status: StatusCode::OK,
            took: TOOK,
            received: 100,
            sent: 2_000,
        }
    }
}

/// One request to each of so many endpoints.
pub fn requests(endpoints: usize) -> Vec<Request> {
    const RESOURCES: [&str; 10] = [
        "orders",
        "positions",
        "holdings",
        "instruments",
        "strategies",
        "accounts",
        "statements",
        "subscriptions",
        "margins",
        "quotes",
    ];
    const SHAPES: [&str; 5] = ["", "/{id}", "/{id}/history", "/{id}/cancel", "/search"];
    let short = SHAPES.iter().flat_map(|shape| {
        RESOURCES.iter().map(move |resource| format!("/api/v1/{resource}{shape}"))
    });
    let more = (0..).map(|number| format!("/api/v1/accounts/{{id}}/orders/{number}"));
    short.chain(more).take(endpoints).map(Request::to).collect()
}

/// Requests in turn, without an end.
pub struct Turn<'a> {
    requests: &'a [Request],
    next: usize,
}

impl<'a> Turn<'a> {
    pub fn new(requests: &'a [Request]) -> Self {
        Self { requests, next: 0 }
    }

    #[inline]
    pub fn next(&mut self) -> &'a Request {
        let request = &self.requests[self.next];
        self.next += 1;
        if self.next == self.requests.len() {
            self.next = 0;
        }
        std::hint::black_box(request)
    }
}

/// Lines of one endpoint with one method and one status: six families, and two that stand at zero.
pub const LINES_OF_AN_ENDPOINT: usize = 49;

/// The families, as all libraries but ours declare them.
pub struct Name {
    pub name: &'static str,
    pub help: &'static str,
}

macro_rules! names {
    ($($constant:ident: $name:literal $help:literal;)+) => {
        $(pub const $constant: Name = Name { name: $name, help: $help };)+
    };
}

names! {
    QUERIES: "database_queries_total" "Queries by what they do and how they ended";
    QUERY_DURATION: "database_query_duration_seconds" "Time from sending a query to its last row";
    REQUESTS: "http_requests_total" "Requests by how they were answered";
    REQUEST_DURATION: "http_request_duration_seconds" "Time from the request until the server has taken the whole response";
    REQUEST_BYTES: "http_request_size_bytes" "Size of request bodies as announced by the client";
    RESPONSE_BYTES: "http_response_size_bytes" "Size of response bodies as far as the server has taken them";
    FIRST_BYTE: "http_time_to_first_byte_seconds" "Time from the request to the response head";
    ACTIVE: "http_active_requests" "Requests that are not finished";
    CANCELLED: "http_requests_cancelled_total" "Requests dropped before the end of the response: by the client or a timeout further out";
    PANICS: "http_panics_total" "Requests whose handler or response body panicked";
}

impl Name {
    /// For libraries that add the `_total` of counters themselves.
    pub fn stem(&self) -> &'static str {
        self.name.strip_suffix("_total").unwrap_or(self.name)
    }
}
