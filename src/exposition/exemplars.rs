//! Exemplars: the trace in which a counter grew or a bucket was hit last.

#[cfg(feature = "exemplars")]
pub(super) use self::traced::Exemplars;
#[cfg(not(feature = "exemplars"))]
pub(super) use self::untraced::Exemplars;

#[cfg(feature = "exemplars")]
mod traced {
    use std::fmt::Write as _;

    use crate::{
        exposition::{
            Format,
            number::{push_float, push_integer},
        },
        model::Buckets,
        storage::{
            cells::Address,
            exemplars::{Exemplar, Table},
            trace::{self, LABEL},
        },
    };

    /// What a scrape shows of them.
    #[derive(Clone, Copy)]
    pub(in crate::exposition) struct Exemplars(Option<&'static Table>);

    impl Exemplars {
        /// `OpenMetrics` alone has exemplars.
        pub(in crate::exposition) fn shown_in(format: Format) -> Self {
            Self(trace::exemplars().filter(|_| format == Format::OpenMetrics))
        }

        fn find(self, cell: Address) -> Option<Exemplar> {
            self.0?.find(cell)
        }

        /// Writes that of a counter behind its sample, if it has one.
        pub(in crate::exposition) fn push_count(self, out: &mut String, cell: Address) {
            if let Some(exemplar) = self.find(cell) {
                push(out, &exemplar, |out| push_integer(out, exemplar.value));
            }
        }

        /// Writes that of a bucket between its sample and what stands `behind` it, if it has one; `base` is the
        /// histogram's first cell.
        ///
        /// A bound need not be a whole number of stored units. Where rounding put the observation on the
        /// other side of one, it is left out.
        #[expect(clippy::cast_possible_truncation, reason = "there are 32 bounds at most")]
        pub(in crate::exposition) fn insert_observation(
            self,
            out: &mut String,
            behind: &str,
            base: Address,
            buckets: &Buckets,
            bucket: usize,
        ) {
            let Some(exemplar) = self.find(base + 1 + bucket as Address) else { return };
            let value = observed(exemplar.value, buckets.scale());
            let (below, rest) = buckets.bounds().split_at(bucket);
            let is_above = below.last().is_none_or(|bound| *bound < value);
            if is_above && rest.first().is_none_or(|bound| value <= *bound) {
                out.truncate(out.len() - behind.len());
                push(out, &exemplar, |out| push_float(out, value));
                out.push_str(behind);
            }
        }
    }

    /// An observation in base units. The largest one stands for NaN, infinity and all that is too large.
    #[expect(clippy::cast_precision_loss, reason = "so far apart are floating-point numbers")]
    fn observed(units: u64, scale: f64) -> f64 {
        if units == u64::MAX { f64::INFINITY } else { units as f64 / scale }
    }

    fn push(out: &mut String, exemplar: &Exemplar, value: impl FnOnce(&mut String)) {
        // An id has nothing to escape.
        for part in [" # {", LABEL, "=\"", &exemplar.trace, "\"} "] {
            out.push_str(part);
        }
        value(out);
        _ = write!(out, " {}.{:03}", exemplar.wall / 1_000, exemplar.wall % 1_000);
    }
}

#[cfg(not(feature = "exemplars"))]
mod untraced {
    use crate::{exposition::Format, model::Buckets, storage::cells::Address};

    /// There are none.
    #[derive(Clone, Copy)]
    pub(in crate::exposition) struct Exemplars;

    #[expect(clippy::unused_self, reason = "as with the feature")]
    impl Exemplars {
        pub(in crate::exposition) fn shown_in(_: Format) -> Self {
            Self
        }

        pub(in crate::exposition) fn push_count(self, _: &mut String, _: Address) {}

        pub(in crate::exposition) fn insert_observation(
            self,
            _: &mut String,
            _: &str,
            _: Address,
            _: &Buckets,
            _: usize,
        ) {
        }
    }
}
