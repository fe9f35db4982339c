//! Open label values: the table of a domain, its cap, and a cache per thread.
//!
//! A *domain* is a set of open labels that several families share, such as the endpoint of all HTTP
//! families. One look-up finds the *entry* of a value, and with it the cells of every family: each entry
//! owns one run of cells, a row, in which each family has its offset.

use std::{
    borrow::{Borrow, Cow},
    cell::Cell,
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
    hash::BuildHasher,
    sync::{
        Arc, OnceLock,
        atomic::{
            AtomicBool, AtomicU32, AtomicUsize,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
};

use foldhash::fast::RandomState;
use parking_lot::Mutex;

use super::{
    cells::Address,
    children::Children,
    local,
    table::{Hashed, Table},
};
use crate::escape::push_label;

/// Open label values are shown up to this many bytes, to a character boundary.
pub(crate) const MAX_VALUE_BYTES: usize = 128;

/// Stands between the beginning of a value that was cut and the hash of the whole.
const HASH: char = '#';

/// The value that takes what the cap leaves no room for.
pub(crate) const OTHER: &str = "other";

/// The value of the series that stands for all values of a domain that does not show them.
const ALL: &str = "all";

/// Removed values keep their places up to this multiple of the cap. A place is never given to another value: a
/// recorder that holds it from before would write into that one's series.
const REMEMBERED: usize = 64;

/// One value of a domain, or one pair of values.
///
/// It takes one cache line, the text aside.
#[repr(C, align(64))]
pub(crate) struct Entry {
    domain: u32,
    row: Address,
    /// Where the second value ends.
    end: u16,
    /// Where the first value ends.
    split: u8,
    removed: AtomicBool,
    /// What it counts against, and what hangs below it.
    claim: Claim,
    /// The open values, one after the other, and then the labels as they are exposed: `endpoint="/orders"`.
    text: Box<str>,
    children: Children<Entry>,
    hash: u64,
}

const _: () = assert!(size_of::<Entry>() == 64, "an entry takes one cache line");

impl Entry {
    /// The first cell of the entry's row.
    #[inline]
    pub(crate) fn row(&self) -> Address {
        self.row
    }

    /// The labels as they are exposed, without braces.
    pub(crate) fn labels(&self) -> &str {
        &self.text[usize::from(self.end)..]
    }

    /// The open values, as they were cut; the second is empty where there is one label.
    #[inline]
    pub(crate) fn values(&self) -> (&str, &str) {
        self.text[..usize::from(self.end)].split_at(usize::from(self.split))
    }

    /// Whether it is exposed. One that came back was cleared before.
    #[inline]
    fn is_there(&self) -> bool {
        !self.removed.load(Acquire)
    }

    #[inline]
    fn has_values(&self, domain: u32, first: &str, second: &str) -> bool {
        if self.domain != domain
            || usize::from(self.split) != first.len()
            || usize::from(self.end) != first.len() + second.len()
        {
            return false;
        }
        let (known_first, rest) = self.text.as_bytes().split_at(first.len());
        same(known_first, first.as_bytes()) && same(&rest[..second.len()], second.as_bytes())
    }
}

impl Hashed for Entry {
    fn hash(&self) -> u64 {
        self.hash
    }
}

/// How the entries of a domain hang below those of another, one at each position.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nest {
    /// The label that is added.
    pub(crate) label: &'static str,
    /// Whether it stands before the parent's labels.
    pub(crate) first: bool,
    /// The position and the text of the value that takes what the cap leaves no room for.
    pub(crate) other: (u16, &'static str),
    /// The position and the text of the value that appears at zero with the first of its siblings, outside of the cap.
    pub(crate) from_zero: Option<(u16, &'static str)>,
    /// How many values there are, these included.
    pub(crate) values: usize,
    /// The default cap, as a multiple of that of the open label at the root.
    pub(crate) for_each: usize,
}

/// How a domain shows its values. They are found by themselves all the same.
#[derive(Clone, Default)]
pub(crate) enum View {
    /// As they are.
    #[default]
    Plain,
    /// The label at this position with what the function makes of its value.
    Replaced(usize, Arc<dyn Fn(&str) -> String + Send + Sync>),
    /// The label at this position not at all: one series stands for all of its values.
    Summed(usize),
}

/// The entries of a domain as they are exposed.
pub(crate) enum Shown {
    /// Each by itself.
    Each(Vec<&'static Entry>),
    /// Added up to one series for each of these labels.
    Summed(BTreeMap<String, Vec<&'static Entry>>),
}

/// The table of one domain of one instance.
pub(crate) struct Domain {
    id: u32,
    labels: &'static [&'static str],
    /// The domain that this one hangs below.
    nest: Option<(Nest, &'static Self)>,
    view: View,
    /// The first family of the domain and of those below it, which overflows are counted under.
    name: OnceLock<&'static str>,
    /// At most this many distinct values, if it is on.
    cap: usize,
    /// Values that the library itself may add past the cap.
    library_values: AtomicUsize,
    /// The one of them that others may name as well.
    kept: OnceLock<&'static str>,
    /// Whether nobody else adds any.
    is_fixed: AtomicBool,
    /// At most this many values that were guessed, past the cap.
    guess_cap: AtomicUsize,
    /// Whether a subsystem that is exposed has it.
    on: AtomicBool,
    row_len: AtomicU32,
    table: Table<Entry>,
    known: Mutex<Known>,
    /// Whether as many values are shown as may be.
    full: AtomicBool,
    /// Whether as many were guessed as may be.
    guesses_full: AtomicBool,
    /// Whether no values are taken but those that the table has, because no more are remembered or because
    /// there are no cells for them, or none yet.
    closed: AtomicBool,
    /// Whether a value was looked up before the layout of the row was known.
    used_early: AtomicBool,
    hasher: RandomState,
    other: OnceLock<&'static Entry>,
    other_is_shown: AtomicBool,
    overflows: OnceLock<Address>,
    /// Whether the log says already that there were overflows.
    warned: AtomicBool,
}

#[derive(Default)]
struct Known {
    /// In the order of exposition.
    shown: BTreeSet<ByLabels>,
    /// How many of `shown` do not count against the cap.
    uncounted: usize,
    /// How many of those were guessed.
    guessed: usize,
    /// Entries in the table.
    in_table: usize,
}

impl Known {
    fn show(&mut self, entry: &'static Entry, claim: Claim) {
        self.shown.replace(ByLabels(entry));
        self.uncounted += usize::from(claim != Claim::Capped);
        self.guessed += usize::from(claim == Claim::Guess);
    }
}

/// What a value counts against.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Claim {
    /// The cap.
    Capped,
    /// Nothing: it is one of the library's.
    Library,
    /// The cap of guesses.
    Guess,
}

/// How many entries a domain can show at most.
#[derive(Clone, Copy)]
pub(crate) struct Bound {
    pub(crate) entries: usize,
    /// Those below which no cap counts.
    exempt: usize,
}

/// An entry among others, by its exposed labels.
struct ByLabels(&'static Entry);

impl Borrow<str> for ByLabels {
    fn borrow(&self) -> &str {
        self.0.labels()
    }
}

impl PartialEq for ByLabels {
    fn eq(&self, other: &Self) -> bool {
        self.0.labels() == other.0.labels()
    }
}

impl Eq for ByLabels {}

impl PartialOrd for ByLabels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ByLabels {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.labels().cmp(other.0.labels())
    }
}

/// The sets of a thread's cache.
const SETS: usize = 256;

thread_local! {
    /// The entries that the thread looked up last, two to a set. With one alone, a few of some fifty values
    /// would share their place with another and drive each other out.
    static CACHE: [[Cell<Option<&'static Entry>>; 2]; SETS] =
        const { [const { [const { Cell::new(None) }; 2] }; SETS] };
}

/// Puts an entry in its set of the calling thread's cache, in place of the one before the last.
fn cache(set: usize, entry: &'static Entry) {
    CACHE.with(|cache| {
        let [newest, older] = &cache[set];
        older.set(newest.replace(Some(entry)));
    });
}

impl Domain {
    /// An empty domain, to live as long as the process.
    pub(crate) fn new(
        labels: &'static [&'static str],
        nest: Option<(Nest, &'static Self)>,
        view: View,
        cap: usize,
    ) -> &'static Self {
        static IDS: AtomicU32 = AtomicU32::new(0);
        Box::leak(Box::new(Self {
            id: IDS.fetch_add(1, Relaxed),
            labels,
            nest,
            view,
            name: OnceLock::new(),
            cap,
            library_values: AtomicUsize::new(0),
            kept: OnceLock::new(),
            is_fixed: AtomicBool::new(false),
            guess_cap: AtomicUsize::new(0),
            on: AtomicBool::new(false),
            row_len: AtomicU32::new(0),
            table: Table::new(),
            known: Mutex::new(Known::default()),
            full: AtomicBool::new(true),
            guesses_full: AtomicBool::new(false),
            closed: AtomicBool::new(true),
            used_early: AtomicBool::new(false),
            hasher: RandomState::default(),
            other: OnceLock::new(),
            other_is_shown: AtomicBool::new(false),
            overflows: OnceLock::new(),
            warned: AtomicBool::new(false),
        }))
    }

    /// Turns it on, and what it hangs below. Only before [`freeze`](Self::freeze), as the rest of the layout.
    pub(crate) fn turn_on(&self) {
        self.on.store(true, Relaxed);
        if let Some((_, parent)) = self.nest {
            parent.turn_on();
        }
    }

    fn cap(&self) -> usize {
        if self.on.load(Relaxed) { self.cap } else { 0 }
    }

    /// How many values may come of guesses.
    fn guess_cap(&self) -> usize {
        match self.nest {
            Some((nest, _)) => self.cap().min(self.root().guess_cap() * nest.for_each),
            None => self.guess_cap.load(Relaxed),
        }
    }

    /// The cap that it has while it is on.
    pub(crate) fn cap_if_on(&self) -> usize {
        self.cap
    }

    /// The domain at the top of what it hangs below, which may be itself.
    pub(crate) fn root(&self) -> &Self {
        match self.nest {
            Some((_, parent)) => parent.root(),
            None => self,
        }
    }

    /// Makes room past the cap for a value that the library adds by [`reserve`](Self::reserve).
    pub(crate) fn expect_library_value(&self) {
        self.library_values.fetch_add(1, Relaxed);
    }

    /// Makes room past the cap for this value, whoever adds it.
    pub(crate) fn keep(&self, value: &'static str) {
        self.expect_library_value();
        _ = self.kept.set(value);
    }

    fn is_kept(&self, value: &str) -> bool {
        self.kept.get().is_some_and(|kept| *kept == value)
    }

    /// Makes room past the cap for so many values that are guessed.
    pub(crate) fn expect_guesses(&self, cap: usize) {
        self.guess_cap.store(cap, Relaxed);
    }

    /// From now on it takes no values but those that the library adds.
    pub(crate) fn fix(&self) {
        self.is_fixed.store(true, Relaxed);
        self.full.store(true, Relaxed);
    }

    /// Whether all its values are the library's, so that no cap can limit them.
    pub(crate) fn is_fixed(&self) -> bool {
        self.is_fixed.load(Relaxed)
    }

    /// How many entries it can show at most.
    pub(crate) fn bound(&self) -> Bound {
        if matches!(self.view, View::Summed(_)) && self.labels.len() == 1 {
            return Bound { entries: 1, exempt: 0 };
        }
        match self.nest {
            None => {
                // The last one is `other`.
                let exempt = self.library_values.load(Relaxed) + 1;
                let capped = if self.is_fixed() { 0 } else { self.cap() + self.guess_cap() };
                Bound { entries: capped + exempt, exempt }
            }
            Some((nest, parent)) => {
                let above = parent.bound();
                let exempt = above.exempt * nest.values;
                // Below each of the others are the one that takes the rest and the one that appears at zero.
                let free = 1 + usize::from(nest.from_zero.is_some());
                let free = (above.entries - above.exempt) * free;
                Bound { entries: self.cap() + self.guess_cap() + free + exempt, exempt }
            }
        }
    }

    /// Makes room for the `cells` of a family in every row; the offset of the first.
    #[expect(clippy::cast_possible_truncation, reason = "a label set's combinations are few")]
    pub(crate) fn reserve_cells(&self, cells: usize) -> Address {
        let begin = local::append(self.row_len.load(Relaxed) as usize, cells);
        self.row_len.store((begin + cells) as Address, Relaxed);
        begin as Address
    }

    /// Takes the name of a family that is exposed, if it has none; so does the root of what it hangs below.
    pub(crate) fn take_name(&self, family: &'static str) {
        self.name.get_or_init(|| family);
        self.root().name.get_or_init(|| family);
    }

    /// Ends the layout of the row; `false` if there is no room for even one.
    pub(crate) fn freeze(&'static self) -> bool {
        self.full.store(self.cap() == 0, Relaxed);
        self.closed.store(false, Relaxed);
        let mut labels = String::new();
        for name in self.labels {
            push_label(&mut labels, name, OTHER);
        }
        let second = if self.labels.len() > 1 { OTHER } else { "" };
        match self.entry(OTHER, second, Claim::Library, &labels) {
            Some(entry) => self.other.set(entry).is_ok(),
            None => false,
        }
    }

    /// The names of its labels, if a value was looked up before the layout of the row was known.
    pub(crate) fn used_early(&self) -> Option<&'static [&'static str]> {
        self.used_early.load(Relaxed).then_some(self.labels)
    }

    /// The family that overflows are counted under; none while the subsystem is off.
    pub(crate) fn name(&self) -> Option<&'static str> {
        if self.cap() > 0 { self.name.get().copied() } else { None }
    }

    /// Says where overflows are counted.
    pub(crate) fn count_overflows_in(&self, cell: Address) {
        _ = self.overflows.set(cell);
    }

    /// The entry of a value or a pair, added if there is room, else that of `other`.
    #[inline]
    pub(crate) fn get(&'static self, first: &str, second: &str) -> &'static Entry {
        if is_long(first, second) {
            return self.get_long(first, second);
        }
        let set = self.cache_set(first, second);
        match self.find_cached(set, first, second) {
            Some(entry) => entry,
            None => self.get_uncached(set, first, second),
        }
    }

    #[cold]
    #[inline(never)]
    fn get_long(&'static self, first: &str, second: &str) -> &'static Entry {
        let (first, second) = (&*self.shortened(0, first), &*self.shortened(1, second));
        self.get_uncached(self.cache_set(first, second), first, second)
    }

    /// The entry of a value or a pair, if there is one.
    #[inline]
    pub(crate) fn find(&'static self, first: &str, second: &str) -> Option<&'static Entry> {
        if is_long(first, second) {
            let (first, second) = (&*self.shortened(0, first), &*self.shortened(1, second));
            return self.find_uncached(self.cache_set(first, second), first, second);
        }
        let set = self.cache_set(first, second);
        match self.find_cached(set, first, second) {
            Some(entry) => Some(entry),
            None => self.find_uncached(set, first, second),
        }
    }

    /// What a value is found by. One that is cut, and is not shown as it is, stays apart from others that begin alike:
    /// it ends in a hash of the whole.
    fn shortened<'a>(&self, position: usize, value: &'a str) -> Cow<'a, str> {
        let begin = cut(value);
        match &self.view {
            _ if begin.len() == value.len() => Cow::Borrowed(value),
            View::Replaced(replaced, replace) if *replaced == position => {
                Cow::Owned(format!("{begin}{HASH}{}", replace(value)))
            }
            View::Summed(summed) if *summed == position => {
                Cow::Owned(format!("{begin}{HASH}{:016x}", self.hasher.hash_one(value)))
            }
            _ => Cow::Borrowed(begin),
        }
    }

    #[inline]
    fn find_cached(&self, set: usize, first: &str, second: &str) -> Option<&'static Entry> {
        let is_it = |entry: &Entry| entry.has_values(self.id, first, second) && entry.is_there();
        // Little happens inside of `with`, so that it is inlined.
        let [newest, older] = CACHE.with(|cache| cache[set].each_ref().map(Cell::get));
        match newest {
            Some(entry) if is_it(entry) => Some(entry),
            _ => older.filter(|entry| is_it(entry)),
        }
    }

    #[inline(never)]
    fn find_uncached(
        &'static self,
        set: usize,
        first: &str,
        second: &str,
    ) -> Option<&'static Entry> {
        let entry = self.in_table(first, second).filter(|entry| entry.is_there())?;
        cache(set, entry);
        Some(entry)
    }

    fn in_table(&self, first: &str, second: &str) -> Option<&'static Entry> {
        self.table.get(self.hash(first, second), |entry| entry.has_values(self.id, first, second))
    }

    #[inline(never)]
    fn get_uncached(&'static self, set: usize, first: &str, second: &str) -> &'static Entry {
        if self.cap() == 0 {
            // It is off, and has no values to be found.
            return self.other();
        }
        let there = self.in_table(first, second);
        if let Some(entry) = there
            && entry.is_there()
        {
            cache(set, entry);
            return entry;
        }
        let has_room = !self.full.load(Relaxed) && (there.is_some() || !self.closed.load(Relaxed));
        if (has_room || self.is_other(first, second) || self.is_kept(first))
            && let Some(entry) = self.add(first, second, Claim::Capped)
        {
            return entry;
        }
        self.overflow()
    }

    /// Adds a value of the library's, which does not count against the cap. There was room made for it.
    pub(crate) fn reserve(&'static self, value: &str) -> &'static Entry {
        let value = cut(value);
        self.find(value, "")
            .or_else(|| self.add(value, "", Claim::Library))
            .unwrap_or_else(|| self.other())
    }

    /// The entry of a value that may be none of those meant, added if there is room among the guesses. They take
    /// no room of the others.
    pub(crate) fn guess(&'static self, value: &str) -> Option<&'static Entry> {
        let value = cut(value);
        let there = self.find(value, "");
        if there.is_some() {
            return there;
        }
        if !self.guesses_full.load(Relaxed) {
            let added = self.add(value, "", Claim::Guess);
            if added.is_some() {
                return added;
            }
        }
        self.count_overflow("unmatched");
        None
    }

    #[cold]
    fn add(&'static self, first: &str, second: &str, claim: Claim) -> Option<&'static Entry> {
        if self.cap() == 0 {
            return None;
        }
        if self.is_other(first, second) {
            self.show_other();
            return Some(self.other());
        }
        let claim = if self.is_kept(first) { Claim::Library } else { claim };
        let mut known = self.known.lock();
        let there = self.in_table(first, second);
        if let Some(entry) = there
            && entry.is_there()
        {
            return Some(entry);
        }
        if !self.has_room(&known, claim) {
            return None;
        }
        if claim == Claim::Capped
            && there.is_none()
            && known.in_table >= self.cap.saturating_mul(REMEMBERED)
        {
            self.closed.store(true, Relaxed);
            return None;
        }
        let entry = if let Some(entry) = there {
            self.clear(entry);
            entry.removed.store(false, Release);
            entry
        } else {
            let mut labels = String::new();
            for (position, (name, value)) in self.labels.iter().zip([first, second]).enumerate() {
                match &self.view {
                    View::Replaced(replaced, replace) if *replaced == position => {
                        // Of a value that was cut, the hash is known.
                        match value.rsplit_once(HASH) {
                            Some((_, hash)) if value.len() > MAX_VALUE_BYTES => {
                                push_label(&mut labels, name, hash);
                            }
                            _ => push_label(&mut labels, name, &replace(value)),
                        }
                    }
                    _ => push_label(&mut labels, name, value),
                }
            }
            let Some(entry) = self.entry(first, second, claim, &labels) else {
                self.closed.store(true, Relaxed);
                return None;
            };
            self.table.insert(known.in_table, entry);
            known.in_table += 1;
            entry
        };
        known.show(entry, claim);
        Some(entry)
    }

    /// Whether there is room for one more; that there is none is known without the lock from then on.
    fn has_room(&self, known: &Known, claim: Claim) -> bool {
        let full = match claim {
            Claim::Capped if known.shown.len() - known.uncounted >= self.cap() => &self.full,
            Claim::Guess if known.guessed >= self.guess_cap() => &self.guesses_full,
            _ => return true,
        };
        full.store(true, Relaxed);
        false
    }

    /// Takes a value's series out of the exposition and makes room for another; `false` if it has none.
    /// Only gauges that are set may hang on it: their cells are the shared ones.
    pub(crate) fn remove(&'static self, first: &str, second: &str) -> bool {
        let Some(entry) = self.find(first, second) else { return false };
        let mut known = self.known.lock();
        if !known.shown.remove(entry.labels()) {
            return false;
        }
        entry.removed.store(true, Relaxed);
        self.full.store(false, Relaxed);
        true
    }

    fn clear(&self, entry: &Entry) {
        (0..self.row_len.load(Relaxed)).for_each(|offset| local::set(entry.row + offset, 0));
    }

    /// The entry below `parent` at this position, added if there is room, else that which takes the rest.
    #[inline]
    pub(crate) fn child(
        &'static self,
        parent: &'static Entry,
        position: u16,
        value: impl FnOnce() -> String,
    ) -> &'static Entry {
        match parent.children.find(position) {
            Some(entry) => entry,
            None => self.missing_child(parent, position, value),
        }
    }

    /// The entry below `parent` at this position, if there is one.
    #[inline]
    #[expect(clippy::unused_self, reason = "a parent has the children of one domain")]
    pub(crate) fn find_child(
        &self,
        parent: &'static Entry,
        position: u16,
    ) -> Option<&'static Entry> {
        parent.children.find(position)
    }

    #[cold]
    #[inline(never)]
    fn missing_child(
        &'static self,
        parent: &'static Entry,
        position: u16,
        value: impl FnOnce() -> String,
    ) -> &'static Entry {
        let Some((Nest { other: (other, text), from_zero, .. }, _)) = self.nest else {
            return self.other();
        };
        if let Some((zero, text)) = from_zero
            && self.cap() > 0
            && parent.children.find(zero).is_none()
        {
            self.add_child(parent, zero, text, Claim::Library);
        }
        let is_free = position == other || from_zero.is_some_and(|(zero, _)| position == zero);
        let claim = if is_free { Claim::Library } else { parent.claim };
        let is_full = match claim {
            Claim::Capped => self.full.load(Relaxed),
            Claim::Guess => self.guesses_full.load(Relaxed),
            Claim::Library => false,
        };
        if !is_full && let Some(entry) = self.add_child(parent, position, &value(), claim) {
            return entry;
        }
        self.count_overflow(text);
        let rest = || self.add_child(parent, other, text, Claim::Library);
        parent.children.find(other).or_else(rest).unwrap_or_else(|| self.other())
    }

    /// Adds an entry below `parent`; none if the cap leaves no room.
    fn add_child(
        &'static self,
        parent: &'static Entry,
        position: u16,
        value: &str,
        claim: Claim,
    ) -> Option<&'static Entry> {
        let (Nest { label, first, .. }, _) = self.nest?;
        if self.closed.load(Relaxed) {
            return Some(self.other());
        }
        let mut known = self.known.lock();
        let there = parent.children.find(position);
        if there.is_some() {
            return there;
        }
        if !self.has_room(&known, claim) {
            return None;
        }
        let mut labels = String::new();
        if !first {
            labels.push_str(parent.labels());
        }
        push_label(&mut labels, label, value);
        if first {
            labels.push(',');
            labels.push_str(parent.labels());
        }
        let Some(entry) = self.entry(value, "", parent.claim, &labels) else {
            // The process has no cells left.
            drop(known);
            if self.cap() > 0 {
                self.show_other();
            }
            self.closed.store(true, Relaxed);
            return Some(self.other());
        };
        parent.children.add(position, entry);
        if self.cap() > 0 {
            known.show(entry, claim);
        }
        Some(entry)
    }

    /// Every entry that is exposed, in the order of exposition.
    pub(crate) fn shown(&self) -> Shown {
        let entries = self.known.lock().shown.iter().map(|shown| shown.0).collect();
        match self.view {
            View::Summed(summed) => Shown::Summed(self.added_up(summed, entries)),
            _ => Shown::Each(entries),
        }
    }

    fn added_up(
        &self,
        summed: usize,
        entries: Vec<&'static Entry>,
    ) -> BTreeMap<String, Vec<&'static Entry>> {
        let mut groups = BTreeMap::<_, Vec<_>>::new();
        for entry in entries {
            let (first, second) = entry.values();
            let mut labels = String::new();
            for (position, (name, value)) in self.labels.iter().zip([first, second]).enumerate() {
                push_label(&mut labels, name, if position == summed { ALL } else { value });
            }
            groups.entry(labels).or_default().push(entry);
        }
        groups
    }

    fn other(&self) -> &'static Entry {
        self.other.get().copied().unwrap_or_else(|| self.early())
    }

    /// What a part gets that looks a value up while the instance is made: nothing can be counted in it.
    #[cold]
    fn early(&self) -> &'static Entry {
        self.used_early.store(true, Relaxed);
        self.entry_at(local::SINK, OTHER, "", Claim::Library, "")
    }

    fn is_other(&self, first: &str, second: &str) -> bool {
        first == OTHER && (second == OTHER || self.labels.len() == 1)
    }

    fn show_other(&self) {
        if !self.other_is_shown.load(Relaxed) && !self.other_is_shown.swap(true, Relaxed) {
            let other = self.other();
            let mut known = self.known.lock();
            known.show(other, Claim::Library);
        }
    }

    #[cold]
    fn overflow(&'static self) -> &'static Entry {
        if self.cap() > 0 {
            self.show_other();
        }
        self.count_overflow(OTHER);
        self.other()
    }

    /// Counts an event whose value is `shown_as` in place of its own.
    #[cfg_attr(not(feature = "tracing"), expect(unused_variables, reason = "it is for the log"))]
    fn count_overflow(&self, shown_as: &str) {
        if self.cap() == 0 {
            return;
        }
        if !self.warned.load(Relaxed) && !self.warned.swap(true, Relaxed) {
            #[cfg(feature = "tracing")]
            tracing::warn!(
                family = self.name(),
                labels = ?self.labels,
                "the cap of distinct values is reached: further ones are counted as `{shown_as}`"
            );
        }
        if let Some(cell) = self.overflows.get() {
            local::add(*cell, 1);
        }
    }

    fn entry(
        &self,
        first: &str,
        second: &str,
        claim: Claim,
        labels: &str,
    ) -> Option<&'static Entry> {
        let row_len = self.row_len.load(Relaxed) as usize;
        let row = if self.cap() > 0 { local::allocate(row_len) } else { local::unread(row_len) }?;
        Some(self.entry_at(row, first, second, claim, labels))
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "a value is cut at 128 bytes and has a hash at most behind that, or is one of a closed set"
    )]
    fn entry_at(
        &self,
        row: Address,
        first: &str,
        second: &str,
        claim: Claim,
        labels: &str,
    ) -> &'static Entry {
        Box::leak(Box::new(Entry {
            domain: self.id,
            row,
            end: (first.len() + second.len()) as u16,
            split: first.len() as u8,
            removed: AtomicBool::new(false),
            claim,
            text: [first, second, labels].concat().into(),
            children: Children::new(),
            hash: self.hash(first, second),
        }))
    }

    fn hash(&self, first: &str, second: &str) -> u64 {
        self.hasher.hash_one((first, second))
    }

    /// A cheap mix of the values' first, middle and last bytes: a collision costs a look-up, no more.
    #[inline]
    fn cache_set(&self, first: &str, second: &str) -> usize {
        let mix = mix(first) ^ mix(second).rotate_left(32) ^ u64::from(self.id);
        (mix.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as usize
    }
}

