//! An instance: every subsystem, and what a scrape needs to know.

use std::{
    any::Any,
    fmt,
    ops::Deref,
    sync::{Arc, atomic::AtomicUsize},
    time::{Duration, Instant},
};

use crate::{
    clock::{Clock, Moment},
    collect::callback::{Callback, CallbackError, Deadline},
    family::Gauge,
    labels::{CallbackFailureReason, ErrorSeverity},
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
    pub(crate) registries: Vec<Callback<Written>>,
    /// `name="value"` pairs that stand first in every label set.
    pub(crate) constant_labels: String,
    /// The labels of `backend_service_info`.
    pub(crate) info_labels: String,
    pub(crate) clock: Clock,
    pub(crate) started: Instant,
    pub(crate) slow_query: Duration,
    /// How long a scrape waits for all callbacks together.
    pub(crate) collect_timeout: Duration,
    /// Seconds that the trading day is ahead of UTC.
    pub(crate) utc_offset: i32,
}

/// A subsystem that the service declared itself.
pub(crate) struct Mounted {
    pub(crate) subsystem: Arc<dyn Any + Send + Sync>,
    /// None if there is nothing to do.
    pub(crate) on_scrape: Option<Callback<()>>,
}

/// What a registry of `prometheus-client` wrote.
pub(crate) type Written = Arc<String>;

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

    /// How many lines the instance's families take in a scrape at most, whatever is recorded: with every open label
    /// at its cap, and every method and status of HTTP requests.
    ///
    /// Counted are samples, the heads of families and `# EOF`. What comes out of a
    /// [`registry`](crate::Builder::registry) is not: nothing bounds that.
    ///
    /// ```
    /// use backend_metrics::Metrics;
    ///
    /// let metrics = Metrics::builder().label_cap(100).build()?;
    /// assert!(metrics.max_lines() < Metrics::new().max_lines() / 5);
    /// # Ok::<(), backend_metrics::BuildError>(())
    /// ```
    #[must_use]
    pub fn max_lines(self) -> usize {
        self.0.families.iter().map(Family::max_lines).sum::<usize>() + 1
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

    /// How long a scrape waits for callbacks, unless its scraper is less patient.
    pub(crate) fn collect_timeout(self) -> Duration {
        self.0.collect_timeout
    }

    /// Sets everything that is read or derived.
    pub(crate) fn refresh(self, deadline: Deadline) {
        self.refresh_with(deadline, &[]);
    }

    /// Sets everything that is read or derived, and reads registries: what each wrote, none if it wrote nothing.
    pub(crate) fn refresh_with(
        self,
        deadline: Deadline,
        registries: &[Callback<Written>],
    ) -> Vec<Option<Written>> {
        let now = Now { uptime: self.uptime(), wall: self.0.clock.wall(), day: self.day() };
        // All callbacks begin before the first is waited for, so that they take one deadline together.
        let database = self.database.pools.begin(&now, deadline);
        let redis = self.cache.redis_pools.begin(&now, deadline);
        let mounted = self.0.mounted.iter().filter_map(|mounted| mounted.on_scrape.as_ref());
        let mounted: Vec<_> = mounted.map(|on_scrape| on_scrape.begin(&now, deadline)).collect();
        let registries: Vec<_> =
            registries.iter().map(|registry| registry.begin(&now, deadline)).collect();
        self.0.subsystems.on_scrape(&now);
        if self.process.given.was_unreadable() {
            self.count_failure("process", CallbackError::Nothing);
        }
        let failed = |name: &str, error| self.count_collector_failure(name, error);
        let of_database = |name: &str, stats| self.database.set_named_pool(name, stats);
        let set = |stats| self.database.set_pool(stats);
        self.database.pools.finish(&database, failed, of_database, set);
        let of_redis = |name: &str, stats| self.cache.set_named_redis_pool(name, stats);
        let set = |stats| self.cache.set_redis_pool(stats);
        self.cache.redis_pools.finish(&redis, failed, of_redis, set);
        for on_scrape in mounted {
            if let Err(error) = on_scrape.finish() {
                failed(on_scrape.name(), error);
            }
        }
        let written = registries.iter().map(|registry| {
            registry.finish().inspect_err(|error| self.count_failure(registry.name(), *error)).ok()
        });
        written.collect()
    }

    fn count_collector_failure(self, callback: &str, error: CallbackError) {
        self.count_failure(callback, error);
        let error_type = match error {
            CallbackError::Nothing => return,
            CallbackError::Panic => "collector_panic",
            CallbackError::Timeout => "collector_timeout",
        };
        self.track_application_error(error_type, ErrorSeverity::Error);
    }

    fn count_failure(self, callback: &str, error: CallbackError) {
        let reason = match error {
            CallbackError::Nothing => CallbackFailureReason::None,
            CallbackError::Panic => CallbackFailureReason::Panic,
            CallbackError::Timeout => CallbackFailureReason::Timeout,
        };
        let callback = self.self_metrics.callbacks.get(callback);
        self.self_metrics.callback_failures.get((callback, reason)).inc();
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

    /// Stops it until it is resumed.
    pub(crate) fn pause(self) -> PausedStopwatch {
        PausedStopwatch { watch: self, paused: self.metrics.instance().clock.begin() }
    }
}

/// A stopwatch that is stopped: the time until it is resumed does not count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PausedStopwatch {
    watch: Stopwatch,
    paused: Moment,
}

impl PausedStopwatch {
    #[cold]
    pub(crate) fn resume(self) -> Stopwatch {
        let Self { watch: Stopwatch { metrics, started }, paused } = self;
        Stopwatch { metrics, started: started.later(paused, metrics.instance().clock.begin()) }
    }
}
