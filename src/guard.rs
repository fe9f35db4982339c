//! What guards have in common.

/// How something ended whose guard was dropped without an outcome: as an error if a panic dropped it, as
/// cancelled otherwise.
#[inline]
pub(crate) fn dropped<T>(error: T, cancelled: T) -> T {
    if std::thread::panicking() { error } else { cancelled }
}
