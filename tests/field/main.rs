//! What the field found: faults that users of other libraries reported, and attacks on the core, a module for each
//! kind.

mod bound;
mod callbacks;
mod endpoints;
mod foreign;
mod levels;
mod limits;
mod nested;
mod paths;
mod readiness;
mod small;
mod sums;
mod timeouts;
