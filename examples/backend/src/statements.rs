//! Statements of a broker, uploaded as CSV or Excel.

use crate::{
    reply::{Problem, Reply},
    routes::Call,
};

/// `POST /statements`
pub async fn upload(_call: Call) -> Result<Reply, Problem> {
    Err(Problem::NotFound("page"))
}

/// `GET /statements`
pub async fn list(_call: Call) -> Result<Reply, Problem> {
    Err(Problem::NotFound("page"))
}
