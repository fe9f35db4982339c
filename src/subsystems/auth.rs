//! Log-ins, tokens, keys and sessions.
//!
//! | family | labels | recorded by |
//! | --- | --- | --- |
//! | `auth_attempts_total`, `auth_attempt_duration_seconds` | `status` | [`Metrics::track_authentication`] |
//! | `jwt_validations_total`, `jwt_validation_duration_seconds` | `status` | [`Metrics::start_jwt_validation`], [`Metrics::track_jwt_validation`] |
//! | `api_key_validations_total` | `status` | [`Metrics::track_api_key_validation`] |
//! | `sessions_created_total`, `sessions_ended_total`, `active_sessions` | `reason` | [`Metrics::track_session_created`], [`Metrics::track_session_ended`], [`Metrics::set_active_sessions`] |
//! | `auth_lockouts_total` | | [`Metrics::track_auth_lockout`] |
//! | `auth_token_refreshes_total` | `status` | [`Metrics::track_token_refresh`] |
//! | `authorization_denials_total` | `reason` | [`Metrics::track_authorization_denial`] |
//!
//! `active_sessions` is one level that is stepped and set: a session created or ended steps it from where it
//! stands, [`Metrics::set_active_sessions`] puts it right. A service whose sessions begin and end in one
//! process needs the steps alone. Where sessions outlive the process or end on another replica, set the level
//! as well, at the start and from time to time, to the sessions that this replica answers for. The dashboard
//! adds the replicas up, so a number that all of them know is set on one.
//!
//! ```
//! use backend_metrics::{
//!     Metrics,
//!     labels::{AuthStatus, SessionEndReason},
//! };
//!
//! fn log_in(metrics: Metrics, password: &str) -> bool {
//!     let watch = metrics.stopwatch();
//!     let right = password == "correct horse battery staple";
//!     let status = if right { AuthStatus::Success } else { AuthStatus::Failed };
//!     metrics.track_authentication(status, watch.elapsed());
//!     if right {
//!         metrics.track_session_created();
//!     }
//!     right
//! }
//!
//! let metrics = Metrics::new();
//! log_in(metrics, "correct horse battery staple");
//! log_in(metrics, "letmein");
//! let text = metrics.to_text();
//! assert!(text.contains("auth_attempts_total{status=\"failed\"} 1\n"));
//! assert!(text.contains("active_sessions 1\n"));
//! metrics.track_session_ended(SessionEndReason::Logout);
//! assert!(metrics.to_text().contains("active_sessions 0\n"));
//! ```
//!
//! [`Metrics::track_authentication`]: crate::Metrics::track_authentication
//! [`Metrics::start_jwt_validation`]: crate::Metrics::start_jwt_validation
//! [`Metrics::track_jwt_validation`]: crate::Metrics::track_jwt_validation
//! [`Metrics::track_api_key_validation`]: crate::Metrics::track_api_key_validation
//! [`Metrics::track_session_created`]: crate::Metrics::track_session_created
//! [`Metrics::track_session_ended`]: crate::Metrics::track_session_ended
//! [`Metrics::set_active_sessions`]: crate::Metrics::set_active_sessions
//! [`Metrics::track_auth_lockout`]: crate::Metrics::track_auth_lockout
//! [`Metrics::track_token_refresh`]: crate::Metrics::track_token_refresh
//! [`Metrics::track_authorization_denial`]: crate::Metrics::track_authorization_denial

use std::time::Duration;

use crate::{Counter, CounterFamily, Gauge, Histogram, Stopwatch, guard::dropped};

use super::helpers::helpers;

