//! What an instance is made of: families, where their cells are, and how they are laid out.

use std::{
    any::TypeId,
    collections::HashMap,
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use crate::{
    family::{DomainRef, NestedLabels, OpenLabels},
    model::{Buckets, Definition, Kind, Labels, UnitRule, ValueSet},
    storage::{
        cells::Address,
        intern::{Domain, Nest, View},
        local,
    },
};

/// A type that a field of [`families!`](crate::families) may have.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a family type",
    note = "use Counter, Gauge, UpDownGauge, LateGauge, Histogram, or one of these with Family<L>"
)]
pub trait FamilyType: Sized {
    /// The Prometheus type.
    const KIND: Kind;
    /// The labels, empty for a single series.
    const LABELS: &'static Labels;
    /// Stored units to one base unit.
    const SCALE: f64 = 1.0;
    /// What the type says about the name.
    const UNIT: UnitRule = UnitRule::Any;

    /// Makes the family in an instance under construction.
    fn register(definition: &'static Definition, registrar: &mut Registrar) -> Self;
}

/// A type that a field in `with { .. }` of [`families!`](crate::families) may have.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a part of a subsystem",
    note = "use Domain<D>, RatioWindow<L>, or a type of your own that implements Part"
)]
pub trait Part: Sized {
    /// What is wrong with the type, if anything is; that is a compile error under the field's name.
    const BROKEN_RULE: Option<&'static str> = None;

    /// Makes the part in an instance under construction.
    ///
    /// A part may hold a [`Domain`](crate::Domain), whose values it can look up once the instance is there: before
    /// that, there is no place for them, and the instance is not built ([`BuildError::EarlyValue`]).
    ///
    /// [`BuildError::EarlyValue`]: crate::BuildError::EarlyValue
    fn register(registrar: &mut Registrar) -> Self;
}

/// Checks the type of a part, for [`families!`](crate::families).
///
/// # Panics
///
/// When a rule is broken; in a `const` that is a compile error.
#[doc(hidden)]
#[track_caller]
pub const fn check_part(broken_rule: Option<&'static str>) {
    if let Some(rule) = broken_rule {
        panic!("{}", rule);
    }
}

/// The definition of the next field, for [`families!`](crate::families).
///
/// # Panics
///
/// When there is none.
#[doc(hidden)]
pub fn next_definition(
    definitions: &mut std::slice::Iter<'static, Definition>,
) -> &'static Definition {
    definitions.next().expect("one definition for each field")
}

/// A group of families that is made together; implemented by [`families!`](crate::families).
pub trait Subsystem: fmt::Debug + Send + Sync + Sized + 'static {
    /// The name, for [`Builder::without`](crate::Builder::without) and the catalog.
    const NAME: &'static str;
    /// The families, in declaration order.
    const DEFINITIONS: &'static [Definition];

    /// Makes the families in an instance under construction.
    fn register(registrar: &mut Registrar) -> Self;

    /// Whether there is something to do before a scrape.
    #[doc(hidden)]
    const HAS_ON_SCRAPE: bool = false;

    /// Called before every scrape, to set what is read or derived.
    fn on_scrape(&self, now: &Now) {
        _ = now;
    }
}

/// The time of a scrape.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Now {
    /// The time since the instance was built.
    pub uptime: Duration,
    /// The time of day.
    pub wall: SystemTime,
    /// The day since 1970 at the configured UTC offset.
    pub day: i64,
}

/// A family of an instance.
pub(crate) struct Family {
    pub(crate) definition: &'static Definition,
    pub(crate) slot: Slot,
    /// How many combinations the closed labels have.
    pub(crate) combinations: usize,
    /// Whether a label set is more than the open labels of its domain.
    pub(crate) has_closed_labels: bool,
    /// The bucket bounds of a histogram as text, up to where the count stands.
    pub(crate) bounds: Vec<String>,
    /// The first cell, or the offset of the first cell in a row of the domain.
    pub(crate) base: Address,
    pub(crate) domain: Option<&'static Domain>,
}

