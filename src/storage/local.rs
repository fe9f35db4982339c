//! The calling thread's slab, and the address space.

use std::{
    cell::{Cell, RefCell},
    marker::PhantomData,
    sync::LazyLock,
};

use parking_lot::Mutex;

use super::{
    cells::{Address, CAPACITY, Chunk, Lease, Pool, Reader, Slab},
    sync::{AtomicU64, CHUNK, NEAR, Relaxed},
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
    /// The chunks of this thread's slab that it has written, by their [`Number`]. It has no destructor, so
    /// reaching it is a plain load.
    static CHUNKS: [Cell<Option<&'static Chunk>>; NEAR + 1] = const { [const { Cell::new(None) }; NEAR + 1] };
    static LEASE: RefCell<Option<LocalLease>> = const { RefCell::new(None) };
}

/// Which chunk a cell is in: one of those that a thread reaches in one step, or [`FAR`](Self::FAR). It is a byte so
/// that it needs no check to be looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Number(u8);

impl Number {
    /// Any other: a thread never has it at hand.
    const FAR: Self = Self(u8::MAX);

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "it is below 255")]
    fn of(address: Address) -> Self {
        const { assert!(NEAR == Self::FAR.0 as usize) };
        let number = address as usize / CHUNK;
        if number < NEAR { Self(number as u8) } else { Self::FAR }
    }
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

/// Whether a run of `len` cells, wherever it is, lies in one chunk.
pub(crate) const fn is_in_one_chunk(len: usize) -> bool {
    len <= CHUNK
}

/// The distance between things of `len` cells, of which `count` follow each other, so that each lies in one chunk.
pub(crate) const fn stride(len: usize, count: usize) -> usize {
    if is_in_one_chunk(len * count) { len } else { len.next_power_of_two() }
}

/// Where `len` more cells begin, if `before` are taken: they lie in one chunk, or begin with one.
pub(crate) const fn append(before: usize, len: usize) -> usize {
    if is_in_one_chunk(before % CHUNK + len) { before } else { before.next_multiple_of(CHUNK) }
}

/// Takes `len` cells, or `None` when the address space is used up. A run lies in one chunk, or begins with one.
pub(crate) fn allocate(len: usize) -> Option<Address> {
    let mut next = NEXT.lock();
    let start = append(*next, len);
    let end = start.checked_add(len).filter(|end| *end <= CAPACITY)?;
    *next = end;
    Address::try_from(start).ok()
}

/// A cell, and which chunk it is in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) address: Address,
    chunk: Number,
}

impl From<Address> for Place {
    fn from(address: Address) -> Self {
        Self::of(address)
    }
}

impl Place {
    #[inline]
    pub(crate) fn of(address: Address) -> Self {
        Self { address, chunk: Number::of(address) }
    }

    /// The cell that is `cells` further on, in the same chunk.
    #[inline]
    pub(crate) fn within(self, cells: Address) -> Self {
        let this = Self { address: self.address + cells, chunk: self.chunk };
        debug_assert_eq!(this.chunk, Number::of(this.address));
        this
    }

    /// What is at hand of the cell's chunk.
    #[inline]
    pub(crate) fn near(self) -> Near {
        // Little happens inside of `with`, so that it is inlined.
        let chunk = CHUNKS.with(|chunks| chunks[usize::from(self.chunk.0)].get());
        Near {
            chunk,
            #[cfg(debug_assertions)]
            number: self.chunk,
            _thread: PhantomData,
        }
    }

    /// Adds to the cell. The sum wraps, so a negative step is its two's complement.
    #[inline]
    pub(crate) fn add(self, by: u64) {
        self.near().add(self.address, by);
    }
}

/// The calling thread's copy of a chunk, if it is at hand: looked up once for several writes, to cells of that chunk.
#[derive(Clone, Copy)]
pub(crate) struct Near {
    chunk: Option<&'static Chunk>,
    /// Which one it is, as a write to another would be counted in a wrong cell.
    #[cfg(debug_assertions)]
    number: Number,
    /// The chunk is this thread's.
    _thread: PhantomData<*const ()>,
}

impl Near {
    /// Adds to a cell, as [`Place::add`].
    #[inline]
    pub(crate) fn add(self, address: Address, by: u64) {
        self.update(address, move |value| value.wrapping_add(by));
    }

    /// Counts one in a bucket and adds to the sum. The buckets follow the cell of the sum.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "there are 32 bounds at most")]
    pub(crate) fn observe(self, sum: Address, bucket: usize, amount: u64) {
        debug_assert_eq!(sum as usize / CHUNK, (sum as usize + 1 + bucket) / CHUNK, "in one chunk");
        match self.at_hand(sum) {
            Some(chunk) => {
                chunk.update_owned(sum + 1 + bucket as Address, |count| count.wrapping_add(1));
                if let Err(full) = chunk.add_owned(sum, amount) {
                    carry(full, amount);
                }
            }
            None => observe_slowly(sum, bucket, amount),
        }
    }

