//! The one instance of the process that the free `track_*` functions record into.

use once_cell::sync::{Lazy, OnceCell};

use crate::{builder::Builder, instance::Metrics};

static INSTALLED: OnceCell<Metrics> = OnceCell::new();

/// Takes what is recorded before an instance is installed. Nothing exposes it.
static DISCARDED: Lazy<Metrics> = Lazy::new(|| Builder::default().discarding());

/// An instance was installed before; it stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AlreadyInstalled;

impl std::fmt::Display for AlreadyInstalled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("another instance is installed as the one of the process")
    }
}

impl std::error::Error for AlreadyInstalled {}

impl Metrics {
    /// Makes this the instance of the process, which the free `track_*` functions record into.
    ///
    /// What they are called with before that is dropped. It costs no more than recording does, but for the first call, which
    /// makes an instance that nothing exposes.
    ///
    /// # Errors
    ///
    /// When an instance was installed before; it stays.
    pub fn install(self) -> Result<(), AlreadyInstalled> {
        INSTALLED.set(self).map_err(|_| AlreadyInstalled)
    }

    /// The instance of the process, if one was installed.
    #[must_use]
    pub fn installed() -> Option<Self> {
        INSTALLED.get().copied()
    }

    /// The instance of the process, or one that nothing exposes.
    #[inline]
    pub(crate) fn global() -> Self {
        match INSTALLED.get() {
            Some(metrics) => *metrics,
            None => *DISCARDED,
        }
    }
}
