//! The cache: memory first, then Redis.

mod memory;
mod redis;
mod stand_in;

use std::{error::Error, sync::Arc, time::Duration};

use ::redis::Client;
use backend_metrics::{
    CacheStats, Metrics,
    labels::{CacheEvictionReason, CacheLayer, CacheOperation},
    subsystems::cache::CacheGuard,
};
use bytes::Bytes;
use moka::notification::RemovalCause;
use serde::{Serialize, de::DeserializeOwned};
use tokio::time;
use tokio_util::task::AbortOnDropHandle;

use self::{memory::Memory, redis::Redis};
use crate::faults::Faults;

/// The longest that a value is in memory before Redis is asked again, where another replica may have changed it.
pub const MEMORY_KEEP: Duration = Duration::from_mins(1);
/// How many bytes of keys and values are in memory.
const MEMORY_BYTES: u64 = 16 * 1024 * 1024;
/// How often the entries are counted.
const COUNT_INTERVAL: Duration = Duration::from_secs(1);
/// How often a Redis that is away is looked for.
const RETRY_INTERVAL: Duration = Duration::from_millis(250);

/// Memory (L1) in front of a Redis (L2). It only makes things faster: an error of Redis is a miss.
#[derive(Clone, Debug)]
pub struct Cache {
    memory: Memory,
    redis: Redis,
    metrics: Metrics,
    /// Serves as long as there is a cache.
    _stand_in: Option<Arc<AbortOnDropHandle<()>>>,
}

