//! How an instance is made.

mod accounts;
mod near;

use std::{
    any::TypeId,
    collections::HashMap,
    fmt,
    sync::{Arc, atomic::AtomicUsize},
    time::Duration,
};

use prometheus_client::{collector::Collector, registry::Registry};

use self::{accounts::AccountIds, near::nearest};
use crate::{
    clock::Clock,
    collect::reading::Reading,
    escape::push_label,
    family::OpenLabels,
    instance::{Foreign, Instance, Metrics, Mounted},
    model::is_label_name,
    registry::{Clash, Now, Registrar, Subsystem},
    subsystems::Subsystems,
};

/// The cap of a domain of open labels, unless the builder says otherwise.
const DEFAULT_CAP: usize = 1_000;

/// India Standard Time, the day of the exchanges that the families are about.
const DEFAULT_UTC_OFFSET: i32 = 5 * 3_600 + 30 * 60;

/// What the alert `ElevatedDatabaseLatency` compares with.
const DEFAULT_SLOW_QUERY: Duration = Duration::from_millis(500);

/// Several that are late still leave a scraper with an interval of five seconds its answer.
const DEFAULT_COLLECT_TIMEOUT: Duration = Duration::from_secs(1);

/// The longest value of a label that stands in every line or in `backend_service_info`: half of what Mimir and Cortex
/// take by default. Open labels are shorter, but a name of a pod or of a cloud resource can have more than their 128
/// bytes, and is worth nothing if it is cut.
const LONGEST_CONSTANT: usize = 1_024;

/// Configures and makes an instance of [`Metrics`].
///
/// ```
/// use backend_metrics::Metrics;
///
/// let metrics = Metrics::builder()
///     .service("1.4.2", "order-gateway")
///     .constant_label("region", "mumbai")
///     .without("statements")
///     .build()?;
/// assert!(metrics.to_text().contains(
///     "backend_service_info{region=\"mumbai\",version=\"1.4.2\",component=\"order-gateway\"} 1\n"
/// ));
/// # Ok::<(), backend_metrics::BuildError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct Builder {
    version: String,
    component: String,
    constant_labels: Vec<(String, String)>,
    off: Vec<String>,
    default_cap: usize,
    caps: Vec<DomainCap>,
    accounts: AccountIds,
    utc_offset: i64,
    slow_query: Duration,
    collect_timeout: Duration,
    clock: Clock,
    mounts: Vec<Mount>,
    registries: Vec<Arc<Registry>>,
}

#[derive(Clone, Copy, Debug)]
struct DomainCap {
    id: TypeId,
    domain: &'static str,
    cap: usize,
}

#[derive(Clone, Copy)]
struct Mount {
    name: &'static str,
    mount: fn(&mut Registrar) -> Mounted,
}

impl fmt::Debug for Mount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            version: "unknown".into(),
            component: "backend".into(),
            constant_labels: Vec::new(),
            off: Vec::new(),
            default_cap: DEFAULT_CAP,
            caps: Vec::new(),
            accounts: AccountIds::default(),
            utc_offset: DEFAULT_UTC_OFFSET.into(),
            slow_query: DEFAULT_SLOW_QUERY,
            collect_timeout: DEFAULT_COLLECT_TIMEOUT,
            clock: Clock::system(),
            mounts: Vec::new(),
            registries: Vec::new(),
        }
    }
}