#[inline]
fn mix(text: &str) -> u64 {
    let bytes = text.as_bytes();
    let mix = match (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        (Some(first), Some(last)) => {
            let middle = bytes[bytes.len() / 2 - 4..].first_chunk::<8>();
            u64::from_le_bytes(*first)
                ^ u64::from_le_bytes(*last).rotate_left(21)
                ^ middle.map_or(0, |middle| u64::from_le_bytes(*middle)).rotate_left(42)
        }
        _ => bytes.iter().fold(0, |mix, byte| mix << 8 | u64::from(*byte)),
    };
    mix ^ bytes.len() as u64
}

/// Whether two texts of the same length are equal. The library's comparison is a call, and one of nothing
/// takes 90 ns on processors with AVX-512: glibc's loads from the dangling pointer under an empty mask.
#[inline]
fn same(one: &[u8], other: &[u8]) -> bool {
    same_blocks::<16>(one, other)
        .or_else(|| same_blocks::<4>(one, other))
        .unwrap_or_else(|| one.iter().eq(other))
}

/// The same by blocks, the last of which overlaps the one before; `None` if there is not even one.
#[inline]
fn same_blocks<const BLOCK: usize>(one: &[u8], other: &[u8]) -> Option<bool> {
    let ends_alike = one.last_chunk::<BLOCK>()? == other.last_chunk::<BLOCK>()?;
    let mut blocks = one.as_chunks::<BLOCK>().0.iter().zip(other.as_chunks::<BLOCK>().0);
    Some(ends_alike && blocks.all(|(one, other)| one == other))
}

