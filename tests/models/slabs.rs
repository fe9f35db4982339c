//! Cells, the slabs that threads lease, and who reads them.

use super::{
    cells::{Address, Pool},
    *,
};

/// In the first chunk, and in one that is reached through a directory.
const NEAR_CELL: Address = 1;
const FAR_CELL: Address = 2;

fn pool(limit: usize) -> &'static Pool {
    Box::leak(Box::new(Pool::new(limit)))
}

/// A thread from its first write to its end, as `local.rs` runs it: it counts one in each of the cells.
fn live(pool: &'static Pool, cells: &[Address]) {
    let lease = pool.lease();
    for cell in cells {
        match &lease {
            Some(lease) => lease.slab().chunk_of(*cell).update_owned(*cell, |count| count + 1),
            None => _ = pool.shared().update_shared(*cell, |count| count + 1),
        }
    }
}

#[test]
fn a_slab_goes_on_under_its_next_owner_and_others_share_one() {
    let shared = outcomes(|| {
        let pool = pool(1);
        let threads = [(); 3].map(|()| thread::spawn(move || live(pool, &[NEAR_CELL])));
        threads.into_iter().for_each(join);
        assert_eq!(pool.reader().sum(NEAR_CELL), 3);
        pool.shared().load(NEAR_CELL)
    });
    assert_eq!(shared, BTreeSet::from([0, 1, 2]));
}

#[test]
fn a_sum_never_falls_while_chunks_are_added_and_the_last_is_exact() {
    let sums = outcomes(|| {
        let pool = pool(1);
        let threads = [(); 2].map(|()| thread::spawn(move || live(pool, &[NEAR_CELL, FAR_CELL])));
        let [first, second] = [(); 2].map(|()| pool.reader().sum(FAR_CELL));
        assert!(first <= second, "from {first} to {second}");
        threads.into_iter().for_each(join);
        for cell in [NEAR_CELL, FAR_CELL] {
            assert_eq!(pool.reader().observed(cell, &mut []), 2);
        }
        (first, second)
    });
    assert_eq!(sums, BTreeSet::from([(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)]));
}

#[test]
fn threads_without_a_slab_add_a_chunk_of_the_shared_one_once() {
    let before = outcomes(|| {
        let pool = pool(0);
        let count = move || pool.shared().update_shared(FAR_CELL, |count| count + 1);
        let threads = [(); 2].map(|()| thread::spawn(count));
        let before = threads.map(join);
        assert_eq!(pool.reader().sum(FAR_CELL), 2);
        before
    });
    assert_eq!(before, BTreeSet::from([[0, 1], [1, 0]]));
}

#[test]
fn while_all_slabs_are_leased_a_lease_is_refused_without_a_lock() {
    outcomes(|| {
        let pool = pool(1);
        let lease = pool.lease();
        assert!(lease.is_some());
        let locks = sync::locks();
        assert!(pool.lease().is_none());
        assert_eq!(sync::locks(), locks);
        drop(lease);
        assert!(pool.lease().is_some());
    });
}

/// The cells of a histogram: its sum, and a bucket.
const SUM: Address = 0;
const BUCKET: Address = 1;

/// A thread that observes ones, as `local.rs` has it: the chunk of its slab is looked up once and kept for all writes,
/// and forgotten before the slab is given back. What is observed after that, by the destructor of a thread-local, goes
/// to the shared slab.
fn observe(pool: &'static Pool, observations: usize) {
    let lease = pool.lease();
    let mut kept = lease.as_ref().map(|lease| lease.slab().chunk_of(BUCKET));
    let observe = |chunk: Option<&cells::Chunk>| match chunk {
        Some(chunk) => [BUCKET, SUM].map(|cell| chunk.update_owned(cell, |count| count + 1)),
        None => [BUCKET, SUM].map(|cell| _ = pool.shared().update_shared(cell, |count| count + 1)),
    };
    for _ in 1..observations {
        observe(kept);
    }
    kept = None;
    drop(lease);
    observe(kept);
}

fn read(pool: &'static Pool) -> (u128, u64) {
    let mut count = [0];
    (pool.reader().observed(SUM, &mut count), count[0])
}

