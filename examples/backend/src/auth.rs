//! Who calls: passwords, tokens, API keys, sessions.

use backend_metrics::{Metrics, labels::DenialReason};
use http::HeaderMap;

use crate::{
    reply::{Problem, Reply},
    routes::{Access, Call},
};

/// What is known of callers.
#[derive(Debug)]
pub struct Auth {
    metrics: Metrics,
}

impl Auth {
    /// Nobody is logged in yet.
    #[must_use]
    pub fn new(metrics: Metrics) -> Self {
        Self { metrics }
    }

    /// Ends the sessions that have expired; gives how many.
    pub fn end_expired_sessions(&self) -> u64 {
        0
    }

    /// The account of a request, or why it may not call.
    pub async fn account(&self, _headers: &HeaderMap, access: Access) -> Result<String, Problem> {
        match access {
            Access::Public => Ok(String::new()),
            _ => Err(Problem::Unauthenticated(DenialReason::MissingCredentials)),
        }
    }
}

/// `POST /auth/login`
pub async fn login(_call: Call) -> Result<Reply, Problem> {
    Err(Problem::NotFound("login"))
}

/// `POST /auth/refresh`
pub async fn refresh(_call: Call) -> Result<Reply, Problem> {
    Err(Problem::NotFound("login"))
}

/// `POST /auth/logout`
pub async fn logout(_call: Call) -> Result<Reply, Problem> {
    Err(Problem::NotFound("login"))
}
