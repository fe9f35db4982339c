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
    #[cfg(feature = "quanta")]
    Counter(quanta::Clock),
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

    /// The clock of the operating system, but for durations the counter of the processor, if the kernel goes
    /// by that itself.
    ///
    /// It is read in less than half the time. What that costs:
    ///
    /// - The first call in the process compares the counter with the system's clock: for half a millisecond
    ///   or so if the machine is quiet, for 200 at most.
    /// - Nothing corrects it afterwards. Durations are off by some ten millionths, and whether they include
    ///   the time that the machine was suspended depends on the processor.
    /// - It is not noticed if the kernel stops to trust the counter later on, because those of two processors
    ///   differ.
    ///
    /// Only Linux says what the kernel goes by. Elsewhere it is the system's clock.
    #[cfg(feature = "quanta")]
    #[cfg_attr(docsrs, doc(cfg(feature = "quanta")))]
    #[must_use]
    pub fn counter() -> Self {
        let in_use = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
        match std::fs::read_to_string(in_use).as_deref().map(str::trim_end) {
            Ok("tsc" | "arch_sys_counter") => Self(Source::Counter(quanta::Clock::new())),
            _ => Self::system(),
        }
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
        if let Source::Manual(manual) = &self.0 { manual.lock().instant } else { Instant::now() }
    }

    /// The time of day, which can be set back.
    #[must_use]
    pub fn wall(&self) -> SystemTime {
        if let Source::Manual(manual) = &self.0 { manual.lock().wall } else { SystemTime::now() }
    }

    /// The beginning of a duration.
    #[inline]
    pub(crate) fn begin(&self) -> Moment {
        match &self.0 {
            #[cfg(feature = "quanta")]
            Source::Counter(counter) => Moment::Count(counter.raw()),
            _ => Moment::Instant(self.now()),
        }
    }

    /// The time since a beginning that this clock gave.
    #[inline]
    pub(crate) fn since(&self, begin: Moment) -> Duration {
        match (begin, &self.0) {
            (Moment::Instant(begin), _) => self.now().saturating_duration_since(begin),
            #[cfg(feature = "quanta")]
            (Moment::Count(begin), Source::Counter(counter)) => {
                Duration::from_nanos(counter.delta_as_nanos(begin, counter.raw()))
            }
            #[cfg(feature = "quanta")]
            (Moment::Count(_), _) => Duration::ZERO,
        }
    }
}

/// The beginning of a duration by some clock.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Moment {
    Instant(Instant),
    #[cfg(feature = "quanta")]
    Count(u64),
}

#[cfg(all(test, feature = "quanta"))]
mod tests {
    use std::time::{Duration, Instant};

    use super::Clock;

    #[test]
    fn the_counter_keeps_pace_with_the_system() {
        let clock = Clock::counter();
        let before = Instant::now();
        let begin = clock.begin();
        let after = Instant::now();
        while after.elapsed() < Duration::from_millis(20) {}
        let least = after.elapsed();
        let took = clock.since(begin);
        let most = before.elapsed();
        let within = least.mul_f64(0.999)..=most.mul_f64(1.001);
        assert!(within.contains(&took), "{took:?} is not in {within:?}");
    }
}
