//! What is worked out before a scrape: windows, users, totals of the day, and what is read from sources.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use backend_metrics::{PoolStats, labels::ErrorSeverity};

use crate::{
    arguments::PoolSource,
    contract::{FAMILIES, family},
    model::{Model, cut},
};

/// What has to be kept for it.
#[derive(Debug, Default)]
pub(crate) struct Derived {
    /// Hits and misses of a gauge's label value, each with its time.
    pub(crate) looked_up: BTreeMap<(&'static str, &'static str), Vec<(Duration, bool)>>,
    /// Users, with the minute and the day of their activity.
    pub(crate) active: Vec<(&'static str, u64, u64)>,
    /// The total of a day, and which day.
    pub(crate) totals: BTreeMap<&'static str, (u64, u64)>,
    /// Levels that the service gives in place of what would be worked out.
    pub(crate) given: BTreeMap<(&'static str, &'static str), f64>,
    /// By gauge and name.
    pub(crate) pools: BTreeMap<&'static str, Vec<(&'static str, PoolSource)>>,
    /// The gauges that a scrape has set to what sources gave.
    read_pools: BTreeSet<&'static str>,
    pub(crate) runtime: bool,
}

/// Time is cut into slices of so many seconds, of which a window has so many.
const SLICE: u64 = 20;
const WINDOW: u64 = 15;

/// The largest total of a day.
const MOST: u64 = (1 << 48) - 1;

impl Model {
    /// An amount is added to a total of the day.
    pub(crate) fn add_today(&mut self, gauge: &'static str, amount: u64) {
        let today = self.day();
        let (day, total) = self.derived.totals.entry(gauge).or_default();
        let so_far = if *day == today { *total } else { 0 };
        (*day, *total) = (today, so_far.saturating_add(amount).min(MOST));
    }

    /// A total of the day is set.
    pub(crate) fn set_today(&mut self, gauge: &'static str, amount: u64) {
        self.derived.totals.insert(gauge, (self.day(), amount.min(MOST)));
    }

    /// A level is given that would be worked out otherwise.
    pub(crate) fn give(&mut self, gauge: &'static str, value: &'static str, level: f64) {
        self.derived.given.insert((gauge, value), level);
    }

    /// A look-up was a hit or a miss.
    pub(crate) fn look_up(&mut self, gauge: &'static str, value: &'static str, hit: bool) {
        let at = self.uptime;
        self.derived.looked_up.entry((gauge, value)).or_default().push((at, hit));
    }

    /// Works out what a scrape shows.
    pub(crate) fn derive(&mut self) {
        self.read_pools("database_pool_connections");
        self.hit_rates("cache_hit_rate", &["l1_memory", "l2_redis"]);
        self.read_pools("redis_pool_connections");
        self.hit_rates(
            "indicator_cache_hit_rate",
            &["iv", "delta", "gamma", "theta", "vega", "oi"],
        );
        for (window, minutes) in [("5m", 5), ("15m", 15), ("1h", 60)] {
            let present = self.uptime.as_secs() / 60;
            let users = self.users(|minute, _| minute + minutes > present);
            self.set_unless_given("active_users", window, users);
        }
        let today = self.day();
        let users = self.users(|_, day| day == today);
        self.set_unless_given("daily_active_users", "", users);
        for (gauge, unit) in [
            ("total_orders_placed_today", 1.0),
            ("total_strategies_created_today", 1.0),
            ("total_turnover_today_rupees", 100.0),
        ] {
            let (day, total) = self.derived.totals.get(gauge).copied().unwrap_or_default();
            #[expect(clippy::cast_precision_loss, reason = "under 2^48")]
            self.set(gauge, &[], if day == today { total as f64 / unit } else { 0.0 });
        }
        if self.derived.runtime {
            // It has one worker, and a task that waits for it.
            self.set("tokio_workers", &[], 1.0);
            self.set("tokio_alive_tasks", &[], 1.0);
            self.set("tokio_global_queue_depth", &[], 1.0);
            self.set("tokio_worker_busy_seconds_total", &[], 0.0);
        }
    }

