//! Slabs of cells, each written by one thread at a time, and the pool they are leased from.
//!
//! The owner of a slab writes its cells with a relaxed load and a relaxed store: no other thread writes
//! them, so nothing can come between. A thread that ends gives its slab back with its numbers in it; the
//! pool's lock orders the two owners. Nothing is folded, so nothing is lost, and memory is bounded by
//! the most threads alive at once. Threads past the pool's limit share one slab and write it with
//! atomic read-modify-write operations.
//!
//! A cell has 64 bits and the sum of a histogram has 128: a cell that has no room for an observation is emptied into
//! the pool's [`Carried`] first, under a lock. That happens once in 2^64 nanoseconds, bytes or billionths, which are
//! 584 years of durations; recording takes no lock otherwise.

use std::collections::BTreeMap;

use super::sync::{
    Acquire, AtomicU64, AtomicUsize, CHUNK, DIRECTORY, FAR, Mutex, NEAR, OnceRef, Relaxed, Release,
    fence,
};

/// The place of a cell in every slab.
pub(crate) type Address = u32;

/// How many cells the address space holds.
pub(crate) const CAPACITY: usize = (NEAR + FAR * DIRECTORY) * CHUNK;

/// The cells that a slab takes memory for at once.
#[repr(align(128))]
pub(crate) struct Chunk([AtomicU64; CHUNK]);

impl Chunk {
    /// Changes a cell of a slab that the calling thread owns; the address is one in the chunk.
    #[inline]
    pub(crate) fn update_owned(&self, address: Address, change: impl FnOnce(u64) -> u64) {
        let cell = self.cell(address);
        cell.store(change(cell.load(Relaxed)), Relaxed);
    }

    /// Adds to a sum in a slab that the calling thread owns. If the cell has no room, nothing is done, and it is the
    /// error.
    #[inline]
    pub(crate) fn add_owned(&self, address: Address, amount: u64) -> Result<(), &AtomicU64> {
        let cell = self.cell(address);
        let (sum, has_no_room) = cell.load(Relaxed).overflowing_add(amount);
        if has_no_room {
            return Err(cell);
        }
        cell.store(sum, Relaxed);
        Ok(())
    }

    /// The same in the slab that several threads share.
    fn add_shared(&self, address: Address, amount: u64) -> Result<(), &AtomicU64> {
        let cell = self.cell(address);
        let mut seen = cell.load(Relaxed);
        while let Some(sum) = seen.checked_add(amount) {
            match cell.compare_exchange_weak(seen, sum, Relaxed, Relaxed) {
                Ok(_) => return Ok(()),
                Err(now) => seen = now,
            }
        }
        Err(cell)
    }

    #[inline]
    fn cell(&self, address: Address) -> &AtomicU64 {
        &self.0[address as usize % CHUNK]
    }
}

/// One thread's copy of the address space, filled chunk by chunk as it is touched.
pub(crate) struct Slab {
    near: [OnceRef<'static, Chunk>; NEAR],
    far: [OnceRef<'static, [OnceRef<'static, Chunk>; DIRECTORY]>; FAR],
    /// Taken to add a chunk: two threads that share a slab must not both add it.
    growing: Mutex<()>,
}

impl Slab {
    pub(crate) fn new() -> Self {
        Self {
            near: std::array::from_fn(|_| OnceRef::new()),
            far: std::array::from_fn(|_| OnceRef::new()),
            growing: Mutex::new(()),
        }
    }

    /// Changes a cell of the slab that several threads share; gives the value before.
    pub(crate) fn update_shared(&self, address: Address, change: impl Fn(u64) -> u64) -> u64 {
        let cell = self.chunk_of(address).cell(address);
        let mut seen = cell.load(Relaxed);
        while let Err(now) = cell.compare_exchange_weak(seen, change(seen), Relaxed, Relaxed) {
            seen = now;
        }
        seen
    }

    /// Sets a cell of the slab that several threads share.
    pub(crate) fn store_shared(&self, address: Address, value: u64) {
        self.chunk_of(address).cell(address).store(value, Relaxed);
    }

