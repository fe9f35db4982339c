//! Label sets: closed ones are an index, open ones a row of cells found in a domain.

use std::{fmt, marker::PhantomData};

use crate::{
    model::Labels,
    registry::{Part, Registrar},
    storage::{
        cells::Address,
        intern::{self, Entry, Nest},
        local::{self, Near, Place},
    },
};

/// The labels of a family.
///
/// Implemented by the enums of [`label_values!`](crate::label_values), by [`Open`] values, and by tuples of
/// up to four of them.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a label set",
    note = "use an enum of `label_values!`, `Open<D>`, or a tuple of these"
)]
pub trait LabelSet: Copy + Send + Sync + 'static {
    /// The labels in exposition order.
    const LIST: Labels;
    /// How many combinations the closed labels have.
    const COUNT: usize;
    /// The position of the combination among [`COUNT`](Self::COUNT).
    fn index(self) -> usize;

    /// The first cell of the open part's row.
    #[doc(hidden)]
    #[inline]
    fn row(self) -> u32 {
        0
    }

    /// The domain of the open part.
    #[doc(hidden)]
    fn domain(registrar: &mut Registrar) -> Option<DomainRef> {
        _ = registrar;
        None
    }
}

/// The first cell of a label set, where `base` is that of the first one, `stride` cells lie from one series to the next,
/// and a series has at most `most`.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "a label set's combinations are few")]
pub(super) fn place<L: LabelSet>(base: Place, stride: Address, most: usize, labels: L) -> Place {
    let behind = labels.row() + labels.index() as Address * stride;
    // The compiler knows whether the whole family lies in one chunk.
    if const { L::LIST.open_parts() == 0 } && local::is_in_one_chunk(L::COUNT * most) {
        base.within(behind)
    } else {
        Place::of(base.address + behind)
    }
}

/// A domain of an instance under construction.
#[doc(hidden)]
#[derive(Clone, Copy)]
pub struct DomainRef(pub(crate) &'static intern::Domain);

impl fmt::Debug for DomainRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DomainRef").field(&self.0.name()).finish()
    }
}

macro_rules! tuple_label_set {
    ($First:ident $($Next:ident)+) => {
        #[diagnostic::do_not_recommend]
        impl<$First: LabelSet, $($Next: LabelSet),+> LabelSet for ($First, $($Next),+) {
            const LIST: Labels = $First::LIST$(.join(&$Next::LIST))+;
            const COUNT: usize = $First::COUNT $(* $Next::COUNT)+;

            #[inline]
            #[allow(non_snake_case, reason = "named after the type parameters")]
            fn index(self) -> usize {
                let ($First, $($Next),+) = self;
                let index = $First.index();
                $(let index = index * $Next::COUNT + $Next.index();)+
                index
            }

            #[inline]
            #[allow(non_snake_case, reason = "named after the type parameters")]
            fn row(self) -> u32 {
                let ($First, $($Next),+) = self;
                $First.row() $(+ $Next.row())+
            }

            fn domain(registrar: &mut Registrar) -> Option<DomainRef> {
                $First::domain(registrar)$(.or_else(|| $Next::domain(registrar)))+
            }
        }
    };
}

tuple_label_set!(A B);
tuple_label_set!(A B C);
tuple_label_set!(A B C D);

/// A domain of open labels; implemented by [`open_labels!`](crate::open_labels).
pub trait OpenLabels: 'static {
    /// The label names.
    const NAMES: &'static [&'static str];
    /// The labels.
    const LIST: Labels;
}

/// A domain whose values are looked up by text; implemented by [`open_labels!`](crate::open_labels).
pub trait OpenValues: OpenLabels {
    /// The values of one label set: a `&str`, or a pair of them.
    type Values<'a>: Copy;

    /// The values as a pair; the second is empty where there is one label.
    #[expect(
        clippy::elidable_lifetime_names,
        reason = "an elided one is bound late, this one early"
    )]
    fn pair<'a>(values: Self::Values<'a>) -> (&'a str, &'a str);
}

/// A domain whose series can be [removed](Domain::remove): one with the flag `removable` of
/// [`open_labels!`](crate::open_labels). Its families are all of the types [`GaugeFamily`](crate::GaugeFamily)
/// and [`LateGaugeFamily`](crate::LateGaugeFamily); another type does not compile.
pub trait RemovableValues: OpenValues {}

