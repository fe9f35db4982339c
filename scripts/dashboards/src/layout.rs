//! Where panels stand: 24 columns, from the top left, without gaps.

use crate::panel::{Panel, Size};

/// The width of a dashboard.
const COLUMNS: u32 = 24;

/// A panel's left upper corner and size.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) x: u32,
    pub(crate) y: u32,
    pub(crate) size: Size,
}

/// Places for panels with sizes of their own, and the height of all: each goes as far up, then left, as it fits.
pub(crate) fn pack(panels: &[Panel], top: u32) -> (Vec<Place>, u32) {
    let mut heights = [top; COLUMNS as usize];
    let mut places = Vec::new();
    for size in sizes(panels) {
        let width = size.width as usize;
        let (x, y) = (0..=heights.len() - width)
            .map(|x| (x, heights[x..x + width].iter().copied().max().unwrap_or(top)))
            .min_by_key(|(x, y)| (*y, *x))
            .expect("a panel is at most as wide as the dashboard");
        heights[x..x + width].fill(y + size.height);
        places.push(Place { x: u32::try_from(x).expect("a column"), y, size });
    }
    (places, heights.iter().copied().max().unwrap_or(top) - top)
}

/// The sizes that panels have, or else three to a line, and two where one would be left over. Where a legend is long,
/// it has the place beside its graph: no more than two to a line, and higher.
fn sizes(panels: &[Panel]) -> Vec<Size> {
    let free = panels.iter().filter(|panel| panel.size.is_none()).count();
    let crowded = panels.iter().any(|panel| panel.size.is_none() && panel.is_crowded());
    let pairs = match free % 3 {
        _ if crowded => free - free % 2,
        1 if free > 1 => 4,
        2 => 2,
        _ => 0,
    };
    let mut nth = 0;
    let mut next = || {
        nth += 1;
        let width = match (free, nth > free - pairs) {
            (1, _) => COLUMNS,
            (_, true) => COLUMNS / 2,
            (_, false) if crowded => COLUMNS,
            (_, false) => COLUMNS / 3,
        };
        Size { width, height: if crowded { 11 } else { 9 } }
    };
    panels.iter().map(|panel| panel.size.unwrap_or_else(&mut next)).collect()
}