    /// The value of a cell; 0 if nothing near it was ever written.
    pub(crate) fn load(&self, address: Address) -> u64 {
        match self.chunk(address as usize / CHUNK) {
            Some(chunk) => chunk.cell(address).load(Relaxed),
            None => 0,
        }
    }

    /// The `len` cells from `address` on, which lie in one chunk; none if nothing near them was ever written.
    fn run(&self, address: Address, len: usize) -> Option<&[AtomicU64]> {
        let (number, offset) = (address as usize / CHUNK, address as usize % CHUNK);
        self.chunk(number).map(|chunk| &chunk.0[offset..offset + len])
    }

    /// The chunk of a cell, added if nothing near the cell was written before.
    pub(crate) fn chunk_of(&self, address: Address) -> &'static Chunk {
        let number = address as usize / CHUNK;
        self.chunk(number).unwrap_or_else(|| self.add_chunk(number))
    }

    fn chunk(&self, number: usize) -> Option<&'static Chunk> {
        match self.near.get(number) {
            Some(slot) => slot.get(),
            None => self.far_chunk(number),
        }
    }

    fn far_chunk(&self, number: usize) -> Option<&'static Chunk> {
        self.far[(number - NEAR) / DIRECTORY].get()?[(number - NEAR) % DIRECTORY].get()
    }

    #[cold]
    #[inline(never)]
    fn add_chunk(&self, number: usize) -> &'static Chunk {
        let _growing = self.growing.lock();
        let slot = if let Some(slot) = self.near.get(number) {
            slot
        } else {
            let directory = self.far[(number - NEAR) / DIRECTORY]
                .get_or_init(|| Box::leak(Box::new(std::array::from_fn(|_| OnceRef::new()))));
            &directory[(number - NEAR) % DIRECTORY]
        };
        slot.get_or_init(|| Box::leak(Box::new(Chunk(std::array::from_fn(|_| AtomicU64::new(0))))))
    }
}

/// Every slab of the process.
pub(crate) struct Pool {
    slabs: Mutex<Slabs>,
    /// Leases that are left, so that threads past the limit do not take the lock at each write. It is
    /// written under the lock; who reads an old number shares a slab a little longer or asks in vain.
    left: AtomicUsize,
    limit: usize,
    shared: Slab,
    carried: Mutex<Carried>,
    /// [`Carried::times`], for scrapes to see without the lock.
    times_carried: AtomicU64,
}

/// What was moved out of cells that were full.
#[derive(Clone, Default)]
struct Carried {
    /// How often something was.
    times: u64,
    /// By the place of the cell in memory, which is never given back.
    amounts: BTreeMap<usize, u128>,
}

impl Carried {
    fn place(cell: &AtomicU64) -> usize {
        std::ptr::from_ref(cell).addr()
    }

    /// What a cell holds and what was moved out of it.
    #[inline]
    fn with(&self, cell: &AtomicU64) -> u128 {
        let held = u128::from(cell.load(Relaxed));
        if self.amounts.is_empty() { held } else { held + self.of(cell) }
    }

    #[cold]
    fn of(&self, cell: &AtomicU64) -> u128 {
        self.amounts.get(&Self::place(cell)).copied().unwrap_or_default()
    }
}

#[derive(Default)]
struct Slabs {
    all: Vec<&'static Slab>,
    free: Vec<&'static Slab>,
}

