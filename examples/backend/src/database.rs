//! The database, and how its queries, connections and transactions are measured.
//!
//! All of the SQL runs through this file, so every query is recorded, and in one place: the wait for its
//! connection, its kind, its time, its rows and its error.

use std::{io, time::Duration};

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
/// How long a caller waits for the answer to a query. A server that was cut off does not say so.
const QUERY_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the first connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Readers do not wait for the writer, and writers wait for each other, for less than a query may take. A cache is
/// 256 KiB, as every connection has its own.
const SQLITE_SETTINGS: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; \
    PRAGMA busy_timeout = 4000; PRAGMA cache_size = -256;";
/// The server gives up what the caller is about to give up: it would go on with it, on a connection that the pool does
/// not know any more.
const POSTGRES_SETTINGS: &str = "SET statement_timeout = 4000";

/// How long trouble waits for a connection when it has all of them: half as long as callers, so that none of those who
/// came after it waits in vain, on a busy machine either.
const IN_VAIN: Duration = Duration::from_millis(500);
/// How long the pool is dry at a time.
const TROUBLE: Duration = Duration::from_secs(5);
/// Takes its time, and less than it may.
const SLOW: &str = "WITH RECURSIVE numbers (number) AS \
    (SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < 3000000) \
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
            Some(("postgres" | "postgresql", _)) => (address, "BEGIN", POSTGRES_SETTINGS),
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
        metrics.add_database_pool_source("backend", move || {
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
        select(self.metrics, &mut self.connection().await?, query).await
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
        let mut connection = self.connection().await?;
        connection.in_transaction = true;
        let guard = self.metrics.start_database_transaction(operation);
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
                let mut in_vain = false;
                let since = Instant::now();
                // Past the last one this waits in vain, and is recorded as any other caller. However short the trouble
                // is, that happens once.
                while taken.is_empty()
                    || !in_vain
                    || faults.is_on(Fault::Database) && since.elapsed() < TROUBLE
                {
                    match self.connection_within(IN_VAIN).await {
                        Ok(connection) => taken.push(connection),
                        Err(Error::PoolTimedOut) => in_vain = true,
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
    async fn connection(&self) -> Result<Lease, Error> {
        self.connection_within(ACQUIRE_TIMEOUT).await
    }

    async fn connection_within(&self, limit: Duration) -> Result<Lease, Error> {
        let wait = self.metrics.start_database_acquire();
        let connection = time::timeout(limit, self.pool.acquire()).await;
        let connection = connection.unwrap_or(Err(Error::PoolTimedOut));
        match &connection {
            Ok(_) => wait.success(),
            Err(Error::PoolTimedOut) => wait.timeout(),
            Err(error) => {
                self.metrics.track_database_error(error_type(error));
                wait.error();
            }
        }
        connection.map(|connection| Lease { connection: Some(connection), in_transaction: false })
    }
}

/// A transaction. Dropped without [`commit`](Self::commit) it is rolled back, and recorded so.
///
/// Not one of the driver's. On a full disk `SQLite` rolls back by itself; the driver's rollback then fails and leaves
/// it in the belief that the transaction is open, so that it refuses to begin another on that connection for ever.
#[derive(Debug)]
pub struct Transaction {
    connection: Lease,
    guard: TransactionGuard,
    metrics: Metrics,
}

impl Transaction {
    /// All rows of a query.
    pub async fn select<T>(&mut self, query: Select<T>) -> Result<Vec<T>, Error>
    where
        T: for<'r> FromRow<'r, AnyRow> + Send + Unpin,
    {
        select(self.metrics, &mut self.connection, query).await
    }

    /// Adds rows; gives how many.
    pub async fn insert(&mut self, statement: Statement) -> Result<u64, Error> {
        execute(self.metrics, &mut self.connection, QueryType::Insert, statement).await
    }

    /// Changes rows; gives how many.
    pub async fn update(&mut self, statement: Statement) -> Result<u64, Error> {
        execute(self.metrics, &mut self.connection, QueryType::Update, statement).await
    }

    /// Removes rows; gives how many.
    pub async fn delete(&mut self, statement: Statement) -> Result<u64, Error> {
        execute(self.metrics, &mut self.connection, QueryType::Delete, statement).await
    }

    /// Keeps the changes.
    pub async fn commit(mut self) -> Result<(), Error> {
        self.control("COMMIT").await?;
        self.connection.in_transaction = false;
        self.guard.commit();
        Ok(())
    }

    /// Begins or ends it.
    async fn control(&mut self, statement: &'static str) -> Result<(), Error> {
        let done =
            self.connection.ask(async |connection| connection.execute(statement).await).await;
        done.inspect_err(|error| self.metrics.track_database_error(error_type(error)))?;
        Ok(())
    }
}

/// A connection of the pool, which goes back when it is dropped, its transaction rolled back unless that has ended.
///
/// One that does not answer is closed: nobody else shall wait for it.
#[derive(Debug)]
struct Lease {
    /// Nothing once it did not answer.
    connection: Option<PoolConnection<Any>>,
    in_transaction: bool,
}

impl Lease {
    /// The answer to what is asked of the connection.
    async fn ask<T>(
        &mut self,
        question: impl AsyncFnOnce(&mut AnyConnection) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let connection = self.connection.as_mut().ok_or(Error::WorkerCrashed)?;
        if let Ok(answer) = time::timeout(QUERY_TIMEOUT, question(connection)).await {
            return answer;
        }
        connection.close_on_drop();
        self.connection = None;
        Err(Error::Io(io::ErrorKind::TimedOut.into()))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        let in_transaction = self.in_transaction;
        connection.close_on_drop();
        tokio::spawn(time::timeout(QUERY_TIMEOUT, async move {
            if in_transaction {
                // An error means that there is nothing to roll back, or that the connection broke.
                drop(connection.execute("ROLLBACK").await);
            }
            // Asks the database whether the connection is of use.
            connection.return_to_pool().await;
        }));
    }
}

async fn select<T>(
    metrics: Metrics,
    connection: &mut Lease,
    query: Select<T>,
) -> Result<Vec<T>, Error>
where
    T: for<'r> FromRow<'r, AnyRow> + Send + Unpin,
{
    // If the request is cancelled here, so is the query, and the guard says so.
    let guard = metrics.start_database_query(QueryType::Select);
    let result = connection.ask(async |connection| query.fetch_all(connection).await).await;
    finish(guard, result, |rows| rows.len() as u64)
}

async fn execute(
    metrics: Metrics,
    connection: &mut Lease,
    query_type: QueryType,
    statement: Statement,
) -> Result<u64, Error> {
    let guard = metrics.start_database_query(query_type);
    let result = connection.ask(async |connection| statement.execute(connection).await).await;
    finish(guard, result.map(|done| done.rows_affected()), |rows| *rows)
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
        Error::Io(error) if error.kind() == io::ErrorKind::TimedOut => DatabaseErrorType::Timeout,
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
    use std::time::Duration;

    use backend_metrics::Metrics;
    use sqlx::any::AnyPoolOptions;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
        time,
    };

    use super::{CONNECTIONS, Database, Statement};
    use crate::reply::Problem;

    /// How long a connection may take to be closed.
    const CLOSE_DEADLINE: Duration = Duration::from_secs(20);

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

    /// A `PostgreSQL` that lets clients in and then says nothing.
    struct Silent(TcpListener);

    impl Silent {
        /// With a database that has room for one connection to it.
        async fn with_database() -> (Self, Database) {
            sqlx::any::install_default_drivers();
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let url = format!("postgres://me@127.0.0.1:{port}/?sslmode=disable");
            let pool = AnyPoolOptions::new().max_connections(1).connect_lazy(&url).unwrap();
            (Self(listener), Database { pool, metrics: Metrics::new(), begin: "BEGIN" })
        }

        /// Lets a client in and answers so many statements. Once it is asked for more, time flies while everybody
        /// waits.
        async fn is_asked(&self, statements: u32) -> TcpStream {
            let (mut client, _) = self.0.accept().await.unwrap();
            message(&mut client).await;
            client.write_all(b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I").await.unwrap();
            for _ in 0..statements {
                assert_eq!(client.read_u8().await.unwrap(), b'Q');
                message(&mut client).await;
                client.write_all(b"C\0\0\0\x0aBEGIN\0Z\0\0\0\x05I").await.unwrap();
            }
            client.read_u8().await.unwrap();
            time::pause();
            client
        }
    }

    /// Reads a message behind its type.
    async fn message(client: &mut TcpStream) {
        let length = client.read_u32().await.unwrap();
        client.read_exact(&mut vec![0; length as usize - 4]).await.unwrap();
    }

    /// Waits until a client has closed its connection. Then time is what it was again.
    async fn is_closed(mut client: TcpStream) {
        let closed = async { client.read_to_end(&mut Vec::new()).await };
        time::timeout(CLOSE_DEADLINE, closed).await.expect("it is closed").unwrap();
        time::resume();
    }

    fn insertion() -> Statement {
        sqlx::query("INSERT INTO nowhere VALUES (1)")
    }

    #[track_caller]
    fn assert_lines(database: &Database, lines: &[&str]) {
        let text = database.metrics.to_text();
        for line in lines {
            assert!(text.lines().any(|found| found == *line), "{line} is not in\n{text}");
        }
    }

    #[tokio::test]
    async fn a_query_that_is_not_answered_is_given_up_with_its_connection() {
        let (server, database) = Silent::with_database().await;
        let (answer, client) = tokio::join!(database.insert(insertion()), server.is_asked(0));
        assert_eq!(Problem::from(answer.unwrap_err()).status(), 503);
        is_closed(client).await;
        // There is room for another.
        let transaction = async {
            let mut transaction = database.begin("insert").await?;
            transaction.insert(insertion()).await
        };
        let (answer, client) = tokio::join!(transaction, server.is_asked(1));
        answer.unwrap_err();
        is_closed(client).await;
        assert_lines(
            &database,
            &[
                r#"database_errors_total{error_type="timeout"} 2"#,
                r#"database_errors_total{error_type="connection_error"} 0"#,
                r#"database_queries_total{query_type="insert",status="error"} 2"#,
                r#"database_transactions_total{operation="insert",outcome="rolled_back"} 1"#,
            ],
        );
    }

    #[tokio::test]
    async fn a_connection_does_not_go_back_while_it_may_be_of_no_use() {
        let (server, database) = Silent::with_database().await;
        // The caller goes away.
        let client = tokio::select! {
            _ = database.insert(insertion()) => panic!("there is no answer"),
            client = server.is_asked(0) => client,
        };
        is_closed(client).await;
        // All is answered, but for whether the connection is still there.
        let transaction = async { database.begin("nothing").await?.commit().await };
        let (answer, client) = tokio::join!(transaction, server.is_asked(2));
        answer.unwrap();
        is_closed(client).await;
        assert_lines(
            &database,
            &[
                r#"database_queries_total{query_type="insert",status="cancelled"} 1"#,
                r#"database_transactions_total{operation="nothing",outcome="committed"} 1"#,
            ],
        );
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
