//! Where an instance takes the time from.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use parking_lot::Mutex;

/// The clock of an instance: the system's, or one that a test moves.
///
/// ```
/// use std::time::Duration;
///
/// use backend_metrics::{Clock, Metrics, labels::QueryType};
///
/// let clock = Clock::manual();
/// let metrics = Metrics::builder().clock(clock.clone()).build()?;
/// let query = metrics.start_database_query(QueryType::Select);
/// clock.advance(Duration::from_millis(30));
/// query.success();
/// assert!(metrics.to_text().contains("database_query_duration_seconds_sum{query_type=\"select\"} 0.03\n"));
/// # Ok::<(), backend_metrics::BuildError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Clock(Source);

#[derive(Clone, Debug, Default)]
enum Source {
    #[default]
    System,
    Manual(Arc<Mutex<Manual>>),
}

#[derive(Debug)]
struct Manual {
    instant: Instant,
    wall: SystemTime,
}

// The lock is held for no foreign code.
impl std::panic::UnwindSafe for Clock {}
impl std::panic::RefUnwindSafe for Clock {}

impl Clock {
    /// The clock of the operating system.
    #[must_use]
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands still at the present time until it is moved.
    #[must_use]
    pub fn manual() -> Self {
        let manual = Manual { instant: Instant::now(), wall: SystemTime::now() };
        Self(Source::Manual(Arc::new(Mutex::new(manual))))
    }

    /// Moves a manual clock and its wall time forward. The system's clock does not move.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(manual) = &self.0 {
            let mut manual = manual.lock();
            manual.instant += by;
            manual.wall += by;
        }
    }

    /// Sets the wall time of a manual clock, as an administrator or a time server would.
    pub fn set_wall(&self, wall: SystemTime) {
        if let Source::Manual(manual) = &self.0 {
            manual.lock().wall = wall;
        }
    }

    /// The time that only goes forward.
    #[inline]
    #[must_use]
    pub fn now(&self) -> Instant {
        match &self.0 {
            Source::System => Instant::now(),
            Source::Manual(manual) => manual.lock().instant,
        }
    }

    /// The time of day, which can be set back.
    #[must_use]
    pub fn wall(&self) -> SystemTime {
        match &self.0 {
            Source::System => SystemTime::now(),
            Source::Manual(manual) => manual.lock().wall,
        }
    }
}
