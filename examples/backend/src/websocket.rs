//! WebSockets: ticks and indicators as they come.

use crate::{
    reply::{Problem, Reply},
    routes::Call,
};

/// `GET /ws/fo/stream`
pub async fn fo_stream(_call: Call) -> Result<Reply, Problem> {
    Err(Problem::NotFound("page"))
}

/// `GET /ws/indicators`
pub async fn indicators(_call: Call) -> Result<Reply, Problem> {
    Err(Problem::NotFound("page"))
}
