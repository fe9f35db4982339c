//! Orders: validated, placed, filled.

use crate::{
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
