//! Plain numbers that recount what is recorded, with maps and integers: what the instance is compared with.
//!
//! It follows the documentation and the contract, shares nothing with the crate, and is neither fast nor
//! thread-safe.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::{
    contract::{FAMILIES, Family, family, subsystems},
    derived::Derived,
    observed::Observed,
};

/// What a series is exposed as: its name, and its labels in their order.
pub(crate) type Series = (String, Vec<(String, String)>);

/// What a line shows.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shown {
    Whole(u64),
    Real(f64),
}

/// An instance with its numbers.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) setup: Setup,
    /// Since the instance was built.
    pub(crate) uptime: Duration,
    /// By family and label values.
    numbers: BTreeMap<&'static str, BTreeMap<Vec<String>, Number>>,
    domains: BTreeMap<(&'static str, Vec<&'static str>), Domain>,
    /// What a scrape works out.
    pub(crate) derived: Derived,
    /// The families that something was told of.
    pub(crate) moved: BTreeSet<&'static str>,
}

/// How an instance is made.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) constant_labels: Vec<(&'static str, &'static str)>,
    pub(crate) off: Vec<&'static str>,
    pub(crate) cap: usize,
    /// The time since 1970 when it is made.
    pub(crate) made: Duration,
}

/// What `backend_service_info` says.
pub(crate) const SERVICE: (&str, &str) = ("1.0 \"beta\"\n", "C:\\gateway\\");

/// Indian time is ahead of UTC, and so is the trading day.
const AHEAD: u64 = 5 * 3_600 + 1_800;

/// Values are cut at so many bytes.
const LONGEST: usize = 128;

#[derive(Clone, Debug)]
enum Number {
    Count(u64),
    Level(f64),
    Steps(i64),
    Spread { buckets: Vec<u64>, count: u64, sum: u128, decimals: usize },
}

/// The values of open labels that have a place.
#[derive(Debug, Default)]
struct Domain {
    taken: BTreeSet<Vec<String>>,
    /// These, and those that count against no cap.
    seen: BTreeSet<Vec<String>>,
}

impl Model {
    pub(crate) fn new(setup: Setup) -> Self {
        let mut this = Self {
            setup,
            uptime: Duration::ZERO,
            numbers: BTreeMap::new(),
            domains: BTreeMap::new(),
            derived: Derived::default(),
            moved: BTreeSet::new(),
        };
        for subsystem in subsystems() {
            this.show(subsystem, &[]);
        }
        let (version, component) = SERVICE;
        this.set("backend_service_info", &[version, component], 1.0);
        let mut seen = BTreeSet::new();
        for family in FAMILIES.iter().filter(|family| !family.open().is_empty()) {
            // The two families by family share no values.
            let mut is_new = |names| seen.insert((family.subsystem, names));
            let is_first = is_new(family.open()) | is_new(family.free());
            if this.is_on(family.subsystem) && (is_first || family.subsystem == "self") {
                this.count("metrics_label_overflows_total", &[family.name], 0);
            }
        }
        this.moved.remove("metrics_label_overflows_total");
        if cfg!(all(feature = "process", target_os = "linux")) && this.is_on("process") {
            this.show("self", &[("callback", "process".to_owned())]);
        }
        this
    }

    pub(crate) fn is_on(&self, subsystem: &str) -> bool {
        !self.setup.off.contains(&subsystem)
    }

    /// The time since 1970.
    pub(crate) fn wall(&self) -> Duration {
        self.setup.made + self.uptime
    }

    /// The trading day.
    pub(crate) fn day(&self) -> u64 {
        (self.wall().as_secs() + AHEAD) / 86_400
    }

    /// The time that has passed since an uptime.
    pub(crate) fn since(&self, uptime: Duration) -> Duration {
        self.uptime.saturating_sub(uptime)
    }

    /// A value of an open label, as it is exposed.
    pub(crate) fn open(
        &mut self,
        subsystem: &'static str,
        name: &'static str,
        value: &str,
    ) -> String {
        let [value] = self.open_all(subsystem, [name], [value]);
        value
    }

