//! Where numbers live: cells with one writer each, and the index of open label values.
//!
//! Every series owns a run of 64-bit cells at an [`Address`] of one address space that all instances of
//! the process share. A thread keeps its own copy of the cells it writes (a [`Slab`](cells::Slab)), so
//! recording is a plain load, add and store; a scrape sums the copies.
//!
//! `cells.rs`, `table.rs`, `children.rs` and `exemplars.rs` hold the hand-over between threads and nothing
//! else. They name their synchronisation types through `sync`, so that `tests/models` runs the same files
//! under loom.

pub(crate) mod cells;
pub(crate) mod children;
#[cfg(feature = "exemplars")]
pub(crate) mod exemplars;
pub(crate) mod intern;
pub(crate) mod local;
pub(crate) mod table;
#[cfg(feature = "exemplars")]
pub(crate) mod trace;

/// The synchronisation types of these files; the model checks put loom's in their place.
mod sync {
    pub(super) use std::sync::atomic::{
        AtomicU64, AtomicUsize,
        Ordering::{Acquire, Relaxed, Release},
        fence,
    };

    pub(super) use once_cell::race::OnceRef;
    pub(super) use parking_lot::Mutex;

    /// Cells in a chunk, the unit in which a slab takes memory: 8 KiB.
    pub(super) const CHUNK: usize = 1024;
    /// Chunks that a slab reaches in one step. They hold the closed families of eighty instances.
    pub(super) const NEAR: usize = 255;
    /// Chunks in a directory, which a slab reaches in two steps.
    pub(super) const DIRECTORY: usize = 1024;
    /// Directories in a slab.
    pub(super) const FAR: usize = 128;
    /// Slots of the first table of open label values.
    pub(super) const FIRST_SLOTS: usize = 64;
    /// The first table and its doublings, far past any cap.
    pub(super) const TABLES: usize = 26;
    /// Pages of children that an entry reaches in one step.
    pub(super) const NEAR_PAGES: usize = 2;
    /// Children in such a page: it takes one cache line.
    pub(super) const NEAR_SLOTS: usize = 8;
    /// Pages of children that an entry reaches in two steps.
    pub(super) const FAR_PAGES: usize = 32;
    /// Children in such a page.
    pub(super) const FAR_SLOTS: usize = 32;
    /// Slots for exemplars that some cells share.
    #[cfg(feature = "exemplars")]
    pub(super) const WAYS: usize = 4;
    /// Words of a trace id of 120 bytes.
    #[cfg(feature = "exemplars")]
    pub(super) const TEXT_WORDS: usize = 15;
}
