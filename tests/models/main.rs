//! Models of the hand-over between threads, run under loom.
//!
//! `cells.rs`, `children.rs`, `table.rs` and `exemplars.rs` of `src/storage` are compiled here as they are, with loom's
//! types in place of their own and sizes that a model can grow past. What lies in files that are too large for a model
//! is written again, small; each model names its file. A model runs through all interleavings with at most two
//! preemptions; `LOOM_MAX_PREEMPTIONS=3` tries more, in a minute.
//!
//! | hand-over | where | model |
//! | --- | --- | --- |
//! | slabs between threads, and to scrapes | `storage/cells.rs` | `slabs` |
//! | the chunk that a thread keeps, and the end of the thread | `storage/local.rs` | `slabs` |
//! | the cells of a histogram to scrapes | `storage/local.rs`, `storage/cells.rs` | `slabs` |
//! | what is carried out of a full cell, to scrapes | `storage/local.rs`, `storage/cells.rs` | `slabs` |
//! | entries to those who look them up | `storage/table.rs`, `storage/children.rs` | `interner` |
//! | new, removed and returned values, the cap, `other` | `storage/intern.rs` | `interner` |
//! | exemplars to scrapes | `storage/exemplars.rs` | `exemplar` |
//! | totals over midnight | `collect/daily.rs` | `collected` |
//! | what a session holds | `subsystems/websocket.rs` | `collected` |
//! | figures that are read, then set | `subsystems/process.rs` | `collected` |
//! | what is read by one thread at a time | `collect/reading.rs` | `collected` |
//! | requests to the thread that encodes, and back | `exporter/scrape.rs` | `exporter` |
//!
//! Not modelled, as there is one word that is stored or exchanged, or all of it is under a lock: gauges that are set,
//! `collect/given.rs`, `collect/panic.rs`, `collect/activity.rs` (two, always in one order), `collect/pool.rs`,
//! `collect/runtime.rs`, the manual clock, the next free address. Nor are `once_cell`, `parking_lot`, tokio and the
//! standard library's `OnceLock`, by which instances and the ids of traces are published. `family` and `registry` have
//! no state that changes.
//!
//! What each model is worth was tried by breaking on purpose what it guards:
//!
//! | broken | loom says |
//! | --- | --- |
//! | a thread returns its slab before its last write | a sum is too small |
//! | a leased slab stays in the list of free ones, or comes into it | a sum is too small |
//! | the pool's lock is taken and released relaxed | concurrent load and mutable accesses |
//! | a returned slab, or the shared one, is not summed | a sum is too small |
//! | a returned slab is emptied into the shared one | the sum falls from 3 to 2 |
//! | the shared slab is written by load and store | a sum is too small |
//! | a chunk is added without the slab's lock | two threads made the same thing |
//! | a thread does not forget its chunk when its slab is returned | a sum is too small |
//! | `OnceRef::get` or `set` is relaxed | concurrent load and mutable accesses |
//! | a full cell is emptied before it is said that something was carried | a sum falls |
//! | there is no fence between the two, or before a scrape looks whether something was carried | a sum falls |
//! | a scrape does not look whether something was carried | a sum falls |
//! | what was carried is added after its lock was released | a sum falls |
//! | a full cell that is shared is emptied by load and store | a sum is too small |
//! | a lease that cannot be had is asked for under the lock | one lock more than before |
//! | the leases that are left are not counted on return | the slab is not leased again |
//! | `Table::current` is stored or loaded relaxed | an entry was found and is lost |
//! | `current` is stored before the larger table is set, or filled | an entry was found and is lost |
//! | the table grows without the entry that made it grow | an entry is lost |
//! | an entry is added without the domain's lock | an entry is there twice |
//! | the table is not asked again under the domain's lock | an entry is there twice |
//! | a child is added without the domain's lock | two threads made the same thing |
//! | the children are not asked again under the domain's lock | a child is there twice |
//! | a page of children is made anew for each child in it | a child is there twice |
//! | a removed value comes back by a relaxed store, or is looked at by a relaxed load | what was set is 0 |
//! | a removed value is cleared after it came back | what was set is 0 |
//! | a removed value is not cleared when it comes back | it shows what was set before |
//! | whether it came back is not asked again under the lock | it comes back twice |
//! | a domain is marked full without its lock, or marked not full before it is locked | there is room, and nobody is let in |
//! | `other` is marked as shown by load and store | it is there twice |
//! | a writer of a slot stores its odd sequence | an exemplar is made of two |
//! | a writer has no fence behind its odd sequence | an exemplar is made of two |
//! | a reader has no fence before it looks at the sequence again, or does not look | an exemplar is made of two |
//! | a reader does not mind an odd sequence | an exemplar is made of two |
//! | the even sequence is stored or loaded relaxed | an exemplar is made of two |
//! | a writer does not mind an odd sequence | neither exemplar is found |
//! | a total of the day is loaded and stored | an amount is lost |
//! | a day that lies ahead is begun again | an amount is lost |
//! | the depth of a session's queue is loaded and stored | the gauge does not come back to 0 |
//! | figures are read and set without the lock | the second scrape shows the first's |
//! | a reading begins without waiting, or waits once and does not look again | two read at once |
//! | a reading ends without waking those who wait | it waits for ever |
//! | the thread that encodes says that it ends under a lock of its own | a request has no answer |
//! | it encodes before it takes the requests | an answer is older than its request |
//! | a request looks for its answer and leaves its waker under two locks | it waits for ever |
//! | its waker is taken before the answer is there | it waits for ever |
//! | the first waker stays when the request has moved | it waits for ever |

#![cfg(test)]

#[expect(dead_code, reason = "the models need a part of it")]
#[path = "../../src/storage/cells.rs"]
mod cells;
#[path = "../../src/storage/children.rs"]
mod children;
#[path = "../../src/storage/exemplars.rs"]
mod exemplars;
mod sync;
#[path = "../../src/storage/table.rs"]
mod table;

// The models.
mod collected;
mod exemplar;
mod exporter;
mod interner;
mod slabs;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex as StdMutex, PoisonError},
};

use loom::thread::{self, JoinHandle};

use self::sync::{Acquire, AtomicU64, AtomicUsize, Mutex, Relaxed, Release};

/// Runs a model through all interleavings with at most two preemptions; what came out of them.
///
/// A model names what it expects to come out, so that it fails when loom tries less than it seems to.
fn outcomes<T>(model: impl Fn() -> T + Sync + Send + 'static) -> BTreeSet<T>
where
    T: Clone + Ord + Send + 'static,
{
    let seen = Arc::new(StdMutex::new(BTreeSet::new()));
    let into = seen.clone();
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(2);
    builder.check(move || {
        let outcome = model();
        into.lock().unwrap_or_else(PoisonError::into_inner).insert(outcome);
    });
    seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn join<T>(thread: JoinHandle<T>) -> T {
    thread.join().expect("the thread does not panic")
}
