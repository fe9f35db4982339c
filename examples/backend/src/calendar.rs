//! When the market is open.

use crate::{
    reply::{Problem, Reply},
    routes::Call,
};

/// `GET /calendar/holidays`
pub async fn holidays(_call: Call) -> Result<Reply, Problem> {
    Err(Problem::NotFound("page"))
}

/// `GET /calendar/session`
pub async fn session(_call: Call) -> Result<Reply, Problem> {
    Err(Problem::NotFound("page"))
}
