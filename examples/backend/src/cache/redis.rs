//! Redis: a pool of connections, and how its commands are measured.

use std::{
    error::Error,
    fmt, io,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use backend_metrics::{Metrics, PoolStats};
use bytes::Bytes;
use deadpool::{
    Runtime,
    managed::{self, Manager, Object, Pool, PoolError, RecycleResult},
};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, FromRedisValue, RedisError, RedisResult,
    aio::MultiplexedConnection,
};
use tokio::{
    net::{TcpSocket, TcpStream},
    time,
};

use crate::faults::{Fault, Faults};

/// The most connections of the pool.
const CONNECTIONS: u32 = 8;
/// How long each may take: to wait for a connection, to make one, to wait for a reply.
const TIMEOUT: Duration = Duration::from_millis(250);
/// How long the first connection may take.
const FIRST_TIMEOUT: Duration = Duration::from_secs(5);
/// Before every key, as others may use the same Redis.
const PREFIX: &str = "backend:";

/// A Redis behind a pool.
#[derive(Clone, Debug)]
pub(super) struct Redis {
    pool: Pool<Connections>,
    metrics: Metrics,
}

impl Redis {
    /// Connects, to know at once whether it is there.
    pub(super) async fn open(
        client: &Client,
        metrics: Metrics,
        faults: Faults,
    ) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let ConnectionAddr::Tcp(host, port) = client.get_connection_info().addr() else {
            return Err("only redis://HOST:PORT is supported".into());
        };
        let address = (host.clone(), *port);
        // Bound and never listened to, so nobody else can.
        let refuses = TcpSocket::new_v4()?;
        refuses.bind(([127, 0, 0, 1], 0).into())?;
        let lost = AtomicU32::new(0);
        let connections =
            Connections { client: client.clone(), address, metrics, faults, refuses, lost };
        match time::timeout(FIRST_TIMEOUT, connections.first()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(format!("{host}:{port}: {error}").into()),
            Err(_) => return Err(format!("{host}:{port}: no answer within 5 seconds").into()),
        }
        let pool = Pool::builder(connections)
            .max_size(CONNECTIONS as usize)
            .wait_timeout(Some(TIMEOUT))
            .runtime(Runtime::Tokio1)
            .build()?;
        // Read before every scrape, so the gauges cannot drift from the pool.
        let watched = pool.weak();
        metrics.add_redis_pool_source("cache", move || {
            let status = watched.upgrade()?.status();
            let count = |connections| u32::try_from(connections).unwrap_or(u32::MAX);
            Some(PoolStats {
                active: count(status.size.saturating_sub(status.available)),
                idle: count(status.available),
                max: CONNECTIONS,
            })
        });
        Ok(Self { pool, metrics })
    }

    /// The value of a key, and how long it is kept from now on.
    pub(super) async fn get(
        &self,
        key: &str,
    ) -> Result<Option<(Bytes, Duration)>, PoolError<RedisError>> {
        let key = [PREFIX, key].concat();
        let Some(value) = self.command::<Option<Bytes>>("get", |get| get.arg(&key)).await? else {
            return Ok(None);
        };
        // Negative if it has expired since.
        let milliseconds: i64 = self.command("pttl", |pttl| pttl.arg(&key)).await?;
        let kept = u64::try_from(milliseconds).ok().map(Duration::from_millis);
        Ok(kept.map(|kept| (value, kept)))
    }

    /// Sets the value of a key for a time.
    pub(super) async fn set(
        &self,
        key: &str,
        value: &[u8],
        keep: Duration,
    ) -> Result<(), PoolError<RedisError>> {
        let key = [PREFIX, key].concat();
        // Redis takes no zero.
        let milliseconds = u64::try_from(keep.as_millis()).unwrap_or(u64::MAX).max(1);
        self.command("set", |set| set.arg(&key).arg(value).arg("px").arg(milliseconds)).await
    }

    /// Forgets a key; gives how many there were, none or one.
    pub(super) async fn delete(&self, key: &str) -> Result<u64, PoolError<RedisError>> {
        let key = [PREFIX, key].concat();
        self.command("del", |del| del.arg(&key)).await
    }

    /// How many keys there are, those of others in the same database as well.
    pub(super) async fn entries(&self) -> Result<u64, PoolError<RedisError>> {
        self.command("dbsize", |dbsize| dbsize).await
    }

    /// Sends a command. Every one is sent here, and measured.
    async fn command<T: FromRedisValue>(
        &self,
        name: &'static str,
        arguments: impl FnOnce(&mut Cmd) -> &mut Cmd,
    ) -> Result<T, PoolError<RedisError>> {
        let mut command = redis::cmd(name);
        arguments(&mut command);
        let mut connection = self.pool.get().await?;
        let guard = self.metrics.start_redis_command(name);
        let result = command.query_async(&mut *connection).await;
        match &result {
            Err(error) if error.is_io_error() => {
                guard.connection_error();
                self.pool.manager().lost.fetch_add(1, Ordering::Relaxed);
                // Broken, or so late that nobody knows: it does not go back to the pool.
                drop(Object::take(connection));
            }
            result => guard.finish(result),
        }
        Ok(result?)
    }
}

/// Makes the connections of the pool.
struct Connections {
    client: Client,
    address: (String, u16),
    metrics: Metrics,
    faults: Faults,
    /// Connections to it are refused.
    refuses: TcpSocket,
    /// Connections that broke and were not made again yet.
    lost: AtomicU32,
}

impl Connections {
    /// A connection to an address. The fault cuts it.
    async fn connect(
        &self,
        address: (&str, u16),
        faults: Faults,
    ) -> RedisResult<MultiplexedConnection> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(TIMEOUT));
        let settings = self.client.get_connection_info().redis_settings();
        let (connection, driver) =
            MultiplexedConnection::new_with_config(settings, stream, config).await?;
        // The stream is the driver's, and closed with it.
        tokio::spawn(async move {
            tokio::select! {
                () = driver => {}
                () = faults.begin(Fault::Redis) => {}
            }
        });
        Ok(connection)
    }

    /// Connects once, whatever the faults, and sees whether commands are allowed.
    async fn first(&self) -> RedisResult<()> {
        let address = (self.address.0.as_str(), self.address.1);
        let mut connection = self.connect(address, Faults::default()).await?;
        redis::cmd("ping").query_async(&mut connection).await
    }
}

impl Manager for Connections {
    type Type = MultiplexedConnection;
    type Error = RedisError;

    async fn create(&self) -> RedisResult<MultiplexedConnection> {
        let address = if self.faults.is_on(Fault::Redis) {
            ("127.0.0.1", self.refuses.local_addr()?.port())
        } else {
            (self.address.0.as_str(), self.address.1)
        };
        let connection = time::timeout(TIMEOUT, self.connect(address, self.faults.clone()))
            .await
            .unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
            .inspect_err(|_| self.metrics.track_redis_connection_error())?;
        if self
            .lost
            .try_update(Ordering::Relaxed, Ordering::Relaxed, |lost| lost.checked_sub(1))
            .is_ok()
        {
            self.metrics.track_redis_reconnect();
        }
        Ok(connection)
    }

    /// Those that are known to be broken do not come back; the others are used as they are.
    async fn recycle(
        &self,
        _: &mut MultiplexedConnection,
        _: &managed::Metrics,
    ) -> RecycleResult<RedisError> {
        Ok(())
    }
}

impl fmt::Debug for Connections {
    /// Without the client, which knows the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").field("address", &self.address).finish_non_exhaustive()
    }
}
