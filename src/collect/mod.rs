//! Values that are read or derived at scrape time, and hooks into the program.

pub(crate) mod given;
pub(crate) mod pool;
