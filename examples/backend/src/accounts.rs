//! Accounts and their margin.

use std::error::Error;

use http::StatusCode;
use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use tokio::task;

use backend_metrics::labels::DenialReason;

use crate::{
    auth,
    database::Database,
    reply::{self, Problem, Reply},
    routes::Call,
};

/// The accounts that a new database is given.
pub const DEMO: [&str; 12] = [
    "A-01", "A-02", "A-03", "A-04", "A-05", "A-06", "A-07", "A-08", "A-09", "A-10", "A-11", "A-12",
];
/// One more, that nobody trades with: locked, or with a session left behind, it is missed by none.
pub const DEMO_IDLE: &str = "A-13";
/// The password of each. The API key of one is `demo-key-` and its id.
pub const DEMO_PASSWORD: &str = "demo";
/// An API key whose time is over.
pub const DEMO_EXPIRED_KEY: &str = "demo-key-expired";

/// What each can lose: 50 lakh rupees.
const DEMO_MARGIN_PAISE: i64 = 500_000_000;

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

/// Gives the database the accounts above, unless it has them. Several instances may do so at once.
pub async fn seed(database: &Database) -> Result<(), Box<dyn Error + Send + Sync>> {
    // One for all, as they have the same password anyway: a hash each would only slow the start.
    let password_hash = task::spawn_blocking(|| auth::hash_password(DEMO_PASSWORD)).await??;
    let mut transaction = database.begin("seed_accounts").await?;
    let accounts = || DEMO.into_iter().chain([DEMO_IDLE]);
    for id in accounts() {
        let account = sqlx::query(
            "INSERT INTO accounts (id, name, password_hash, margin_paise) VALUES ($1, $2, $3, $4) \
             ON CONFLICT DO NOTHING",
        )
        .bind(id)
        .bind(format!("Trader {}", &id[2..]))
        .bind(password_hash.clone())
        .bind(DEMO_MARGIN_PAISE);
        transaction.insert(account).await?;
    }
    let keys = accounts().map(|id| (id, format!("demo-key-{id}"), i64::MAX));
    let expired = (DEMO_IDLE, DEMO_EXPIRED_KEY.to_owned(), 0);
    for (id, key, expires_at) in keys.chain([expired]) {
        let key = sqlx::query(
            "INSERT INTO api_keys (key_hash, account_id, expires_at) VALUES ($1, $2, $3) \
             ON CONFLICT DO NOTHING",
        )
        .bind(auth::hash_key(key.as_bytes()))
        .bind(id)
        .bind(expires_at);
        transaction.insert(key).await?;
    }
    transaction.commit().await?;
    Ok(())
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

#[cfg(test)]
mod tests {
    use backend_metrics::Metrics;

    use super::{DEMO, DEMO_IDLE, seed};
    use crate::database::Database;

    #[tokio::test]
    async fn what_is_there_already_stays() {
        let (database, _temporary) = Database::open(None, Metrics::new()).await.unwrap();
        seed(&database).await.unwrap();
        let change = sqlx::query("UPDATE accounts SET margin_paise = 7 WHERE id = 'A-01'");
        assert_eq!(database.update(change).await.unwrap(), 1);
        seed(&database).await.unwrap();
        let accounts: Vec<(String, i64)> = database
            .select(sqlx::query_as("SELECT id, margin_paise FROM accounts ORDER BY id"))
            .await
            .unwrap();
        assert!(accounts.iter().map(|account| &account.0).eq(DEMO.iter().chain([&DEMO_IDLE])));
        assert_eq!(accounts[0].1, 7);
        let keys = sqlx::query_as("SELECT COUNT(*) FROM api_keys");
        assert_eq!(database.select::<(i64,)>(keys).await.unwrap(), [(14,)]);
    }
}
