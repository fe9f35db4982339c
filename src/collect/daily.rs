//! Totals of the day.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::registry::{Part, Registrar};

/// The day stands above this bit, the amount below it.
const AMOUNT_BITS: u32 = 48;
/// The most a day comes to.
const MOST: u64 = (1 << AMOUNT_BITS) - 1;

/// A total that begins at 0 on every day.
///
/// The day and its amount are one atomic word: whoever comes first on a new day begins it, and nothing is
/// lost or counted twice over midnight. A day that lies one ahead is kept, for a clock that is set
/// back a little over midnight; a day further ahead was wrong and is begun anew. Amounts saturate at 2^48 - 1.
#[derive(Debug, Default)]
pub(crate) struct DailyTotal(AtomicU64);

impl DailyTotal {
    /// Adds to the total of the day.
    pub(crate) fn add(&self, today: i64, amount: u64) {
        self.change(today, |total| total.saturating_add(amount));
    }

    /// Sets the total of the day; what is added later comes on top.
    pub(crate) fn set(&self, today: i64, amount: u64) {
        self.change(today, |_| amount);
    }

    /// The total of the day.
    pub(crate) fn read(&self, today: i64) -> u64 {
        let word = self.0.load(Relaxed);
        if is_current(word >> AMOUNT_BITS, number(today)) { word & MOST } else { 0 }
    }

    fn change(&self, today: i64, change: impl Fn(u64) -> u64) {
        let today = number(today);
        let changed = |word: u64| {
            let (day, total) = match word >> AMOUNT_BITS {
                // A word of 0 was never written.
                day if word != 0 && is_current(day, today) => (day, word & MOST),
                _ => (today, 0),
            };
            day << AMOUNT_BITS | change(total).min(MOST)
        };
        self.0.update(Relaxed, Relaxed, changed);
    }
}

impl Part for DailyTotal {
    fn register(_: &mut Registrar) -> Self {
        Self::default()
    }
}

/// The day as the word holds it: 16 bits tell days apart for 179 years.
fn number(day: i64) -> u64 {
    day.rem_euclid(1 << 16).unsigned_abs()
}

/// Whether a stored day goes on: it is today, or one ahead.
fn is_current(stored: u64, today: u64) -> bool {
    stored == today || stored == (today + 1) % (1 << 16)
}

#[cfg(test)]
mod tests {
    use super::{DailyTotal, MOST};

    #[test]
    fn a_total_begins_anew_each_day() {
        let total = DailyTotal::default();
        assert_eq!(total.read(20_000), 0);
        total.add(20_000, 2);
        total.add(20_000, 3);
        assert_eq!((total.read(20_000), total.read(20_001)), (5, 0));
        total.add(20_001, 1);
        assert_eq!(total.read(20_001), 1);
    }

    #[test]
    fn a_day_one_ahead_is_kept_and_one_further_ahead_is_not() {
        let total = DailyTotal::default();
        total.add(20_001, 4);
        total.add(20_000, 1);
        assert_eq!((total.read(20_000), total.read(20_001)), (5, 5));
        total.add(20_003, 7);
        assert_eq!(total.read(20_001), 0);
        total.add(20_001, 1);
        assert_eq!(total.read(20_001), 1);
    }

    #[test]
    fn days_before_1970_and_past_the_word_are_days_like_others() {
        for day in [-3, -1, 65_535, 65_536, 1_000_000] {
            let total = DailyTotal::default();
            total.add(day, 1);
            assert_eq!((total.read(day), total.read(day + 1)), (1, 0), "{day}");
        }
    }

    #[test]
    fn a_total_saturates_and_leaves_the_day_alone() {
        let total = DailyTotal::default();
        total.add(7, MOST);
        total.add(7, u64::MAX);
        assert_eq!(total.read(7), MOST);
        total.set(7, u64::MAX);
        assert_eq!((total.read(7), total.read(8)), (MOST, 0));
    }

    #[test]
    fn threads_that_meet_at_midnight_lose_nothing() {
        let total = DailyTotal::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    (0..5_000).for_each(|_| total.add(20_000, 1));
                });
            }
        });
        assert_eq!(total.read(20_000), 20_000);
        // Some still have the old day in hand when the first of the new day is counted.
        std::thread::scope(|scope| {
            for late in 0..4 {
                let total = &total;
                scope.spawn(move || {
                    total.add(20_001, 1);
                    (0..5_000).for_each(|_| total.add(20_001 - late % 2, 1));
                });
            }
        });
        assert_eq!(total.read(20_001), 20_004);
    }
}
