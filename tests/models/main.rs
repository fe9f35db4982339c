//! Models of the hand-over between threads: `cells.rs`, `table.rs` and `exemplars.rs` of `src/storage`, run
//! under loom.
//!
//! The files are compiled here as they are, with loom's types in place of their own and sizes that a model
//! can grow past. `intern.rs` is too large for a model: its look-up and the return of a removed value are
//! written again, small. A model runs through all interleavings with at most two preemptions;
//! `LOOM_MAX_PREEMPTIONS=3` tries more, in a minute.
//!
//! Not modelled: the thread-locals of `local.rs` and how they end, the list of children in `intern.rs`, and
//! the code of `once_cell` and `parking_lot`.
//!
//! What each model is worth was tried by breaking on purpose what it guards:
//!
//! | broken | loom says |
//! | --- | --- |
//! | a thread returns its slab before its last write | the sum is 1 of 3 |
//! | a leased slab stays in the list of free ones | the sum is 2 of 3 |
//! | the pool's lock is taken and released relaxed | concurrent load and mutable accesses |
//! | a returned slab is no longer summed | the sum is 0 of 3 |
//! | a returned slab is emptied into the shared one | the sum falls from 3 to 2 |
//! | the shared slab is written by load and store | the sum is 1 of 2 |
//! | a chunk is added without the slab's lock | two threads made the same thing |
//! | `OnceRef::get` or `set` is relaxed | concurrent load and mutable accesses |
//! | a lease that cannot be had is asked for under the lock | one lock more than before |
//! | the leases that are left are not counted on return | the slab is not leased again |
//! | `Table::current` is stored or loaded relaxed | an entry was found and is lost |
//! | `current` is stored before the larger table is set, or filled | an entry was found and is lost |
//! | the table grows without the entry that made it grow | an entry is lost |
//! | an entry is added without the domain's lock | an entry is there twice |
//! | the table is not asked again under the domain's lock | an entry is there twice |
//! | a removed entry comes back by a relaxed store, or is looked at by a relaxed load | what was set is 0 |
//! | a removed entry is cleared after it came back | what was set is 0 |
//! | a writer of a slot stores its odd sequence | an exemplar is made of two |
//! | a writer has no fence behind its odd sequence | an exemplar is made of two |
//! | a reader has no fence before it looks at the sequence again, or does not look | an exemplar is made of two |
//! | a reader does not mind an odd sequence | an exemplar is made of two |
//! | the even sequence is stored or loaded relaxed | an exemplar is made of two |
//! | a writer does not mind an odd sequence | neither exemplar is found |

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