families! {
    /// Log-ins, tokens, keys and sessions.
    pub struct AuthMetrics = "auth" {
        /// Attempts to log in by how they ended
        pub attempts: CounterFamily<AuthStatus> = "auth_attempts_total",

        /// Validations of JSON Web Tokens by how they ended
        pub jwt_validations: CounterFamily<JwtStatus> = "jwt_validations_total",

        /// Time to validate a JSON Web Token
        ///
        /// Whatever came of it.
        pub jwt_validation_duration: Histogram =
            "jwt_validation_duration_seconds" in &[0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.025],

        /// Sessions that are open now
        ///
        /// Stepped by [`Metrics::track_session_created`](crate::Metrics::track_session_created) and
        /// [`Metrics::track_session_ended`](crate::Metrics::track_session_ended), and set by
        /// [`Metrics::set_active_sessions`](crate::Metrics::set_active_sessions); the [module](self) says when to
        /// do which.
        pub active_sessions: Gauge = "active_sessions",

        /// Validations of API keys by how they ended
        pub api_key_validations: CounterFamily<ApiKeyStatus> = "api_key_validations_total",

        /// Time of an attempt to log in
        ///
        /// Failed attempts are included.
        pub attempt_duration: Histogram =
            "auth_attempt_duration_seconds" in &[0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0],

        /// Accounts locked after too many failed attempts
        pub lockouts: Counter = "auth_lockouts_total",

        /// Refreshes of access tokens by how they ended
        pub token_refreshes: CounterFamily<TokenRefreshStatus> = "auth_token_refreshes_total",

        /// Requests refused for want of rights
        pub authorization_denials: CounterFamily<DenialReason> = "authorization_denials_total",

        /// Sessions created
        pub sessions_created: Counter = "sessions_created_total",

        /// Sessions that ended
        pub sessions_ended: CounterFamily<SessionEndReason> = "sessions_ended_total",
    }
}

label_values! {
    /// How an attempt to log in ended.
    pub enum AuthStatus = "status" {
        /// The credentials are right.
        Success = "success",
        /// The credentials are wrong, or the account is locked.
        Failed = "failed",
    }
}

label_values! {
    /// How the validation of a JSON Web Token ended.
    pub enum JwtStatus = "status" {
        /// The token is good.
        Valid = "valid",
        /// Its signature is right and its time is over.
        Expired = "expired",
        /// It is malformed, its signature is wrong, or it is meant for another audience.
        Invalid = "invalid",
        /// It could not be validated, without the keys for example, or the guard was dropped by a panic.
        Error = "error",
        /// The guard was dropped without an outcome: the caller went away.
        Cancelled = "cancelled",
    }
}

label_values! {
    /// How the validation of an API key ended.
    pub enum ApiKeyStatus = "status" {
        /// The key is good.
        Valid = "valid",
        /// The key is unknown or revoked.
        Invalid = "invalid",
        /// The key's time is over.
        Expired = "expired",
    }
}

label_values! {
    /// How the refresh of an access token ended.
    pub enum TokenRefreshStatus = "status" {
        /// A new token was given out.
        Success = "success",
        /// The refresh token is unknown, used up or expired.
        Failed = "failed",
    }
}

label_values! {
    /// Why a request was refused.
    pub enum DenialReason = "reason" {
        /// It carries neither token nor key.
        MissingCredentials = "missing_credentials",
        /// The token or key is good, but not for this.
        InsufficientScope = "insufficient_scope",
        /// It asks for an account that is not the caller's.
        AccountMismatch = "account_mismatch",
        /// Anything else.
        Other = "other",
    }
}

label_values! {
    /// Why a session ended.
    pub enum SessionEndReason = "reason" {
        /// The user logged out.
        Logout = "logout",
        /// Its time was over.
        Expired = "expired",
        /// An operator or a rule ended it.
        Revoked = "revoked",
    }
}

