//! Answers, and what goes wrong on the way to one.

use std::{error::Error, time::Duration};

use backend_metrics::{
    Metrics,
    labels::{DenialReason, ErrorSeverity},
};
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use serde::Serialize;
use serde_json::json;

/// The body of every answer.
pub type Body = UnsyncBoxBody<Bytes, Box<dyn Error + Send + Sync>>;
/// An answer.
pub type Reply = Response<Body>;

/// An answer of JSON.
pub fn json(status: StatusCode, value: &impl Serialize) -> Result<Reply, Problem> {
    let text = serde_json::to_vec(value).map_err(|error| Problem::Internal(error.into()))?;
    let mut reply = Response::new(body(text));
    *reply.status_mut() = status;
    reply
        .headers_mut()
        .insert(header::CONTENT_TYPE, const { HeaderValue::from_static("application/json") });
    Ok(reply)
}

/// An answer without a body.
#[must_use]
pub fn empty(status: StatusCode) -> Reply {
    let mut reply = Response::new(body(Bytes::new()));
    *reply.status_mut() = status;
    reply
}

/// A body of known bytes.
#[must_use]
pub fn body(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// Why there is no other answer.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The request makes no sense.
    #[error("{0}")]
    BadRequest(String),
    /// The caller is not known, and has to be.
    #[error("who are you?")]
    Unauthenticated(DenialReason),
    /// What the caller shows to become known is wrong.
    #[error("who are you?")]
    WrongCredentials,
    /// The caller is known, and may not.
    #[error("you may not do this")]
    Denied(DenialReason),
    /// There is no such thing.
    #[error("no such {0}")]
    NotFound(&'static str),
    /// There is, but not with this method.
    #[error("no such method here")]
    MethodNotAllowed,
    /// What is asked for does not go with what is there.
    #[error("{0}")]
    Conflict(String),
    /// The body is larger than allowed.
    #[error("the body is too large")]
    TooLarge,
    /// The body did not come in time.
    #[error("the body took too long")]
    TooSlow,
    /// The request makes sense, and is refused.
    #[error("{0}")]
    Refused(String),
    /// The caller asks too often; after this time it may ask again.
    #[error("too many requests")]
    TooMany(Duration),
    /// A service that this one needs does not answer.
    #[error("a service behind this one does not answer")]
    Upstream(#[source] Box<dyn Error + Send + Sync>),
    /// The database did not do it.
    #[error("the database does not answer")]
    Database(#[from] sqlx::Error),
    /// A fault of the program.
    #[error("internal error")]
    Internal(#[source] Box<dyn Error + Send + Sync>),
}

impl Problem {
    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::Unauthenticated(_) | Self::WrongCredentials => StatusCode::UNAUTHORIZED,
            Self::Denied(_) => StatusCode::FORBIDDEN,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Refused(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Upstream(_) => StatusCode::BAD_GATEWAY,
            Self::Database(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Logs and counts it, and makes the answer of it.
    ///
    /// What a client does wrong is in `http_requests_total` already; what goes wrong here is counted as an
    /// error of the application, by a kind that never holds a message.
    pub fn answer(self, metrics: Metrics) -> Reply {
        match &self {
            Self::Unauthenticated(reason) | Self::Denied(reason) => {
                metrics.track_authorization_denial(*reason);
            }
            Self::Upstream(_) | Self::Database(_) | Self::Internal(_) => {
                let kind = match &self {
                    Self::Upstream(_) => "upstream",
                    Self::Database(_) => "database",
                    _ => "internal",
                };
                metrics.track_application_error(kind, ErrorSeverity::Error);
                let cause = self.source().map(ToString::to_string);
                tracing::error!(error_type = kind, cause, "{self}");
            }
            _ => {}
        }
        let status = self.status();
        let mut reply =
            json(status, &json!({ "error": self.to_string() })).unwrap_or_else(|_| empty(status));
        match self {
            Self::Unauthenticated(_) | Self::WrongCredentials => {
                let scheme = const { HeaderValue::from_static("Bearer") };
                reply.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
            }
            Self::TooMany(wait) => {
                // In whole seconds, and not too early.
                reply.headers_mut().insert(header::RETRY_AFTER, (wait.as_secs() + 1).into());
            }
            _ => {}
        }
        reply
    }
}
