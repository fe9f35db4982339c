//! How an instance is made.

mod accounts;
mod near;

use std::{
    any::TypeId,
    collections::{HashMap, HashSet},
    fmt,
    sync::{Arc, atomic::AtomicUsize},
    time::Duration,
};

use prometheus_client::{
    collector::Collector, encoding::text::encode_registry, registry::Registry,
};

use self::{accounts::AccountIds, near::nearest};
use crate::{
    clock::Clock,
    collect::callback::Callback,
    escape::push_label,
    family::OpenLabels,
    instance::{Instance, Metrics, Mounted},
    model::is_label_name,
    registry::{Clash, Registrar, Subsystem},
    subsystems::{Subsystems, self_metrics::CallbackName},
};

/// The cap of a domain of open labels, unless the builder says otherwise.
const DEFAULT_CAP: usize = 1_000;

/// Paths that become endpoints, unless the builder says otherwise.
const DEFAULT_PATH_CAP: usize = 100;

/// India Standard Time, the day of the exchanges that the families are about.
const DEFAULT_UTC_OFFSET: i32 = 5 * 3_600 + 30 * 60;

/// What the alert `ElevatedDatabaseLatency` compares with.
const DEFAULT_SLOW_QUERY: Duration = Duration::from_millis(500);

/// A scraper with an interval of five seconds has its answer however many callbacks are late.
const DEFAULT_COLLECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Less than this, and a callback that does not block is late.
const MIN_COLLECT_TIMEOUT: Duration = Duration::from_millis(1);

