//! Tokens: JSON Web Tokens that name a session.

use backend_metrics::Metrics;
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{internal, now, sessions::Session};
use crate::reply::Problem;

/// How long a token is good to call with.
const ACCESS_TIME: TimeDelta = TimeDelta::minutes(15);

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

/// What a token says.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Claims {
    /// The account.
    pub(super) sub: String,
    #[serde(with = "chrono::serde::ts_seconds")]
    exp: DateTime<Utc>,
    purpose: Purpose,
    pub(super) session: Uuid,
    /// How often the session had been refreshed.
    pub(super) refreshes: u32,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Purpose {
    Access,
    Refresh,
}

/// Signs tokens, with a key of its own, and checks them.
#[derive(Debug)]
pub(super) struct Signer {
    metrics: Metrics,
    signing: EncodingKey,
    checking: DecodingKey,
    validation: Validation,
}

impl Signer {
    pub(super) fn new(metrics: Metrics) -> Self {
        let secret: [u8; 32] = rand::random();
        // It would read the system's clock, and be a minute late; `validate` looks at the time.
        let validation = Validation { validate_exp: false, ..Validation::default() };
        Self {
            metrics,
            signing: EncodingKey::from_secret(&secret),
            checking: DecodingKey::from_secret(&secret),
            validation,
        }
    }

    /// The tokens of a session, as it is now.
    pub(super) fn sign(&self, account: &str, session: Session) -> Result<Tokens, Problem> {
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
            access_token: token(Purpose::Access, now(self.metrics) + ACCESS_TIME)?,
            refresh_token: token(Purpose::Refresh, session.ends)?,
            expires_in: ACCESS_TIME.num_seconds(),
        })
    }

    /// What a token says, if it is good for the purpose.
    pub(super) fn validate(&self, token: &str, purpose: Purpose) -> Option<Claims> {
        let validation = self.metrics.start_jwt_validation();
        match self.claims(token) {
            Some(claims) if claims.purpose != purpose => validation.invalid(),
            Some(claims) if claims.exp <= now(self.metrics) => validation.expired(),
            Some(claims) => {
                validation.valid();
                return Some(claims);
            }
            None => validation.invalid(),
        }
        None
    }

    /// What a token says that was signed here.
    pub(super) fn claims(&self, token: &str) -> Option<Claims> {
        let token = jsonwebtoken::decode(token, &self.checking, &self.validation).ok()?;
        Some(token.claims)
    }
}
