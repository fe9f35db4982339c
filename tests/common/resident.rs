//! The memory of the process.

#![cfg(target_os = "linux")]
#![allow(dead_code, reason = "not every test asks for it")]

/// Bytes that are in RAM.
pub(crate) fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}
