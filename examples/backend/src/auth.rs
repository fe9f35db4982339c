//! Who calls: passwords, tokens, API keys, sessions.
//!
//! A log-in opens a session and gives two tokens that name it: one to call with, for a quarter of an hour, and one
//! to get the next two with, once. Sessions and the key that signs the tokens are this process's own: behind a load
//! balancer, a client has to come back to the instance that it logged in to.

use std::{collections::HashMap, error::Error, sync::Arc, thread, time::Duration};

use argon2::{
    Argon2,
    password_hash::{self, PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use backend_metrics::{
    Metrics,
    labels::{ApiKeyStatus, AuthStatus, DenialReason, SessionEndReason, TokenRefreshStatus},
};
use chrono::{DateTime, TimeDelta, Utc};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use jsonwebtoken::{DecodingKey, EncodingKey, Header, Validation};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sqlx::FromRow;
use tokio::{sync::Semaphore, task};
use uuid::Uuid;

use crate::{
    cache::{Cache, MEMORY_KEEP},
    database::Database,
    reply::{self, Problem, Reply},
    routes::{Access, Call},
};

/// How long a token is good to call with.
const ACCESS_TIME: TimeDelta = TimeDelta::minutes(15);
/// How long a session lasts after its log-in or its last refresh.
const SESSION_TIME: TimeDelta = TimeDelta::minutes(30);
/// The most sessions of an account; a further log-in ends the oldest.
const MOST_SESSIONS: usize = 10;
/// So many wrong passwords in a row lock an account.
const MOST_FAILURES: u32 = 5;
/// How long it stays locked.
const LOCK_TIME: TimeDelta = TimeDelta::minutes(1);
/// How long an API key may go on after it was deleted.
const KEY_KEPT: Duration = Duration::from_mins(15);

/// A hash that no password has, for accounts that do not exist: they shall not be told apart by time.
const NOBODYS_HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5J3Mgc2FsdCEhIQ\
    $AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// What callers get who are not who they say. It does not say why: that would help them to guess.
const UNKNOWN: Problem = Problem::Unauthenticated(DenialReason::Other);

/// The hash of a password, slow by intent.
pub fn hash_password(password: &str) -> password_hash::Result<String> {
    Argon2::default().hash_password(password.as_bytes()).map(|hash: PasswordHash| hash.to_string())
}

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
    signing: EncodingKey,
    checking: DecodingKey,
    validation: Validation,
    /// A hash takes memory and a core, and anyone may ask for one: so no more at a time than there are cores.
    hashing: Arc<Semaphore>,
    /// Accounts that someone tried to log in to. Only those that exist come in, so they are not without end.
    holders: Mutex<HashMap<String, Holder>>,
}

/// An account that someone tried to log in to.
#[derive(Debug, Default)]
struct Holder {
    /// The oldest first.
    sessions: Vec<Session>,
    failures: u32,
    locked_until: DateTime<Utc>,
}

#[derive(Clone, Debug)]
struct Session {
    id: Uuid,
    ends: DateTime<Utc>,
    /// How often it was refreshed.
    refreshes: u32,
}

/// What a token says.
#[derive(Debug, Deserialize, Serialize)]
struct Claims {
    /// The account.
    sub: String,
    #[serde(with = "chrono::serde::ts_seconds")]
    exp: DateTime<Utc>,
    purpose: Purpose,
    session: Uuid,
    /// How often the session had been refreshed.
    refreshes: u32,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Purpose {
    Access,
    Refresh,
}

/// What a log-in or a refresh gives.
#[derive(Debug, Deserialize, Serialize)]
pub struct Tokens {
    /// To call with.
    pub access_token: String,
    /// To get the next tokens with, once.
    pub refresh_token: String,
    /// How long the access token is good, in seconds.
    pub expires_in: i64,
}

/// A row of `api_keys`.
#[derive(Debug, Deserialize, FromRow, Serialize)]
struct ApiKey {
    account_id: String,
    expires_at: i64,
}

impl Auth {
    /// Nobody is logged in yet.
    #[must_use]
    pub fn new(metrics: Metrics, database: Database, cache: Cache) -> Self {
        let secret: [u8; 32] = rand::random();
        // It would read the system's clock, and be a minute late; `validate` looks at the time.
        let validation = Validation { validate_exp: false, ..Validation::default() };
        Self {
            metrics,
            database,
            cache,
            signing: EncodingKey::from_secret(&secret),
            checking: DecodingKey::from_secret(&secret),
            validation,
            hashing: Arc::new(Semaphore::new(
                thread::available_parallelism().map_or(1, Into::into),
            )),
            holders: Mutex::default(),
        }
    }

    /// Ends the sessions that have expired; gives how many.
    pub fn end_expired_sessions(&self) -> u64 {
        let now = self.now();
        let mut holders = self.holders.lock();
        holders.values_mut().map(|holder| self.end_expired(holder, now)).sum()
    }

    /// The account of a request, or why it may not call.
    pub async fn account(&self, headers: &HeaderMap, access: Access) -> Result<String, Problem> {
        if access == Access::Public {
            return Ok(String::new());
        }
        let account = if let Some(token) = bearer(headers) {
            self.account_of_token(token)?
        } else if let Some(key) = headers.get("x-api-key") {
            let account = self.account_of_key(key).await?;
            if access == Access::Trade {
                return Err(Problem::Denied(DenialReason::InsufficientScope));
            }
            account
        } else {
            return Err(Problem::Unauthenticated(DenialReason::MissingCredentials));
        };
        self.metrics.track_user_activity(&account);
        Ok(account)
    }

    fn account_of_token(&self, token: &str) -> Result<String, Problem> {
        let claims = self.validate(token, Purpose::Access)?;
        // The token is good to the end of its time; its session may have ended before.
        let open = self.session(&mut self.holders.lock(), &claims).is_some();
        open.then_some(claims.sub).ok_or(UNKNOWN)
    }

    async fn account_of_key(&self, key: &HeaderValue) -> Result<String, Problem> {
        let hash = hash_key(key.as_bytes());
        let cached = format!("api_key:{hash}");
        let found = if let Some(found) = self.cache.get::<Option<ApiKey>>(&cached).await {
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
            Some(key) if key.expires_at > self.now().timestamp_millis() => {
                (ApiKeyStatus::Valid, Some(key.account_id))
            }
            Some(_) => (ApiKeyStatus::Expired, None),
            None => (ApiKeyStatus::Invalid, None),
        };
        self.metrics.track_api_key_validation(status);
        account.ok_or(UNKNOWN)
    }

    async fn log_in(&self, account: &str, password: String) -> Result<Tokens, Problem> {
        let watch = self.metrics.stopwatch();
        let query = sqlx::query_as("SELECT password_hash FROM accounts WHERE id = $1");
        let found: Option<(String,)> =
            self.database.select(query.bind(account.to_owned())).await?.pop();
        let exists = found.is_some();
        let hash = found.map_or_else(|| NOBODYS_HASH.to_owned(), |(hash,)| hash);
        let right = self.verify(password, hash).await?;
        let opened = if exists { self.admit(account, right) } else { None };
        let status = if opened.is_some() { AuthStatus::Success } else { AuthStatus::Failed };
        self.metrics.track_authentication(status, watch.elapsed());
        self.tokens(account, &opened.ok_or(UNKNOWN)?)
    }

    /// Whether the password has the hash.
    async fn verify(&self, password: String, hash: String) -> Result<bool, Problem> {
        let permit = self.hashing.clone().acquire_owned().await.map_err(internal)?;
        let verifying = task::spawn_blocking(move || {
            // Until it is done, even if nobody waits for it any more.
            let _permit = permit;
            Argon2::default().verify_password(password.as_bytes(), hash.as_str())
        });
        match verifying.await.map_err(internal)? {
            Ok(()) => Ok(true),
            Err(password_hash::Error::PasswordInvalid) => Ok(false),
            Err(error) => Err(internal(error)),
        }
    }

    /// Opens a session if the password was right and the account is not locked.
    fn admit(&self, account: &str, right: bool) -> Option<Session> {
        let now = self.now();
        let mut holders = self.holders.lock();
        let holder = holders.entry(account.to_owned()).or_default();
        if now < holder.locked_until {
            return None;
        }
        if !right {
            holder.failures += 1;
            if holder.failures == MOST_FAILURES {
                holder.failures = 0;
                holder.locked_until = now + LOCK_TIME;
                self.metrics.track_auth_lockout();
                tracing::warn!(account, "locked after too many wrong passwords");
            }
            return None;
        }
        holder.failures = 0;
        self.end_expired(holder, now);
        if holder.sessions.len() == MOST_SESSIONS {
            self.end(holder, 0, SessionEndReason::Revoked);
        }
        let session = Session { id: Uuid::new_v4(), ends: now + SESSION_TIME, refreshes: 0 };
        holder.sessions.push(session.clone());
        self.metrics.track_session_created();
        Some(session)
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
        let claims = self.validate(token, Purpose::Refresh)?;
        let mut holders = self.holders.lock();
        let (holder, index) = self.session(&mut holders, &claims).ok_or(UNKNOWN)?;
        if claims.refreshes != holder.sessions[index].refreshes {
            // Two have the token, one of whom stole it; who, nobody knows.
            self.end(holder, index, SessionEndReason::Revoked);
            tracing::warn!(account = claims.sub, "a refresh token was used twice");
            return Err(UNKNOWN);
        }
        let session = &mut holder.sessions[index];
        session.refreshes += 1;
        session.ends = self.now() + SESSION_TIME;
        self.tokens(&claims.sub, session)
    }

    fn log_out(&self, headers: &HeaderMap) {
        // Nothing is new about the token: `account` has validated it.
        if let Some(claims) = bearer(headers).and_then(|token| self.claims(token)) {
            let mut holders = self.holders.lock();
            if let Some((holder, index)) = self.session(&mut holders, &claims) {
                self.end(holder, index, SessionEndReason::Logout);
            }
        }
    }

    /// Where the session of a token is, unless it has ended.
    fn session<'a>(
        &self,
        holders: &'a mut HashMap<String, Holder>,
        claims: &Claims,
    ) -> Option<(&'a mut Holder, usize)> {
        let now = self.now();
        let holder = holders.get_mut(&claims.sub)?;
        let is_it = |session: &Session| session.id == claims.session && now < session.ends;
        let index = holder.sessions.iter().position(is_it)?;
        Some((holder, index))
    }

    fn end(&self, holder: &mut Holder, index: usize, reason: SessionEndReason) {
        holder.sessions.remove(index);
        self.metrics.track_session_ended(reason);
    }

    fn end_expired(&self, holder: &mut Holder, now: DateTime<Utc>) -> u64 {
        let expired = holder.sessions.extract_if(.., |session| session.ends <= now);
        expired.map(|_| self.metrics.track_session_ended(SessionEndReason::Expired)).count() as u64
    }

    fn tokens(&self, account: &str, session: &Session) -> Result<Tokens, Problem> {
        let token = |purpose, exp| {
            let claims = Claims {
                sub: account.to_owned(),
                exp,
                purpose,
                session: session.id,
                refreshes: session.refreshes,
            };
            jsonwebtoken::encode(&Header::default(), &claims, &self.signing).map_err(internal)
        };
        Ok(Tokens {
            access_token: token(Purpose::Access, self.now() + ACCESS_TIME)?,
            refresh_token: token(Purpose::Refresh, session.ends)?,
            expires_in: ACCESS_TIME.num_seconds(),
        })
    }

    /// What a token says, if it is good for the purpose.
    fn validate(&self, token: &str, purpose: Purpose) -> Result<Claims, Problem> {
        let validation = self.metrics.start_jwt_validation();
        match self.claims(token) {
            Some(claims) if claims.purpose != purpose => validation.invalid(),
            Some(claims) if claims.exp <= self.now() => validation.expired(),
            Some(claims) => {
                validation.valid();
                return Ok(claims);
            }
            None => validation.invalid(),
        }
        Err(UNKNOWN)
    }

    /// What a token says that was signed here.
    fn claims(&self, token: &str) -> Option<Claims> {
        let token = jsonwebtoken::decode(token, &self.checking, &self.validation).ok()?;
        Some(token.claims)
    }

    /// The time, which tests move.
    fn now(&self) -> DateTime<Utc> {
        self.metrics.clock().wall().into()
    }
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

    use super::{Auth, MOST_FAILURES, MOST_SESSIONS, Tokens};
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
            assert!(matches!(answer, Err(Problem::Unauthenticated(DenialReason::Other))));
        }

        /// Who a request with this header is of.
        async fn caller(
            &self,
            access: Access,
            header: HeaderName,
            value: &str,
        ) -> Result<String, DenialReason> {
            let headers = HeaderMap::from_iter([(header, value.parse().unwrap())]);
            self.auth.account(&headers, access).await.map_err(|problem| match problem {
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
        assert!(!test.auth.holders.lock().contains_key("nobody"));
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
        assert_eq!(test.auth.account(&headers, Access::Public).await.unwrap(), "");
        assert!(matches!(
            test.auth.account(&headers, Access::Account).await,
            Err(Problem::Unauthenticated(DenialReason::MissingCredentials))
        ));
        test.assert_lines(&["daily_active_users 0"]);
    }
}
