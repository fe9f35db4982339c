//! Exemplars.

use super::{
    cells::Address,
    exemplars::{Exemplar, Table as Exemplars},
    *,
};

/// Offers an exemplar in which every number and the text are `of`, a digit.
fn offer(table: &Exemplars, of: u64) -> bool {
    table.offer(cell(of), of, &of.to_string(), 0, of, || of)
}

/// A cell of its own for each, so that a slot changes hands.
fn cell(of: u64) -> Address {
    Address::try_from(of).expect("a digit is an address")
}

/// The exemplar that the table has of these cells, which must be one that was offered.
fn found(table: &Exemplars, cells: &[u64]) -> Option<u64> {
    cells.iter().find_map(|of| {
        let Exemplar { value, wall, trace } = table.find(cell(*of))?;
        let is_whole = value == *of && wall == *of && trace == of.to_string();
        assert!(is_whole, "an exemplar is made of two: {of}, {value}, {wall}, {trace}");
        Some(*of)
    })
}

#[test]
fn of_two_writers_one_is_kept_whole() {
    let kept = outcomes(|| {
        let table: &Exemplars = Box::leak(Box::new(Exemplars::new(1)));
        let threads = [1, 2].map(|of| thread::spawn(move || offer(table, of)));
        let kept = threads.map(join);
        let found = found(table, &[1, 2]);
        assert!(found.is_some_and(|of| kept[usize::from(of == 2)]), "{found:?} of {kept:?}");
        (kept, found)
    });
    let [no, yes] = [false, true];
    assert_eq!(
        kept,
        BTreeSet::from([
            ([yes, no], Some(1)),
            ([no, yes], Some(2)),
            ([yes, yes], Some(1)),
            ([yes, yes], Some(2)),
        ])
    );
}

#[test]
fn a_reader_sees_an_exemplar_whole_or_not_at_all() {
    let seen = outcomes(|| {
        let table: &Exemplars = Box::leak(Box::new(Exemplars::new(1)));
        assert!(offer(table, 1));
        let writes = thread::spawn(move || offer(table, 2));
        let seen = found(table, &[1, 2]);
        assert!(join(writes), "nobody else writes");
        assert_eq!(found(table, &[1, 2]), Some(2));
        seen
    });
    assert_eq!(seen, BTreeSet::from([None, Some(1), Some(2)]));
}
