//! The figures of the process in `/proc`, on Linux.

use std::{
    fs,
    sync::OnceLock,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use procfs::{FromRead, process::Stat};

use super::process::ProcessStats;

/// What `/proc` says now.
#[derive(Clone, Copy)]
pub(crate) struct Read {
    /// What cannot be read is none.
    pub(crate) stats: ProcessStats,
    /// Whether everything could be read.
    pub(crate) complete: bool,
}

pub(crate) fn read() -> Read {
    // Counted first: what follows opens files of its own.
    let open_fds = open_fds();
    let stat = Stat::from_file("/proc/self/stat").ok();
    let stat = stat.as_ref();
    let limits = fs::read_to_string("/proc/self/limits").ok();
    let complete = open_fds.is_some() && stat.is_some() && limits.is_some();
    let stats = ProcessStats {
        // Fields 14 and 15 of `/proc/self/stat`: all threads, those that have ended too.
        cpu: stat.and_then(|stat| ticks(stat.utime.saturating_add(stat.stime))),
        open_fds,
        max_fds: limits.and_then(|limits| max_fds(&limits)),
        virtual_memory_bytes: stat.map(|stat| stat.vsize),
        resident_memory_bytes: stat.map(|stat| stat.rss.saturating_mul(procfs::page_size())),
        start_time: start_time(stat),
        threads: stat.and_then(|stat| stat.num_threads.try_into().ok()),
    };
    Read { stats, complete }
}

fn open_fds() -> Option<u64> {
    // Linux 6.2 and later give the number as the size of the directory.
    let size = fs::metadata("/proc/self/fd").ok()?.len();
    if size > 0 {
        return Some(size);
    }
    let listed = fs::read_dir("/proc/self/fd").ok()?.count();
    // The listing itself has one open.
    u64::try_from(listed).ok()?.checked_sub(1)
}

/// The soft limit; none if there is no limit.
fn max_fds(limits: &str) -> Option<u64> {
    let limit = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    limit.split_whitespace().next()?.parse().ok()
}

/// When the process started. It is read once: the boot time in `/proc/stat` moves as the clock is
/// adjusted, and a start time that moves looks like a restart.
fn start_time(stat: Option<&Stat>) -> Option<SystemTime> {
    static STARTED: OnceLock<SystemTime> = OnceLock::new();
    if let Some(started) = STARTED.get() {
        return Some(*started);
    }
    let boot = Duration::from_secs(procfs::boot_time_secs().ok()?);
    let started = UNIX_EPOCH.checked_add(boot)?.checked_add(ticks(stat?.starttime)?)?;
    Some(*STARTED.get_or_init(|| started))
}

fn ticks(ticks: u64) -> Option<Duration> {
    let second = procfs::ticks_per_second();
    let whole = ticks.checked_div(second)?;
    Some(
        Duration::from_secs(whole)
            + Duration::from_secs(ticks % second) / u32::try_from(second).ok()?,
    )
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::{Read, open_fds, read, ticks};

    #[test]
    fn everything_is_read_on_linux() {
        let Read { stats, complete } = read();
        assert!(complete);
        assert!(stats.cpu.is_some());
        assert!(stats.open_fds.unwrap() >= 3);
        assert!(stats.max_fds.unwrap() >= stats.open_fds.unwrap());
        assert!(stats.virtual_memory_bytes.unwrap() > stats.resident_memory_bytes.unwrap());
        assert!(stats.resident_memory_bytes.unwrap() > 100_000);
        assert!(stats.threads.unwrap() >= 1);
        let age = SystemTime::now().duration_since(stats.start_time.unwrap()).unwrap();
        assert!(age < Duration::from_hours(1), "{age:?}");
        assert_eq!(read().stats.start_time, stats.start_time);
    }

    #[test]
    fn an_open_file_is_counted() {
        // Other tests open files at the same time, so there is no exact number.
        let files: Vec<_> =
            (0..50).map(|_| std::fs::File::open("/proc/self/stat").unwrap()).collect();
        assert!(open_fds().unwrap() >= 50);
        drop(files);
    }

    #[test]
    fn ticks_are_fractions_of_a_second() {
        let second = procfs::ticks_per_second();
        assert_eq!(ticks(second * 5 / 2), Some(Duration::from_millis(2_500)));
    }
}
