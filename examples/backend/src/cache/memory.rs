//! Entries in memory, bounded by their bytes, each for a time of its own.

use std::{
    fmt,
    time::{Duration, Instant},
};

use bytes::Bytes;
use moka::{Expiry, future::Cache, notification::RemovalCause};

/// The longest time that an entry is kept.
const LONGEST: Duration = Duration::from_hours(24 * 365);

/// Entries by their key. Clones share them.
#[derive(Clone)]
pub(super) struct Memory {
    entries: Cache<Bytes, Entry>,
}

/// What is kept under a key.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) value: Bytes,
    pub(super) until: Instant,
}

impl Memory {
    /// Room for keys and values of `bytes` together. `removed` is told of every entry that leaves.
    pub(super) fn new(bytes: u64, removed: impl Fn(RemovalCause) + Send + Sync + 'static) -> Self {
        let weight = |key: &Bytes, entry: &Entry| {
            u32::try_from(key.len() + entry.value.len()).unwrap_or(u32::MAX)
        };
        let entries = Cache::builder()
            .max_capacity(bytes)
            .weigher(weight)
            .expire_after(UntilThen)
            .eviction_listener(move |_, entry: Entry, cause| {
                let expired = entry.until <= Instant::now();
                // An entry that expired unseen is only replaced, as moka says it.
                let cause = if expired && cause == RemovalCause::Replaced {
                    RemovalCause::Expired
                } else {
                    cause
                };
                removed(cause);
            })
            .build();
        Self { entries }
    }

    pub(super) async fn get(&self, key: &[u8]) -> Option<Entry> {
        self.entries.get(key).await
    }

    pub(super) async fn set(&self, key: &[u8], value: Bytes, keep: Duration) {
        let until = Instant::now() + keep.min(LONGEST);
        self.entries.insert(Bytes::copy_from_slice(key), Entry { value, until }).await;
    }

    /// Forgets an entry; says whether there was one.
    pub(super) async fn remove(&self, key: &[u8]) -> bool {
        self.entries.remove(key).await.is_some()
    }

    /// How many entries there are and how many bytes they have, without those that have expired.
    pub(super) async fn size(&self) -> (u64, u64) {
        self.entries.run_pending_tasks().await;
        (self.entries.entry_count(), self.entries.weighted_size())
    }
}

impl fmt::Debug for Memory {
    /// Without the entries: they are nothing for a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").finish_non_exhaustive()
    }
}

/// Every entry knows when it expires, a newer one as well.
struct UntilThen;

impl Expiry<Bytes, Entry> for UntilThen {
    fn expire_after_create(&self, _: &Bytes, entry: &Entry, now: Instant) -> Option<Duration> {
        Some(entry.until.saturating_duration_since(now))
    }

    fn expire_after_update(
        &self,
        _: &Bytes,
        entry: &Entry,
        now: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(entry.until.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    #[tokio::test]
    async fn entries_leave_when_there_is_no_room() {
        let causes = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&causes);
        let memory = Memory::new(1_000, move |cause| told.lock().push(cause));
        for number in 0..100_u32 {
            memory.set(&number.to_le_bytes(), Bytes::from(vec![0; 96]), Duration::MAX).await;
        }
        assert_eq!(memory.size().await, (10, 1_000));
        assert_eq!(*causes.lock(), [RemovalCause::Size; 90]);
    }
}
