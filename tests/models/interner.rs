//! Open label values: how they are found, added, removed and taken again.

use super::{
    children::Children,
    table::{Hashed, Table},
    *,
};

struct Entry {
    name: u64,
    /// Loom knows when it was written: a look-up that finds the entry too early is an error.
    body: AtomicU64,
}

impl Hashed for Entry {
    /// All entries want the same slot, so that the next ones are tried.
    fn hash(&self) -> u64 {
        1
    }
}

impl Entry {
    fn new(name: u64) -> &'static Self {
        Box::leak(Box::new(Self { name, body: AtomicU64::new(name) }))
    }
}

fn find(table: &Table<Entry>, name: u64) -> Option<&'static Entry> {
    let entry = table.get(1, |entry| entry.name == name)?;
    assert_eq!(entry.body.load(Relaxed), name);
    Some(entry)
}

#[test]
fn what_is_found_is_whole_and_found_again_while_the_table_grows() {
    let found = outcomes(|| {
        let table: &Table<Entry> = Box::leak(Box::new(Table::new()));
        table.insert(0, Entry::new(0));
        let adds = thread::spawn(|| {
            table.insert(1, Entry::new(1));
            // From here on the table has to be twice as large.
            table.insert(2, Entry::new(2));
        });
        let found = [0, 1, 2].map(|name| {
            let found = find(table, name).is_some();
            assert!(!found || find(table, name).is_some(), "{name} was found and is lost");
            found
        });
        join(adds);
        assert!((0..3).all(|name| find(table, name).is_some()), "an entry is lost");
        found
    });
    let [no, yes] = [false, true];
    assert_eq!(
        found,
        BTreeSet::from([[yes, no, no], [yes, no, yes], [yes, yes, no], [yes, yes, yes]])
    );
}

/// As `Domain::get` and `Domain::add` of `intern.rs`: a look-up without the lock, and one under it.
struct Interner {
    table: Table<Entry>,
    known: Mutex<usize>,
}

impl Interner {
    /// The entry of a name, and whether it was added.
    fn get(&self, name: u64) -> (&'static Entry, bool) {
        if let Some(entry) = find(&self.table, name) {
            return (entry, false);
        }
        let mut known = self.known.lock();
        if let Some(entry) = find(&self.table, name) {
            return (entry, false);
        }
        let entry = Entry::new(name);
        self.table.insert(*known, entry);
        *known += 1;
        (entry, true)
    }
}

#[test]
fn threads_agree_on_the_entry_of_a_name() {
    let added = outcomes(|| {
        let interner: &Interner =
            Box::leak(Box::new(Interner { table: Table::new(), known: Mutex::new(0) }));
        // The first of the two that follow fills the table, the second makes it grow.
        interner.get(2);
        let threads = [[0, 1], [1, 0]].map(|names| {
            thread::spawn(move || {
                names.map(|name| {
                    let (entry, added) = interner.get(name);
                    assert!(std::ptr::eq(entry, interner.get(name).0), "{name} is there twice");
                    added
                })
            })
        });
        let added = threads.map(join);
        assert_eq!(*interner.known.lock(), 3);
        added
    });
    let [no, yes] = [false, true];
    assert_eq!(
        added,
        BTreeSet::from([[[no, no], [yes, yes]], [[yes, no], [yes, no]], [[yes, yes], [no, no]]])
    );
}

/// As `Domain::child` and `Domain::add_child` of `intern.rs`.
struct Parent {
    children: Children<Entry>,
    known: Mutex<usize>,
}

impl Parent {
    fn find(&self, code: u16) -> Option<&'static Entry> {
        let entry = self.children.find(code)?;
        assert_eq!(entry.body.load(Relaxed), u64::from(code));
        Some(entry)
    }

    /// The child of a code, and whether it was added.
    fn get(&self, code: u16) -> (&'static Entry, bool) {
        if let Some(entry) = self.find(code) {
            return (entry, false);
        }
        let mut known = self.known.lock();
        if let Some(entry) = self.find(code) {
            return (entry, false);
        }
        let entry = Entry::new(code.into());
        self.children.add(code, entry);
        *known += 1;
        (entry, true)
    }
}

#[test]
fn threads_agree_on_the_children_of_an_entry() {
    let added = outcomes(|| {
        let parent: &Parent =
            Box::leak(Box::new(Parent { children: Children::new(), known: Mutex::new(0) }));
        // Two positions lie near; 2 and 3 share a page that is further away.
        let threads = [[2, 3], [3, 2]].map(|codes| {
            thread::spawn(move || {
                codes.map(|code| {
                    let (entry, added) = parent.get(code);
                    assert!(std::ptr::eq(entry, parent.get(code).0), "{code} is there twice");
                    added
                })
            })
        });
        let added = threads.map(join);
        assert_eq!(*parent.known.lock(), 2, "a child is there twice");
        assert!([2, 3].iter().all(|code| parent.find(*code).is_some()), "a child is lost");
        added
    });
    let [no, yes] = [false, true];
    assert_eq!(
        added,
        BTreeSet::from([[[no, no], [yes, yes]], [[yes, no], [yes, no]], [[yes, yes], [no, no]]])
    );
}

