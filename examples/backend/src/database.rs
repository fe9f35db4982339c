//! The database, and how its queries, connections and transactions are measured.
//!
//! All of the SQL runs through this file, so every query is recorded, and in one place: the wait for its
//! connection, its kind, its time, its rows and its error.

use std::time::Duration;

use backend_metrics::{
    Metrics, PoolStats,
    labels::{DatabaseErrorType, QueryType},
    subsystems::database::{QueryGuard, TransactionGuard},
};
use sqlx::{
    Any, AnyConnection, AnyPool, Connection, Error, Executor, FromRow,
    any::{AnyArguments, AnyPoolOptions, AnyRow},
    pool::PoolConnection,
    query::{Query, QueryAs},
};
use tempfile::TempDir;
use tokio::time::{self, Instant};

use crate::faults::{Fault, Faults};

/// The most connections of the pool.
pub const CONNECTIONS: u32 = 20;
/// How long a caller waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(1);

/// How long the first connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Readers do not wait for the writer, and writers wait for each other. A cache is 256 KiB, as every connection has
/// its own.
const SQLITE_SETTINGS: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; \
    PRAGMA busy_timeout = 5000; PRAGMA cache_size = -256;";

/// How long the pool is dry at a time.
const TROUBLE: Duration = Duration::from_secs(5);
/// Takes its time.
const SLOW: &str = "WITH RECURSIVE numbers (number) AS \
    (SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < 5000000) \
    SELECT COUNT(*) FROM numbers";
/// Fails.
const WRONG: &str = "SELECT nothing FROM nowhere";

/// A statement without rows.
pub type Statement = Query<'static, Any, AnyArguments>;
/// A query whose rows are of type `T`.
pub type Select<T> = QueryAs<'static, Any, T, AnyArguments>;

/// A `SQLite` or a `PostgreSQL` behind a pool.
#[derive(Clone, Debug)]
pub struct Database {
    pool: AnyPool,
    metrics: Metrics,
    begin: &'static str,
}

