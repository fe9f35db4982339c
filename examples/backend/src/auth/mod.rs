//! Who calls: passwords, tokens, API keys, sessions.
//!
//! A log-in opens a session and gives two tokens that name it: one to call with, for a quarter of an hour, and one
//! to get the next two with, once. Sessions and the key that signs the tokens are this process's own: behind a load
//! balancer, a client has to come back to the instance that it logged in to.

mod passwords;
mod sessions;
mod tokens;

use std::{error::Error, time::Duration};

use backend_metrics::{
    Metrics,
    labels::{ApiKeyStatus, AuthStatus, DenialReason, TokenRefreshStatus},
};
use chrono::{DateTime, Utc};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sqlx::FromRow;

pub use self::{passwords::hash_password, tokens::Tokens};
use self::{
    passwords::{NOBODYS_HASH, Passwords},
    sessions::Sessions,
    tokens::{Purpose, Signer},
};
use crate::{
    cache::{Cache, MEMORY_KEEP},
    database::Database,
    reply::{self, Problem, Reply},
    routes::{Access, Call},
};

/// How long an API key may go on after it was deleted.
const KEY_KEPT: Duration = Duration::from_mins(15);

/// What callers get who are not who they say. It does not say why: that would help them to guess.
const UNKNOWN: Problem = Problem::Unauthenticated(DenialReason::Other);

/// The hash of an API key. A fast one will do: unlike passwords, keys cannot be guessed.
#[must_use]
pub fn hash_key(key: &[u8]) -> String {
    hex::encode(Sha256::digest(key))
}

/// What is known of callers.
#[derive(Debug)]
pub struct Auth {
    metrics: Metrics,
    database: Database,
    cache: Cache,
    passwords: Passwords,
    signer: Signer,
    sessions: Sessions,
}

/// A row of `api_keys`.
#[derive(Debug, Deserialize, FromRow, Serialize)]
struct ApiKey {
    account_id: String,
    expires_at: i64,
}

impl ApiKey {
    fn is_valid(&self, now: DateTime<Utc>) -> bool {
        self.expires_at > now.timestamp_millis()
    }
}

impl Auth {
    /// Nobody is logged in yet.
    #[must_use]
    pub fn new(metrics: Metrics, database: Database, cache: Cache) -> Self {
        Self {
            metrics,
            database,
            cache,
            passwords: Passwords::new(),
            signer: Signer::new(metrics),
            sessions: Sessions::new(metrics),
        }
    }

    /// Ends the sessions that have expired; gives how many.
    pub fn end_expired_sessions(&self) -> u64 {
        self.sessions.end_expired()
    }

    /// The account of a request, or why it may not call.
    ///
    /// `attempt` says whether the caller may try: it is asked before Redis or the database is, and before the caller
    /// is refused.
    pub async fn account(
        &self,
        headers: &HeaderMap,
        access: Access,
        attempt: impl Fn() -> Result<(), Problem>,
    ) -> Result<String, Problem> {
        if access == Access::Public {
            return Ok(String::new());
        }
        let account = if let Some(token) = bearer(headers) {
            self.account_of_token(token).or_else(|unknown| attempt().and(Err(unknown)))?
        } else if let Some(key) = headers.get("x-api-key") {
            let (account, is_known) = self.account_of_key(key, &attempt).await?;
            if access == Access::Trade {
                if is_known {
                    attempt()?;
                }
                return Err(Problem::Denied(DenialReason::InsufficientScope));
            }
            account
        } else {
            attempt()?;
            return Err(Problem::Unauthenticated(DenialReason::MissingCredentials));
        };
        self.metrics.track_user_activity(&account);
        Ok(account)
    }

    fn account_of_token(&self, token: &str) -> Result<String, Problem> {
        let claims = self.signer.validate(token, Purpose::Access).ok_or(UNKNOWN)?;
        // The token is good to the end of its time; its session may have ended before.
        let open = self.sessions.is_open(&claims);
        open.then_some(claims.sub).ok_or(UNKNOWN)
    }