helpers! {
    /// Counts an attempt to log in and observes how long it took.
    ///
    /// Moves `auth_attempts_total` and `auth_attempt_duration_seconds`.
    pub fn track_authentication(self, status: AuthStatus, duration: Duration) {
        let attempts = self.auth.attempts.get(status);
        self.auth.attempt_duration.observe_counted(duration, attempts);
    }

    /// Counts the validation of a JSON Web Token and observes how long it took.
    ///
    /// Moves `jwt_validations_total` and `jwt_validation_duration_seconds`.
    /// [`Metrics::start_jwt_validation`](crate::Metrics::start_jwt_validation) measures the time itself.
    pub fn track_jwt_validation(self, status: JwtStatus, duration: Duration) {
        let validations = self.auth.jwt_validations.get(status);
        self.auth.jwt_validation_duration.observe_counted(duration, validations);
    }

    /// Starts the validation of a JSON Web Token; the guard records how it ended.
    pub fn start_jwt_validation(self) -> JwtValidationGuard {
        JwtValidationGuard { watch: self.stopwatch(), status: None }
    }

    /// Counts the validation of an API key in `api_key_validations_total`.
    pub fn track_api_key_validation(self, status: ApiKeyStatus) {
        self.auth.api_key_validations.get(status).inc();
    }

    /// Counts a session that was created.
    ///
    /// Moves `sessions_created_total`, and `active_sessions` up by one.
    pub fn track_session_created(self) {
        self.auth.sessions_created.inc();
        self.auth.active_sessions.update(|level| level + 1.0);
    }

    /// Counts a session that ended.
    ///
    /// Moves `sessions_ended_total`, and `active_sessions` down by one, but not below 0: the session may have
    /// begun before the process did.
    pub fn track_session_ended(self, reason: SessionEndReason) {
        self.auth.sessions_ended.get(reason).inc();
        self.auth.active_sessions.update(|level| (level - 1.0).max(0.0));
    }

    /// Sets `active_sessions`, which is stepped on from there.
    ///
    /// For a service that can count its sessions.
    pub fn set_active_sessions(self, sessions: u32) {
        self.auth.active_sessions.set(f64::from(sessions));
    }

    /// Counts an account that was locked in `auth_lockouts_total`.
    pub fn track_auth_lockout(self) {
        self.auth.lockouts.inc();
    }

    /// Counts the refresh of an access token in `auth_token_refreshes_total`.
    pub fn track_token_refresh(self, status: TokenRefreshStatus) {
        self.auth.token_refreshes.get(status).inc();
    }

    /// Counts a request that was refused in `authorization_denials_total`.
    pub fn track_authorization_denial(self, reason: DenialReason) {
        self.auth.authorization_denials.get(reason).inc();
    }
}

/// The validation of a JSON Web Token that is under way. Dropped without an outcome it is `cancelled`, dropped
/// by a panic `error`.
#[derive(Debug)]
#[must_use = "a guard dropped at once records a cancelled validation"]
pub struct JwtValidationGuard {
    watch: Stopwatch,
    status: Option<JwtStatus>,
}

impl JwtValidationGuard {
    /// The token is good.
    pub fn valid(mut self) {
        self.status = Some(JwtStatus::Valid);
    }

    /// The token's time is over.
    pub fn expired(mut self) {
        self.status = Some(JwtStatus::Expired);
    }

    /// The token is no good.
    pub fn invalid(mut self) {
        self.status = Some(JwtStatus::Invalid);
    }

    /// The token could not be validated.
    pub fn error(mut self) {
        self.status = Some(JwtStatus::Error);
    }
}

