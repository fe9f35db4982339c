//! Strategies: what an account holds together, and what it is worth.

use crate::{
    reply::{Problem, Reply},
    routes::Call,
};

/// `GET /strategies`
pub async fn list(_call: Call) -> Result<Reply, Problem> {
    Err(Problem::NotFound("page"))
}

/// `POST /strategies`
pub async fn create(_call: Call) -> Result<Reply, Problem> {
    Err(Problem::NotFound("page"))
}

/// `GET /strategies/{id}`
pub async fn show(_call: Call) -> Result<Reply, Problem> {
    Err(Problem::NotFound("page"))
}

/// `PUT /strategies/{id}`
pub async fn update(_call: Call) -> Result<Reply, Problem> {
    Err(Problem::NotFound("page"))
}

/// `DELETE /strategies/{id}`
pub async fn delete(_call: Call) -> Result<Reply, Problem> {
    Err(Problem::NotFound("page"))
}

/// `POST /strategies/{id}/instruments`
pub async fn add_instrument(_call: Call) -> Result<Reply, Problem> {
    Err(Problem::NotFound("page"))
}

/// `DELETE /strategies/{id}/instruments/{instrument}`
pub async fn remove_instrument(_call: Call) -> Result<Reply, Problem> {
    Err(Problem::NotFound("page"))
}

/// `POST /strategies/{id}/m2m`
pub async fn mark_to_market(_call: Call) -> Result<Reply, Problem> {
    Err(Problem::NotFound("page"))
}

/// `GET /strategies/{id}/pnl`
pub async fn profit(_call: Call) -> Result<Reply, Problem> {
    Err(Problem::NotFound("page"))
}
