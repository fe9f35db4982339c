//! Accounts and their margin.

use http::StatusCode;
use serde::{Deserialize, Serialize};
use sqlx::FromRow;

use backend_metrics::labels::DenialReason;

use crate::{
    reply::{self, Problem, Reply},
    routes::Call,
};

/// The accounts that a new database is given.
pub const DEMO: [&str; 12] = [
    "A-01", "A-02", "A-03", "A-04", "A-05", "A-06", "A-07", "A-08", "A-09", "A-10", "A-11", "A-12",
];
/// The password of each of them. The API key of one is `demo-key-` and its id.
pub const DEMO_PASSWORD: &str = "demo";

/// An account as it is shown.
#[derive(Clone, Debug, Deserialize, FromRow, Serialize)]
pub struct Account {
    /// Its name in the database and in labels.
    pub id: String,
    /// Its owner's name.
    pub name: String,
    /// What it can lose, in paise.
    pub margin_paise: i64,
}

/// `GET /accounts/{id}`
pub async fn show(call: Call) -> Result<Reply, Problem> {
    let id = call.parameter("id");
    if id != call.account {
        return Err(Problem::Denied(DenialReason::AccountMismatch));
    }
    let query = sqlx::query_as("SELECT id, name, margin_paise FROM accounts WHERE id = $1");
    let account: Option<Account> = call.app.database.select(query.bind(id.to_owned())).await?.pop();
    let account = account.ok_or(Problem::NotFound("account"))?;
    reply::json(StatusCode::OK, &account)
}