impl Drop for JwtValidationGuard {
    fn drop(&mut self) {
        let status = self.status.unwrap_or_else(|| dropped(JwtStatus::Error, JwtStatus::Cancelled));
        self.watch.metrics().track_jwt_validation(status, self.watch.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{ApiKeyStatus, AuthStatus, DenialReason, SessionEndReason, TokenRefreshStatus};
    use crate::testing::Fixture;

    #[test]
    fn a_validation_is_counted_and_timed_once_whatever_its_end() {
        let test = Fixture::new();
        let start = || {
            let validation = test.metrics.start_jwt_validation();
            test.clock.advance(Duration::from_micros(400));
            validation
        };
        start().valid();
        start().valid();
        start().expired();
        start().invalid();
        start().error();
        drop(start());
        std::panic::catch_unwind(|| {
            let _validation = start();
            panic!("the guard unwinds");
        })
        .unwrap_err();
        test.assert_series(&[
            (r#"jwt_validations_total{status="valid"}"#, 2.0),
            (r#"jwt_validations_total{status="expired"}"#, 1.0),
            (r#"jwt_validations_total{status="invalid"}"#, 1.0),
            (r#"jwt_validations_total{status="error"}"#, 2.0),
            (r#"jwt_validations_total{status="cancelled"}"#, 1.0),
            ("jwt_validation_duration_seconds_count", 7.0),
            ("jwt_validation_duration_seconds_sum", 0.0028),
            (r#"jwt_validation_duration_seconds_bucket{le="0.0005"}"#, 7.0),
        ]);
    }

    #[test]
    fn attempts_to_log_in_are_counted_and_timed() {
        let test = Fixture::new();
        test.metrics.track_authentication(AuthStatus::Success, Duration::from_millis(250));
        test.metrics.track_authentication(AuthStatus::Failed, Duration::from_millis(500));
        test.metrics.track_auth_lockout();
        test.assert_series(&[
            (r#"auth_attempts_total{status="success"}"#, 1.0),
            (r#"auth_attempts_total{status="failed"}"#, 1.0),
            ("auth_attempt_duration_seconds_count", 2.0),
            ("auth_attempt_duration_seconds_sum", 0.75),
            ("auth_lockouts_total", 1.0),
        ]);
    }

    #[test]
    fn sessions_step_from_the_level_that_was_set() {
        let test = Fixture::new();
        test.metrics.track_session_created();
        test.metrics.track_session_created();
        test.metrics.track_session_ended(SessionEndReason::Logout);
        test.assert_series(&[("active_sessions", 1.0)]);
        test.metrics.set_active_sessions(41);
        test.metrics.track_session_created();
        test.metrics.track_session_ended(SessionEndReason::Expired);
        test.metrics.track_session_created();
        test.assert_series(&[
            ("active_sessions", 42.0),
            ("sessions_created_total", 4.0),
            (r#"sessions_ended_total{reason="logout"}"#, 1.0),
            (r#"sessions_ended_total{reason="expired"}"#, 1.0),
            (r#"sessions_ended_total{reason="revoked"}"#, 0.0),
        ]);
    }

    #[test]
    fn the_end_of_a_session_older_than_the_process_leaves_the_level_at_zero() {
        let test = Fixture::new();
        test.metrics.track_session_ended(SessionEndReason::Revoked);
        test.metrics.track_session_created();
        test.assert_series(&[
            ("active_sessions", 1.0),
            (r#"sessions_ended_total{reason="revoked"}"#, 1.0),
        ]);
    }

    #[test]
    fn sessions_of_many_threads_lose_no_step() {
        let test = Fixture::new();
        let metrics = test.metrics;
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1_000 {
                        metrics.track_session_created();
                        metrics.track_session_created();
                        metrics.track_session_ended(SessionEndReason::Logout);
                    }
                });
            }
        });
        test.assert_series(&[("active_sessions", 4_000.0), ("sessions_created_total", 8_000.0)]);
    }

    #[test]
    fn keys_refreshes_and_denials_are_counted() {
        let test = Fixture::new();
        test.metrics.track_api_key_validation(ApiKeyStatus::Valid);
        test.metrics.track_api_key_validation(ApiKeyStatus::Expired);
        test.metrics.track_token_refresh(TokenRefreshStatus::Success);
        test.metrics.track_token_refresh(TokenRefreshStatus::Failed);
        test.metrics.track_authorization_denial(DenialReason::AccountMismatch);
        test.assert_series(&[
            (r#"api_key_validations_total{status="valid"}"#, 1.0),
            (r#"api_key_validations_total{status="invalid"}"#, 0.0),
            (r#"api_key_validations_total{status="expired"}"#, 1.0),
            (r#"auth_token_refreshes_total{status="success"}"#, 1.0),
            (r#"auth_token_refreshes_total{status="failed"}"#, 1.0),
            (r#"authorization_denials_total{reason="account_mismatch"}"#, 1.0),
            (r#"authorization_denials_total{reason="other"}"#, 0.0),
        ]);
    }
}