/// A rule for the configuration of an instance that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// A constant label's name is not lower-case ASCII with single underscores, or is reserved.
    LabelName {
        /// The name as given.
        name: String,
    },
    /// The value of a constant label, or the version or the component, has more than 1,024 bytes.
    LabelValue {
        /// The method that it was given to.
        method: &'static str,
        /// The name of the label.
        name: String,
        /// The length of the value as given.
        bytes: usize,
    },
    /// A constant label was given twice.
    DuplicateLabel {
        /// The name of the label.
        name: String,
    },
    /// A constant label has the name of a label of a family.
    LabelClash {
        /// The name of the label.
        name: String,
        /// The family that has it.
        family: &'static str,
    },
    /// No subsystem has this name.
    UnknownSubsystem {
        /// The name as given.
        name: String,
    },
    /// Two families that are exposed have the same name, or two subsystems do.
    DuplicateName {
        /// The name.
        name: &'static str,
    },
    /// Two families have names of their own, and one that both take in the exposition: the counter
    /// `quotes_total` is the family `quotes` in `OpenMetrics`, and so is a gauge of that name.
    NameClash {
        /// The name that both take.
        name: String,
        /// The families, in the order of exposition.
        families: [&'static str; 2],
    },
    /// A part looked up a value of open labels while it was made.
    EarlyValue {
        /// The names of the labels.
        labels: &'static [&'static str],
    },
    /// A cap of open labels is not between 1 and 10,000,000.
    Cap {
        /// The cap as given.
        cap: usize,
        /// The type of the domain; none for the cap of all domains.
        domain: Option<&'static str>,
    },
    /// The key for the hash of account ids is shorter than 32 bytes.
    AccountKey {
        /// The length of the key as given.
        bytes: usize,
    },
    /// The UTC offset is not within a day of UTC.
    UtcOffset {
        /// The offset as given, in seconds.
        seconds: i64,
    },
    /// The process has no cells left; every instance is kept for its lifetime.
    TooManyInstances,
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LabelName { name } => write!(
                f,
                "constant_label: the name {name:?} must be lower-case ASCII with single underscores, and not `le`"
            ),
            Self::LabelValue { method, name, bytes } => {
                write!(
                    f,
                    "{method}: the {bytes} bytes of the value of {name:?} must be 1,024 at most"
                )
            }
            Self::DuplicateLabel { name } => {
                write!(f, "constant_label: {name:?} is given twice")
            }
            Self::LabelClash { name, family } => {
                write!(f, "constant_label: {name:?} is a label of {family}")
            }
            Self::UnknownSubsystem { name } => {
                write!(f, "without: no subsystem is named {name:?}")?;
                match nearest(name, Subsystems::NAMES) {
                    Some(near) => write!(f, ": did you mean {near:?}?"),
                    None => write!(f, ": there are {}", Subsystems::NAMES.join(", ")),
                }
            }
            Self::DuplicateName { name } => write!(f, "mount: {name:?} is declared twice"),
            Self::NameClash { name, families: [one, other] } => {
                write!(f, "mount: {one:?} and {other:?} are both exposed as {name:?}")
            }
            Self::EarlyValue { labels } => {
                write!(f, "mount: a value of {labels:?} is looked up before the instance is there")
            }
            Self::Cap { cap, domain: None } => {
                write!(f, "label_cap: {cap} must be between 1 and 10,000,000")
            }
            Self::Cap { cap, domain: Some(domain) } => {
                write!(f, "cap_of::<{domain}>: {cap} must be between 1 and 10,000,000")
            }
            Self::AccountKey { bytes } => {
                write!(f, "hash_account_ids: a key of {bytes} bytes must have 32 at least")
            }
            Self::UtcOffset { seconds } => {
                write!(f, "utc_offset: {seconds} s must be less than a day")
            }
            Self::TooManyInstances => {
                f.write_str("build: the process has no room for another instance")
            }
        }
    }
}

impl std::error::Error for BuildError {}

impl Metrics {
    /// An instance with the defaults of [`Builder`].
    ///
    /// # Panics
    ///
    /// When the process has no room for another instance, after some thousands.
    #[must_use]
    #[expect(
        clippy::new_without_default,
        reason = "an instance is never freed: it is made on purpose"
    )]
    pub fn new() -> Self {
        Self::builder().build().expect("the defaults keep the rules")
    }

    /// Configures an instance.
    pub fn builder() -> Builder {
        Builder::default()
    }
}

impl Builder {
    /// The version and the component in `backend_service_info`, of at most 1,024 bytes each. Default: `unknown` and
    /// `backend`.
    pub fn service(mut self, version: impl Into<String>, component: impl Into<String>) -> Self {
        self.version = version.into();
        self.component = component.into();
        self
    }

