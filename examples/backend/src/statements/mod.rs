//! Statements of a broker, uploaded as CSV or Excel.

mod read;
mod sample;

use self::read::Transaction;
pub use self::sample::{sample_csv, sample_xlsx};

use std::sync::Arc;

use backend_metrics::labels::StatementFileType;
use http::{HeaderMap, StatusCode, header::CONTENT_TYPE};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::FromRow;
use tokio::{sync::Semaphore, task};
use uuid::Uuid;

use crate::{
    app::App,
    cache::MEMORY_KEEP,
    reply::{self, Problem, Reply},
    routes::{Call, to_the_end},
};

/// The media type of a statement as CSV.
pub const CSV: &str = "text/csv";
/// The media type of a statement as Excel.
pub const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
/// The largest file.
const LARGEST_FILE: usize = 5 * 1024 * 1024;

/// A file takes many times its size while it is read, so no more than these are at a time.
static READERS: Semaphore = Semaphore::const_new(4);

/// What the transactions of a category come to.
#[derive(Clone, Debug, Deserialize, FromRow, PartialEq, Serialize)]
pub struct Sum {
    /// The category.
    pub category: String,
    /// How many there are.
    pub transactions: i64,
    /// Their amounts together.
    pub amount_paise: i64,
}

/// `POST /statements`
///
/// All of its rows are stored, or none.
pub async fn upload(mut call: Call) -> Result<Reply, Problem> {
    let file_type = file_type(call.request.headers())?;
    let file = call.bytes(LARGEST_FILE).await?;
    let metrics = call.app.metrics;
    let permit = READERS.acquire().await.map_err(|error| Problem::Internal(error.into()))?;
    let upload = metrics.start_statement_upload(file_type, file.len() as u64);
    // Not here, where it would hold other requests up.
    let read = task::spawn_blocking(move || {
        // Until it is done, even if nobody waits for it any more.
        let _permit = permit;
        read::read(file_type, &file, metrics)
    })
    .await
    .map_err(|error| Problem::Internal(error.into()))?;
    upload.finish(&read, read::StatementError::error_type);
    let rows = read.map_err(|error| Problem::Refused(error.to_string()))?;

    let transactions = rows.len();
    to_the_end(store(call.app, call.account, rows)).await?;
    reply::json(StatusCode::CREATED, &json!({ "transactions": transactions }))
}

async fn store(app: Arc<App>, account: String, rows: Vec<Transaction>) -> Result<(), Problem> {
    let mut transaction = app.database.begin("import_statement").await?;
    for row in rows {
        let insert = sqlx::query(
            "INSERT INTO statement_transactions \
             (id, account_id, day, category, description, amount_paise) \
             VALUES ($1, $2, $3, $4, $5, $6)",
        );
        let insert = insert
            .bind(Uuid::now_v7().simple().to_string())
            .bind(account.clone())
            .bind(row.day.to_string())
            .bind(row.category.as_str())
            .bind(row.description)
            .bind(row.amount_paise);
        transaction.insert(insert).await?;
    }
    transaction.commit().await?;
    app.cache.delete(&sums_key(&account)).await;
    Ok(())
}

/// `GET /statements`
pub async fn list(call: Call) -> Result<Reply, Problem> {
    let query = sqlx::query_as(
        "SELECT category, COUNT(*) AS transactions, CAST(SUM(amount_paise) AS BIGINT) AS amount_paise \
         FROM statement_transactions WHERE account_id = $1 GROUP BY category ORDER BY category",
    );
    let sums = call.app.database.select(query.bind(call.account.clone()));
    let sums: Vec<Sum> =
        call.app.cache.get_or_insert(&sums_key(&call.account), MEMORY_KEEP, sums).await?;
    reply::json(StatusCode::OK, &sums)
}

fn sums_key(account: &str) -> String {
    format!("statement-sums/{account}")
}

/// The type of the file, without the parameters of the media type.
fn file_type(headers: &HeaderMap) -> Result<StatementFileType, Problem> {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    match media_type.to_ascii_lowercase().as_str() {
        CSV => Ok(StatementFileType::Csv),
        XLSX => Ok(StatementFileType::Excel),
        _ => Err(Problem::BadRequest(format!("a statement is {CSV} or {XLSX}"))),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use backend_metrics::Metrics;
    use clap::Parser;
    use http::header::CONTENT_LENGTH;
    use tokio::{io::AsyncWriteExt, net::TcpStream, time};

    use super::{CONTENT_TYPE, CSV, Sum, sample_csv};
    use crate::{Backend, config::Config};

    /// Looks again until it is so.
    async fn eventually(mut is_so: impl AsyncFnMut() -> bool) {
        let looked_for = async {
            while !is_so().await {
                time::sleep(Duration::from_millis(2)).await;
            }
        };
        time::timeout(Duration::from_secs(20), looked_for).await.expect("in time");
    }

    #[tokio::test]
    async fn a_statement_that_was_read_is_stored_though_its_client_goes_away() {
        let config = ["", "--listen", "127.0.0.1:0", "--traffic", "0"];
        let metrics = Metrics::new();
        let backend = Backend::start(Config::parse_from(config), metrics).await.unwrap();
        let (database, address) = (&backend.app().database, backend.address());
        let writer = database.begin("keeps others waiting").await.unwrap();

        let file = sample_csv(6);
        let mut client = TcpStream::connect(address).await.unwrap();
        let head = format!(
            "POST /statements HTTP/1.1\r\nhost: h\r\nx-api-key: demo-key-A-01\r\n\
             {CONTENT_TYPE}: {CSV}\r\n{CONTENT_LENGTH}: {}\r\n\r\n{file}",
            file.len()
        );
        client.write_all(head.as_bytes()).await.unwrap();
        let read = r#"statement_uploads_total{status="success",file_type="csv"}"#;
        eventually(async || metrics.value(read) == Some(1.0)).await;
        drop(client);
        let left = r#"http_requests_cancelled_total{method="POST",endpoint="/statements"}"#;
        eventually(async || metrics.value(left) == Some(1.0)).await;

        writer.commit().await.unwrap();
        eventually(async || {
            let stored = "SELECT category, COUNT(*) AS transactions, 0 AS amount_paise \
                          FROM statement_transactions GROUP BY category";
            let sums: Vec<Sum> = database.select(sqlx::query_as(stored)).await.unwrap();
            sums.iter().map(|sum| sum.transactions).sum::<i64>() == 6
        })
        .await;
    }
}
