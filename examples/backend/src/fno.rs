//! Analytics of futures and options.

use crate::{
    app::App,
    reply::{Problem, Reply},
    routes::Call,
};

/// `GET /fo/{underlying}/option-chain`
pub async fn option_chain(_call: Call) -> Result<Reply, Problem> {
    Err(Problem::NotFound("page"))
}

/// `GET /fo/{underlying}/strike-distribution`
pub async fn strike_distribution(_call: Call) -> Result<Reply, Problem> {
    Err(Problem::NotFound("page"))
}

/// `GET /fo/{underlying}/open-interest`
pub async fn open_interest(_call: Call) -> Result<Reply, Problem> {
    Err(Problem::NotFound("page"))
}

/// `GET /fo/{underlying}/moneyness`
pub async fn moneyness(_call: Call) -> Result<Reply, Problem> {
    Err(Problem::NotFound("page"))
}

/// `POST /fo/greeks`
pub async fn greeks(_call: Call) -> Result<Reply, Problem> {
    Err(Problem::NotFound("page"))
}

/// Asks the ticker service for the list of instruments, and keeps it in the market.
pub async fn refresh_instruments(_app: &App) -> Result<(), Problem> {
    Ok(())
}