/// The values of a domain's labels that a [`Domain`] has looked up: the place of their series.
///
/// It is cheap to copy, may be kept, and goes into the label sets of all families of the domain, those of the same
/// instance: another has other places.
pub struct Open<D>(&'static Entry, PhantomData<fn(D)>);

impl<D> Open<D> {
    pub(crate) fn new(entry: &'static Entry) -> Self {
        Self(entry, PhantomData)
    }

    pub(crate) fn entry(self) -> &'static Entry {
        self.0
    }

    /// What is at hand of the first chunk of the row: for families that lie in it, as the first ones of a domain do.
    #[inline]
    pub(crate) fn cells(self) -> Near {
        Place::of(self.0.row()).near()
    }
}

// An entry is made whole before it can be found.
impl<D> std::panic::UnwindSafe for Open<D> {}
impl<D> std::panic::RefUnwindSafe for Open<D> {}

impl<D> Clone for Open<D> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<D> Copy for Open<D> {}

impl<D> PartialEq for Open<D> {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}

impl<D> Eq for Open<D> {}

impl<D> fmt::Debug for Open<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Open({})", self.0.labels())
    }
}

#[diagnostic::do_not_recommend]
impl<D: OpenLabels> LabelSet for Open<D> {
    const LIST: Labels = D::LIST;
    const COUNT: usize = 1;

    #[inline]
    fn index(self) -> usize {
        0
    }

    #[inline]
    fn row(self) -> u32 {
        self.0.row()
    }

    fn domain(registrar: &mut Registrar) -> Option<DomainRef> {
        Some(DomainRef(registrar.domain::<D>()))
    }
}

/// The values of a domain's open labels in one instance.
///
/// A value is any text; it is cut at 128 bytes, and escaped when it is exposed. The domain's cap bounds
/// how many values there are (1,000 unless the builder says otherwise): past it, all are `other`, and
/// `metrics_label_overflows_total` counts them.
///
/// Choose a label whose values are few over the whole life of the process, not only at one time:
///
/// - Values of counters and histograms are never forgotten, as a counter that went and came back would look like a
///   restart. With pods that are replaced every day as values and a cap of 50, those of day six may be `other` until
///   the process restarts: use the name of the service instead.
/// - Values of [removable](Self::remove) labels make room for others, until the domain has seen 64 times its cap of
///   distinct values. From then on, new ones are `other`.
pub struct Domain<D>(&'static intern::Domain, PhantomData<fn(D)>);

impl<D> Clone for Domain<D> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<D> Copy for Domain<D> {}

impl<D> fmt::Debug for Domain<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Domain").field(&self.0.name()).finish()
    }
}

impl<D: OpenValues> Domain<D> {
    /// The place of these values, made if there is room for it, else that of `other`.
    ///
    /// Counters and gauges of the domain's families stand at zero from then on.
    #[inline]
    #[must_use]
    pub fn get(&self, values: D::Values<'_>) -> Open<D> {
        let (first, second) = D::pair(values);
        Open::new(self.0.get(first, second))
    }

    /// The place of these values, if they have been seen.
    #[inline]
    #[must_use]
    pub fn find(&self, values: D::Values<'_>) -> Option<Open<D>> {
        let (first, second) = D::pair(values);
        self.0.find(first, second).map(Open::new)
    }

    /// The place of a value of the library's, which does not count against the cap, as room was made for it.
    pub(crate) fn reserve(self, value: &str) -> Open<D> {
        Open::new(self.0.reserve(value))
    }

    /// The place of a value that was guessed, if there is room among the guesses.
    pub(crate) fn guess(self, value: &str) -> Option<Open<D>> {
        self.0.guess(value).map(Open::new)
    }

    /// From now on it takes no values but those that the library adds.
    pub(crate) fn fix(self) {
        self.0.fix();
    }

    /// Makes room past the cap for this value, whoever adds it.
    pub(crate) fn keep(self, value: &'static str) {
        self.0.keep(value);
    }

    /// Adds a value of the library's and the room for it.
    pub(crate) fn add_library_value(self, value: &str) -> Open<D> {
        self.0.expect_library_value();
        self.reserve(value)
    }
}