    /// Changes this thread's copy of a cell.
    #[inline]
    fn update(self, address: Address, change: impl Fn(u64) -> u64) {
        match self.at_hand(address) {
            Some(chunk) => chunk.update_owned(address, change),
            None => update_slowly(address, change),
        }
    }

    #[inline]
    fn at_hand(self, address: Address) -> Option<&'static Chunk> {
        #[cfg(debug_assertions)]
        assert_eq!(self.number, Number::of(address), "it is near");
        _ = address;
        self.chunk
    }
}

/// Makes a record of several writes. If the chunk is at hand, they are made in line, without a check for each. If not,
/// they are made out of line, so that the fast path need not save registers for a call.
#[expect(
    clippy::inline_always,
    reason = "what the closure has captured would go through memory otherwise"
)]
#[inline(always)]
pub(crate) fn record(near: Near, write: impl FnOnce(Near)) {
    if near.chunk.is_some() {
        write(near);
    } else {
        record_slowly(near, write);
    }
}

#[cold]
#[inline(never)]
fn record_slowly(near: Near, write: impl FnOnce(Near)) {
    write(near);
}

/// Adds to a cell, as [`Place::add`].
#[inline]
pub(crate) fn add(address: Address, by: u64) {
    Place::of(address).add(by);
}

/// Changes this thread's copy of a cell.
#[inline]
pub(crate) fn update(address: Address, change: impl Fn(u64) -> u64) {
    Place::of(address).near().update(address, change);
}

#[cold]
#[inline(never)]
#[expect(clippy::cast_possible_truncation, reason = "there are 32 bounds at most")]
fn observe_slowly(sum: Address, bucket: usize, amount: u64) {
    update_slowly(sum + 1 + bucket as Address, |count| count.wrapping_add(1));
    match own_chunk(sum) {
        Some(chunk) => {
            if let Err(full) = chunk.add_owned(sum, amount) {
                carry(full, amount);
            }
        }
        None => POOL.add_shared(sum, amount),
    }
}

/// Adds to a sum of this thread whose cell has no room left.
#[cold]
#[inline(never)]
fn carry(full: &AtomicU64, amount: u64) {
    POOL.carry(full);
    full.store(amount, Relaxed);
}

/// A thread's first write to a chunk, and every write to one out of its reach. A write while all slabs are
/// leased, or from the destructor of a thread-local that runs after the lease has ended, goes to the
/// shared slab.
// By value, so that the fast path need not put what the closure holds into memory.
#[cold]
#[inline(never)]
fn update_slowly(address: Address, change: impl Fn(u64) -> u64) {
    match own_chunk(address) {
        Some(chunk) => chunk.update_owned(address, change),
        None => _ = POOL.shared().update_shared(address, change),
    }
}

/// The chunk of a cell in the slab of this thread, at hand from then on if it can be; none if there is no such slab.
fn own_chunk(address: Address) -> Option<&'static Chunk> {
    let chunk = own_slab()?.chunk_of(address);
    let number = Number::of(address);
    if number != Number::FAR {
        CHUNKS.with(|chunks| chunks[usize::from(number.0)].set(Some(chunk)));
    }
    Some(chunk)
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
    fn what_is_out_of_reach_is_counted_too() {
        let first_far = super::NEAR * super::CHUNK;
        let cells = [first_far - 1, first_far, super::CAPACITY - 1]
            .map(|cell| super::Address::try_from(cell).unwrap());
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| (1..).zip(cells).for_each(|(count, cell)| add(cell, count)));
            }
        });
        assert_eq!(cells.map(|cell| reader().sum(cell)), [2, 4, 6]);
    }

    #[test]
    fn a_thing_of_a_long_run_lies_in_one_chunk() {
        for len in 1..=34 {
            for count in [1, 30, 31, 100, 1_000] {
                let stride = super::stride(len, count);
                let run = stride * count;
                for before in [0, 1, 1_000, 1_023, 1_024, 5_000] {
                    let begin = super::append(before, run);
                    assert!(begin >= before);
                    for thing in 0..count {
                        let first = begin + thing * stride;
                        assert_eq!(first / super::CHUNK, (first + len - 1) / super::CHUNK);
                    }
                }
            }
        }
    }

    #[test]
    fn a_run_of_cells_stays_in_one_chunk() {
        for _ in 0..100 {
            let start = allocate(100).unwrap() as usize;
            assert_eq!(start / super::CHUNK, (start + 99) / super::CHUNK);
        }
    }
}