impl Cache {
    /// Connects to the Redis at `url`, or to a stand-in of its own.
    pub async fn open(
        url: Option<&str>,
        metrics: Metrics,
        faults: Faults,
    ) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let (client, stand_in) = if let Some(url) = url {
            (Client::open(url)?, None)
        } else {
            tracing::info!("no REDIS_URL: an embedded stand-in keeps the second layer");
            let (address, server) = stand_in::start().await?;
            (Client::open(format!("redis://{address}"))?, Some(Arc::new(server)))
        };
        let redis = Redis::open(&client, metrics, faults).await?;
        let memory = Memory::new(MEMORY_BYTES, move |cause| {
            let reason = match cause {
                RemovalCause::Expired => CacheEvictionReason::Expired,
                RemovalCause::Explicit => CacheEvictionReason::Explicit,
                RemovalCause::Replaced => CacheEvictionReason::Replaced,
                RemovalCause::Size => CacheEvictionReason::Capacity,
            };
            metrics.track_cache_evictions(CacheLayer::Memory, reason, 1);
        });
        Ok(Self { memory, redis, metrics, _stand_in: stand_in })
    }

    /// The value of a key.
    pub async fn get<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        match self.get_memory(key).await {
            None => self.get_redis(key).await,
            found => found,
        }
    }

    /// Sets the value of a key for a time.
    ///
    /// What is kept no longer than [`MEMORY_KEEP`] is in memory only: by the time that it has gone there, Redis
    /// would not have it either.
    pub async fn set(&self, key: &str, value: &(impl Serialize + Sync), keep: Duration) {
        // What has no JSON is computed anew each time.
        let Ok(value) = serde_json::to_vec(value).map(Bytes::from) else { return };
        if keep > MEMORY_KEEP {
            self.set_redis(key, &value, keep).await;
        }
        self.set_memory(key, value, keep).await;
    }

    /// Forgets the value of a key.
    ///
    /// Another replica may have it for [`MEMORY_KEEP`], and a Redis that does not answer for as long as it was to
    /// be kept.
    pub async fn delete(&self, key: &str) {
        // From Redis first: a get in between would bring the old value back into memory.
        let delete = self.start(CacheOperation::Delete, CacheLayer::Redis);
        match self.redis.delete(key).await {
            Ok(deleted) => {
                let (layer, reason) = (CacheLayer::Redis, CacheEvictionReason::Explicit);
                self.metrics.track_cache_evictions(layer, reason, deleted);
                delete.success();
            }
            Err(_) => delete.error(),
        }
        let delete = self.start(CacheOperation::Delete, CacheLayer::Memory);
        self.memory.remove(key.as_bytes()).await;
        delete.success();
    }

    /// The value of a key, or else what `compute` gives, which is then [`set`](Self::set).
    pub async fn get_or_insert<T, E>(
        &self,
        key: &str,
        keep: Duration,
        compute: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E>
    where
        T: DeserializeOwned + Serialize + Sync,
    {
        let found =
            if keep > MEMORY_KEEP { self.get(key).await } else { self.get_memory(key).await };
        if let Some(value) = found {
            return Ok(value);
        }
        let value = compute.await?;
        self.set(key, &value, keep).await;
        Ok(value)
    }

    /// Counts the entries of both layers now and then, and says when Redis goes away and when it is back.
    pub async fn watch(self) {
        let mut is_there = true;
        loop {
            let (memory_entries, memory_bytes) = self.memory.size().await;
            let counted = self.redis.entries().await;
            match &counted {
                Err(error) if is_there => tracing::warn!(%error, "Redis is away"),
                Ok(_) if !is_there => tracing::info!("Redis is back"),
                _ => {}
            }
            is_there = counted.is_ok();
            self.metrics.update_cache_stats(CacheStats {
                memory_entries: Some(memory_entries),
                memory_bytes: Some(memory_bytes),
                redis_entries: counted.ok(),
            });
            time::sleep(if is_there { COUNT_INTERVAL } else { RETRY_INTERVAL }).await;
        }
    }

    /// The value of a key, if it is in memory.
    pub async fn get_memory<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        let get = self.start(CacheOperation::Get, CacheLayer::Memory);
        let entry = self.memory.get(key.as_bytes()).await;
        read(get, entry.as_ref().map(|entry| &entry.value))
    }

    /// The value of a key, if it is in Redis; what is found there is in memory from now on.
    pub async fn get_redis<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        let get = self.start(CacheOperation::Get, CacheLayer::Redis);
        let Ok(entry) = self.redis.get(key).await else {
            get.error();
            return None;
        };
        let value = read(get, entry.as_ref().map(|(value, _)| value));
        if let (Some(_), Some((bytes, keep))) = (&value, entry) {
            self.set_memory(key, bytes, keep).await;
        }
        value
    }

    async fn set_memory(&self, key: &str, value: Bytes, keep: Duration) {
        let set = self.start(CacheOperation::Set, CacheLayer::Memory).bytes(value.len() as u64);
        self.memory.set(key.as_bytes(), value, keep.min(MEMORY_KEEP)).await;
        set.success();
    }

    async fn set_redis(&self, key: &str, value: &Bytes, keep: Duration) {
        let set = self.start(CacheOperation::Set, CacheLayer::Redis).bytes(value.len() as u64);
        match self.redis.set(key, value, keep).await {
            Ok(()) => set.success(),
            Err(_) => set.error(),
        }
    }

    fn start(&self, operation: CacheOperation, layer: CacheLayer) -> CacheGuard {
        self.metrics.start_cache_operation(operation, layer)
    }
}

