//! Levels that the service gives itself, in place of those the library would derive.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::{
    family::{decode_late, encode_late},
    registry::{Part, Registrar},
};

/// `N` levels, each there once it was given. Only a scrape writes the gauges, so that one under way
/// cannot put a derived level over a given one.
#[derive(Debug)]
pub(crate) struct Given<const N: usize>([AtomicU64; N]);

impl<const N: usize> Given<N> {
    /// Gives a level, which stays until another is given.
    pub(crate) fn set(&self, index: usize, level: f64) {
        if let Some(given) = self.0.get(index) {
            given.store(encode_late(level), Relaxed);
        }
    }

    /// The level, if it was given.
    pub(crate) fn get(&self, index: usize) -> Option<f64> {
        self.0.get(index).and_then(|given| decode_late(given.load(Relaxed)))
    }
}

impl<const N: usize> Part for Given<N> {
    fn register(_: &mut Registrar) -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::Given;
    use crate::registry::{Accounts, Part, Registrar};

    #[test]
    fn a_level_is_absent_until_it_is_given() {
        let given =
            Given::<2>::register(&mut Registrar::new(1, HashMap::new(), 0, Accounts::Plain));
        assert_eq!((given.get(0), given.get(1)), (None, None));
        given.set(1, 0.0);
        given.set(2, 5.0);
        assert_eq!((given.get(0), given.get(1), given.get(2)), (None, Some(0.0), None));
    }
}
