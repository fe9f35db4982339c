//! Connection pools.

use std::{fmt, sync::Arc};

use parking_lot::Mutex;

use super::reading::NotRead;
use crate::registry::{Part, Registrar};

/// The connections of a pool.
///
/// Later versions may have more fields: end with `..PoolStats::default()`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolStats {
    /// In use by a caller.
    pub active: u32,
    /// Open and free.
    pub idle: u32,
    /// The most there can be, as configured.
    pub max: u32,
}

/// What a source gives: its figures, none once it is gone, or why it gave nothing.
type Read = Result<Option<PoolStats>, NotRead>;

type Source = Arc<dyn Fn() -> Read + Send + Sync>;

/// The pools of a process.
#[derive(Default)]
pub(crate) struct PoolSources(Mutex<Vec<Source>>);

impl fmt::Debug for PoolSources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PoolSources").field(&self.0.lock().len()).finish()
    }
}

impl PoolSources {
    pub(crate) fn add(&self, source: impl Fn() -> Read + Send + Sync + 'static) {
        self.0.lock().push(Arc::new(source));
    }

    /// The sum over all pools, if there are any. A pool that is gone is forgotten, one that gives nothing is
    /// left out this time.
    pub(crate) fn read(&self) -> Option<PoolStats> {
        // A source may come back to this library: it is asked without the lock.
        let sources = self.0.lock().clone();
        let (mut sum, mut gone) = (None, Vec::new());
        for source in sources {
            match source() {
                Ok(Some(stats)) => {
                    let sum = sum.get_or_insert(PoolStats::default());
                    sum.active = sum.active.saturating_add(stats.active);
                    sum.idle = sum.idle.saturating_add(stats.idle);
                    sum.max = sum.max.saturating_add(stats.max);
                }
                Ok(None) => gone.push(source),
                Err(_) => {}
            }
        }
        if !gone.is_empty() {
            self.0.lock().retain(|source| !gone.iter().any(|gone| Arc::ptr_eq(gone, source)));
        }
        sum
    }
}

impl Part for PoolSources {
    fn register(_: &mut Registrar) -> Self {
        Self::default()
    }
}