impl Family {
    /// How many lines it takes in a scrape at most, with those of its head.
    pub(crate) fn max_lines(&self) -> usize {
        const HEAD: usize = ["HELP", "TYPE", "UNIT"].len();
        let entries = self.domain.map_or(1, |domain| domain.bound().entries);
        HEAD + entries * self.combinations * self.slot.lines()
    }
}

/// What the cells of a series hold.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Slot {
    /// A count, summed over threads.
    Counter,
    /// The bits of a number, set for all threads.
    Gauge,
    /// The encoded bits of a number, absent until set.
    Late,
    /// A signed count, summed over threads.
    UpDown,
    /// A sum and then buckets, summed over threads.
    Histogram(&'static Buckets),
    /// Nothing: the labels are those of the instance.
    Info,
}

impl Slot {
    /// Cells of one series.
    #[expect(clippy::cast_possible_truncation, reason = "a histogram has 32 bounds at most")]
    pub(crate) const fn cells(self) -> Address {
        match self {
            // The sum, and one more bucket, up to infinity.
            Self::Histogram(buckets) => buckets.bounds().len() as Address + 2,
            Self::Info => 0,
            _ => 1,
        }
    }

    /// Lines of one series.
    const fn lines(self) -> usize {
        match self {
            // A line for each bucket, one up to infinity, the sum and the count.
            Self::Histogram(buckets) => buckets.bounds().len() + 3,
            _ => 1,
        }
    }

    /// Cells from one series to the next, where there are so many of them. Each lies in one chunk.
    #[expect(clippy::cast_possible_truncation, reason = "a histogram has 32 bounds at most")]
    pub(crate) const fn stride(self, series: usize) -> Address {
        local::stride(self.cells() as usize, series) as Address
    }
}

/// The label that tells accounts apart.
const ACCOUNT_ID: &str = "account_id";

/// How accounts are shown, in every domain with the label `account_id`.
#[derive(Clone, Default)]
pub(crate) enum Accounts {
    /// By their ids.
    #[default]
    Plain,
    /// By what the function makes of an id.
    #[cfg_attr(not(feature = "hmac"), expect(dead_code, reason = "the hash is the one function"))]
    Replaced(Arc<dyn Fn(&str) -> String + Send + Sync>),
    /// Not at all.
    Summed,
}

impl Accounts {
    fn view(&self, labels: &[&str]) -> View {
        match (self, labels.iter().position(|label| *label == ACCOUNT_ID)) {
            (Self::Plain, _) | (_, None) => View::Plain,
            (Self::Replaced(replace), Some(label)) => View::Replaced(label, Arc::clone(replace)),
            (Self::Summed, Some(label)) => View::Summed(label),
        }
    }
}

/// An instance under construction.
pub struct Registrar {
    default_cap: usize,
    caps: HashMap<TypeId, usize>,
    path_cap: usize,
    accounts: Accounts,
    domains: Vec<(TypeId, &'static Domain)>,
    families: Vec<Family>,
    /// The names of the families that are exposed and of their samples, with the family that has each.
    names: HashMap<String, &'static str>,
    clash: Option<Clash>,
    exhausted: bool,
    /// Whether the subsystem at hand is exposed.
    enabled: bool,
}

impl fmt::Debug for Registrar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registrar").field("families", &self.families.len()).finish_non_exhaustive()
    }
}

/// A name that two families have, as their own or as that of their samples.
pub(crate) struct Clash {
    pub(crate) name: String,
    pub(crate) families: [&'static str; 2],
}

/// What construction came to.
pub(crate) struct Layout {
    pub(crate) families: Vec<Family>,
    pub(crate) domains: Vec<(TypeId, &'static Domain)>,
    /// The first name that two families have.
    pub(crate) clash: Option<Clash>,
    /// The labels of a value that was looked up before the layout was known.
    pub(crate) used_early: Option<&'static [&'static str]>,
    /// Whether the address space has no room for the instance.
    pub(crate) exhausted: bool,
}

impl Registrar {
    pub(crate) fn new(
        default_cap: usize,
        caps: HashMap<TypeId, usize>,
        path_cap: usize,
        accounts: Accounts,
    ) -> Self {
        Self {
            default_cap,
            caps,
            path_cap,
            accounts,
            domains: Vec::new(),
            families: Vec::new(),
            names: HashMap::new(),
            clash: None,
            exhausted: false,
            enabled: true,
        }
    }