    /// The account of a key, and whether it was known without an attempt.
    async fn account_of_key(
        &self,
        key: &HeaderValue,
        attempt: impl Fn() -> Result<(), Problem>,
    ) -> Result<(String, bool), Problem> {
        let hash = hash_key(key.as_bytes());
        let cached = format!("api_key:{hash}");
        let now = now(self.metrics);
        let mut found = self.cache.get_memory::<Option<ApiKey>>(&cached).await;
        let is_known = found.iter().flatten().any(|key| key.is_valid(now));
        if !is_known {
            attempt()?;
        }
        if found.is_none() {
            found = self.cache.get_redis(&cached).await;
        }
        let found = if let Some(found) = found {
            found
        } else {
            let query =
                sqlx::query_as("SELECT account_id, expires_at FROM api_keys WHERE key_hash = $1");
            let found = self.database.select(query.bind(hash)).await?.pop();
            // Of a wrong key too, as it is tried again; but not in Redis, which anyone could fill so.
            let keep = if found.is_some() { KEY_KEPT } else { MEMORY_KEEP };
            self.cache.set(&cached, &found, keep).await;
            found
        };
        let (status, account) = match found {
            Some(key) if key.is_valid(now) => (ApiKeyStatus::Valid, Some(key.account_id)),
            Some(_) => (ApiKeyStatus::Expired, None),
            None => (ApiKeyStatus::Invalid, None),
        };
        self.metrics.track_api_key_validation(status);
        Ok((account.ok_or(UNKNOWN)?, is_known))
    }

    async fn log_in(&self, account: &str, password: String) -> Result<Tokens, Problem> {
        let watch = self.metrics.stopwatch();
        let query = sqlx::query_as("SELECT password_hash FROM accounts WHERE id = $1");
        let found: Option<(String,)> =
            self.database.select(query.bind(account.to_owned())).await?.pop();
        let exists = found.is_some();
        let hash = found.map_or_else(|| NOBODYS_HASH.to_owned(), |(hash,)| hash);
        let right = self.passwords.verify(password, hash).await?;
        let opened = if exists { self.sessions.open(account, right) } else { None };
        let status = if opened.is_some() { AuthStatus::Success } else { AuthStatus::Failed };
        self.metrics.track_authentication(status, watch.elapsed());
        self.signer.sign(account, opened.ok_or(Problem::WrongCredentials)?)
    }

    fn refresh(&self, token: &str) -> Result<Tokens, Problem> {
        let tokens = self.refreshed(token);
        self.metrics.track_token_refresh(match tokens {
            Ok(_) => TokenRefreshStatus::Success,
            Err(_) => TokenRefreshStatus::Failed,
        });
        tokens
    }

    fn refreshed(&self, token: &str) -> Result<Tokens, Problem> {
        let claims = self.signer.validate(token, Purpose::Refresh);
        let claims = claims.ok_or(Problem::WrongCredentials)?;
        let session = self.sessions.refresh(&claims).ok_or(Problem::WrongCredentials)?;
        self.signer.sign(&claims.sub, session)
    }

    fn log_out(&self, headers: &HeaderMap) {
        // Nothing is new about the token: `account` has validated it.
        if let Some(claims) = bearer(headers).and_then(|token| self.signer.claims(token)) {
            self.sessions.log_out(&claims);
        }
    }
}

/// The time, which tests move.
fn now(metrics: Metrics) -> DateTime<Utc> {
    metrics.clock().wall().into()
}

/// The token of the `authorization` header.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

fn internal(error: impl Error + Send + Sync + 'static) -> Problem {
    Problem::Internal(Box::new(error))
}

/// The body of a log-in.
#[derive(Deserialize)]
struct Credentials {
    account: String,
    password: String,
}

/// The body of a refresh.
#[derive(Deserialize)]
struct Refresh {
    refresh_token: String,
}

