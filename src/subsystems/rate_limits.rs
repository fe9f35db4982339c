//! Rate limits.
//!
//! | family | labels | recorded by |
//! | --- | --- | --- |
//! | `rate_limit_requests_total`, `rate_limit_exceeded_total` | `endpoint`; `decision` | [`Metrics::track_rate_limit`] |
//! | `rate_limit_current_usage` | `endpoint` | [`Metrics::set_rate_limit_usage`] |
//!
//! No family has a label for the user: there would be no end of series, and the ids are personal.
//!
//! ```
//! use backend_metrics::{Metrics, labels::RateLimitDecision};
//!
//! let metrics = Metrics::new();
//! metrics.track_rate_limit("/orders", RateLimitDecision::Limited);
//! assert!(metrics.to_text().contains("rate_limit_exceeded_total{endpoint=\"/orders\"} 1\n"));
//! ```
//!
//! [`Metrics::track_rate_limit`]: crate::Metrics::track_rate_limit
//! [`Metrics::set_rate_limit_usage`]: crate::Metrics::set_rate_limit_usage

use crate::{CounterFamily, Domain, GaugeFamily, Open};

use super::helpers::helpers;

families! {
    /// Rate limits.
    pub struct RateLimitMetrics = "rate_limits" {
        with {
            /// The endpoints with a limit.
            pub endpoints: Domain<RateLimitEndpoint>,
        }

        /// Requests refused because a rate limit was exceeded
        pub exceeded: CounterFamily<Open<RateLimitEndpoint>> = "rate_limit_exceeded_total",

        /// Share of the limit that the most loaded key has used, in percent
        ///
        /// From 0 to 100. A key is what the limit counts by, a user or an address say.
        pub current_usage: GaugeFamily<Open<RateLimitEndpoint>> = "rate_limit_current_usage",

        /// Requests that a rate limit decided on
        pub requests: CounterFamily<(Open<RateLimitEndpoint>, RateLimitDecision)> =
            "rate_limit_requests_total",
    }
}

label_values! {
    /// What a rate limit decided.
    pub enum RateLimitDecision = "decision" {
        /// The request goes on.
        Allowed = "allowed",
        /// The request is refused.
        Limited = "limited",
    }
}

open_labels! {
    /// An endpoint with a rate limit: a route template, never a raw path.
    pub struct RateLimitEndpoint(endpoint);
}

helpers! {
    /// Counts a decision of a rate limit in `rate_limit_requests_total`, and one that refuses the request in
    /// `rate_limit_exceeded_total` too.
    ///
    /// `endpoint` is a route template.
    pub fn track_rate_limit(self, endpoint: &str, decision: RateLimitDecision) {
        let endpoint = self.rate_limits.endpoints.get(endpoint);
        self.rate_limits.requests.get((endpoint, decision)).inc();
        if decision == RateLimitDecision::Limited {
            self.rate_limits.exceeded.get(endpoint).inc();
        }
    }

    /// Sets how much of the limit the most loaded key has used, in percent from 0 to 100, in
    /// `rate_limit_current_usage`.
    pub fn set_rate_limit_usage(self, endpoint: &str, percent: f64) {
        let endpoint = self.rate_limits.endpoints.get(endpoint);
        self.rate_limits.current_usage.get(endpoint).set(percent);
    }
}

#[cfg(test)]
mod tests {
    use super::RateLimitDecision;
    use crate::testing::Fixture;

    #[test]
    fn a_refused_request_is_counted_as_a_decision_and_as_exceeded() {
        let test = Fixture::new();
        test.metrics.track_rate_limit("/orders", RateLimitDecision::Allowed);
        test.assert_series(&[
            (r#"rate_limit_exceeded_total{endpoint="/orders"}"#, 0.0),
            (r#"rate_limit_requests_total{endpoint="/orders",decision="limited"}"#, 0.0),
        ]);
        test.metrics.track_rate_limit("/orders", RateLimitDecision::Limited);
        test.metrics.track_rate_limit("/orders", RateLimitDecision::Limited);
        test.assert_series(&[
            (r#"rate_limit_exceeded_total{endpoint="/orders"}"#, 2.0),
            (r#"rate_limit_requests_total{endpoint="/orders",decision="allowed"}"#, 1.0),
            (r#"rate_limit_requests_total{endpoint="/orders",decision="limited"}"#, 2.0),
        ]);
    }

    #[test]
    fn the_usage_is_as_it_was_set_last() {
        let test = Fixture::new();
        test.metrics.set_rate_limit_usage("/orders", 80.0);
        test.metrics.set_rate_limit_usage("/orders", 12.5);
        test.assert_series(&[(r#"rate_limit_current_usage{endpoint="/orders"}"#, 12.5)]);
    }
}
