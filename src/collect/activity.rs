//! Distinct users of the last minutes and of the day, estimated in bounded memory.

use std::{
    fmt,
    hash::{BuildHasher, Hash},
    time::Duration,
};

use cardinality_estimator::CardinalityEstimator;
use foldhash::quality::RandomState;
use parking_lot::Mutex;

use crate::registry::{Part, Registrar};

/// Minutes that are kept.
const MINUTES: usize = 60;
/// The minutes of each window, in ascending order; the minute that is under way is one of them.
const WINDOWS: [u64; 3] = [5, 15, MINUTES as u64];

/// A sketch of distinct hashes: exact up to 128 of them, then `HyperLogLog` with 4,096 registers, which is
/// wrong by 1.6 % on average and takes 3 KB.
type Sketch = CardinalityEstimator<u64>;

/// Who was active when, as sketches of hashes under a key that is drawn for each instance: no id is kept,
/// and none can be found from what is kept.
///
/// There is a sketch for each of the last 60 minutes and one for the day, under one lock that is held for
/// two insertions, or for the copy of one sketch: a tenth of a microsecond. A sketch allocates while it
/// grows.
pub(crate) struct UserActivity {
    hasher: RandomState,
    sketches: Mutex<Sketches>,
    /// Taken by scrapes alone.
    ended: Mutex<Ended>,
}

struct Sketches {
    /// Minutes since the instance was built, each at its remainder.
    minutes: [(u64, Sketch); MINUTES],
    day: (i64, Sketch),
}

/// What the ended minutes of each window come to: 60 sketches take a millisecond to unite, which is done
/// once a minute and not in each scrape.
#[derive(Default)]
struct Ended {
    /// The minute that was under way.
    before: Option<u64>,
    unions: [Sketch; WINDOWS.len()],
}

impl UserActivity {
    /// Notes that a user is active.
    pub(crate) fn note(&self, user: impl Hash, uptime: Duration, today: i64) {
        // The user's type is foreign code: it is hashed without the lock.
        let hash = self.hasher.hash_one(user);
        let minute = minute(uptime);
        let mut sketches = self.sketches.lock();
        let (stored, sketch) = &mut sketches.minutes[place(minute)];
        // A thread that was held up for an hour adds to the later minute.
        if *stored < minute {
            (*stored, *sketch) = (minute, Sketch::new());
        }
        sketch.insert_hash(hash);
        let (stored, sketch) = &mut sketches.day;
        if !is_current(*stored, today) {
            (*stored, *sketch) = (today, Sketch::new());
        }
        sketch.insert_hash(hash);
    }

    /// The distinct users of the last 5, 15 and 60 minutes.
    pub(crate) fn windows(&self, uptime: Duration) -> [usize; WINDOWS.len()] {
        let present = minute(uptime);
        let mut ended = self.ended.lock();
        if ended.before != Some(present) {
            *ended = Ended { before: Some(present), unions: self.unite_before(present) };
        }
        let present = self.minute(present);
        ended.unions.each_ref().map(|union| match &present {
            Some(present) => {
                let mut union = union.clone();
                union.merge(present);
                union.estimate()
            }
            None => union.estimate(),
        })
    }

    /// The unions of the minutes of each window that have ended.
    fn unite_before(&self, present: u64) -> [Sketch; WINDOWS.len()] {
        let (mut union, mut age) = (Sketch::new(), 1);
        WINDOWS.map(|window| {
            while age < window && age <= present {
                // One minute at a time, so that the lock is never held for long.
                if let Some(sketch) = self.minute(present - age) {
                    union.merge(&sketch);
                }
                age += 1;
            }
            union.clone()
        })
    }

    /// The distinct users of the day.
    pub(crate) fn day(&self, today: i64) -> usize {
        let (stored, sketch) = &self.sketches.lock().day;
        if is_current(*stored, today) { sketch.estimate() } else { 0 }
    }

    fn minute(&self, minute: u64) -> Option<Sketch> {
        let (stored, sketch) = &self.sketches.lock().minutes[place(minute)];
        (*stored == minute).then(|| sketch.clone())
    }
}

impl fmt::Debug for UserActivity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserActivity")
    }
}

impl Part for UserActivity {
    fn register(_: &mut Registrar) -> Self {
        let sketches = Sketches {
            minutes: std::array::from_fn(|_| (0, Sketch::new())),
            day: (0, Sketch::new()),
        };
        Self {
            hasher: RandomState::default(),
            sketches: Mutex::new(sketches),
            ended: Mutex::default(),
        }
    }
}

fn minute(uptime: Duration) -> u64 {
    uptime.as_secs() / 60
}

#[expect(clippy::cast_possible_truncation, reason = "a remainder of 60")]
fn place(minute: u64) -> usize {
    (minute % MINUTES as u64) as usize
}

/// Whether a stored day goes on: it is today, or one ahead because the clock was set back.
fn is_current(stored: i64, today: i64) -> bool {
    stored == today || stored == today.saturating_add(1)
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, time::Duration};

    use super::UserActivity;
    use crate::registry::{Accounts, Part, Registrar};

    fn at(minute: u64) -> Duration {
        Duration::from_secs(minute * 60)
    }

    #[test]
    fn many_users_are_estimated_within_a_few_percent() {
        let activity =
            UserActivity::register(&mut Registrar::new(1, HashMap::new(), 0, Accounts::Plain));
        for user in 0..20_000_u32 {
            activity.note(user, at(u64::from(user % 50)), 1);
        }
        for estimate in [activity.day(1), activity.windows(at(50))[2]] {
            assert!((18_600..21_400).contains(&estimate), "{estimate}");
        }
    }

    #[test]
    fn a_minute_of_an_hour_ago_is_forgotten() {
        let activity =
            UserActivity::register(&mut Registrar::new(1, HashMap::new(), 0, Accounts::Plain));
        activity.note("a", at(0), 1);
        assert_eq!(activity.windows(at(59)), [0, 0, 1]);
        assert_eq!(activity.windows(at(60)), [0, 0, 0]);
        activity.note("b", at(60), 1);
        assert_eq!(activity.windows(at(60)), [1, 1, 1]);
    }

    #[test]
    fn a_late_thread_does_not_empty_a_later_minute() {
        let activity =
            UserActivity::register(&mut Registrar::new(1, HashMap::new(), 0, Accounts::Plain));
        activity.note("a", at(61), 1);
        activity.note("b", at(1), 1);
        assert_eq!(activity.windows(at(61)), [2, 2, 2]);
    }
}