/// The folder of a temporary database. Dropping it removes the database.
#[derive(Debug)]
pub struct Temporary(#[expect(dead_code, reason = "what counts is when it is dropped")] TempDir);

impl Database {
    /// Connects to a `SQLite` file or the URL of a `PostgreSQL`, to a temporary file without either, and creates
    /// what tables are missing.
    pub async fn open(
        address: Option<&str>,
        metrics: Metrics,
    ) -> Result<(Self, Option<Temporary>), Box<dyn std::error::Error + Send + Sync>> {
        sqlx::any::install_default_drivers();
        let (address, temporary) = if let Some(address) = address {
            (address.to_owned(), None)
        } else {
            let folder = TempDir::new()?;
            let file = folder.path().join("backend.sqlite");
            (file.display().to_string(), Some(Temporary(folder)))
        };
        let (url, begin, settings) = match address.split_once("://") {
            Some(("postgres" | "postgresql", _)) => (address, "BEGIN", ""),
            // Not repeated, as it may have a password.
            Some(_) => return Err("neither a file nor a postgres:// URL".into()),
            None if address.is_empty() => return Err("the address is empty".into()),
            // A transaction that reads first could not become the writer later.
            None => (format!("sqlite://{address}?mode=rwc"), "BEGIN IMMEDIATE", SQLITE_SETTINGS),
        };
        // First by itself: the pool would try again until its timeout, and not say what is wrong.
        let mut first = time::timeout(CONNECT_TIMEOUT, AnyConnection::connect(&url)).await??;
        first.execute(settings).await?;
        first.close().await?;
        let pool = AnyPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .after_connect(move |connection, _| {
                Box::pin(async move { connection.execute(settings).await.map(drop) })
            })
            .connect(&url)
            .await?;
        sqlx::migrate!().run(&pool).await?;
        // Read before every scrape, so the gauges cannot drift from the pool.
        let watched = pool.clone();
        metrics.add_database_pool_source(move || {
            let idle = u32::try_from(watched.num_idle()).unwrap_or(u32::MAX);
            (!watched.is_closed()).then(|| PoolStats {
                active: watched.size().saturating_sub(idle),
                idle,
                max: CONNECTIONS,
            })
        });
        Ok((Self { pool, metrics, begin }, temporary))
    }

    /// All rows of a query.
    pub async fn select<T>(&self, query: Select<T>) -> Result<Vec<T>, Error>
    where
        T: for<'r> FromRow<'r, AnyRow> + Send + Unpin,
    {
        let mut connection = self.connection().await?;
        select(self.metrics, &mut connection, query).await
    }

    /// Adds rows; gives how many.
    pub async fn insert(&self, statement: Statement) -> Result<u64, Error> {
        let mut connection = self.connection().await?;
        execute(self.metrics, &mut connection, QueryType::Insert, statement).await
    }

    /// Changes rows; gives how many.
    pub async fn update(&self, statement: Statement) -> Result<u64, Error> {
        let mut connection = self.connection().await?;
        execute(self.metrics, &mut connection, QueryType::Update, statement).await
    }

    /// Removes rows; gives how many.
    pub async fn delete(&self, statement: Statement) -> Result<u64, Error> {
        let mut connection = self.connection().await?;
        execute(self.metrics, &mut connection, QueryType::Delete, statement).await
    }

    /// Begins a transaction that writes. `operation` says what for, by a name out of the code.
    pub async fn begin(&self, operation: &'static str) -> Result<Transaction, Error> {
        let connection = self.connection().await?;
        let guard = self.metrics.start_database_transaction(operation);
        let connection = InTransaction(Some(connection));
        let mut transaction = Transaction { connection, guard, metrics: self.metrics };
        transaction.control(self.begin).await?;
        Ok(transaction)
    }

    /// Closes all connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Makes trouble while the fault is on: takes all connections, and has queries that fail or are slow.
    pub async fn trouble(self, faults: Faults) {
        loop {
            if faults.is_on(Fault::Database) {
                let mut taken = Vec::new();
                let since = Instant::now();
                // Past the last one this waits as any other caller does, in vain, and gives up before those who
                // came later: so trouble of a second is in nobody else's way.
                while taken.is_empty() || faults.is_on(Fault::Database) && since.elapsed() < TROUBLE
                {
                    match self.connection().await {
                        Ok(connection) => taken.push(connection),
                        Err(Error::PoolTimedOut) => {}
                        Err(_) => break,
                    }
                }
                taken.truncate(1);
                if let Some(connection) = taken.first_mut() {
                    for query in [WRONG, SLOW] {
                        let query = sqlx::query_as::<_, (i64,)>(query);
                        drop(select(self.metrics, connection, query).await);
                    }
                }
            }
            time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// A connection of the pool, and how long it took to get one.
    async fn connection(&self) -> Result<PoolConnection<Any>, Error> {
        let wait = self.metrics.start_database_acquire();
        let connection = self.pool.acquire().await;
        match &connection {
            Ok(_) => wait.success(),
            Err(Error::PoolTimedOut) => wait.timeout(),
            Err(error) => {
                self.metrics.track_database_error(error_type(error));
                wait.error();
            }
        }
        connection
    }
}

/// A transaction. Dropped without [`commit`](Self::commit) it is rolled back, and recorded so.
///
/// Not one of the driver's. On a full disk `SQLite` rolls back by itself; the driver's rollback then fails and leaves
/// it in the belief that the transaction is open, so that it refuses to begin another on that connection for ever.
#[derive(Debug)]
pub struct Transaction {
    connection: InTransaction,
    guard: TransactionGuard,
    metrics: Metrics,
}

impl Transaction {
    /// All rows of a query.
    pub async fn select<T>(&mut self, query: Select<T>) -> Result<Vec<T>, Error>
    where
        T: for<'r> FromRow<'r, AnyRow> + Send + Unpin,
    {
        select(self.metrics, self.connection.get(), query).await
    }

    /// Adds rows; gives how many.
    pub async fn insert(&mut self, statement: Statement) -> Result<u64, Error> {
        execute(self.metrics, self.connection.get(), QueryType::Insert, statement).await
    }

    /// Changes rows; gives how many.
    pub async fn update(&mut self, statement: Statement) -> Result<u64, Error> {
        execute(self.metrics, self.connection.get(), QueryType::Update, statement).await
    }

    /// Removes rows; gives how many.
    pub async fn delete(&mut self, statement: Statement) -> Result<u64, Error> {
        execute(self.metrics, self.connection.get(), QueryType::Delete, statement).await
    }

    /// Keeps the changes.
    pub async fn commit(mut self) -> Result<(), Error> {
        self.control("COMMIT").await?;
        self.connection.end();
        self.guard.commit();
        Ok(())
    }

    /// Begins or ends it.
    async fn control(&mut self, statement: &'static str) -> Result<(), Error> {
        let done = self.connection.get().execute(statement).await;
        done.inspect_err(|error| self.metrics.track_database_error(error_type(error)))?;
        Ok(())
    }
}

/// A connection that is rolled back before it goes back to the pool, unless its transaction has ended.
#[derive(Debug)]
struct InTransaction(Option<PoolConnection<Any>>);

impl InTransaction {
    fn get(&mut self) -> &mut AnyConnection {
        self.0.as_mut().expect("the transaction has not ended")
    }

    fn end(&mut self) {
        self.0 = None;
    }
}

impl Drop for InTransaction {
    fn drop(&mut self) {
        if let Some(mut connection) = self.0.take() {
            tokio::spawn(async move {
                // An error means that there is nothing to roll back, or that the connection broke: the pool tries
                // whether it is of use.
                drop(connection.execute("ROLLBACK").await);
            });
        }
    }
}

async fn select<T>(
    metrics: Metrics,
    connection: &mut AnyConnection,
    query: Select<T>,
) -> Result<Vec<T>, Error>
where
    T: for<'r> FromRow<'r, AnyRow> + Send + Unpin,
{
    // If the request is cancelled here, so is the query, and the guard says so.
    let guard = metrics.start_database_query(QueryType::Select);
    let result = query.fetch_all(connection).await;
    finish(guard, result, |rows| rows.len() as u64)
}

async fn execute(
    metrics: Metrics,
    connection: &mut AnyConnection,
    query_type: QueryType,
    statement: Statement,
) -> Result<u64, Error> {
    let guard = metrics.start_database_query(query_type);
    let result = statement.execute(connection).await.map(|done| done.rows_affected());
    finish(guard, result, |rows| *rows)
}

fn finish<T>(
    guard: QueryGuard,
    result: Result<T, Error>,
    rows: impl Fn(&T) -> u64,
) -> Result<T, Error> {
    match &result {
        Ok(value) => guard.rows(rows(value)).success(),
        Err(error) => guard.error(error_type(error)),
    }
    result
}

/// Which of the label's values an error is.
fn error_type(error: &Error) -> DatabaseErrorType {
    match error {
        Error::Io(_)
        | Error::Tls(_)
        | Error::Protocol(_)
        | Error::PoolClosed
        | Error::WorkerCrashed => DatabaseErrorType::Connection,
        Error::PoolTimedOut => DatabaseErrorType::Timeout,
        Error::Database(error) => match error.code().as_deref() {
            // PostgreSQL: a deadlock, and what a retry resolves as well.
            Some("40P01" | "40001") => DatabaseErrorType::Deadlock,
            // PostgreSQL: a cancelled statement and a lock not got; SQLite: busy, locked.
            Some("57014" | "55P03" | "5" | "6" | "261" | "517") => DatabaseErrorType::Timeout,
            // PostgreSQL: it is shutting down, or a connection exception.
            Some(code) if code.starts_with("57P") || code.starts_with("08") => {
                DatabaseErrorType::Connection
            }
            _ => DatabaseErrorType::Query,
        },
        _ => DatabaseErrorType::Query,
    }
}

#[cfg(test)]
mod tests {
    use backend_metrics::Metrics;

    use super::{CONNECTIONS, Database};

    #[tokio::test]
    async fn a_database_of_another_kind_is_refused_without_its_password() {
        for (address, says) in [
            ("mysql://me:secret@host/0", "neither a file nor a postgres:// URL"),
            ("Postgres://me:secret@host/0", "neither a file nor a postgres:// URL"),
            ("postgres://me:secret@host:port/0", "port"),
            ("", "the address is empty"),
        ] {
            let error = Database::open(Some(address), Metrics::new()).await.unwrap_err();
            let error = error.to_string();
            assert!(error.contains(says) && !error.contains("secret"), "{address}: {error}");
        }
    }

    #[tokio::test]
    async fn a_full_disk_ends_a_transaction_and_lets_the_next_one_begin() {
        let (database, _temporary) = Database::open(None, Metrics::new()).await.unwrap();
        database.update(sqlx::query("CREATE TABLE full (row BLOB)")).await.unwrap();
        for _ in 0..2 * CONNECTIONS {
            let mut transaction = database.begin("fill").await.unwrap();
            // Of this connection alone: no more pages than there are.
            let limit = sqlx::query_as::<_, (i64,)>("PRAGMA max_page_count = 1");
            transaction.select(limit).await.unwrap();
            let insert = sqlx::query("INSERT INTO full VALUES (zeroblob(100000))");
            let error = transaction.insert(insert).await.unwrap_err();
            assert!(error.to_string().contains("full"), "{error}");
        }
        database.begin("commit").await.unwrap().commit().await.unwrap();
    }

    #[tokio::test]
    async fn a_transaction_that_is_not_committed_is_rolled_back() {
        let (database, _temporary) = Database::open(None, Metrics::new()).await.unwrap();
        database.update(sqlx::query("CREATE TABLE kept (row INTEGER)")).await.unwrap();
        for kept in [false, true] {
            let mut transaction = database.begin("insert").await.unwrap();
            transaction.insert(sqlx::query("INSERT INTO kept VALUES (1)")).await.unwrap();
            if kept {
                transaction.commit().await.unwrap();
            } else {
                drop(transaction);
            }
            // It waits for one that is under way.
            database.begin("wait").await.unwrap().commit().await.unwrap();
            let rows = sqlx::query_as::<_, (i64,)>("SELECT COUNT(*) FROM kept");
            assert_eq!(database.select(rows).await.unwrap(), [(i64::from(kept),)]);
        }
    }
}
