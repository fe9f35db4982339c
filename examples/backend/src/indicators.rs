//! Indicators of an instrument, now and over time.

use crate::{
    reply::{Problem, Reply},
    routes::Call,
};

/// `GET /indicators/{indicator}/{instrument}`
pub async fn show(_call: Call) -> Result<Reply, Problem> {
    Err(Problem::NotFound("page"))
}
