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
        if let Source::Manual(manual) = &self.0 { stopped_at(manual) } else { Instant::now() }
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
            Source::System => Moment::Instant(Instant::now()),
            #[cfg(feature = "quanta")]
            Source::Counter(counter) => Moment::Counter(counter.raw()),
            Source::Manual(manual) => Moment::Instant(stopped_at(manual)),
        }
    }

    /// The time since a beginning that this clock gave; 0 if that is later than now.
    #[inline]
    pub(crate) fn since(&self, begin: Moment) -> Duration {
        let (begin, now) = match (begin, &self.0) {
            (Moment::Instant(begin), Source::Manual(manual)) => (begin, stopped_at(manual)),
            (Moment::Instant(begin), Source::System) => (begin, Instant::now()),
            #[cfg(feature = "quanta")]
            (Moment::Counter(begin), Source::Counter(counter)) => {
                return Duration::from_nanos(counter.delta_as_nanos(begin, counter.raw()));
            }
            // Of another clock.
            #[cfg(feature = "quanta")]
            _ => return Duration::ZERO,
        };
        now.saturating_duration_since(begin)
    }
}

/// The beginning of a duration, as the clock that gave it reads.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Moment {
    Instant(Instant),
    #[cfg(feature = "quanta")]
    Counter(u64),
}

impl Moment {
    /// A moment that is later than this one by the time from `begin` to `end`.
    pub(crate) fn later(self, begin: Self, end: Self) -> Self {
        match (self, begin, end) {
            (Self::Instant(this), Self::Instant(begin), Self::Instant(end)) => {
                let by = end.saturating_duration_since(begin);
                Self::Instant(this.checked_add(by).unwrap_or(this))
            }
            #[cfg(feature = "quanta")]
            (Self::Counter(this), Self::Counter(begin), Self::Counter(end)) => {
                Self::Counter(this.saturating_add(end.saturating_sub(begin)))
            }
            // Of different clocks.
            #[cfg(feature = "quanta")]
            _ => self,
        }
    }
}

// Out of line: what reads the clock is inlined, and this is for tests.
#[cold]
#[inline(never)]
fn stopped_at(manual: &Mutex<Manual>) -> Instant {
    manual.lock().instant
}

#[cfg(all(test, feature = "quanta"))]
mod tests {
    use std::time::Instant;

    use super::{Clock, Moment};

    #[test]
    fn a_moment_is_moved_by_the_time_between_two_others() {
        let moved = |end| Moment::Counter(5).later(Moment::Counter(10), Moment::Counter(end));
        assert!(matches!(moved(17), Moment::Counter(12)));
        // The counters of two processors can differ.
        assert!(matches!(moved(9), Moment::Counter(5)));
        let of_two = Moment::Counter(5).later(Moment::Counter(10), Moment::Instant(Instant::now()));
        assert!(matches!(of_two, Moment::Counter(5)));
    }

    #[test]
    fn the_counter_counts_in_nanoseconds() {
        let clock = Clock::counter();
        let before = Instant::now();
        let begin = clock.begin();
        let inside = Instant::now();
        let least = std::iter::repeat_with(|| inside.elapsed()).find(|took| took.as_millis() >= 20);
        let took = clock.since(begin).as_nanos();
        let most = before.elapsed();
        // Its unit and its beginning: a wrong one is off by more than a tenth.
        let least = least.unwrap_or_default().as_nanos() * 9 / 10;
        let most = most.as_nanos() * 11 / 10;
        assert!((least..=most).contains(&took), "{took} ns is not in {least}..={most}");
    }
}