/// `POST /auth/login`
pub async fn login(mut call: Call) -> Result<Reply, Problem> {
    let Credentials { account, password } = call.json().await?;
    reply::json(StatusCode::OK, &call.app.auth.log_in(&account, password).await?)
}

/// `POST /auth/refresh`
pub async fn refresh(mut call: Call) -> Result<Reply, Problem> {
    let Refresh { refresh_token } = call.json().await?;
    reply::json(StatusCode::OK, &call.app.auth.refresh(&refresh_token)?)
}

/// `POST /auth/logout`
pub async fn logout(call: Call) -> Result<Reply, Problem> {
    call.app.auth.log_out(call.request.headers());
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use backend_metrics::{Clock, Metrics, labels::DenialReason};
    use http::{HeaderMap, HeaderName, header};

    use super::{
        Auth, Tokens,
        sessions::{MOST_FAILURES, MOST_SESSIONS},
    };
    use crate::{
        accounts,
        cache::Cache,
        database::{Database, Temporary},
        faults::Faults,
        reply::Problem,
        routes::Access,
    };

    const UNKNOWN: Result<String, DenialReason> = Err(DenialReason::Other);

    struct Fixture {
        auth: Auth,
        metrics: Metrics,
        clock: Clock,
        _temporary: Option<Temporary>,
    }

    impl Fixture {
        async fn new() -> Self {
            let clock = Clock::manual();
            let metrics = Metrics::builder().clock(clock.clone()).build().unwrap();
            let (database, temporary) = Database::open(None, metrics).await.unwrap();
            accounts::seed(&database).await.unwrap();
            let cache = Cache::open(None, metrics, Faults::default()).await.unwrap();
            Self {
                auth: Auth::new(metrics, database, cache),
                metrics,
                clock,
                _temporary: temporary,
            }
        }

        fn advance(&self, minutes: u64) {
            self.clock.advance(Duration::from_mins(minutes));
        }

        async fn log_in(&self, account: &str) -> Tokens {
            self.auth.log_in(account, accounts::DEMO_PASSWORD.to_owned()).await.unwrap()
        }

        async fn fails_to_log_in(&self, account: &str, password: &str) {
            let answer = self.auth.log_in(account, password.to_owned()).await;
            assert!(matches!(answer, Err(Problem::WrongCredentials)));
        }

        /// Who a request with this header is of.
        async fn caller(
            &self,
            access: Access,
            header: HeaderName,
            value: &str,
        ) -> Result<String, DenialReason> {
            let headers = HeaderMap::from_iter([(header, value.parse().unwrap())]);
            self.auth.account(&headers, access, || Ok(())).await.map_err(|problem| match problem {
                Problem::Unauthenticated(reason) | Problem::Denied(reason) => reason,
                problem => panic!("{problem}"),
            })
        }

        async fn of_token(&self, token: &str) -> Result<String, DenialReason> {
            self.caller(Access::Trade, header::AUTHORIZATION, &format!("Bearer {token}")).await
        }

        async fn of_key(&self, access: Access, key: &str) -> Result<String, DenialReason> {
            self.caller(access, HeaderName::from_static("x-api-key"), key).await
        }

        #[track_caller]
        fn assert_lines(&self, lines: &[&str]) {
            let text = self.metrics.to_text();
            for line in lines {
                assert!(text.lines().any(|found| found == *line), "{line} is not in\n{text}");
            }
        }
    }

    #[tokio::test]
    async fn a_token_is_of_the_account_that_logged_in() {
        let test = Fixture::new().await;
        let tokens = test.log_in("A-03").await;
        assert_eq!(test.of_token(&tokens.access_token).await, Ok("A-03".to_owned()));
        test.assert_lines(&[
            r#"auth_attempts_total{status="success"} 1"#,
            "auth_attempt_duration_seconds_count 1",
            r#"jwt_validations_total{status="valid"} 1"#,
            "sessions_created_total 1",
            "active_sessions 1",
            "daily_active_users 1",
        ]);
    }

    #[tokio::test]
    async fn a_wrong_password_and_an_unknown_account_are_refused_alike() {
        let test = Fixture::new().await;
        test.fails_to_log_in("A-01", "guess").await;
        for _ in 0..MOST_FAILURES {
            test.fails_to_log_in("nobody", accounts::DEMO_PASSWORD).await;
        }
        test.assert_lines(&[r#"auth_attempts_total{status="failed"} 6"#, "auth_lockouts_total 0"]);
        assert!(!test.auth.sessions.holders.lock().contains_key("nobody"));
    }

    #[tokio::test]
    async fn who_may_not_is_counted_and_who_only_fails_to_log_in_is_not() {
        let test = Fixture::new().await;
        let log_in = test.auth.log_in("A-01", "guess".to_owned()).await.unwrap_err();
        let refresh = test.auth.refresh("no token").unwrap_err();
        let read = test.auth.account_of_token("no token").unwrap_err();
        for (problem, denials) in [(log_in, 0), (refresh, 0), (read, 1)] {
            let answer = problem.answer(test.metrics);
            assert_eq!(answer.status(), 401);
            assert_eq!(answer.headers()[header::WWW_AUTHENTICATE], "Bearer");
            let line = format!(r#"authorization_denials_total{{reason="other"}} {denials}"#);
            test.assert_lines(&[&line]);
        }
    }

    #[tokio::test]
    async fn wrong_passwords_in_a_row_lock_the_account_for_a_while() {
        let test = Fixture::new().await;
        for _ in 1..MOST_FAILURES {
            test.fails_to_log_in("A-01", "guess").await;
        }
        // The row begins again.
        test.log_in("A-01").await;
        for _ in 1..MOST_FAILURES {
            test.fails_to_log_in("A-01", "guess").await;
        }
        test.assert_lines(&["auth_lockouts_total 0"]);
        test.fails_to_log_in("A-01", "guess").await;
        test.assert_lines(&["auth_lockouts_total 1"]);
        test.fails_to_log_in("A-01", accounts::DEMO_PASSWORD).await;
        test.log_in("A-02").await;
        test.advance(1);
        test.log_in("A-01").await;
        test.assert_lines(&["auth_lockouts_total 1"]);
    }

    #[tokio::test]
    async fn a_token_expires_and_a_refresh_gives_another() {
        let test = Fixture::new().await;
        let tokens = test.log_in("A-01").await;
        test.advance(15);
        assert_eq!(test.of_token(&tokens.access_token).await, UNKNOWN);
        let tokens = test.auth.refresh(&tokens.refresh_token).unwrap();
        assert_eq!(test.of_token(&tokens.access_token).await, Ok("A-01".to_owned()));
        // The session lasts from there.
        test.advance(29);
        test.auth.refresh(&tokens.refresh_token).unwrap();
        test.assert_lines(&[
            r#"jwt_validations_total{status="expired"} 1"#,
            r#"auth_token_refreshes_total{status="success"} 2"#,
            "sessions_created_total 1",
        ]);
    }

    #[tokio::test]
    async fn a_refresh_token_that_is_used_twice_ends_the_session() {
        let test = Fixture::new().await;
        let first = test.log_in("A-01").await;
        let second = test.auth.refresh(&first.refresh_token).unwrap();
        test.auth.refresh(&first.refresh_token).unwrap_err();
        test.auth.refresh(&second.refresh_token).unwrap_err();
        assert_eq!(test.of_token(&second.access_token).await, UNKNOWN);
        test.assert_lines(&[
            r#"auth_token_refreshes_total{status="failed"} 2"#,
            r#"sessions_ended_total{reason="revoked"} 1"#,
            "active_sessions 0",
        ]);
    }

    #[tokio::test]
    async fn a_token_of_another_kind_or_of_another_signer_is_invalid() {
        let test = Fixture::new().await;
        let tokens = test.log_in("A-01").await;
        assert_eq!(test.of_token(&tokens.refresh_token).await, UNKNOWN);
        test.auth.refresh(&tokens.access_token).unwrap_err();
        let other = Fixture::new().await.log_in("A-01").await;
        assert_eq!(test.of_token(&other.access_token).await, UNKNOWN);
        assert_eq!(test.of_token("a.b.c").await, UNKNOWN);
        // `alg` is none.
        let body = tokens.access_token.split('.').nth(1).unwrap();
        assert_eq!(test.of_token(&format!("eyJhbGciOiJub25lIn0.{body}.")).await, UNKNOWN);
        test.assert_lines(&[r#"jwt_validations_total{status="invalid"} 5"#, "active_sessions 1"]);
    }

    #[tokio::test]
    async fn a_session_too_many_ends_the_oldest() {
        let test = Fixture::new().await;
        let oldest = test.log_in("A-01").await;
        let other = test.log_in("A-02").await;
        let mut newest = test.log_in("A-01").await;
        for _ in 2..=MOST_SESSIONS {
            newest = test.log_in("A-01").await;
        }
        assert_eq!(test.of_token(&oldest.access_token).await, UNKNOWN);
        test.of_token(&newest.access_token).await.unwrap();
        test.of_token(&other.access_token).await.unwrap();
        test.assert_lines(&[r#"sessions_ended_total{reason="revoked"} 1"#, "active_sessions 11"]);
    }

    #[tokio::test]
    async fn a_session_ends_when_its_user_logs_out() {
        let test = Fixture::new().await;
        let (left, stays) = (test.log_in("A-01").await, test.log_in("A-01").await);
        let bearer = format!("bearer {}", left.access_token).parse().unwrap();
        test.auth.log_out(&HeaderMap::from_iter([(header::AUTHORIZATION, bearer)]));
        assert_eq!(test.of_token(&left.access_token).await, UNKNOWN);
        test.of_token(&stays.access_token).await.unwrap();
        test.assert_lines(&[r#"sessions_ended_total{reason="logout"} 1"#, "active_sessions 1"]);
    }

    #[tokio::test]
    async fn sessions_that_nobody_refreshes_expire() {
        let test = Fixture::new().await;
        let tokens = test.log_in("A-01").await;
        test.advance(20);
        test.log_in("A-01").await;
        assert_eq!(test.auth.end_expired_sessions(), 0);
        test.advance(10);
        test.auth.refresh(&tokens.refresh_token).unwrap_err();
        assert_eq!(test.auth.end_expired_sessions(), 1);
        test.assert_lines(&[r#"sessions_ended_total{reason="expired"} 1"#, "active_sessions 1"]);
    }

    #[tokio::test]
    async fn an_api_key_reads_and_does_not_trade() {
        let test = Fixture::new().await;
        let key = "demo-key-A-02";
        assert_eq!(test.of_key(Access::Account, key).await, Ok("A-02".to_owned()));
        // Now from the cache.
        assert_eq!(test.of_key(Access::Account, key).await, Ok("A-02".to_owned()));
        assert_eq!(test.of_key(Access::Trade, key).await, Err(DenialReason::InsufficientScope));
        assert_eq!(test.of_key(Access::Account, "demo-key-A-99").await, UNKNOWN);
        assert_eq!(test.of_key(Access::Account, accounts::DEMO_EXPIRED_KEY).await, UNKNOWN);
        test.assert_lines(&[
            r#"api_key_validations_total{status="valid"} 3"#,
            r#"api_key_validations_total{status="invalid"} 1"#,
            r#"api_key_validations_total{status="expired"} 1"#,
            "daily_active_users 1",
        ]);
    }

    #[tokio::test]
    async fn who_says_nothing_may_only_do_what_anyone_may() {
        let test = Fixture::new().await;
        let headers = HeaderMap::new();
        assert_eq!(test.auth.account(&headers, Access::Public, || Ok(())).await.unwrap(), "");
        assert!(matches!(
            test.auth.account(&headers, Access::Account, || Ok(())).await,
            Err(Problem::Unauthenticated(DenialReason::MissingCredentials))
        ));
        test.assert_lines(&["daily_active_users 0"]);
    }
}