/// As `Domain::get`, `Domain::add` and `Domain::remove` of `intern.rs`, with one value and a gauge in its row.
struct Removable {
    removed: AtomicUsize,
    cell: AtomicU64,
    /// Whether it is exposed.
    shown: Mutex<bool>,
}

impl Removable {
    fn new(value: u64) -> &'static Self {
        Box::leak(Box::new(Self {
            removed: AtomicUsize::new(0),
            cell: AtomicU64::new(value),
            shown: Mutex::new(true),
        }))
    }

    /// Makes sure that it is there; whether it came back.
    fn get(&self) -> bool {
        if self.removed.load(Acquire) == 0 {
            return false;
        }
        let mut shown = self.shown.lock();
        let comes_back = self.removed.load(Acquire) == 1;
        if comes_back {
            self.cell.store(0, Relaxed);
            self.removed.store(0, Release);
            *shown = true;
        }
        comes_back
    }

    fn set(&self, value: u64) {
        self.get();
        self.cell.store(value, Relaxed);
    }

    fn remove(&self) {
        let mut shown = self.shown.lock();
        *shown = false;
        self.removed.store(1, Relaxed);
    }

    /// As a scrape does.
    fn read(&self) -> Option<u64> {
        let shown = self.shown.lock();
        shown.then(|| self.cell.load(Relaxed))
    }
}

#[test]
fn a_value_that_came_back_keeps_what_is_set_then() {
    let came_back = outcomes(|| {
        let value = Removable::new(7);
        value.remove();
        let gets = thread::spawn(|| value.get());
        let own = value.get();
        value.cell.store(5, Relaxed);
        let other = join(gets);
        assert_eq!(value.read(), Some(5));
        (own, other)
    });
    assert_eq!(came_back, BTreeSet::from([(false, true), (true, false)]));
}

#[test]
fn a_value_that_is_removed_and_set_at_once_is_gone_or_shows_what_was_set() {
    let shown = outcomes(|| {
        let value = Removable::new(7);
        let removes = thread::spawn(|| value.remove());
        let sets = thread::spawn(|| value.set(5));
        let seen = value.read();
        join(removes);
        join(sets);
        let last = value.read();
        assert_ne!(last, Some(7), "it shows what it was before");
        // Whatever was set before it came back is forgotten.
        value.remove();
        value.get();
        assert_eq!(value.read(), Some(0));
        (seen, last)
    });
    let last = [None, Some(0), Some(5)];
    assert!(shown.iter().all(|(_, shown)| last.contains(shown)));
    let seen: BTreeSet<_> = shown.iter().map(|(seen, _)| *seen).collect();
    assert_eq!(seen, BTreeSet::from([None, Some(0), Some(5), Some(7)]));
}

/// As `Domain::add`, `Domain::remove` and `Domain::overflow` of `intern.rs`, with a cap of one.
struct Capped {
    full: AtomicUsize,
    other_is_shown: AtomicUsize,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    shown: Option<u64>,
    /// How often `other` was added.
    others: usize,
}

impl Capped {
    fn new() -> &'static Self {
        Box::leak(Box::new(Self {
            full: AtomicUsize::new(0),
            other_is_shown: AtomicUsize::new(0),
            known: Mutex::default(),
        }))
    }

    /// Whether there is room for a value.
    fn get(&self, value: u64) -> bool {
        if self.full.load(Relaxed) == 0 {
            let mut known = self.known.lock();
            if *known.shown.get_or_insert(value) == value {
                return true;
            }
            self.full.store(1, Relaxed);
        }
        if self.other_is_shown.load(Relaxed) == 0 && self.other_is_shown.swap(1, Relaxed) == 0 {
            self.known.lock().others += 1;
        }
        false
    }

    fn remove(&self) {
        let mut known = self.known.lock();
        known.shown = None;
        self.full.store(0, Relaxed);
    }
}

#[test]
fn the_room_of_a_removed_value_is_given_again() {
    let taken = outcomes(|| {
        let domain = Capped::new();
        assert!(domain.get(1));
        let gets = thread::spawn(|| domain.get(2));
        domain.remove();
        let taken = join(gets);
        assert!(domain.get(2), "there is room, and nobody is let in");
        taken
    });
    assert_eq!(taken, BTreeSet::from([false, true]));
}

#[test]
fn other_is_shown_once() {
    outcomes(|| {
        let domain = Capped::new();
        assert!(domain.get(1));
        let threads = [2, 3].map(|value| thread::spawn(move || domain.get(value)));
        assert_eq!(threads.map(join), [false, false]);
        assert_eq!(domain.known.lock().others, 1);
    });
}
