//! Orders: validated, placed, filled.

use std::sync::Arc;

use crate::{
    app::App,
    reply::{Problem, Reply},
    routes::Call,
};

/// `POST /orders/validate`
pub async fn validate(_call: Call) -> Result<Reply, Problem> {
    Err(Problem::NotFound("page"))
}

/// `GET /orders`
pub async fn list(_call: Call) -> Result<Reply, Problem> {
    Err(Problem::NotFound("page"))
}

/// `POST /orders`
pub async fn place(_call: Call) -> Result<Reply, Problem> {
    Err(Problem::NotFound("page"))
}

/// `GET /orders/{id}`
pub async fn show(_call: Call) -> Result<Reply, Problem> {
    Err(Problem::NotFound("page"))
}

/// `PUT /orders/{id}`
pub async fn modify(_call: Call) -> Result<Reply, Problem> {
    Err(Problem::NotFound("page"))
}

/// `DELETE /orders/{id}`
pub async fn cancel(_call: Call) -> Result<Reply, Problem> {
    Err(Problem::NotFound("page"))
}

/// Fills orders as the market reaches their prices, until the backend stops.
pub async fn run(_app: Arc<App>) {}

/// Ends the orders that nobody wants any more; gives how many.
pub async fn expire_stale(_app: &App) -> Result<u64, Problem> {
    Ok(0)
}
