//! How often a caller may ask.
//!
//! A caller is an account. Who need not say who they are, or have still to show it, are limited by the address that
//! they call from: so nobody uses up the log-ins of other addresses, nor keeps the database busy with keys that are
//! none.

use std::{collections::HashMap, num::NonZeroU32, time::Duration};

use backend_metrics::{Metrics, labels::RateLimitDecision};
use governor::{
    Quota, RateLimiter,
    clock::Clock,
    middleware::{StateInformationMiddleware, StateSnapshot},
    state::keyed::DashMapStateStore,
};
use parking_lot::Mutex;

use crate::{reply::Problem, routes};

/// What a caller may ask of endpoints whose work is long.
const HEAVY: Quota = quota(5, 20);

/// So many in a second, and so many at once.
const fn quota(in_a_second: u32, at_once: u32) -> Quota {
    let (Some(in_a_second), Some(at_once)) =
        (NonZeroU32::new(in_a_second), NonZeroU32::new(at_once))
    else {
        panic!("a quota of nothing");
    };
    Quota::per_second(in_a_second).allow_burst(at_once)
}

/// What a caller may ask of an endpoint, where most allow `in_a_second`; any number, if there is none.
fn quota_of(endpoint: &str, in_a_second: u32) -> Option<Quota> {
    match endpoint {
        // Whoever asks for it takes the backend for dead when it is refused.
        "/health" => None,
        "/statements" => Some(HEAVY),
        _ => Some(quota(in_a_second, 2 * in_a_second)),
    }
}

/// Limits every caller on every endpoint.
#[derive(Debug)]
pub struct RateLimits {
    metrics: Metrics,
    limits: HashMap<&'static str, Limit>,
}

/// The limit of an endpoint.
#[derive(Debug)]
struct Limit {
    quota: Quota,
    callers: RateLimiter<String, DashMapStateStore<String>, Uptime, StateInformationMiddleware>,
    /// When the most loaded caller will have its whole quota again. All of them recover at the same pace, so that
    /// caller stays the most loaded one until another has asked for more.
    recovered: Mutex<Duration>,
}

/// The clock of the metrics, which tests move.
#[derive(Clone, Debug)]
struct Uptime(Metrics);

impl Clock for Uptime {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.uptime()
    }
}

impl RateLimits {
    /// Nobody has asked yet. Of most endpoints a caller may ask `in_a_second`, and twice as many at once.
    #[must_use]
    pub fn new(metrics: Metrics, in_a_second: u32) -> Self {
        let limit = |endpoint| {
            let quota = quota_of(endpoint, in_a_second)?;
            let callers = RateLimiter::dashmap_with_clock(quota, Uptime(metrics)).with_middleware();
            Some((endpoint, Limit { quota, callers, recovered: Mutex::default() }))
        };
        Self { metrics, limits: routes::templates().filter_map(limit).collect() }
    }

    /// Lets `caller` ask `endpoint` now, or says when.
    pub fn allow(&self, caller: &str, endpoint: &'static str) -> Result<(), Problem> {
        let Some(limit) = self.limits.get(endpoint) else {
            return Ok(());
        };
        let decision = limit.callers.check_key(&caller.to_owned());
        let left = decision.as_ref().map_or(0, StateSnapshot::remaining_burst_capacity);
        let used = limit.quota.burst_size().get() - left;
        limit.show_usage(self.metrics, endpoint, used);
        match decision {
            Ok(_) => {
                self.metrics.track_rate_limit(endpoint, RateLimitDecision::Allowed);
                Ok(())
            }
            Err(until) => {
                self.metrics.track_rate_limit(endpoint, RateLimitDecision::Limited);
                Err(Problem::TooMany(until.wait_time_from(self.metrics.uptime())))
            }
        }
    }

    /// Forgets callers that have their whole quota again, and notes how the usage fell while nobody asked. To be
    /// called from time to time.
    pub fn tidy(&self) {
        for (endpoint, limit) in &self.limits {
            limit.callers.retain_recent();
            limit.show_usage(self.metrics, endpoint, 0);
        }
    }
}

