//! The calling thread's slab, and the address space.

use std::{
    cell::{Cell, RefCell},
    marker::PhantomData,
    sync::LazyLock,
};

use parking_lot::Mutex;

use super::{
    cells::{Address, CAPACITY, Chunk, Lease, Pool, Reader, Slab},
    sync::{CHUNK, NEAR},
};

/// Threads that get a slab of their own at the same time; any more share one.
const SLABS: usize = 256;

static POOL: LazyLock<Pool> = LazyLock::new(|| Pool::new(SLABS));

/// Cells that nothing reads, for what is not exposed.
pub(crate) const SINK: Address = 0;
/// How many cells the sink has.
const SINK_CELLS: usize = CHUNK;

/// Whether a cell is one of the sink.
#[cfg(feature = "exemplars")]
pub(crate) fn is_sink(cell: Address) -> bool {
    (cell as usize) < SINK_CELLS
}

/// The next free address.
static NEXT: Mutex<usize> = Mutex::new(SINK_CELLS);

thread_local! {
    /// The chunks of this thread's slab that it has written, those in its reach. It has no destructor, so
    /// reaching it is a plain load.
    static CHUNKS: [Cell<Option<&'static Chunk>>; NEAR] = const { [const { Cell::new(None) }; NEAR] };
    static LEASE: RefCell<Option<LocalLease>> = const { RefCell::new(None) };
}

/// Forgets the chunks before the lease ends: another thread may own the slab from then on.
struct LocalLease(Lease);

impl Drop for LocalLease {
    fn drop(&mut self) {
        CHUNKS.with(|chunks| chunks.iter().for_each(|chunk| chunk.set(None)));
    }
}

/// The place of `len` cells that nothing reads. They are those of the sink, so they cost nothing; only a run
/// that is longer gets cells of its own.
pub(crate) fn unread(len: usize) -> Option<Address> {
    if len <= SINK_CELLS { Some(SINK) } else { allocate(len) }
}

/// Takes `len` cells, or `None` when the address space is used up. A run no longer than a chunk lies in one.
pub(crate) fn allocate(len: usize) -> Option<Address> {
    let mut next = NEXT.lock();
    let left = CHUNK - *next % CHUNK;
    let start = if len > left { *next + left } else { *next };
    let end = start.checked_add(len).filter(|end| *end <= CAPACITY)?;
    *next = end;
    Address::try_from(start).ok()
}

/// The calling thread's copy of a chunk, if it is at hand: looked up once for several writes.
#[derive(Clone, Copy)]
pub(crate) struct Near {
    chunk: Option<&'static Chunk>,
    /// Which one it is, as a write to another would be counted in a wrong cell.
    #[cfg(debug_assertions)]
    number: usize,
    /// The chunk is this thread's.
    _thread: PhantomData<*const ()>,
}

/// What is near a cell. The first [`CHUNK`] cells of a run are near each other.
#[inline]
pub(crate) fn near(address: Address) -> Near {
    // Little happens inside of `with`, so that it is inlined.
    let chunk = CHUNKS.with(|chunks| chunks.get(address as usize / CHUNK)?.get());
    Near {
        chunk,
        #[cfg(debug_assertions)]
        number: address as usize / CHUNK,
        _thread: PhantomData,
    }
}

impl Near {
    /// Counts one in a bucket and adds to the sum, which saturates. The histogram's first cell, that of the sum,
    /// is near; those of the buckets follow it.
    #[inline]
    pub(crate) fn observe(self, base: Address, bucket: usize, amount: u64) {
        #[cfg(debug_assertions)]
        assert_eq!(base as usize / CHUNK, self.number, "it is near");
        match self.chunk {
            Some(chunk)
                if chunk.update_owned_behind(base, 1 + bucket, |count| count.wrapping_add(1)) =>
            {
                chunk.update_owned(base, |sum| sum.saturating_add(amount));
            }
            _ => observe_slowly(base, bucket, amount),
        }
    }
}

/// Adds to a cell. The sum wraps, so a negative step is its two's complement.
#[inline]
pub(crate) fn add(address: Address, by: u64) {
    update(address, move |value| value.wrapping_add(by));
}

/// Changes this thread's copy of a cell.
#[inline]
pub(crate) fn update(address: Address, change: impl Fn(u64) -> u64) {
    match near(address).chunk {
        Some(chunk) => chunk.update_owned(address, change),
        None => update_slowly(address, change),
    }
}

/// [`Near::observe`] by itself.
#[inline]
pub(crate) fn observe(base: Address, bucket: usize, amount: u64) {
    near(base).observe(base, bucket, amount);
}

/// As [`observe`], where the cells are in two chunks or not at hand.
#[cold]
#[inline(never)]
#[expect(clippy::cast_possible_truncation, reason = "there are 32 bounds at most")]
fn observe_slowly(base: Address, bucket: usize, amount: u64) {
    add(base + 1 + bucket as Address, 1);
    update(base, move |sum| sum.saturating_add(amount));
}

/// A thread's first write to a chunk, and every write to one out of its reach. A write while all slabs are
/// leased, or from the destructor of a thread-local that runs after the lease has ended, goes to the
/// shared slab.
// By value, so that the fast path need not put what the closure holds into memory.
#[cold]
#[inline(never)]
fn update_slowly(address: Address, change: impl Fn(u64) -> u64) {
    let Some(slab) = own_slab() else {
        POOL.shared().update_shared(address, change);
        return;
    };
    let chunk = slab.chunk_of(address);
    CHUNKS.with(|chunks| {
        if let Some(slot) = chunks.get(address as usize / CHUNK) {
            slot.set(Some(chunk));
        }
    });
    chunk.update_owned(address, change);
}

/// The slab of this thread, leased if need be.
fn own_slab() -> Option<&'static Slab> {
    let leased = LEASE.try_with(|lease| {
        let mut lease = lease.borrow_mut();
        if lease.is_none() {
            *lease = POOL.lease().map(LocalLease);
        }
        lease.as_ref().map(|lease| lease.0.slab())
    });
    leased.ok().flatten()
}

