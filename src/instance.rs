//! An instance: every subsystem, and what a scrape needs to know.

use std::{
    any::Any,
    fmt,
    ops::Deref,
    sync::{Arc, atomic::AtomicUsize},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use prometheus_client::registry::Registry;

use crate::{
    clock::{Clock, Moment},
    collect::reading::{NotRead, Reading},
    family::Gauge,
    labels::ErrorSeverity,
    registry::{Family, Now},
    subsystems::Subsystems,
};

/// All metrics of a service.
///
/// It is one pointer, cheap to copy: hand it to whoever records. The subsystems are its fields
/// (`metrics.database.queries`), and each event has a `track_*` method. Several instances live side by side
/// without mixing, in tests say. An instance is never freed: it is made once, at the start of the program.
///
/// ```
/// use backend_metrics::{Metrics, labels::AuthStatus};
///
/// let metrics = Metrics::new();
/// metrics.auth.attempts.get(AuthStatus::Failed).inc();
/// assert!(metrics.to_text().contains("auth_attempts_total{status=\"failed\"} 1\n"));
/// ```
#[derive(Clone, Copy)]
pub struct Metrics(&'static Instance);

pub(crate) struct Instance {
    pub(crate) subsystems: Subsystems,
    pub(crate) mounted: Vec<Mounted>,
    pub(crate) families: Vec<Family>,
    /// The number of series of each family.
    pub(crate) series: Vec<Gauge>,
    /// Room for the text of the families, by that of the last scrape.
    pub(crate) encoded: AtomicUsize,
    /// What comes out after the families.
    pub(crate) registries: Vec<Foreign>,
    /// `name="value"` pairs that stand first in every label set.
    pub(crate) constant_labels: String,
    /// The labels of `backend_service_info`.
    pub(crate) info_labels: String,
    pub(crate) clock: Clock,
    pub(crate) started: Instant,
    pub(crate) slow_query: Duration,
    /// How long each thing of the service may take to be read.
    pub(crate) collect_timeout: Duration,
    /// Seconds that the trading day is ahead of UTC.
    pub(crate) utc_offset: i32,
}

/// A subsystem that the service declared itself.
pub(crate) struct Mounted {
    pub(crate) subsystem: Box<dyn Any + Send + Sync>,
    /// None if there is nothing to do.
    pub(crate) on_scrape: Option<fn(&(dyn Any + Send + Sync), &Now)>,
    pub(crate) reading: Reading,
}

/// A registry of `prometheus-client`.
#[derive(Debug)]
pub(crate) struct Foreign {
    pub(crate) registry: Arc<Registry>,
    pub(crate) reading: Reading,
}

impl Metrics {
    pub(crate) fn from_instance(instance: Instance) -> Self {
        Self(Box::leak(Box::new(instance)))
    }

    pub(crate) fn instance(self) -> &'static Instance {
        self.0
    }

    /// The subsystem `S`, if it was [mounted](crate::Builder::mount).
    #[must_use]
    pub fn mounted<S: 'static>(self) -> Option<&'static S> {
        self.0.mounted.iter().find_map(|mounted| mounted.subsystem.downcast_ref())
    }

    /// The clock of the instance.
    #[must_use]
    pub fn clock(self) -> &'static Clock {
        &self.0.clock
    }

    /// The time since the instance was built.
    #[inline]
    #[must_use]
    pub fn uptime(self) -> Duration {
        self.0.clock.now().saturating_duration_since(self.0.started)
    }

    /// Starts measuring a duration.
    #[inline]
    #[must_use]
    pub fn stopwatch(self) -> Stopwatch {
        Stopwatch { metrics: self, started: self.0.clock.begin() }
    }

    /// The threshold of a slow query.
    #[inline]
    pub(crate) fn slow_query(self) -> Duration {
        self.0.slow_query
    }

    /// The day since 1970 at the configured UTC offset.
    pub(crate) fn day(self) -> i64 {
        let wall = self.0.clock.wall();
        let seconds = match wall.duration_since(std::time::UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_secs()).unwrap_or(i64::MAX / 2),
            Err(before) => {
                let before = before.duration();
                let begun = u64::from(before.subsec_nanos() > 0);
                -i64::try_from(before.as_secs() + begun).unwrap_or(i64::MAX / 2)
            }
        };
        (seconds + i64::from(self.0.utc_offset)).div_euclid(24 * 60 * 60)
    }

    /// Sets everything that is read or derived.
    pub(crate) fn refresh(self) {
        let now = Now { uptime: self.uptime(), wall: self.0.clock.wall(), day: self.day() };
        self.0.subsystems.on_scrape(&now);
        for mounted in &self.0.mounted {
            if let Some(on_scrape) = mounted.on_scrape {
                _ = self.collect(&mounted.reading, move || on_scrape(&*mounted.subsystem, &now));
            }
        }
    }

    /// Runs code of the service before a scrape. Its panic or delay is counted, and costs the scrape only what
    /// the code would have given.
    pub(crate) fn collect<T: Send + 'static>(
        self,
        reading: &Reading,
        read: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NotRead> {
        reading.read(self.0.collect_timeout, read).inspect_err(|not_read| {
            let error_type = match not_read {
                NotRead::Panicked => "collector_panic",
                NotRead::Late => "collector_timeout",
            };
            self.track_application_error(error_type, ErrorSeverity::Error);
        })
    }

    /// A source of the service as one that gives what it gives, or why that is nothing. Once it gives `None` it is
    /// dropped, where it was read, and it gives `None` from then on.
    pub(crate) fn collected<T: Send + 'static>(
        self,
        source: impl Fn() -> Option<T> + Send + 'static,
    ) -> impl Fn() -> Result<Option<T>, NotRead> + Send + Sync + 'static {
        let (source, reading) = (Arc::new(Mutex::new(Some(source))), Reading::default());
        move || {
            let source = Arc::clone(&source);
            self.collect(&reading, move || {
                let given = source.lock().as_ref()?();
                if given.is_none() {
                    drop(source.lock().take());
                }
                given
            })
        }
    }
}

impl Deref for Metrics {
    type Target = Subsystems;

    #[inline]
    fn deref(&self) -> &Subsystems {
        &self.0.subsystems
    }
}

// Its cells are atomic and its locks are held for no foreign code: a panic leaves nothing half done.
impl std::panic::UnwindSafe for Metrics {}
impl std::panic::RefUnwindSafe for Metrics {}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").field("families", &self.0.families.len()).finish_non_exhaustive()
    }
}

/// A running measurement of a duration by the clock of an instance.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch {
    metrics: Metrics,
    started: Moment,
}

impl Stopwatch {
    /// The instance whose clock it reads.
    #[inline]
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.metrics
    }

    /// The time since it was started.
    #[inline]
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.metrics.instance().clock.since(self.started)
    }

    /// The time since it was started in nanoseconds.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "64 bits last for five centuries")]
    pub(crate) fn nanos(&self) -> u64 {
        self.elapsed().as_nanos() as u64
    }
}
