//! The trace that the calling thread works for, and the exemplars that come of it.

use std::{
    cell::{Cell, RefCell},
    fmt::{self, Write as _},
    sync::{Arc, OnceLock},
    time::{Duration, UNIX_EPOCH},
};

use super::{cells::Address, exemplars::Table, local};
use crate::clock::Clock;

/// The label of an exemplar.
pub(crate) const LABEL: &str = "trace_id";

/// What `OpenMetrics` leaves for its value: the names and values of the labels are 128 code points at most.
const MOST_CHARACTERS: usize = 128 - LABEL.len();

/// Sets of the table: with four slots each, room for the exemplars of 1,024 cells in 152 KiB.
const SETS: usize = 256;

/// Recordings of a thread that go by one reading of the clock, as long as none is accepted.
const RECORDINGS_PER_READING: u32 = 64;

/// The exemplars of the process, once there may be any.
static TABLE: OnceLock<Table> = OnceLock::new();

thread_local! {
    /// Whether the span that was entered last is part of a trace. It has no destructor, so that reaching it
    /// is a plain load.
    static TRACED: Cell<bool> = const { Cell::new(false) };
    /// About when it is, in milliseconds since 1970, and how many more recordings may go by that.
    static NOW: Cell<(u64, u32)> = const { Cell::new((0, 0)) };
    /// The spans that were entered and not left.
    static ENTERED: RefCell<Vec<Entered>> = const { RefCell::new(Vec::new()) };
}

struct Entered {
    span: u64,
    trace: Option<Arc<Trace>>,
}

/// How often a slot takes an exemplar, by which clock.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    pub(crate) clock: Clock,
    /// Milliseconds.
    pub(crate) interval: u64,
}

impl Pace {
    /// Milliseconds since 1970.
    fn now(&self) -> u64 {
        let now = milliseconds(self.clock.wall().duration_since(UNIX_EPOCH).unwrap_or_default());
        NOW.set((now, RECORDINGS_PER_READING));
        now
    }

    /// The same, without a reading of the clock but for once in a while.
    fn about(&self) -> u64 {
        match NOW.get() {
            (_, 0) => self.now(),
            (now, left) => {
                NOW.set((now, left - 1));
                now
            }
        }
    }
}

pub(crate) fn milliseconds(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}

/// A trace that has an id, or may get one while spans are in it.
#[derive(Debug)]
pub(crate) struct Trace {
    pace: Pace,
    /// Set once. It is empty inside if the text is none that an exemplar can have.
    id: OnceLock<Option<Box<str>>>,
    /// Whose id counts until this one has its own.
    above: Option<Arc<Trace>>,
}

/// Whether an id may have the character: what identifiers are written with, and nothing that has to be escaped
/// in a label or that readers take for the end of one.
fn is_of_id(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_.:/+=-".contains(&byte)
}

impl Trace {
    pub(crate) fn new(pace: Pace, above: Option<Arc<Self>>) -> Self {
        Self { pace, id: OnceLock::new(), above }
    }

    /// Gives the trace its id; the first one counts.
    pub(crate) fn set_id(&self, id: fmt::Arguments<'_>) {
        let mut text = String::new();
        let is_id = text.write_fmt(id).is_ok()
            && (1..=MOST_CHARACTERS).contains(&text.len())
            && text.bytes().all(is_of_id);
        _ = self.id.set(is_id.then(|| text.into_boxed_str()));
    }

    fn id(&self) -> Option<&str> {
        let mut trace = self;
        loop {
            match trace.id.get() {
                Some(id) => return id.as_deref(),
                None => trace = trace.above.as_deref()?,
            }
        }
    }
}

/// Makes room for exemplars.
pub(crate) fn prepare() {
    TABLE.get_or_init(|| Table::new(SETS));
}

/// The exemplars of the process, if there may be any.
pub(crate) fn exemplars() -> Option<&'static Table> {
    TABLE.get()
}

/// The thread enters a span, be it of no trace.
pub(crate) fn enter(span: u64, trace: Option<Arc<Trace>>) {
    let is_traced = trace.is_some();
    // Out of reach at the end of the thread, and while an allocator that opens spans grows it.
    let entered = ENTERED.try_with(|entered| {
        let mut entered = entered.try_borrow_mut().ok()?;
        entered.push(Entered { span, trace });
        Some(())
    });
    if let Ok(Some(())) = entered {
        TRACED.set(is_traced);
        NOW.set((0, 0));
    }
}

/// The thread leaves a span, be it not the one that it entered last.
pub(crate) fn exit(span: u64) {
    let left = ENTERED.try_with(|entered| {
        let mut entered = entered.try_borrow_mut().ok()?;
        let place = entered.iter().rposition(|entered| entered.span == span)?;
        let left = entered.remove(place);
        TRACED.set(entered.last().is_some_and(|entered| entered.trace.is_some()));
        Some(left)
    });
    // Here, where the list is in nobody's hands.
    drop(left);
}