impl Limit {
    /// Shows how much of the quota the most loaded caller has used, now that one has used so much of it.
    ///
    /// Worked out and set as one: otherwise a usage could be set after a later one, and stay.
    fn show_usage(&self, metrics: Metrics, endpoint: &str, used: u32) {
        let mut recovered = self.recovered.lock();
        let now = self.callers.clock().now();
        *recovered = (*recovered).max(now + self.quota.replenish_interval() * used);
        let busy = recovered.saturating_sub(now);
        let share = busy.div_duration_f64(self.quota.burst_size_replenished_in());
        metrics.set_rate_limit_usage(endpoint, share * 100.0);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use backend_metrics::{Clock, Metrics};
    use http::header;

    use super::RateLimits;

    const STATEMENTS: &str = "/statements";

    struct Fixture {
        limits: RateLimits,
        metrics: Metrics,
        clock: Clock,
    }

    impl Fixture {
        fn new() -> Self {
            let clock = Clock::manual();
            let metrics = Metrics::builder().clock(clock.clone()).build().unwrap();
            Self { limits: RateLimits::new(metrics, 50), metrics, clock }
        }

        /// How many of so many requests are let through.
        fn ask(&self, caller: &str, times: u32) -> usize {
            (0..times).filter(|_| self.limits.allow(caller, STATEMENTS).is_ok()).count()
        }

        #[track_caller]
        fn assert_usage(&self, percent: u32) {
            let line = format!("rate_limit_current_usage{{endpoint=\"{STATEMENTS}\"}} {percent}\n");
            let text = self.metrics.to_text();
            assert!(text.contains(&line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn who_asks_too_often_is_told_when_to_come_back() {
        let test = Fixture::new();
        assert_eq!(test.ask("A-01", 23), 20);
        let refused = test.limits.allow("A-01", STATEMENTS).unwrap_err().answer(test.metrics);
        assert_eq!(refused.status(), 429);
        assert_eq!(refused.headers()[header::RETRY_AFTER], "1");
        test.clock.advance(Duration::from_secs(1));
        assert_eq!(test.ask("A-01", 20), 5);
        let exposed = test.metrics.to_text();
        for line in [
            r#"rate_limit_requests_total{endpoint="/statements",decision="allowed"} 25"#,
            r#"rate_limit_requests_total{endpoint="/statements",decision="limited"} 19"#,
            r#"rate_limit_exceeded_total{endpoint="/statements"} 19"#,
        ] {
            assert!(exposed.lines().any(|found| found == line), "{line} is not in\n{exposed}");
        }
    }

    #[test]
    fn callers_and_endpoints_have_quotas_of_their_own() {
        let test = Fixture::new();
        assert_eq!(test.ask("A-01", 30), 20);
        assert_eq!(test.ask("A-02", 30), 20);
        test.limits.allow("A-01", "/orders").unwrap();
    }

    #[test]
    fn most_endpoints_allow_what_is_configured() {
        let test = Fixture::new();
        let ask = || (0..120).filter(|_| test.limits.allow("A-01", "/orders").is_ok()).count();
        assert_eq!(ask(), 100);
        test.clock.advance(Duration::from_secs(1));
        assert_eq!(ask(), 50);
    }

    #[test]
    fn a_probe_is_never_refused() {
        let test = Fixture::new();
        assert!((0..1_000).all(|_| test.limits.allow("", "/health").is_ok()));
        assert!(!test.metrics.to_text().contains(r#"endpoint="/health""#));
    }

    #[test]
    fn the_usage_is_that_of_the_most_loaded_caller() {
        let test = Fixture::new();
        test.ask("A-01", 10);
        test.assert_usage(50);
        test.ask("A-02", 1);
        test.assert_usage(50);
        test.clock.advance(Duration::from_secs(1));
        test.ask("A-02", 6);
        test.assert_usage(30);
        test.ask("A-02", 100);
        test.assert_usage(100);
    }

    #[test]
    fn the_usage_falls_and_callers_are_forgotten_while_nobody_asks() {
        let test = Fixture::new();
        test.ask("A-01", 10);
        test.ask("A-02", 1);
        test.clock.advance(Duration::from_secs(1));
        test.limits.tidy();
        test.assert_usage(25);
        test.clock.advance(Duration::from_secs(10));
        test.limits.tidy();
        test.assert_usage(0);
        assert!(test.limits.limits[STATEMENTS].callers.is_empty());
    }
}