/// Sets a cell that all threads share.
pub(crate) fn set(address: Address, value: u64) {
    POOL.shared().store_shared(address, value);
}

/// Changes a cell that all threads share; gives the value before.
pub(crate) fn update_shared(address: Address, change: impl Fn(u64) -> u64) -> u64 {
    POOL.shared().update_shared(address, change)
}

/// The value of a cell that all threads share.
pub(crate) fn get(address: Address) -> u64 {
    POOL.shared().load(address)
}

/// What a scrape reads.
pub(crate) fn reader() -> Reader {
    POOL.reader()
}

#[cfg(test)]
mod tests {
    use super::{add, allocate, reader};

    #[test]
    fn threads_that_end_lose_nothing() {
        let address = allocate(1).unwrap();
        for _ in 0..50 {
            std::thread::spawn(move || (0..100).for_each(|_| add(address, 1))).join().unwrap();
        }
        assert_eq!(reader().sum(address), 5_000);
    }

    #[test]
    fn more_threads_than_slabs_lose_nothing() {
        let address = allocate(1).unwrap();
        let barrier = std::sync::Barrier::new(super::SLABS + 50);
        std::thread::scope(|scope| {
            for _ in 0..super::SLABS + 50 {
                scope.spawn(|| {
                    add(address, 1);
                    barrier.wait();
                    (0..100).for_each(|_| add(address, 1));
                });
            }
        });
        assert_eq!(reader().sum(address), (super::SLABS as u64 + 50) * 101);
    }

    #[test]
    fn a_write_from_a_thread_local_destructor_is_counted() {
        struct Late(u32);
        impl Drop for Late {
            fn drop(&mut self) {
                add(self.0, 1);
            }
        }
        thread_local!(static LATE: std::cell::RefCell<Option<Late>> = const { std::cell::RefCell::new(None) });
        let address = allocate(1).unwrap();
        for record_first in [false, true] {
            std::thread::spawn(move || {
                if record_first {
                    add(address, 10);
                }
                LATE.set(Some(Late(address)));
                add(address, 10);
            })
            .join()
            .unwrap();
        }
        assert_eq!(reader().sum(address), 32);
    }

    #[test]
    fn a_run_of_cells_stays_in_one_chunk() {
        for _ in 0..100 {
            let start = allocate(100).unwrap() as usize;
            assert_eq!(start / super::CHUNK, (start + 99) / super::CHUNK);
        }
    }
}