/// Ends a get. A value that cannot be read, say of an older version of this program, is a miss.
fn read<T: DeserializeOwned>(get: CacheGuard, bytes: Option<&Bytes>) -> Option<T> {
    let value = bytes.and_then(|bytes| {
        let value = serde_json::from_slice(bytes).ok()?;
        Some((value, bytes.len() as u64))
    });
    let Some((value, bytes)) = value else {
        get.miss();
        return None;
    };
    get.bytes(bytes).hit();
    Some(value)
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, pin::pin, time::Instant};

    use futures_util::poll;

    use super::*;
    use crate::faults::Fault;

    const HOUR: Duration = Duration::from_hours(1);

    /// A cache in front of a stand-in.
    async fn cache(metrics: Metrics, faults: &Faults) -> Cache {
        Cache::open(None, metrics, faults.clone()).await.unwrap()
    }

    /// The value of a counter or a gauge of whole numbers.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is whole")]
    fn value(metrics: Metrics, series: &str) -> u64 {
        metrics.value(series).unwrap_or_else(|| panic!("no {series}")) as u64
    }

    fn operations(metrics: Metrics, operation: &str, layer: &str, status: &str) -> u64 {
        let labels = format!(r#"operation="{operation}",cache_layer="{layer}",status="{status}""#);
        value(metrics, &format!("cache_operations_total{{{labels}}}"))
    }

    /// Looks again until it is so.
    async fn until(mut is_so: impl AsyncFnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !is_so().await {
            assert!(Instant::now() < deadline, "not within ten seconds");
            time::sleep(Duration::from_millis(10)).await;
        }
    }

    #[tokio::test]
    async fn what_one_replica_stores_another_finds_in_redis_and_then_in_memory() {
        let (address, _server) = stand_in::start().await.unwrap();
        let url = format!("redis://{address}");
        let (one, two) = (Metrics::new(), Metrics::new());
        let first = Cache::open(Some(&url), one, Faults::default()).await.unwrap();
        let second = Cache::open(Some(&url), two, Faults::default()).await.unwrap();
        assert_eq!(first.get::<u32>("lot/NIFTY").await, None);
        first.set("lot/NIFTY", &75, HOUR).await;
        for _ in 0..3 {
            assert_eq!(second.get::<u32>("lot/NIFTY").await, Some(75));
        }
        assert_eq!(operations(one, "get", "l2_redis", "miss"), 1);
        assert_eq!(operations(two, "get", "l1_memory", "miss"), 1);
        assert_eq!(operations(two, "get", "l2_redis", "hit"), 1);
        assert_eq!(operations(two, "get", "l1_memory", "hit"), 2);
        assert_eq!(value(two, r#"redis_commands_total{command="pttl",status="success"}"#), 1);
        assert_eq!(value(one, r#"redis_pool_connections{state="idle"}"#), 1);
        assert_eq!(value(one, r#"redis_pool_connections{state="total"}"#), 8);
        first.delete("lot/NIFTY").await;
        assert_eq!(first.get::<u32>("lot/NIFTY").await, None);
        let evictions = r#"cache_evictions_total{cache_layer="l2_redis",reason="explicit"}"#;
        assert_eq!(value(one, evictions), 1);
        assert_eq!(second.get::<u32>("lot/NIFTY").await, Some(75), "for a minute at most");
    }

    #[tokio::test]
    async fn a_value_leaves_both_layers_when_its_time_is_over() {
        let metrics = Metrics::new();
        let cache = cache(metrics, &Faults::default()).await;
        let (old, shortly) = (Bytes::from_static(b"\"22450.10\""), Duration::from_millis(1));
        cache.set_memory("quote", old.clone(), shortly).await;
        cache.set_redis("quote", &old, shortly).await;
        until(async || cache.get::<String>("quote").await.is_none()).await;
        cache.set("quote", &"22450.15", HOUR).await;
        assert_eq!(cache.get::<String>("quote").await.as_deref(), Some("22450.15"));
        let evictions = r#"cache_evictions_total{cache_layer="l1_memory",reason="expired"}"#;
        assert!(value(metrics, evictions) >= 1);
    }

    #[tokio::test]
    async fn what_is_computed_is_kept_and_an_error_is_not() {
        let metrics = Metrics::new();
        let cache = cache(metrics, &Faults::default()).await;
        let failed = cache.get_or_insert("sum", HOUR, async { Err::<u32, _>("no") }).await;
        assert_eq!(failed, Err("no"));
        for _ in 0..2 {
            let computed = async { Ok::<u32, Infallible>(4) };
            assert_eq!(cache.get_or_insert("sum", HOUR, computed).await, Ok(4));
        }
        assert_eq!(operations(metrics, "get", "l1_memory", "miss"), 2);
        assert_eq!(operations(metrics, "get", "l1_memory", "hit"), 1);
        assert_eq!(operations(metrics, "set", "l2_redis", "success"), 1);
    }

    #[tokio::test]
    async fn a_get_beside_a_delete_does_not_bring_the_value_back() {
        let cache = cache(Metrics::new(), &Faults::default()).await;
        cache.set("key", &1, HOUR).await;
        let mut delete = pin!(cache.delete("key"));
        assert!(poll!(&mut delete).is_pending(), "it waits for Redis");
        // As a get does that found it in Redis.
        cache.set_memory("key", Bytes::from_static(b"1"), HOUR).await;
        delete.await;
        assert_eq!(cache.get::<u32>("key").await, None);
    }

    #[tokio::test]
    async fn redis_is_not_asked_for_what_is_kept_shortly() {
        let metrics = Metrics::new();
        let cache = cache(metrics, &Faults::default()).await;
        let computed = async { Ok::<u32, Infallible>(4) };
        assert_eq!(cache.get_or_insert("tick", MEMORY_KEEP, computed).await, Ok(4));
        let never = async { Err("not computed twice") };
        assert_eq!(cache.get_or_insert("tick", MEMORY_KEEP, never).await, Ok(4));
        assert!(!metrics.to_text().contains("redis_commands_total{"));
    }

    #[tokio::test]
    async fn a_value_of_another_type_is_a_miss() {
        let metrics = Metrics::new();
        let cache = cache(metrics, &Faults::default()).await;
        cache.set("key", &"a text", HOUR).await;
        assert_eq!(cache.get::<u32>("key").await, None);
        assert_eq!(operations(metrics, "get", "l1_memory", "miss"), 1);
        assert_eq!(operations(metrics, "get", "l2_redis", "miss"), 1);
    }

    #[tokio::test]
    async fn a_redis_that_hangs_up_is_a_miss_until_it_is_back() {
        let (metrics, faults) = (Metrics::new(), Faults::default());
        let cache = cache(metrics, &faults).await;
        cache.set("key", &1, HOUR).await;
        cache.memory.remove(b"key").await;
        let away = async {
            until(async || cache.get_redis::<u32>("key").await.is_none()).await;
            assert_eq!(value(metrics, "redis_connection_errors_total"), 1, "one was cut");
            assert_eq!(cache.get_redis::<u32>("key").await, None);
            assert_eq!(value(metrics, "redis_connection_errors_total"), 2, "one was refused");
            assert_eq!(operations(metrics, "get", "l2_redis", "error"), 2);
            assert_eq!(value(metrics, "redis_reconnects_total"), 0);
        };
        tokio::select! {
            () = faults.hold(Fault::Redis, HOUR) => {}
            () = away => {}
        }
        assert_eq!(cache.get_redis::<u32>("key").await, Some(1));
        assert_eq!(value(metrics, "redis_reconnects_total"), 1);
    }

    #[tokio::test]
    async fn a_fault_at_the_start_does_not_keep_the_cache_from_opening() {
        let faults = Faults::new(&[Fault::Redis]);
        let cache = cache(Metrics::new(), &faults).await;
        cache.set("key", &1, HOUR).await;
        assert_eq!(cache.get::<u32>("key").await, Some(1), "from memory");
    }

    #[tokio::test]
    async fn a_redis_that_is_not_there_is_named_without_its_password() {
        // Bound, so that nobody else listens there.
        let nobody = tokio::net::TcpSocket::new_v4().unwrap();
        nobody.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = nobody.local_addr().unwrap();
        let url = format!("redis://user:secret@{address}");
        let opened = Cache::open(Some(&url), Metrics::new(), Faults::default()).await;
        let error = opened.unwrap_err().to_string();
        assert!(error.starts_with(&format!("{address}: Connection refused")), "{error}");
        for url in [
            "redis://user:secret@host:port",
            "http://user:secret@host",
            "rediss://user:secret@host",
        ] {
            let opened = Cache::open(Some(url), Metrics::new(), Faults::default()).await;
            let error = opened.unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_redis_that_does_not_answer_is_not_waited_for_long() {
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = silent.local_addr().unwrap();
        let url = format!("redis://{address}");
        let opened = Cache::open(Some(&url), Metrics::new(), Faults::default()).await;
        let expected = format!("{address}: no answer within 5 seconds");
        assert_eq!(opened.unwrap_err().to_string(), expected);
    }

    #[tokio::test]
    async fn the_entries_of_both_layers_are_counted() {
        let metrics = Metrics::new();
        let cache = cache(metrics, &Faults::default()).await;
        cache.set("one", &1, HOUR).await;
        cache.set("two", &2, HOUR).await;
        cache.memory.remove(b"one").await;
        let watch = AbortOnDropHandle::new(tokio::spawn(cache.clone().watch()));
        let entries =
            |layer| value(metrics, &format!("cache_entries_total{{cache_layer=\"{layer}\"}}"));
        until(async || entries("l2_redis") == 2).await;
        assert_eq!(entries("l1_memory"), 1);
        assert_eq!(value(metrics, "cache_memory_usage_bytes"), 4);
        drop(watch);
    }
}
