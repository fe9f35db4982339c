//! Values that are read or derived at scrape time, and hooks into the program.

pub(crate) mod activity;
pub(crate) mod callback;
pub(crate) mod daily;
pub(crate) mod given;
#[cfg(feature = "tracing")]
pub(crate) mod log;
pub(crate) mod panic;
pub(crate) mod pool;
#[cfg(all(feature = "process", target_os = "linux"))]
pub(crate) mod proc;
pub(crate) mod process;
pub(crate) mod runtime;
#[cfg(feature = "exemplars")]
pub(crate) mod trace;
