//! Panics.

use std::{
    fmt, panic,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use crate::Metrics;

static INSTALLED: AtomicBool = AtomicBool::new(false);

/// Why the panic hook was not installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PanicHookError {
    /// It was installed before, for this instance or another; that one stays.
    Installed,
    /// The thread panics, and may not change the hook.
    Panicking,
}

impl fmt::Display for PanicHookError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Installed => "the panic hook is installed already",
            Self::Panicking => "a thread that panics may not install a panic hook",
        })
    }
}

impl std::error::Error for PanicHookError {}

/// Counts every panic of the process in `unhandled_exceptions_total{exception_type="panic"}`, whether it
/// is caught further up or not, then calls the hook that was there before.
///
/// Call it once, when the program starts: a process has one hook, and a second call is an error, so that no
/// panic is counted twice. A hook that the program sets later must call this one, or it takes its
/// place. The series stands at zero from the call on.
///
/// ```
/// let metrics = backend_metrics::Metrics::new();
/// backend_metrics::install_panic_hook(metrics)?;
/// std::thread::spawn(|| panic!("the message is not recorded")).join().unwrap_err();
/// assert!(
///     metrics.to_text().contains("unhandled_exceptions_total{exception_type=\"panic\"} 1\n")
/// );
/// # Ok::<(), backend_metrics::PanicHookError>(())
/// ```
///
/// # Errors
///
/// When it was installed before, or when the calling thread panics.
pub fn install_panic_hook(metrics: Metrics) -> Result<(), PanicHookError> {
    if std::thread::panicking() {
        return Err(PanicHookError::Panicking);
    }
    if INSTALLED.swap(true, Relaxed) {
        return Err(PanicHookError::Installed);
    }
    // Looked up here: the hook only adds one to it.
    let panics = metrics.errors.panics();
    let previous = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        panics.inc();
        previous(info);
    }));
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    };

    use super::{PanicHookError, install_panic_hook};
    use crate::testing::Fixture;

    struct InstallsWhenDropped(Fixture);

    impl Drop for InstallsWhenDropped {
        fn drop(&mut self) {
            assert_eq!(install_panic_hook(self.0.metrics), Err(PanicHookError::Panicking));
        }
    }

    #[test]
    fn a_panic_is_counted_and_handed_on_and_a_second_hook_is_refused() {
        const PANICS: &str = r#"unhandled_exceptions_total{exception_type="panic"}"#;
        let test = Fixture::new();
        assert_eq!(test.series(PANICS), None);
        let called = Arc::new(AtomicBool::new(false));
        let (default, seen) = (std::panic::take_hook(), Arc::clone(&called));
        std::panic::set_hook(Box::new(move |info| {
            seen.store(true, Relaxed);
            default(info);
        }));
        install_panic_hook(test.metrics).unwrap();
        assert_eq!(install_panic_hook(test.metrics), Err(PanicHookError::Installed));
        // Other tests panic on purpose at the same time, so there is no exact number.
        let before = test.series(PANICS).unwrap();
        std::thread::spawn(|| {
            let _installs = InstallsWhenDropped(Fixture::new());
            panic!("on purpose");
        })
        .join()
        .unwrap_err();
        assert!(test.series(PANICS).unwrap() > before);
        assert!(called.load(Relaxed));
    }
}