impl Pool {
    /// A pool that leases at most `limit` slabs.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            slabs: Mutex::new(Slabs::default()),
            left: AtomicUsize::new(limit),
            limit,
            shared: Slab::new(),
            carried: Mutex::default(),
            times_carried: AtomicU64::new(0),
        }
    }

    /// A slab that the caller alone may write, or `None` when all are leased.
    pub(crate) fn lease(&'static self) -> Option<Lease> {
        if self.left.load(Relaxed) == 0 {
            return None;
        }
        let mut slabs = self.slabs.lock();
        let slab = match slabs.free.pop() {
            Some(slab) => slab,
            None if slabs.all.len() < self.limit => {
                let slab: &'static Slab = Box::leak(Box::new(Slab::new()));
                slabs.all.push(slab);
                slab
            }
            None => return None,
        };
        self.count(&slabs);
        // Who sees what this owner writes sees what an earlier one carried: see `carry`.
        fence(Release);
        Some(Lease { pool: self, slab })
    }

    fn count(&self, slabs: &Slabs) {
        self.left.store(self.limit - slabs.all.len() + slabs.free.len(), Relaxed);
    }

    /// The slab that any thread may write, with the `_shared` operations only.
    pub(crate) fn shared(&self) -> &Slab {
        &self.shared
    }

    /// Adds to a sum in the slab that any thread may write.
    pub(crate) fn add_shared(&self, address: Address, amount: u64) {
        let chunk = self.shared.chunk_of(address);
        while let Err(full) = chunk.add_shared(address, amount) {
            self.carry(full);
        }
    }

    /// Empties the cell of a sum that has no room for another observation, in a slab that the calling thread may write.
    ///
    /// A scrape that sees the cell without its amount sees that something was carried since it last asked: the fence
    /// orders the two stores, and another in the reader the two loads.
    pub(crate) fn carry(&self, full: &AtomicU64) {
        let mut carried = self.carried.lock();
        carried.times += 1;
        self.times_carried.store(carried.times, Relaxed);
        fence(Release);
        let amount = full.swap(0, Relaxed);
        *carried.amounts.entry(Carried::place(full)).or_default() += u128::from(amount);
    }

    /// What a scrape reads: the slabs as of now.
    pub(crate) fn reader(&'static self) -> Reader {
        let mut slabs = self.slabs.lock().all.clone();
        slabs.push(&self.shared);
        Reader { pool: self, slabs, carried: self.carried.lock().clone() }
    }
}

/// The right to write a slab; the slab goes back to the pool on drop, its numbers in it.
pub(crate) struct Lease {
    pool: &'static Pool,
    slab: &'static Slab,
}

impl Lease {
    pub(crate) fn slab(&self) -> &'static Slab {
        self.slab
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut slabs = self.pool.slabs.lock();
        slabs.free.push(self.slab);
        self.pool.count(&slabs);
    }
}

/// Sums cells over all slabs.
pub(crate) struct Reader {
    pool: &'static Pool,
    slabs: Vec<&'static Slab>,
    /// As of the last look.
    carried: Carried,
}

impl Reader {
    /// The sum of one cell. It wraps, so that a sum of signed steps comes out signed.
    pub(crate) fn sum(&self, address: Address) -> u64 {
        self.slabs.iter().fold(0, |sum, slab| sum.wrapping_add(slab.load(address)))
    }

    /// The sum of a histogram, whose cell lies in one chunk with those of the buckets behind it; the counts of these
    /// are added to `buckets`.
    #[inline]
    pub(crate) fn observed(&mut self, address: Address, buckets: &mut [u64]) -> u128 {
        let mut sum = 0;
        for run in self.runs(address, 1 + buckets.len()) {
            let Some((first, cells)) = run.split_first() else { continue };
            sum += self.carried.with(first);
            for (count, cell) in buckets.iter_mut().zip(cells) {
                *count = count.wrapping_add(cell.load(Relaxed));
            }
        }
        if self.has_missed_carries() { self.observed_again(address) } else { sum }
    }

    /// The sum alone, after something was carried.
    #[cold]
    fn observed_again(&mut self, address: Address) -> u128 {
        // Nothing is carried while it is held.
        let carried = self.pool.carried.lock();
        self.carried.clone_from(&carried);
        self.runs(address, 1).flatten().map(|cell| self.carried.with(cell)).sum()
    }

    /// Whether a cell that was read may have been emptied since the last look at what was carried.
    fn has_missed_carries(&self) -> bool {
        fence(Acquire);
        self.pool.times_carried.load(Relaxed) != self.carried.times
    }

    /// Hands the cells from `address` on, which lie in one chunk, to `visit`, those of each slab by themselves.
    pub(crate) fn each(&self, address: Address, len: usize, mut visit: impl FnMut(u64)) {
        self.runs(address, len).flatten().for_each(|cell| visit(cell.load(Relaxed)));
    }

    fn runs(&self, address: Address, len: usize) -> impl Iterator<Item = &'static [AtomicU64]> {
        self.slabs.iter().filter_map(move |slab| slab.run(address, len))
    }
}