    /// How many paths become endpoints.
    pub(crate) fn path_cap(&self) -> usize {
        self.path_cap
    }

    /// Makes a subsystem; one that is off counts into cells that nothing exposes.
    pub(crate) fn subsystem<S: Subsystem>(&mut self, enabled: bool) -> S {
        self.enabled = enabled;
        S::register(self)
    }

    /// Whether the subsystem at hand is exposed.
    pub(crate) fn is_exposed(&self) -> bool {
        self.enabled
    }

    pub(crate) fn finish(mut self) -> Layout {
        for (_, domain) in &self.domains {
            self.exhausted |= !domain.freeze();
        }
        Layout {
            used_early: self.domains.iter().find_map(|(_, domain)| domain.used_early()),
            families: self.families,
            domains: self.domains,
            clash: self.clash,
            exhausted: self.exhausted,
        }
    }

    /// Takes `len` cells.
    pub(crate) fn cells(&mut self, len: usize) -> Address {
        let place = if self.enabled { local::allocate(len) } else { local::unread(len) };
        place.unwrap_or_else(|| {
            self.exhausted = true;
            0
        })
    }

    /// Adds a family of `combinations` series, or as many for each entry of the domain; its first cell.
    pub(crate) fn add(
        &mut self,
        definition: &'static Definition,
        slot: Slot,
        combinations: usize,
        domain: Option<DomainRef>,
    ) -> Address {
        let cells = combinations * slot.stride(combinations) as usize;
        let domain = domain.map(|domain| domain.0);
        let base = match domain {
            Some(domain) => domain.reserve_cells(cells),
            None => self.cells(cells),
        };
        if self.enabled {
            for name in definition.names() {
                if let Some(earlier) = self.names.insert(name.clone(), definition.name) {
                    self.clash.get_or_insert(Clash { name, families: [earlier, definition.name] });
                }
            }
            if let Some(domain) = domain {
                domain.take_name(definition.name);
            }
            let bounds = definition.buckets.map(Buckets::texts).unwrap_or_default();
            let mut labels = definition.labels.iter();
            self.families.push(Family {
                definition,
                slot,
                combinations,
                has_closed_labels: labels.any(|label| matches!(label.values, ValueSet::Closed(_))),
                bounds,
                base,
                domain,
            });
        }
        base
    }

    /// The domain `D` of this instance.
    pub(crate) fn domain<D: OpenLabels>(&mut self) -> &'static Domain {
        self.domain_with::<D>(None)
    }

    /// The nested domain `D` of this instance; that of its parent is made before.
    pub(crate) fn nested_domain<D: NestedLabels>(&mut self) -> &'static Domain {
        let parent = self.domain::<D::Parent>();
        self.domain_with::<D>(Some((D::NEST, parent)))
    }

    fn domain_with<D: OpenLabels>(
        &mut self,
        nest: Option<(Nest, &'static Domain)>,
    ) -> &'static Domain {
        let id = TypeId::of::<D>();
        let known = self.domains.iter().find(|(known, _)| *known == id);
        let domain = if let Some((_, domain)) = known {
            *domain
        } else {
            let default = match nest {
                Some((Nest { for_each, .. }, parent)) => parent.root().cap_if_on() * for_each,
                None => self.default_cap,
            };
            let cap = self.caps.get(&id).copied().unwrap_or(default);
            let domain = Domain::new(D::NAMES, nest, self.accounts.view(D::NAMES), cap);
            self.domains.push((id, domain));
            domain
        };
        if self.enabled {
            domain.turn_on();
        }
        domain
    }
}