/// Offers what was just recorded as an exemplar of its cell, if the thread works for a trace.
#[inline]
pub(crate) fn offer(cell: Address, value: u64) {
    if TRACED.get() {
        offer_traced(cell, value);
    }
}

#[cold]
#[inline(never)]
fn offer_traced(cell: Address, value: u64) {
    let Some(table) = TABLE.get().filter(|_| !local::is_sink(cell)) else { return };
    // Out of reach as in `enter`: then there is no exemplar.
    _ = ENTERED.try_with(|entered| {
        let entered = entered.try_borrow().ok()?;
        let trace = entered.last()?.trace.as_deref()?;
        let id = trace.id()?;
        let pace = &trace.pace;
        table.offer(cell, value, id, pace.interval, pace.about(), || pace.now());
        Some(())
    });
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Pace, Trace, enter, exemplars, exit, offer, prepare};
    use crate::{
        clock::Clock,
        storage::{
            cells::Address,
            exemplars::{Exemplar, Table},
            local,
            sync::WAYS,
        },
    };

    #[test]
    fn a_cell_that_nothing_reads_has_no_exemplar() {
        prepare();
        let (sink, cell) = (local::unread(2).unwrap() + 1, local::allocate(1).unwrap());
        let pace = Pace { clock: Clock::system(), interval: 0 };
        let trace = Trace::new(pace, None);
        trace.set_id(format_args!("a-trace"));
        enter(1, Some(Arc::new(trace)));
        for cell in [sink, cell] {
            offer(cell, 1);
        }
        exit(1);
        offer(cell, 2);
        let found = |cell| exemplars().unwrap().find(cell).map(|exemplar| exemplar.value);
        assert_eq!([sink, cell].map(found), [None, Some(1)]);
    }

    fn keep(table: &Table, cell: Address, now: u64) -> bool {
        table.offer(cell, 7, &format!("trace {now}"), 1_000, now, || now)
    }

    fn moments<const N: usize>(table: &Table, cells: [Address; N]) -> [Option<u64>; N] {
        cells.map(|cell| table.find(cell).map(|exemplar| exemplar.wall))
    }

    #[test]
    fn a_text_of_any_length_comes_back() {
        let table = Table::new(1);
        assert_eq!(table.find(9), None);
        let text = "\u{10ffff}".repeat(30);
        for (now, len) in (1_u64..).zip([0, 4, 8, 12, 120, 16]) {
            let trace = text[..len].to_owned();
            assert!(table.offer(9, u64::MAX, &trace, 0, now, || now));
            assert_eq!(table.find(9), Some(Exemplar { value: u64::MAX, wall: now, trace }));
        }
        assert!(!table.offer(9, 1, &"x".repeat(121), 0, 9, || 9), "it is not cut");
    }

    #[test]
    fn a_full_table_replaces_the_oldest_after_the_interval() {
        assert_eq!(WAYS, 4);
        let table = Table::new(1);
        for (cell, now) in [(1, 3_900), (2, 3_000), (3, 3_500), (4, 3_800)] {
            assert!(keep(&table, cell, now));
        }
        assert!(!keep(&table, 5, 3_999), "the oldest is not old enough");
        assert!(keep(&table, 5, 4_000));
        let cells = [1, 2, 3, 4, 5];
        let [first, third, fourth, fifth] = [3_900, 3_500, 3_800, 4_000].map(Some);
        assert_eq!(moments(&table, cells), [first, None, third, fourth, fifth]);
        // A cell that has a slot keeps it, though another one is older.
        assert!(keep(&table, 4, 5_000));
        assert_eq!(moments(&table, cells), [first, None, third, Some(5_000), fifth]);
    }

    #[test]
    fn what_is_far_in_the_future_is_old() {
        let table = Table::new(1);
        for (cell, now) in [(1, 5_000), (2, 90_000), (3, 5_000), (4, 5_000)] {
            assert!(keep(&table, cell, now));
        }
        assert!(keep(&table, 5, 6_000));
        assert_eq!(moments(&table, [1, 2, 5]), [Some(5_000), None, Some(6_000)]);
    }

    #[test]
    fn the_time_is_read_only_if_the_interval_seems_over() {
        let table = Table::new(1);
        assert!(keep(&table, 1, 5_000));
        assert!(!table.offer(1, 7, "a", 1_000, 5_500, || unreachable!()));
        // It seems over to a thread that is late.
        assert!(!table.offer(1, 7, "a", 1_000, 4_000, || 5_999));
        assert!(table.offer(1, 7, "a", 1_000, 4_000, || 6_000));
    }

    #[test]
    fn neighbours_and_cells_a_power_of_two_apart_do_not_share_a_set() {
        for step in [1, 16, 64, 1_024] {
            let table = Table::new(256);
            let cells = (1..=256).map(|number| number * step);
            for cell in cells.clone() {
                keep(&table, cell, 5_000);
            }
            let kept = cells.filter(|cell| table.find(*cell).is_some()).count();
            assert!(kept > 250, "{kept} of 256 in steps of {step}");
        }
    }
}