/// The cap of the names of callbacks, unless the builder says otherwise: a service has a few.
const CALLBACK_CAP: usize = 100;

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
    path_cap: usize,
    accounts: AccountIds,
    utc_offset: i64,
    slow_query: Duration,
    collect_timeout: Duration,
    clock: Clock,
    mounts: Vec<Mount>,
    registries: Vec<(Option<String>, Arc<Registry>)>,
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
            path_cap: DEFAULT_PATH_CAP,
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
    /// A cap was given for open labels that no family of the instance has, or whose values the library gives
    /// itself.
    UnlimitedDomain {
        /// The type of the domain.
        domain: &'static str,
        /// Whether a family has the labels.
        is_known: bool,
    },
    /// The cap of paths is above 10,000,000.
    PathCap {
        /// The cap as given.
        cap: usize,
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
    /// A scrape would not wait for callbacks at all.
    CollectTimeout {
        /// The timeout as given.
        timeout: Duration,
    },
    /// Two registries or collectors have the same name.
    DuplicateRegistry {
        /// The name; a number for one that was given none.
        name: String,
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
            Self::UnlimitedDomain { domain, is_known: false } => {
                write!(f, "cap_of::<{domain}>: no family of the instance has these labels")
            }
            Self::UnlimitedDomain { domain, is_known: true } => {
                write!(f, "cap_of::<{domain}>: the values of these labels are the library's own")
            }
            Self::PathCap { cap } => {
                write!(f, "path_cap: {cap} must be 10,000,000 at most")
            }
            Self::AccountKey { bytes } => {
                write!(f, "hash_account_ids: a key of {bytes} bytes must have 32 at least")
            }
            Self::UtcOffset { seconds } => {
                write!(f, "utc_offset: {seconds} s must be less than a day")
            }
            Self::CollectTimeout { timeout } => {
                write!(f, "collect_timeout: {timeout:?} must be at least {MIN_COLLECT_TIMEOUT:?}")
            }
            Self::DuplicateRegistry { name } => {
                write!(f, "registry_named, collector_named: {name:?} is given twice")
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

    /// The cap of every domain of open labels: how many distinct values it takes. Default: 1,000, and 100 for the names
    /// of callbacks.
    ///
    /// Values of counters and histograms count against it until the process ends; removed values of
    /// [removable](crate::Domain::remove) labels do not, but there are at most 64 times the cap of distinct values
    /// over the life of the process. Past either limit a value is `other`. See [`Domain`](crate::Domain).
    ///
    /// A value is not a line of a scrape. Each family with the label has a line for it, a histogram one for each bucket
    /// and two more, and that again for each value of the labels beside it. In the HTTP families an endpoint takes 2
    /// lines, each method of it 47 more, and each status of such a method one more. [`Metrics::max_lines`] says how many
    /// lines that makes at most.
    pub fn label_cap(mut self, cap: usize) -> Self {
        self.default_cap = cap;
        self
    }

    /// The cap of one domain, as [`label_cap`](Self::label_cap) is that of all.
    ///
    /// The methods and statuses of HTTP requests have caps as well, counted over all endpoints or upstreams: by
    /// default three methods ([`HttpRoute`], [`UpstreamRoute`]) and ten statuses ([`HttpResponse`],
    /// [`UpstreamResponse`]) for each endpoint or upstream that there may be. Past them the method is `OTHER` and the
    /// status `other`. Those of the endpoints `unmatched` and `other` do not count.
    ///
    /// [`HttpRoute`]: crate::subsystems::http::HttpRoute
    /// [`HttpResponse`]: crate::subsystems::http::HttpResponse
    /// [`UpstreamRoute`]: crate::subsystems::http_client::UpstreamRoute
    /// [`UpstreamResponse`]: crate::subsystems::http_client::UpstreamResponse
    pub fn cap_of<D: OpenLabels>(mut self, cap: usize) -> Self {
        let (id, domain) = (TypeId::of::<D>(), std::any::type_name::<D>());
        self.caps.push(DomainCap { id, domain, cap });
        self
    }

    /// How many normalised paths become endpoints, in a service that names none; 0 turns that off. Default: 100.
    ///
    /// They take no room of the endpoints that the service names. Past the cap, requests for further paths count
    /// under `unmatched`, and in `metrics_label_overflows_total{family="http_requests_total"}`. See
    /// [the endpoint](crate::middleware#the-endpoint).
    pub fn path_cap(mut self, cap: usize) -> Self {
        self.path_cap = cap;
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

    /// How long a scrape waits for the callbacks of the service, all of them together: sources of pool figures, the
    /// `on_scrape` of mounted subsystems, registries and collectors. At least 1 millisecond. Default: 1 second.
    ///
    /// They run at the same time, each on a thread that ends when it returns. The time runs from the arrival of the
    /// scrape, so waiting for another scrape is part of it; one that had to wait keeps a tenth of it, 100 ms at most,
    /// for its own callbacks. Where the scraper says in `X-Prometheus-Scrape-Timeout-Seconds` how long it waits, as
    /// Prometheus does, the [`Exporter`](crate::Exporter) keeps half a second below that if it comes earlier.
    ///
    /// A callback that is late is left out of the scrape, counted in `metrics_callback_failures_total`, and not begun
    /// again while it is under way. One that hangs costs its values, one thread and one timeout.
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
            mount: |registrar| {
                let subsystem = Arc::new(registrar.subsystem::<S>(true));
                let on_scrape = S::HAS_ON_SCRAPE.then(|| {
                    let subsystem = Arc::clone(&subsystem);
                    let name = ["subsystem:", S::NAME].concat();
                    Callback::new(name, move |now| {
                        subsystem.on_scrape(now);
                        Some(())
                    })
                });
                Mounted { subsystem, on_scrape }
            },
        });
        self
    }

    /// Exposes a registry of `prometheus-client` after the families of the instance; may be called for
    /// several.
    ///
    /// Its families are rewritten for the format of each scrape. The smallest part for which a strict reader would
    /// refuse the whole scrape is left out, and counted at each scrape in
    /// `application_errors_total{error_type="foreign_metrics",severity="error"}`:
    ///
    /// - a family that cannot be read (for example a HELP text with a newline, or names with other characters than
    ///   `[a-zA-Z0-9_:]`), or one of whose names is taken by the instance or by an earlier family;
    /// - a series: a counter that is negative or NaN, a histogram whose bounds do not increase up to `+Inf` or whose
    ///   count is not that of its last bucket, one with a label twice, and the second with the same labels;
    /// - the sum and the count of a histogram that has negative bounds, or whose sum is negative or NaN, which one
    ///   observed NaN makes it for good;
    /// - an exemplar with more than 128 characters of labels, with a label twice, with `"`, `\`, `{`, `}` or a
    ///   newline in a label, with a name such as `trace-id`, or whose value is NaN.
    ///
    /// A registry that fails, panics or is late is left out with all that is in it, and
    /// `metrics_callback_failures_total` says which and why. Parts of one family in several registries are put together
    /// where their series differ. The instance's constant labels are not added to them.
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
    ///
    /// In `metrics_callback_failures_total` it is `registry:1`, `registry:2` and so on, in the order in which
    /// registries and collectors are given; [`registry_named`](Self::registry_named) gives it a name that stays.
    pub fn registry(mut self, registry: impl Into<Arc<Registry>>) -> Self {
        self.registries.push((None, registry.into()));
        self
    }

    /// As [`registry`](Self::registry), with a name: it is `registry:<name>` in `metrics_callback_failures_total`.
    pub fn registry_named(
        mut self,
        name: impl Into<String>,
        registry: impl Into<Arc<Registry>>,
    ) -> Self {
        self.registries.push((Some(name.into()), registry.into()));
        self
    }

    /// Exposes a collector of `prometheus-client` in a registry of its own, so that its failure costs nothing
    /// else. See [`registry`](Self::registry).
    pub fn collector(self, collector: impl Collector) -> Self {
        self.registry(registry_of(collector))
    }

    /// As [`collector`](Self::collector), with a name: it is `registry:<name>` in `metrics_callback_failures_total`.
    pub fn collector_named(self, name: impl Into<String>, collector: impl Collector) -> Self {
        self.registry_named(name, registry_of(collector))
    }

    /// The names of the registries, in their order.
    fn registry_names(&self) -> impl Iterator<Item = String> {
        let numbered = (1..).zip(&self.registries);
        numbered.map(|(number, (name, _)): (u32, _)| name.clone().unwrap_or(number.to_string()))
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
        let registries =
            self.registry_names().zip(&self.registries).map(|(name, (_, registry))| {
                let registry = Arc::clone(registry);
                Callback::new(["registry:", &name].concat(), move |_| written(&registry))
            });
        let registries: Vec<_> = registries.collect();
        // The last of several caps of a domain is the one that counts.
        let mut caps: HashMap<_, _> = self.caps.iter().map(|cap| (cap.id, cap.cap)).collect();
        let callback_cap = CALLBACK_CAP.min(self.default_cap);
        caps.entry(TypeId::of::<CallbackName>()).or_insert(callback_cap);
        let mut registrar =
            Registrar::new(self.default_cap, caps, self.path_cap, self.accounts.into());
        let subsystems = Subsystems::register(&mut registrar, |name| {
            is_on(name) && !self.off.iter().any(|off| off == name)
        });
        subsystems.errors.expect_panics();
        let mounted: Vec<_> =
            self.mounts.iter().map(|mount| (mount.mount)(&mut registrar)).collect();
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
        for DomainCap { id, domain, .. } in self.caps {
            match layout.domains.iter().find(|(known, _)| *known == id) {
                Some((_, known)) if !known.is_fixed() => {}
                known => {
                    return Err(BuildError::UnlimitedDomain { domain, is_known: known.is_some() });
                }
            }
        }
        let started = self.clock.now();
        let on_scrape = mounted.iter().filter_map(|mounted| mounted.on_scrape.as_ref());
        let names = on_scrape.map(Callback::name).chain(registries.iter().map(Callback::name));
        let own = subsystems.process.is_read().then_some("process");
        names.chain(own).for_each(|name| subsystems.self_metrics.know_callback(name));
        let instance = Instance {
            subsystems,
            mounted,
            registries,
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
        if self.path_cap > 10_000_000 {
            return Err(BuildError::PathCap { cap: self.path_cap });
        }
        if self.collect_timeout < MIN_COLLECT_TIMEOUT {
            return Err(BuildError::CollectTimeout { timeout: self.collect_timeout });
        }
        let mut names = HashSet::new();
        if let Some(name) = self.registry_names().find(|name| !names.insert(name.clone())) {
            return Err(BuildError::DuplicateRegistry { name });
        }
        self.accounts.check()?;
        if self.utc_offset.abs() >= 24 * 60 * 60 {
            return Err(BuildError::UtcOffset { seconds: self.utc_offset });
        }
        Ok(())
    }
}

fn registry_of(collector: impl Collector) -> Registry {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(collector));
    registry
}

/// What a registry writes; none if it fails.
fn written(registry: &Registry) -> Option<Arc<String>> {
    let mut text = String::new();
    encode_registry(&mut text, registry).ok()?;
    Some(Arc::new(text))
}