impl<D: RemovableValues> Domain<D> {
    /// Takes the series of these values out of the exposition, in every family of the domain, and makes room
    /// for others; `false` if they have none.
    ///
    /// Series that come back begin at zero, or absent, as on their first use. A place belongs to its values for
    /// good, so nothing is ever set in the series of others. What another thread sets while the values are
    /// removed is forgotten, or is the first that is set in the series that came back; so is what is set later
    /// through an [`Open`] or a gauge that was kept from before. A scrape under way can show some of the series
    /// once more.
    ///
    /// The domain remembers the places of removed values, a few hundred bytes each, up to 64 times its cap. From
    /// then on these values can come back, and new ones are `other`.
    ///
    /// ```
    /// use backend_metrics::{Domain, GaugeFamily, Metrics, Open, families, open_labels};
    ///
    /// open_labels! {
    ///     /// A session of the terminal.
    ///     pub struct Session(session) [removable];
    /// }
    ///
    /// families! {
    ///     /// Sessions of the terminal.
    ///     pub struct TerminalMetrics = "terminal" {
    ///         with {
    ///             /// The sessions that are open.
    ///             pub sessions: Domain<Session>,
    ///         }
    ///         /// Windows that a session shows
    ///         pub windows: GaugeFamily<Open<Session>> = "terminal_windows",
    ///     }
    /// }
    ///
    /// let metrics = Metrics::builder().mount::<TerminalMetrics>().build()?;
    /// let terminal = metrics.mounted::<TerminalMetrics>().expect("mounted above");
    /// terminal.windows.get(terminal.sessions.get("desk-7")).set(4.0);
    /// assert!(terminal.sessions.remove("desk-7"));
    /// assert_eq!(metrics.value(r#"terminal_windows{session="desk-7"}"#), None);
    /// # Ok::<(), backend_metrics::BuildError>(())
    /// ```
    pub fn remove(&self, values: D::Values<'_>) -> bool {
        let (first, second) = D::pair(values);
        self.0.remove(first, second)
    }
}

impl<D: OpenLabels> Domain<D> {
    /// Makes room for so many values that are guessed.
    pub(crate) fn expect_guesses(self, cap: usize) {
        self.0.expect_guesses(cap);
    }
}

impl<D: OpenLabels> Part for Domain<D> {
    fn register(registrar: &mut Registrar) -> Self {
        Self(registrar.domain::<D>(), PhantomData)
    }
}

/// A domain whose label sets are those of `Parent` with one more label of a closed set.
///
/// Its series appear as they are used: a request method below an endpoint, a status below that.
pub(crate) trait NestedLabels: OpenLabels {
    type Parent: OpenLabels;
    const NEST: Nest;
}

/// The label sets of a nested domain in one instance.
pub(crate) struct Nested<D>(&'static intern::Domain, PhantomData<fn(D)>);

impl<D> fmt::Debug for Nested<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Nested")
    }
}

impl<D: NestedLabels> Nested<D> {
    /// The place at this position below `parent`, made if there is room for it, else that which takes the rest;
    /// `value` is its text.
    #[inline]
    pub(crate) fn get(
        &self,
        parent: Open<D::Parent>,
        position: u16,
        value: impl FnOnce() -> String,
    ) -> Open<D> {
        Open::new(self.0.child(parent.entry(), position, value))
    }

    /// The place at this position below `parent`, if it is there.
    #[inline]
    pub(crate) fn find(&self, parent: Open<D::Parent>, position: u16) -> Option<Open<D>> {
        self.0.find_child(parent.entry(), position).map(Open::new)
    }
}

impl<D: NestedLabels> Part for Nested<D> {
    fn register(registrar: &mut Registrar) -> Self {
        Self(registrar.nested_domain::<D>(), PhantomData)
    }
}

/// The labels of a set, for a family whose series can be removed: its cells are shared by all threads, so that
/// one thread can clear them.
pub(super) const fn of_removable<L: LabelSet>() -> &'static Labels {
    &const { L::LIST }
}

/// The labels of a set, for any other family.
pub(super) const fn of<L: LabelSet>() -> &'static Labels {
    &const { L::LIST.kept() }
}
