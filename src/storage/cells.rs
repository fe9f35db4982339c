//! Slabs of cells, each written by one thread at a time, and the pool they are leased from.
//!
//! The owner of a slab writes its cells with a relaxed load and a relaxed store: no other thread writes
//! them, so nothing can come between. A thread that ends gives its slab back with its numbers in it; the
//! pool's lock orders the two owners. Nothing is folded, so nothing is lost, and memory is bounded by
//! the most threads alive at once. Threads past the pool's limit share one slab and write it with
//! atomic read-modify-write operations.

use super::sync::{AtomicU64, AtomicUsize, CHUNK, DIRECTORY, FAR, Mutex, NEAR, OnceRef, Relaxed};

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
        Some(Lease { pool: self, slab })
    }

    fn count(&self, slabs: &Slabs) {
        self.left.store(self.limit - slabs.all.len() + slabs.free.len(), Relaxed);
    }

    /// The slab that any thread may write, with the `_shared` operations only.
    pub(crate) fn shared(&self) -> &Slab {
        &self.shared
    }

    /// What a scrape reads: the slabs as of now.
    pub(crate) fn reader(&'static self) -> Reader {
        let mut slabs = self.slabs.lock().all.clone();
        slabs.push(&self.shared);
        Reader { slabs }
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
    slabs: Vec<&'static Slab>,
}

impl Reader {
    /// The sum of one cell. It wraps, so that a sum of signed steps comes out signed.
    pub(crate) fn sum(&self, address: Address) -> u64 {
        self.slabs.iter().fold(0, |sum, slab| sum.wrapping_add(slab.load(address)))
    }

    /// The sums of the cells from `address` on, which lie in one chunk. They saturate.
    pub(crate) fn sums(&self, address: Address, into: &mut [u64]) {
        let mut runs = self.runs(address, into.len());
        let Some(first) = runs.next() else {
            into.fill(0);
            return;
        };
        for (sum, cell) in into.iter_mut().zip(first) {
            *sum = cell.load(Relaxed);
        }
        for run in runs {
            for (sum, cell) in into.iter_mut().zip(run) {
                *sum = sum.saturating_add(cell.load(Relaxed));
            }
        }
    }

    /// Hands the cells from `address` on, which lie in one chunk, to `visit`, those of each slab by themselves.
    pub(crate) fn each(&self, address: Address, len: usize, mut visit: impl FnMut(u64)) {
        self.runs(address, len).flatten().for_each(|cell| visit(cell.load(Relaxed)));
    }

    fn runs(&self, address: Address, len: usize) -> impl Iterator<Item = &'static [AtomicU64]> {
        self.slabs.iter().filter_map(move |slab| slab.run(address, len))
    }
}
