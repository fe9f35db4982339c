//! The figures of the process.

use std::time::{Duration, SystemTime};

/// Figures of the process; those that are `None` are left as they are.
///
/// Later versions may have more fields: end with `..ProcessStats::default()`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessStats {
    /// CPU time in user and system mode, all threads together, since the process started.
    pub cpu: Option<Duration>,
    /// File descriptors that are open.
    pub open_fds: Option<u64>,
    /// The most file descriptors that may be open.
    pub max_fds: Option<u64>,
    /// Virtual memory in bytes.
    pub virtual_memory_bytes: Option<u64>,
    /// Memory in RAM, in bytes.
    pub resident_memory_bytes: Option<u64>,
    /// When the process started.
    pub start_time: Option<SystemTime>,
    /// Threads.
    pub threads: Option<u64>,
}
