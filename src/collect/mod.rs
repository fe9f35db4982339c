//! Values that are read at scrape time.

pub(crate) mod pool;