    /// Values of open labels that go together, as they are exposed: `other` where there is no place.
    pub(crate) fn open_all<const N: usize>(
        &mut self,
        subsystem: &'static str,
        names: [&'static str; N],
        values: [&str; N],
    ) -> [String; N] {
        let mut values = values.map(cut);
        if !self.is_on(subsystem) {
            return values;
        }
        let cap = self.setup.cap;
        let domain = self.domains.entry((subsystem, names.to_vec())).or_default();
        let is_other = values.iter().all(|value| value == "other");
        if !is_other && !domain.taken.contains(&values[..]) {
            if domain.taken.len() < cap {
                domain.taken.insert(values.to_vec());
            } else {
                values = values.map(|_| "other".to_owned());
                let first = FAMILIES.iter().find(|f| f.subsystem == subsystem && f.open() == names);
                let first = first.expect("a family has the labels").name;
                self.count("metrics_label_overflows_total", &[first], 1);
            }
        }
        let free: Vec<_> = names.into_iter().zip(values.iter().cloned()).collect();
        self.show(subsystem, &free);
        values
    }

    /// The method of a request to this endpoint or upstream, as it is exposed: `OTHER` where there is no place.
    pub(crate) fn method(&mut self, to: (&'static str, &str), method: &'static str) -> String {
        let (subsystem, endpoint) = to;
        let first = format!("{subsystem}_request_duration_seconds");
        let values = [endpoint, method].map(str::to_owned).to_vec();
        self.below(to, "method", values, (3, "OTHER"), &first)
    }

    /// The status of such a request, as it is exposed: `other` where there is no place.
    pub(crate) fn status(
        &mut self,
        to: (&'static str, &str),
        method: &str,
        status: &str,
    ) -> String {
        // Failures stand at zero from the first request on, and take no place.
        let (first, failure, labels) = match to {
            ("http", endpoint) => ("http_requests_total", "500", [method, endpoint, "500"]),
            (_, upstream) => ("http_client_requests_total", "error", [upstream, method, "error"]),
        };
        self.count(first, &labels, 0);
        if status == failure {
            return status.to_owned();
        }
        let values = [to.1, method, status].map(str::to_owned).to_vec();
        self.below(to, "status", values, (10, "other"), first)
    }

    /// Whether an endpoint has a method already.
    pub(crate) fn has_method(&self, to: (&'static str, &str), method: &str) -> bool {
        let domain = self.domains.get(&(to.0, vec!["method"]));
        let values = [to.1, method].map(str::to_owned).to_vec();
        domain.is_some_and(|domain| domain.seen.contains(&values))
    }

    /// The last of `values`, or `other` where the cap, a multiple of that of open labels, leaves no place. Below
    /// `unmatched` and `other` it does not count, nor for `other` itself.
    fn below(
        &mut self,
        (subsystem, endpoint): (&'static str, &str),
        name: &'static str,
        values: Vec<String>,
        (times, other): (usize, &str),
        first: &str,
    ) -> String {
        let value = values[values.len() - 1].clone();
        if !self.is_on(subsystem) {
            return value;
        }
        let cap = self.setup.cap * times;
        let is_counted = !["unmatched", "other"].contains(&endpoint) && value != other;
        let domain = self.domains.entry((subsystem, vec![name])).or_default();
        if domain.seen.contains(&values) {
            return value;
        }
        if is_counted {
            if domain.taken.len() == cap {
                self.count("metrics_label_overflows_total", &[first], 1);
                let mut rest = values;
                rest.pop();
                rest.push(other.to_owned());
                let domain = self.domains.entry((subsystem, vec![name])).or_default();
                domain.seen.insert(rest);
                return other.to_owned();
            }
            domain.taken.insert(values.clone());
        }
        domain.seen.insert(values);
        value
    }

    /// Takes a value of an open label, and all of its series, out.
    pub(crate) fn close(&mut self, subsystem: &'static str, name: &'static str, value: &str) {
        let value = vec![cut(value)];
        let Some(domain) = self.domains.get_mut(&(subsystem, vec![name])) else { return };
        if domain.taken.remove(&value) {
            for (of, numbers) in &mut self.numbers {
                if family(of).subsystem == subsystem && family(of).open() == [name] {
                    numbers.retain(|values, _| values[0] != value[0]);
                }
            }
        }
    }

    /// Puts the series up that stand at zero from the start, or since these values were first used.
    pub(crate) fn show(&mut self, subsystem: &'static str, free: &[(&'static str, String)]) {
        let names: Vec<_> = free.iter().map(|(name, _)| *name).collect();
        if !self.is_on(subsystem) {
            return;
        }
        let is_one = |family: &&Family| {
            family.subsystem == subsystem && family.free() == names && !family.is_late()
        };
        for family in FAMILIES.iter().filter(is_one) {
            let zero = if family.kind == "counter" { Number::Count(0) } else { Number::Level(0.0) };
            for values in family.with(free) {
                let numbers = self.numbers.entry(family.name).or_default();
                numbers.entry(values).or_insert_with(|| zero.clone());
            }
        }
    }

    /// The number of a series, if its subsystem is on.
    #[track_caller]
    fn number(&mut self, name: &'static str, values: &[&str], new: Number) -> Option<&mut Number> {
        let family = family(name);
        assert_eq!(family.labels.len(), values.len(), "{name} {values:?}");
        if !self.is_on(family.subsystem) {
            return None;
        }
        self.moved.insert(family.name);
        let values: Vec<String> = values.iter().map(|&value| value.to_owned()).collect();
        let free = family.free();
        let labels = family.labels.iter().zip(&values);
        let free: Vec<_> = labels
            .filter(|(label, _)| free.contains(&label.name))
            .map(|(label, value)| (label.name, value.clone()))
            .collect();
        if !free.is_empty() {
            self.show(family.subsystem, &free);
        }
        Some(self.numbers.entry(family.name).or_default().entry(values).or_insert(new))
    }

    /// Something happened.
    #[track_caller]
    pub(crate) fn count(&mut self, name: &'static str, values: &[&str], times: u64) {
        if let Some(number) = self.number(name, values, Number::Count(0)) {
            let Number::Count(count) = number else { panic!("{name} is {number:?}") };
            *count = count.wrapping_add(times);
        }
    }

    /// A level is set.
    #[track_caller]
    pub(crate) fn set(&mut self, name: &'static str, values: &[&str], level: f64) {
        if let Some(number) = self.number(name, values, Number::Level(0.0)) {
            *number = Number::Level(level);
        }
    }

    /// The levels of a gauge are known no longer.
    pub(crate) fn clear(&mut self, name: &'static str) {
        self.numbers.remove(name);
    }

    /// So is one of its series.
    pub(crate) fn clear_one(&mut self, name: &'static str, values: &[&str]) {
        if let Some(numbers) = self.numbers.get_mut(name) {
            numbers.remove(&values.iter().map(|&value| value.to_owned()).collect::<Vec<_>>());
        }
    }

    /// Whether there was room for a value of an open label.
    pub(crate) fn has_open(
        &self,
        subsystem: &'static str,
        name: &'static str,
        value: &str,
    ) -> bool {
        let domain = self.domains.get(&(subsystem, vec![name]));
        domain.is_some_and(|domain| domain.taken.contains(&[cut(value)][..]))
    }

    /// A level that is set is changed.
    #[track_caller]
    pub(crate) fn change(&mut self, name: &'static str, change: impl Fn(f64) -> f64) {
        if let Some(number) = self.number(name, &[], Number::Level(0.0)) {
            let Number::Level(level) = number else { panic!("{name} is {number:?}") };
            *level = change(*level);
        }
    }

    /// The level of a gauge that is set.
    pub(crate) fn level(&self, name: &'static str) -> Option<f64> {
        match self.numbers.get(name).and_then(|numbers| numbers.get(&[][..])) {
            Some(Number::Level(level)) => Some(*level),
            _ => None,
        }
    }

    /// A level goes up, or down.
    #[track_caller]
    pub(crate) fn step(&mut self, name: &'static str, values: &[&str], by: i64) {
        if let Some(number) = self.number(name, values, Number::Steps(0)) {
            if let Number::Level(level) = number {
                assert!(*level == 0.0, "{name} is set");
                *number = Number::Steps(0);
            }
            let Number::Steps(steps) = number else { panic!("{name} is {number:?}") };
            *steps = steps.wrapping_add(by);
        }
    }

    /// A moment is now.
    #[track_caller]
    pub(crate) fn now(&mut self, name: &'static str, values: &[&str]) {
        self.set(name, values, self.wall().as_secs_f64());
    }

    /// A histogram gets an observation.
    #[track_caller]
    pub(crate) fn observe<O: Observed>(&mut self, name: &'static str, values: &[&str], value: O) {
        let bounds = &family(name).bounds;
        let empty = vec![0; bounds.len()];
        let new = Number::Spread { buckets: empty, count: 0, sum: 0, decimals: O::DECIMALS };
        if let Some(number) = self.number(name, values, new) {
            let Number::Spread { buckets, count, sum, decimals } = number else {
                panic!("{name} is {number:?}")
            };
            assert_eq!(*decimals, O::DECIMALS, "{name} observes one type");
            for (bucket, bound) in buckets.iter_mut().zip(bounds) {
                *bucket += u64::from(value.is_at_most(*bound));
            }
            *count += 1;
            *sum += u128::from(value.amount());
        }
    }

    /// The series that are exposed now, by family; what a scrape works out is to be worked out before.
    pub(crate) fn shown(&self) -> Vec<(&'static Family, BTreeMap<Series, Shown>)> {
        let families = FAMILIES.iter().filter(|family| self.is_on(family.subsystem));
        let mut all: Vec<_> = families.map(|family| (family, self.lines(family))).collect();
        if self.is_on("self") {
            let own = all.iter().position(|(family, _)| family.name == "metrics_series");
            let own = own.expect("the family is promised");
            let counts: Vec<_> =
                all.iter().map(|(family, lines)| (family.name, lines.len())).collect();
            for (name, lines) in counts {
                let lines = if name == "metrics_series" { all.len() } else { lines };
                let series = self.series("metrics_series", vec![("family".into(), name.into())]);
                #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
                all[own].1.insert(series, Shown::Real(lines as f64));
            }
        }
        all.retain(|(_, lines)| !lines.is_empty());
        all
    }

    fn series(&self, name: &str, labels: Vec<(String, String)>) -> Series {
        let constant = self.setup.constant_labels.iter();
        let constant = constant.map(|&(name, value)| (name.to_owned(), value.to_owned()));
        (name.to_owned(), constant.chain(labels).collect())
    }

    fn lines(&self, family: &Family) -> BTreeMap<Series, Shown> {
        let mut lines = BTreeMap::new();
        let name = family.name;
        for (values, number) in self.numbers.get(name).into_iter().flatten() {
            let names = family.labels.iter().map(|label| label.name.to_owned());
            let labels: Vec<_> = names.zip(values.iter().cloned()).collect();
            let mut add = |suffix: &str, bound: Option<String>, shown| {
                let bound = bound.map(|bound| ("le".to_owned(), bound));
                let labels = labels.iter().cloned().chain(bound).collect();
                lines.insert(self.series(&format!("{name}{suffix}"), labels), shown);
            };
            match number {
                Number::Count(count) => add("", None, Shown::Whole(*count)),
                Number::Level(level) => add("", None, Shown::Real(*level)),
                Number::Steps(steps) => {
                    add("", None, Shown::Whole((*steps).max(0).unsigned_abs()));
                }
                Number::Spread { buckets, count, sum, decimals } => {
                    for (bound, bucket) in family.bounds.iter().zip(buckets) {
                        add("_bucket", Some(bound.to_string()), Shown::Whole(*bucket));
                    }
                    add("_bucket", Some("+Inf".into()), Shown::Whole(*count));
                    add("_sum", None, Shown::Real(decimal(*sum, *decimals)));
                    add("_count", None, Shown::Whole(*count));
                }
            }
        }
        lines
    }
}

/// As much of a text as a label value has room for.
pub(crate) fn cut(value: &str) -> String {
    let ends = value.char_indices().map(|(start, character)| start + character.len_utf8());
    let end = ends.take_while(|end| *end <= LONGEST).last().unwrap_or(0);
    value[..end].to_owned()
}

/// A whole number of units, of which some digits are decimals.
fn decimal(units: u128, decimals: usize) -> f64 {
    let digits = format!("{units:0>width$}", width = decimals + 1);
    let (whole, part) = digits.split_at(digits.len() - decimals);
    format!("{whole}.{part}").parse().expect("it is a number")
}