    fn hit_rates(&mut self, gauge: &'static str, values: &[&'static str]) {
        for value in values {
            let newest = self.uptime.as_secs() / SLICE;
            let all = self.derived.looked_up.get(&(gauge, *value));
            let recent = all.into_iter().flatten();
            let recent: Vec<bool> = recent
                .filter(|(at, _)| at.as_secs() / SLICE + WINDOW > newest)
                .map(|(_, hit)| *hit)
                .collect();
            let hits = recent.iter().filter(|hit| **hit).count();
            #[expect(clippy::cast_precision_loss, reason = "a few")]
            self.set_unless_given(gauge, value, 100.0 * hits as f64 / recent.len() as f64);
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a few")]
    fn users(&self, are: impl Fn(u64, u64) -> bool) -> f64 {
        let active = self.derived.active.iter().filter(|(_, minute, day)| are(*minute, *day));
        active.map(|(user, _, _)| user).collect::<BTreeSet<_>>().len() as f64
    }

    fn set_unless_given(&mut self, gauge: &'static str, value: &'static str, level: f64) {
        let level = self.derived.given.get(&(gauge, value)).copied().unwrap_or(level);
        let values = if value.is_empty() { &[][..] } else { &[value][..] };
        self.set(gauge, values, level);
    }

    /// A source takes the place of one that has its name.
    pub(crate) fn add_pool(&mut self, gauge: &'static str, name: &'static str, source: PoolSource) {
        if self.is_on(family(gauge).subsystem) {
            let sources = self.derived.pools.entry(gauge).or_default();
            match sources.iter_mut().find(|(known, _)| *known == name) {
                Some((_, known)) => *known = source,
                None => sources.push((name, source)),
            }
            self.open("self", "callback", &callback(gauge, name));
            self.open(family(gauge).subsystem, "pool", name);
        }
    }

    pub(crate) fn remove_pool(&mut self, gauge: &'static str, name: &'static str) {
        let sources = self.derived.pools.entry(gauge).or_default();
        let before = sources.len();
        sources.retain(|(known, _)| *known != name);
        if sources.len() < before {
            self.close(family(gauge).subsystem, "pool", name);
        }
    }

    fn read_pools(&mut self, gauge: &'static str) {
        let sources = self.derived.pools.get(gauge).cloned().unwrap_or_default();
        let mut sum = Some(PoolStats::default());
        for (name, source) in &sources {
            self.set_named_pool(gauge, name, *source);
            let reason = match source {
                PoolSource::Open(stats) => {
                    sum = sum.map(|sum| PoolStats {
                        active: sum.active.saturating_add(stats.active),
                        idle: sum.idle.saturating_add(stats.idle),
                        max: sum.max.saturating_add(stats.max),
                    });
                    continue;
                }
                PoolSource::Gone => "none",
                PoolSource::Panics => "panic",
            };
            sum = None;
            let callback = self.open("self", "callback", &callback(gauge, name));
            self.count("metrics_callback_failures_total", &[&callback, reason], 1);
            if reason == "panic" {
                self.track_application_error("collector_panic", ErrorSeverity::Error);
            }
        }
        let was_read = if sources.is_empty() {
            self.derived.read_pools.remove(gauge)
        } else {
            self.derived.read_pools.insert(gauge);
            true
        };
        match sum {
            Some(sum) if was_read => self.set_pool(gauge, sum),
            Some(_) => {}
            None => self.clear(gauge),
        }
    }

    /// The three series of one of several pools, if there was room for its name.
    fn set_named_pool(&mut self, gauge: &'static str, name: &str, source: PoolSource) {
        let family = FAMILIES.iter().find(|family| {
            family.name.strip_suffix("_by_pool").is_some_and(|of_all| of_all == gauge)
        });
        let family = family.expect("each pool is told apart");
        if !self.has_open(family.subsystem, "pool", name) {
            return;
        }
        let name = &*cut(name);
        for state in ["active", "idle", "total"] {
            let level = match (source, state) {
                (PoolSource::Open(stats), "active") => Some(stats.active),
                (PoolSource::Open(stats), "idle") => Some(stats.idle),
                (PoolSource::Open(stats), _) => Some(stats.max),
                _ => None,
            };
            match level {
                Some(level) => self.set(family.name, &[name, state], level.into()),
                None => self.clear_one(family.name, &[name, state]),
            }
        }
    }

    /// The three series of all pools.
    pub(crate) fn set_pool(&mut self, gauge: &'static str, stats: PoolStats) {
        self.set(gauge, &["active"], stats.active.into());
        self.set(gauge, &["idle"], stats.idle.into());
        self.set(gauge, &["total"], stats.max.into());
    }
}

/// The source of a pool as `metrics_callback_failures_total` names it.
fn callback(gauge: &str, name: &str) -> String {
    format!("{}:{name}", gauge.strip_suffix("_connections").expect("it is the gauge of a pool"))
}
