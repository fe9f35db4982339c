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
    made: Instant,
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
        let made = Instant::now();
        let manual = Manual { made, instant: made, wall: SystemTime::now() };
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
        Moment(match &self.0 {
            Source::System => monotonic(),
            #[cfg(feature = "quanta")]
            Source::Counter(counter) => counter.raw(),
            Source::Manual(manual) => stopped_at(manual),
        })
    }

    /// The nanoseconds since a beginning that this clock gave.
    #[inline]
    pub(crate) fn since(&self, begin: Moment) -> u64 {
        let now = self.begin();
        match &self.0 {
            #[cfg(feature = "quanta")]
            Source::Counter(counter) => counter.delta_as_nanos(begin.0, now.0),
            _ => now.0.saturating_sub(begin.0),
        }
    }
}

/// The beginning of a duration: what the clock read, in nanoseconds or in a unit of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment(u64);

/// The clock of [`Instant`] in nanoseconds, which an `Instant` hides: the difference of two is fifty
/// instructions, and then has to be multiplied out again.
#[cfg(target_os = "linux")]
#[inline]
fn monotonic() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec.cast_unsigned() * 1_000_000_000 + now.tv_nsec.cast_unsigned()
}

#[cfg(not(target_os = "linux"))]
fn monotonic() -> u64 {
    static FIRST: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    nanos(FIRST.elapsed())
}

// Out of line: what reads the clock is inlined, and this is for tests.
#[cold]
#[inline(never)]
fn stopped_at(manual: &Mutex<Manual>) -> u64 {
    let manual = manual.lock();
    nanos(manual.instant - manual.made)
}

fn nanos(duration: Duration) -> u64 {
    duration.as_nanos().try_into().unwrap_or(u64::MAX)
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
        let took = Duration::from_nanos(clock.since(begin));
        let most = before.elapsed();
        let within = least.mul_f64(0.999)..=most.mul_f64(1.001);
        assert!(within.contains(&took), "{took:?} is not in {within:?}");
    }
}