    /// A label that every series of the instance's families carries; those of a [`registry`](Self::registry) have
    /// the labels that it was made with. Prefer target labels of the scraper; use this where the scraper cannot
    /// know. The value stands in every line of a scrape, and has at most 1,024 bytes.
    pub fn constant_label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.constant_labels.push((name.into(), value.into()));
        self
    }

    /// Leaves a subsystem out of the exposition. Its helpers still work and record nowhere, and the names of its
    /// families are free for those of a subsystem that you [mount](Self::mount).
    pub fn without(mut self, subsystem: impl Into<String>) -> Self {
        self.off.push(subsystem.into());
        self
    }

    /// The cap of every domain of open labels: how many distinct values it takes. Default: 1,000.
    ///
    /// Values of counters and histograms count against it until the process ends; removed values of
    /// [removable](crate::Domain::remove) labels do not, but there are at most 64 times the cap of distinct values
    /// over the life of the process. Past either limit a value is `other`. See [`Domain`](crate::Domain).
    ///
    /// A service whose open labels are all called with a million values, by eight threads, has 137,000 lines in a
    /// scrape by this default, and takes 33 MB.
    pub fn label_cap(mut self, cap: usize) -> Self {
        self.default_cap = cap;
        self
    }

    /// The cap of one domain, as [`label_cap`](Self::label_cap) is that of all.
    pub fn cap_of<D: OpenLabels>(mut self, cap: usize) -> Self {
        let (id, domain) = (TypeId::of::<D>(), std::any::type_name::<D>());
        self.caps.push(DomainCap { id, domain, cap });
        self
    }

    /// How far the trading day is ahead of UTC, in minutes; the `..._today` gauges start again at its
    /// midnight. Default: 330, India Standard Time.
    pub fn utc_offset_minutes(mut self, minutes: i32) -> Self {
        self.utc_offset = i64::from(minutes) * 60;
        self
    }

    /// Queries that take longer count in `database_slow_queries_total`. Default: 500 ms.
    pub fn slow_query(mut self, threshold: Duration) -> Self {
        self.slow_query = threshold;
        self
    }

    /// How long a scrape waits for each thing of the service that it reads: a source of pool figures, the
    /// `on_scrape` of a mounted subsystem, a registry. Default: 1 second.
    ///
    /// Each is read on a thread that lives as long as the reading takes, once at a time: a scrape first waits for the
    /// reading of another, for as long as that one may take. What is late is left out of the scrape and counted as
    /// an error, and is not begun again while it is under way: whatever blocks costs itself, one thread, and this
    /// time once.
    pub fn collect_timeout(mut self, timeout: Duration) -> Self {
        self.collect_timeout = timeout;
        self
    }

    /// The clock. Default: the system's.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Adds a subsystem that the service declared with [`families!`](crate::families).
    pub fn mount<S: Subsystem>(mut self) -> Self {
        self.mounts.push(Mount {
            name: S::NAME,
            mount: |registrar| Mounted {
                subsystem: Box::new(registrar.subsystem::<S>(true)),
                on_scrape: S::HAS_ON_SCRAPE.then_some(|subsystem, now: &Now| {
                    if let Some(subsystem) = subsystem.downcast_ref::<S>() {
                        subsystem.on_scrape(now);
                    }
                }),
                reading: Reading::default(),
            },
        });
        self
    }

    /// Exposes a registry of `prometheus-client` after the families of the instance; may be called for
    /// several.
    ///
    /// Its families are rewritten for the format of each scrape. One that a scraper could not read (a HELP
    /// text with a newline, say), or whose name or whose samples' names are taken by the instance or by an
    /// earlier one, is left out of the scrape and counted in
    /// `application_errors_total{error_type="foreign_metrics",severity="error"}`; so is a registry that
    /// fails, panics or is late, with all that is in it: see [`collector`](Self::collector). Parts of one
    /// family in several registries are put together where their series differ. The instance's constant labels
    /// are not added to them.
    ///
    /// ```
    /// use backend_metrics::{Format, Metrics};
    /// use prometheus_client::{metrics::counter::Counter, registry::Registry};
    ///
    /// let quotes: Counter = Counter::default();
    /// let mut registry = Registry::default();
    /// registry.register("desk_quotes", "Quotes sent", quotes.clone());
    /// let metrics = Metrics::builder().registry(registry).build()?;
    /// quotes.inc();
    /// assert!(metrics.encode(Format::Text).ends_with(
    ///     "# HELP desk_quotes_total Quotes sent.\n# TYPE desk_quotes_total counter\ndesk_quotes_total 1\n"
    /// ));
    /// # Ok::<(), backend_metrics::BuildError>(())
    /// ```
    pub fn registry(mut self, registry: impl Into<Arc<Registry>>) -> Self {
        self.registries.push(registry.into());
        self
    }

    /// Exposes a collector of `prometheus-client` in a registry of its own, so that its failure costs nothing
    /// else. See [`registry`](Self::registry).
    pub fn collector(self, collector: impl Collector) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(collector));
        self.registry(registry)
    }

    /// Makes the instance. It takes memory that is never given back.
    ///
    /// # Errors
    ///
    /// When the configuration breaks a rule of [`BuildError`].
    pub fn build(self) -> Result<Metrics, BuildError> {
        self.check()?;
        self.make(|_| true)
    }

    /// An instance that nothing exposes.
    pub(crate) fn discarding(self) -> Metrics {
        self.make(|_| false).expect("the defaults keep the rules")
    }

    fn make(self, is_on: impl Fn(&str) -> bool) -> Result<Metrics, BuildError> {
        // The last of several caps of a domain is the one that counts.
        let caps: HashMap<_, _> = self.caps.iter().map(|cap| (cap.id, cap.cap)).collect();
        let mut registrar = Registrar::new(self.default_cap, caps, self.accounts.into());
        let subsystems = Subsystems::register(&mut registrar, |name| {
            is_on(name) && !self.off.iter().any(|off| off == name)
        });
        let mounted = self.mounts.iter().map(|mount| (mount.mount)(&mut registrar)).collect();
        let layout = registrar.finish();
        if let Some(Clash { name, families }) = layout.clash {
            return Err(if families[0] == families[1] {
                BuildError::DuplicateName { name: families[0] }
            } else {
                BuildError::NameClash { name, families }
            });
        }
        if let Some(labels) = layout.used_early {
            return Err(BuildError::EarlyValue { labels });
        }
        if layout.exhausted {
            return Err(BuildError::TooManyInstances);
        }
        for family in &layout.families {
            for (name, _) in &self.constant_labels {
                if family.definition.labels.iter().any(|label| label.name == name) {
                    let (name, family) = (name.clone(), family.definition.name);
                    return Err(BuildError::LabelClash { name, family });
                }
            }
        }
        let mut constant_labels = String::new();
        for (name, value) in &self.constant_labels {
            push_label(&mut constant_labels, name, value);
        }
        let mut info_labels = String::new();
        push_label(&mut info_labels, "version", &self.version);
        push_label(&mut info_labels, "component", &self.component);
        let series = subsystems.self_metrics.know(&layout);
        let started = self.clock.now();
        let registries = self.registries.into_iter();
        let registries =
            registries.map(|registry| Foreign { registry, reading: Reading::default() });
        let instance = Instance {
            subsystems,
            mounted,
            registries: registries.collect(),
            families: layout.families,
            series,
            encoded: AtomicUsize::new(0),
            constant_labels,
            info_labels,
            clock: self.clock,
            started,
            slow_query: self.slow_query,
            collect_timeout: self.collect_timeout,
            #[expect(clippy::cast_possible_truncation, reason = "checked to be within a day")]
            utc_offset: self.utc_offset as i32,
        };
        Ok(Metrics::from_instance(instance))
    }

    fn check(&self) -> Result<(), BuildError> {
        for (position, (name, _)) in self.constant_labels.iter().enumerate() {
            if !is_label_name(name) {
                return Err(BuildError::LabelName { name: name.clone() });
            }
            if self.constant_labels[..position].iter().any(|(earlier, _)| earlier == name) {
                return Err(BuildError::DuplicateLabel { name: name.clone() });
            }
        }
        let constant = self.constant_labels.iter();
        let constant = constant.map(|(name, value)| ("constant_label", name.as_str(), value));
        let info = [("version", &self.version), ("component", &self.component)];
        let info = info.map(|(name, value)| ("service", name, value));
        for (method, name, value) in constant.chain(info) {
            if value.len() > LONGEST_CONSTANT {
                let (name, bytes) = (name.to_owned(), value.len());
                return Err(BuildError::LabelValue { method, name, bytes });
            }
        }
        if let Some(name) = self.off.iter().find(|name| !Subsystems::NAMES.contains(&name.as_str()))
        {
            return Err(BuildError::UnknownSubsystem { name: name.clone() });
        }
        for (position, mount) in self.mounts.iter().enumerate() {
            if Subsystems::NAMES.contains(&mount.name)
                || self.mounts[..position].iter().any(|earlier| earlier.name == mount.name)
            {
                return Err(BuildError::DuplicateName { name: mount.name });
            }
        }
        let caps = self.caps.iter().map(|cap| (cap.cap, Some(cap.domain)));
        for (cap, domain) in std::iter::once((self.default_cap, None)).chain(caps) {
            if !(1..=10_000_000).contains(&cap) {
                return Err(BuildError::Cap { cap, domain });
            }
        }
        self.accounts.check()?;
        if self.utc_offset.abs() >= 24 * 60 * 60 {
            return Err(BuildError::UtcOffset { seconds: self.utc_offset });
        }
        Ok(())
    }
}