#[test]
fn a_thread_keeps_its_chunk_as_long_as_its_slab() {
    let shared = outcomes(|| {
        let pool = pool(1);
        let threads = [(); 2].map(|()| thread::spawn(move || observe(pool, 2)));
        threads.into_iter().for_each(join);
        assert_eq!(read(pool), (4, 4));
        pool.shared().load(SUM)
    });
    assert_eq!(shared, BTreeSet::from([2, 3]));
}

/// A scrape reads cell by cell: the sum and the buckets can be of different moments, and neither goes back.
#[test]
fn a_sum_and_its_bucket_differ_by_what_is_observed_meanwhile_and_end_alike() {
    let seen = outcomes(|| {
        let pool = pool(1);
        observe(pool, 1);
        let observes = thread::spawn(move || observe(pool, 2));
        let [first, second] = [(); 2].map(|()| read(pool));
        assert!(first.0 <= second.0 && first.1 <= second.1, "from {first:?} to {second:?}");
        // What was observed before the scrape is in both.
        assert!(first.0 >= 1 && first.1 >= 1, "{first:?}");
        join(observes);
        assert_eq!(read(pool), (3, 3));
        first
    });
    let all = (1..=3).flat_map(|sum| (1..=3).map(move |bucket| (sum, bucket)));
    assert_eq!(seen, all.collect());
}

/// A thread that adds so much to a sum so often, as `local.rs` has it: a cell without room is emptied first.
fn add(pool: &'static Pool, amount: u64, times: usize) {
    let lease = pool.lease();
    for _ in 0..times {
        let Some(lease) = &lease else {
            pool.add_shared(SUM, amount);
            continue;
        };
        if let Err(full) = lease.slab().chunk_of(SUM).add_owned(SUM, amount) {
            pool.carry(full);
            full.store(amount, Relaxed);
        }
    }
}

/// Sums in amounts that are scraped while as many threads as `adding` names add them so often, after `before` were
/// added: one by a scrape, and two by the next, which keeps what it knows of amounts that were carried.
fn scraped<const N: usize>(
    limit: usize,
    amount: u64,
    before: usize,
    adding: [usize; N],
) -> BTreeSet<[u128; 3]> {
    outcomes(move || {
        let pool = pool(limit);
        let sum = |reader: &mut cells::Reader| {
            let sum = reader.observed(SUM, &mut []);
            assert_eq!(sum % u128::from(amount), 0, "{sum}");
            sum / u128::from(amount)
        };
        add(pool, amount, before);
        let threads = adding.map(|times| thread::spawn(move || add(pool, amount, times)));
        let first = sum(&mut pool.reader());
        let mut reader = pool.reader();
        let seen = [first, sum(&mut reader), sum(&mut reader)];
        threads.into_iter().for_each(join);
        assert_eq!(sum(&mut pool.reader()), (before + adding.iter().sum::<usize>()) as u128);
        seen
    })
}

/// All that does not fall.
fn rising(from: u128, to: u128) -> BTreeSet<[u128; 3]> {
    let all = (from..=to).flat_map(|first| {
        (first..=to).flat_map(move |second| (second..=to).map(move |third| [first, second, third]))
    });
    all.collect()
}

/// A cell holds one of it.
const HALF: u64 = 1 << 63;
/// A cell holds three.
const THIRD: u64 = u64::MAX / 3;

#[test]
fn a_sum_that_is_more_than_a_cell_holds_neither_falls_nor_jumps() {
    assert_eq!(scraped(1, HALF, 0, [2]), rising(0, 2));
    assert_eq!(scraped(1, HALF, 1, [2]), rising(1, 3));
}

/// The next owner adds to a cell that the one before has emptied.
#[test]
fn a_slab_goes_on_with_what_was_carried_out_of_it() {
    assert_eq!(scraped(1, THIRD, 3, [1, 1]), rising(3, 5));
}

#[test]
fn threads_that_share_a_slab_carry_an_amount_once() {
    assert_eq!(scraped(0, HALF, 0, [2, 1]), rising(0, 3));
}