#[inline]
fn is_long(first: &str, second: &str) -> bool {
    first.len() > MAX_VALUE_BYTES || second.len() > MAX_VALUE_BYTES
}

fn cut(value: &str) -> &str {
    &value[..value.floor_char_boundary(MAX_VALUE_BYTES)]
}

#[cfg(test)]
mod tests {
    use super::{Domain, Entry, MAX_VALUE_BYTES, Shown, View, same};
    use crate::storage::local;

    fn domain(labels: &'static [&'static str], cap: usize) -> &'static Domain {
        let domain = Domain::new(labels, None, View::Plain, cap);
        domain.reserve_cells(1);
        domain.take_name("test_total");
        domain.turn_on();
        assert!(domain.freeze());
        domain.count_overflows_in(local::allocate(1).unwrap());
        domain
    }

    fn overflows(domain: &Domain) -> u64 {
        local::reader().sum(*domain.overflows.get().unwrap())
    }

    fn entries(domain: &Domain) -> Vec<&'static Entry> {
        match domain.shown() {
            Shown::Each(entries) => entries,
            Shown::Summed(_) => panic!("the view is plain"),
        }
    }

    fn shown(domain: &Domain) -> Vec<&str> {
        entries(domain).iter().map(|entry| entry.labels()).collect()
    }

    #[test]
    fn a_value_keeps_its_row() {
        let domain = domain(&["endpoint"], 10_000);
        let rows: Vec<_> = (0..5_000).map(|n| domain.get(&format!("/{n}"), "").row()).collect();
        for (n, row) in rows.iter().enumerate() {
            assert_eq!(domain.get(&format!("/{n}"), "").row(), *row);
            assert_eq!(domain.find(&format!("/{n}"), "").unwrap().row(), *row);
        }
        assert!(domain.find("/5000", "").is_none());
        assert_eq!(entries(domain).len(), 5_000);
    }

    #[test]
    fn past_the_cap_values_are_other_and_counted_once_each() {
        let domain = domain(&["endpoint"], 2);
        for value in ["/a", "/b", "/c", "/a", "/d"] {
            local::add(domain.get(value, "").row(), 1);
        }
        assert_eq!(shown(domain), [r#"endpoint="/a""#, r#"endpoint="/b""#, r#"endpoint="other""#]);
        assert_eq!(overflows(domain), 2);
        assert_eq!(local::reader().sum(domain.other().row()), 2);
    }

    #[test]
    fn the_value_other_is_the_series_of_the_overflow() {
        let domain = domain(&["endpoint"], 1);
        let other = domain.get("other", "").row();
        domain.get("/a", "");
        assert_eq!(domain.get("/b", "").row(), other);
        assert_eq!(shown(domain), [r#"endpoint="/a""#, r#"endpoint="other""#]);
    }

    #[test]
    fn pairs_are_told_apart_by_where_they_split() {
        let domain = domain(&["a", "b"], 10);
        assert_ne!(domain.get("xy", "z").row(), domain.get("x", "yz").row());
        assert_eq!(domain.get("xy", "z").row(), domain.get("xy", "z").row());
        assert_eq!(shown(domain), [r#"a="x",b="yz""#, r#"a="xy",b="z""#]);
    }

    #[test]
    fn texts_that_differ_in_one_byte_are_not_the_same() {
        for len in 0..50 {
            let text: Vec<u8> = (0..len).collect();
            assert!(same(&text, &text.clone()));
            for at in 0..text.len() {
                let mut other = text.clone();
                other[at] ^= 1;
                assert!(!same(&text, &other), "{len} bytes, at {at}");
            }
        }
    }

    #[test]
    fn long_values_are_cut_between_characters() {
        let domain = domain(&["a"], 10);
        let long = "é".repeat(5_000);
        let entry = domain.get(&long[..], "");
        assert_eq!(entry.values().0.len(), MAX_VALUE_BYTES);
        let shifted = format!("x{long}");
        assert_eq!(domain.get(&shifted, "").values().0.len(), MAX_VALUE_BYTES - 1);
    }

    #[test]
    fn a_removed_value_makes_room_and_comes_back_at_zero() {
        let domain = domain(&["account"], 1);
        local::set(domain.get("a", "").row(), 7);
        assert!(domain.remove("a", ""));
        assert!(!domain.remove("a", ""));
        assert!(shown(domain).is_empty());
        domain.get("b", "");
        assert_eq!(shown(domain), [r#"account="b""#]);
        assert!(domain.remove("b", ""));
        assert_eq!(local::get(domain.get("a", "").row()), 0);
        assert_eq!(shown(domain), [r#"account="a""#]);
    }

    #[test]
    fn removed_values_come_back_when_no_more_are_remembered() {
        let domain = domain(&["account"], 1);
        let values: Vec<_> = (0..super::REMEMBERED).map(|n| n.to_string()).collect();
        for value in &values {
            domain.get(value, "");
            assert!(domain.remove(value, ""));
        }
        domain.get("new", "");
        assert_eq!(overflows(domain), 1);
        domain.get(&values[3], "");
        assert_eq!(overflows(domain), 1);
        assert_eq!(shown(domain), [r#"account="3""#, r#"account="other""#]);
    }

    /// Runs `record` on a thread of its own while the domain is locked: it must not wait.
    fn without_the_lock(domain: &'static Domain, record: impl FnOnce() + Send + 'static) {
        let (done, wait) = std::sync::mpsc::channel();
        let known = domain.known.lock();
        std::thread::spawn(move || {
            record();
            done.send(()).unwrap();
        });
        wait.recv_timeout(std::time::Duration::from_secs(10)).expect("it waits for the lock");
        drop(known);
    }

    #[test]
    fn what_counts_as_other_takes_no_lock() {
        let domain = domain(&["account"], 1);
        domain.get("other", "");
        without_the_lock(domain, || _ = domain.get("other", ""));
        domain.get("a", "");
        domain.get("b", "");
        without_the_lock(domain, || _ = domain.get("b", ""));
        assert!(domain.remove("a", ""));
        for n in 0..super::REMEMBERED {
            domain.get(&n.to_string(), "");
            domain.remove(&n.to_string(), "");
        }
        domain.get("new", "");
        without_the_lock(domain, || _ = domain.get("new", ""));
    }

    #[test]
    fn the_value_other_is_no_overflow_when_the_cap_is_reached() {
        let domain = domain(&["endpoint"], 1);
        domain.get("/a", "");
        domain.get("/b", "");
        domain.get("other", "");
        assert_eq!(overflows(domain), 1);
    }

    #[test]
    fn threads_agree_on_the_row_of_a_value() {
        let domain = domain(&["endpoint"], 100_000);
        let rows: Vec<Vec<u32>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        (0..2_000).map(|n| domain.get(&n.to_string(), "").row()).collect()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(rows.iter().all(|row| *row == rows[0]));
        assert_eq!(entries(domain).len(), 2_000);
    }
}
