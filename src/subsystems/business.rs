//! Users, orders and turnover of the day.
//!
//! | family | labels | recorded by |
//! | --- | --- | --- |
//! | `active_users`, `daily_active_users` | `time_window` | [`Metrics::track_user_activity`], [`Metrics::set_active_users`], [`Metrics::set_daily_active_users`] |
//! | `total_orders_placed_today` | | the helpers of orders, [`Metrics::set_orders_placed_today`] |
//! | `total_strategies_created_today` | | the helpers of strategies, [`Metrics::set_strategies_created_today`] |
//! | `total_turnover_today_rupees` | | [`Metrics::track_order_turnover`], [`Metrics::set_turnover_today`] |
//!
//! [`Metrics::update_business_metrics`] sets any of them at once.
//!
//! A day ends at midnight of the configured
//! [UTC offset](crate::Builder::utc_offset_minutes), by the wall clock. If the clock is then set back a little
//! over midnight, the new day goes on, so that nothing starts from 0 twice.
//!
//! ```
//! use backend_metrics::Metrics;
//!
//! let metrics = Metrics::new();
//! metrics.set_orders_placed_today(250); // from the database, after a restart
//! metrics.track_user_activity("trader-7");
//! metrics.track_user_activity("trader-7");
//! metrics.track_order_turnover(15_250.50);
//! let text = metrics.to_text();
//! assert!(text.contains("active_users{time_window=\"5m\"} 1\n"));
//! assert!(text.contains("total_orders_placed_today 250\n"));
//! assert!(text.contains("total_turnover_today_rupees 15250.5\n"));
//! ```
//!
//! [`Metrics::track_user_activity`]: crate::Metrics::track_user_activity
//! [`Metrics::set_active_users`]: crate::Metrics::set_active_users
//! [`Metrics::set_daily_active_users`]: crate::Metrics::set_daily_active_users
//! [`Metrics::set_orders_placed_today`]: crate::Metrics::set_orders_placed_today
//! [`Metrics::set_strategies_created_today`]: crate::Metrics::set_strategies_created_today
//! [`Metrics::track_order_turnover`]: crate::Metrics::track_order_turnover
//! [`Metrics::set_turnover_today`]: crate::Metrics::set_turnover_today
//! [`Metrics::update_business_metrics`]: crate::Metrics::update_business_metrics

use std::hash::Hash;

use crate::{
    Gauge, GaugeFamily, LabelSet, Now,
    collect::{activity::UserActivity, daily::DailyTotal, given::Given},
};

use super::helpers::helpers;

families! {
    /// Users, orders and turnover of the day.
    pub struct BusinessMetrics = "business" {
        with {
            /// Who was active when.
            pub(crate) activity: UserActivity,
            /// Users in each time window that the service counts itself.
            pub(crate) users: Given<{ ActiveUsersWindow::COUNT }>,
            /// Users of the day that the service counts itself.
            pub(crate) daily_users: Given<1>,
            /// Orders of the day.
            pub(crate) orders: DailyTotal,
            /// Strategies of the day.
            pub(crate) strategies: DailyTotal,
            /// Turnover of the day in paise.
            pub(crate) turnover: DailyTotal,
        }

        /// Distinct users that were active in the last minutes
        ///
        /// An estimate, exact up to 128 users and within a few percent beyond, from
        /// [`track_user_activity`](crate::Metrics::track_user_activity). Whole minutes are counted, the one
        /// under way as the last. Each replica sees its own users, so the maximum over replicas is a
        /// lower bound; a service that knows the number
        /// [sets](crate::Metrics::set_active_users) it.
        pub active_users: GaugeFamily<ActiveUsersWindow> = "active_users" [shared],

        /// Distinct users that were active today
        ///
        /// As [`active_users`](Self::active_users), since midnight.
        pub daily_active_users: Gauge = "daily_active_users" [shared],

        /// Orders placed since midnight
        ///
        /// Those that this process placed since it started, unless it was
        /// [set](crate::Metrics::set_orders_placed_today). Sum over replicas.
        pub orders_placed_today: Gauge = "total_orders_placed_today",

        /// Strategies created since midnight
        ///
        /// Those that this process created since it started, unless it was
        /// [set](crate::Metrics::set_strategies_created_today). Sum over replicas.
        pub strategies_created_today: Gauge = "total_strategies_created_today",

        /// Turnover of orders since midnight
        ///
        /// In rupees, kept in paise. It ends at 2^48 paise, which is 2.8 trillion rupees.
        pub turnover_today: Gauge = "total_turnover_today_rupees",
    }
    on_scrape = BusinessMetrics::derive
}

label_values! {
    /// The time before now in which a user was active.
    pub enum ActiveUsersWindow = "time_window" {
        /// Five minutes.
        FiveMinutes = "5m",
        /// A quarter of an hour.
        FifteenMinutes = "15m",
        /// An hour.
        OneHour = "1h",
    }
}

/// Figures of the business; those that are `None` are left as they are.
///
/// Later versions may have more fields: end with `..BusinessStats::default()`.
///
/// ```
/// use backend_metrics::{BusinessStats, Metrics};
///
/// let metrics = Metrics::new();
/// metrics.update_business_metrics(BusinessStats {
///     daily_active_users: Some(1_250),
///     ..BusinessStats::default()
/// });
/// assert!(metrics.to_text().contains("daily_active_users 1250\n"));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BusinessStats {
    /// Distinct users of the last five minutes.
    pub active_users_5m: Option<u64>,
    /// Distinct users of the last quarter of an hour.
    pub active_users_15m: Option<u64>,
    /// Distinct users of the last hour.
    pub active_users_1h: Option<u64>,
    /// Distinct users since midnight.
    pub daily_active_users: Option<u64>,
    /// Orders placed since midnight.
    pub orders_placed_today: Option<u64>,
    /// Strategies created since midnight.
    pub strategies_created_today: Option<u64>,
    /// Turnover since midnight, in rupees.
    pub turnover_today_rupees: Option<f64>,
}

impl BusinessMetrics {
    /// Counts an order of the day, as [`Metrics::day`](crate::Metrics) gives it.
    pub(crate) fn count_order(&self, today: i64) {
        self.orders.add(today, 1);
    }

    /// Counts a strategy that was created on the day.
    pub(crate) fn count_strategy(&self, today: i64) {
        self.strategies.add(today, 1);
    }

    #[expect(clippy::cast_precision_loss, reason = "totals are under 2^48")]
    fn derive(&self, now: &Now) {
        let derived = self.activity.windows(now.uptime);
        for (window, derived) in ActiveUsersWindow::ALL.iter().copied().zip(derived) {
            let users = self.users.get(window.index()).unwrap_or(derived as f64);
            self.active_users.get(window).set(users);
        }
        let daily = self.daily_users.get(0);
        self.daily_active_users.set(daily.unwrap_or_else(|| self.activity.day(now.day) as f64));
        self.orders_placed_today.set_count(self.orders.read(now.day));
        self.strategies_created_today.set_count(self.strategies.read(now.day));
        self.turnover_today.set(self.turnover.read(now.day) as f64 / 100.0);
    }
}

/// The amount in paise; none if it is negative or not a finite number.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, and the amount is not negative"
)]
fn paise(rupees: f64) -> Option<u64> {
    (rupees.is_finite() && rupees >= 0.0).then(|| (rupees * 100.0).round() as u64)
}

#[expect(clippy::cast_precision_loss, reason = "users are fewer than 2^53")]
fn users(count: u64) -> f64 {
    count as f64
}

helpers! {
    /// Notes that a user is active now, for `active_users` and `daily_active_users`.
    ///
    /// The user is whatever tells users apart, an id say. It is hashed under a key that is drawn when the
    /// instance is built, and the hash goes into a sketch: no id is kept or exposed. The sketch is behind a
    /// lock that is held for a tenth of a microsecond, and takes memory while it grows, 200 KB at the most.
    pub fn track_user_activity(self, user: impl Hash) {
        self.business.activity.note(user, self.uptime(), self.day());
    }

    /// Sets `active_users` of a time window. From then on it is not derived.
    pub fn set_active_users(self, window: ActiveUsersWindow, count: u64) {
        self.business.users.set(window.index(), users(count));
    }

    /// Sets `daily_active_users`. From then on it is not derived, nor set back at midnight.
    pub fn set_daily_active_users(self, count: u64) {
        self.business.daily_users.set(0, users(count));
    }

    /// Sets `total_orders_placed_today`, after a restart say. Orders that follow come on top, and midnight
    /// sets it back to 0.
    pub fn set_orders_placed_today(self, orders: u64) {
        self.business.orders.set(self.day(), orders);
    }

    /// Sets `total_strategies_created_today`. Strategies that follow come on top, and midnight sets it back
    /// to 0.
    pub fn set_strategies_created_today(self, strategies: u64) {
        self.business.strategies.set(self.day(), strategies);
    }

    /// Adds the value of an order to `total_turnover_today_rupees`, rounded to the paisa.
    ///
    /// An amount that is negative, infinite or not a number is left out: turnover never goes down.
    pub fn track_order_turnover(self, rupees: f64) {
        if let Some(paise) = paise(rupees) {
            self.business.turnover.add(self.day(), paise);
        }
    }

    /// Sets `total_turnover_today_rupees`, rounded to the paisa. Turnover that follows comes on top, and
    /// midnight sets it back to 0.
    ///
    /// An amount that is negative, infinite or not a number is left out.
    pub fn set_turnover_today(self, rupees: f64) {
        if let Some(paise) = paise(rupees) {
            self.business.turnover.set(self.day(), paise);
        }
    }

    /// Sets the figures that are given, each as its own `set_` method does.
    pub fn update_business_metrics(self, stats: BusinessStats) {
        let windows = [
            (ActiveUsersWindow::FiveMinutes, stats.active_users_5m),
            (ActiveUsersWindow::FifteenMinutes, stats.active_users_15m),
            (ActiveUsersWindow::OneHour, stats.active_users_1h),
        ];
        for (window, count) in windows {
            if let Some(count) = count {
                self.set_active_users(window, count);
            }
        }
        if let Some(count) = stats.daily_active_users {
            self.set_daily_active_users(count);
        }
        if let Some(orders) = stats.orders_placed_today {
            self.set_orders_placed_today(orders);
        }
        if let Some(strategies) = stats.strategies_created_today {
            self.set_strategies_created_today(strategies);
        }
        if let Some(rupees) = stats.turnover_today_rupees {
            self.set_turnover_today(rupees);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use super::{ActiveUsersWindow, BusinessStats};
    use crate::{Clock, Metrics, testing::Fixture};

    const M5: &str = r#"active_users{time_window="5m"}"#;
    const M15: &str = r#"active_users{time_window="15m"}"#;
    const H1: &str = r#"active_users{time_window="1h"}"#;
    const DAY: Duration = Duration::from_hours(24);
    const SECOND: Duration = Duration::from_secs(1);

    /// The midnight that begins a day at +05:30.
    fn midnight() -> SystemTime {
        UNIX_EPOCH + 20_000 * DAY - Duration::from_mins(330)
    }

    #[test]
    fn users_are_distinct_in_each_window() {
        let test = Fixture::new();
        test.clock.set_wall(midnight());
        test.assert_series(&[(M5, 0.0), (M15, 0.0), (H1, 0.0), ("daily_active_users", 0.0)]);
        for user in [7_u64, 8, 7, 7] {
            test.metrics.track_user_activity(user);
        }
        test.assert_series(&[(M5, 2.0), (M15, 2.0), (H1, 2.0), ("daily_active_users", 2.0)]);
        test.clock.advance(Duration::from_mins(6));
        test.metrics.track_user_activity(7_u64);
        test.metrics.track_user_activity(9_u64);
        test.assert_series(&[(M5, 2.0), (M15, 3.0), (H1, 3.0), ("daily_active_users", 3.0)]);
        test.clock.advance(Duration::from_mins(20));
        test.assert_series(&[(M5, 0.0), (M15, 0.0), (H1, 3.0), ("daily_active_users", 3.0)]);
        test.clock.advance(Duration::from_hours(1));
        test.assert_series(&[(H1, 0.0), ("daily_active_users", 3.0)]);
        test.clock.advance(DAY);
        test.assert_series(&[("daily_active_users", 0.0)]);
        test.metrics.track_user_activity("another");
        test.assert_series(&[(M5, 1.0), ("daily_active_users", 1.0)]);
    }

    #[test]
    fn users_that_are_set_stay() {
        let test = Fixture::new();
        test.metrics.set_active_users(ActiveUsersWindow::FifteenMinutes, 40);
        test.metrics.set_daily_active_users(500);
        test.metrics.track_user_activity(1);
        test.assert_series(&[(M5, 1.0), (M15, 40.0), (H1, 1.0), ("daily_active_users", 500.0)]);
        test.clock.advance(2 * DAY);
        test.assert_series(&[(M5, 0.0), (M15, 40.0), (H1, 0.0), ("daily_active_users", 500.0)]);
    }

    #[test]
    fn the_totals_start_again_at_midnight_in_india() {
        let test = Fixture::new();
        let business = &test.metrics.business;
        test.clock.set_wall(midnight() - SECOND);
        business.count_order(test.metrics.day());
        business.count_order(test.metrics.day());
        business.count_strategy(test.metrics.day());
        test.metrics.track_order_turnover(100.25);
        test.metrics.track_order_turnover(0.5);
        test.assert_series(&[
            ("total_orders_placed_today", 2.0),
            ("total_strategies_created_today", 1.0),
            ("total_turnover_today_rupees", 100.75),
        ]);
        test.clock.advance(SECOND);
        test.assert_series(&[
            ("total_orders_placed_today", 0.0),
            ("total_strategies_created_today", 0.0),
            ("total_turnover_today_rupees", 0.0),
        ]);
        business.count_order(test.metrics.day());
        test.assert_series(&[("total_orders_placed_today", 1.0)]);
    }

    #[test]
    fn the_offset_of_the_builder_says_when_midnight_is() {
        let clock = Clock::manual();
        let metrics =
            Metrics::builder().clock(clock.clone()).utc_offset_minutes(0).build().unwrap();
        let test = Fixture { metrics, clock };
        test.clock.set_wall(midnight() - SECOND);
        test.metrics.business.count_order(test.metrics.day());
        test.clock.advance(SECOND);
        test.assert_series(&[("total_orders_placed_today", 1.0)]);
        test.clock.set_wall(UNIX_EPOCH + 20_000 * DAY);
        test.assert_series(&[("total_orders_placed_today", 0.0)]);
    }

    #[test]
    fn a_clock_set_back_over_midnight_does_not_reset_twice() {
        let test = Fixture::new();
        let order = || {
            test.metrics.business.count_order(test.metrics.day());
            test.metrics.track_user_activity(1);
        };
        let assert = |orders, users| {
            test.assert_series(&[
                ("total_orders_placed_today", orders),
                ("daily_active_users", users),
            ]);
        };
        test.clock.set_wall(midnight() - SECOND);
        order();
        order();
        test.clock.set_wall(midnight() + SECOND);
        order();
        assert(1.0, 1.0);
        test.clock.set_wall(midnight() - 2 * SECOND);
        assert(1.0, 1.0);
        order();
        assert(2.0, 1.0);
        test.clock.set_wall(midnight() + SECOND);
        assert(2.0, 1.0);
        // A clock that was wrong by days is another matter.
        test.clock.set_wall(midnight() + 10 * DAY);
        order();
        test.clock.set_wall(midnight() + 2 * SECOND);
        assert(0.0, 0.0);
        order();
        assert(1.0, 1.0);
    }

    const TODAY: [&str; 4] = [
        "total_orders_placed_today",
        "total_strategies_created_today",
        "total_turnover_today_rupees",
        "daily_active_users",
    ];

    /// One event for each gauge of the day; the user is a new one.
    fn happen(test: &Fixture, user: u32) {
        test.metrics.business.count_order(test.metrics.day());
        test.metrics.business.count_strategy(test.metrics.day());
        test.metrics.track_order_turnover(1.0);
        test.metrics.track_user_activity(user);
    }

    #[track_caller]
    fn assert_today(test: &Fixture, events: u32) {
        test.assert_series(&TODAY.map(|gauge| (gauge, f64::from(events))));
    }

    #[test]
    fn a_clock_that_jumps_to_and_fro_over_midnight_resets_once() {
        for offset in [-1_439, -720, -210, 0, 330, 345, 840, 1_439] {
            let clock = Clock::manual();
            let builder = Metrics::builder().clock(clock.clone()).utc_offset_minutes(offset);
            let test = Fixture { metrics: builder.build().unwrap(), clock };
            let minute = |minute: i64| {
                let minute = 20_000 * 24 * 60 - i64::from(offset) + minute;
                UNIX_EPOCH + Duration::from_mins(minute.cast_unsigned())
            };
            // Minutes from midnight: on the whole forward, each step by -20 to 30.
            let (mut now, mut step, mut events, mut is_tomorrow) = (-60, 7, 0, false);
            for user in 0..100 {
                test.clock.set_wall(minute(now));
                if now >= 0 && !is_tomorrow {
                    (is_tomorrow, events) = (true, 0);
                    assert_today(&test, 0);
                }
                happen(&test, user);
                events += 1;
                assert_today(&test, events);
                step = (step * 37 + 11) % 51;
                now += step - 20;
            }
            assert!(is_tomorrow && now < 24 * 60, "{now}");
            // On the way it went back to the day before, and stayed on the day after.
            assert_today(&test, events);
        }
    }

    #[test]
    fn days_that_a_suspended_machine_missed_end_as_one() {
        let test = Fixture::new();
        test.clock.set_wall(midnight() - SECOND);
        happen(&test, 1);
        let query = test.metrics.start_database_query(crate::labels::QueryType::Select);
        // The time that only goes forward stands still meanwhile.
        test.clock.set_wall(midnight() + 3 * DAY + DAY / 3);
        test.clock.advance(SECOND);
        assert_today(&test, 0);
        query.success();
        test.assert_series(&[
            (r#"database_query_duration_seconds_sum{query_type="select"}"#, 1.0),
            // So does the window of users, which is not of the wall clock.
            (M5, 1.0),
        ]);
        happen(&test, 2);
        assert_today(&test, 1);
    }

    #[test]
    fn a_clock_that_was_days_ahead_begins_the_right_day_anew() {
        let test = Fixture::new();
        test.clock.set_wall(midnight());
        happen(&test, 1);
        // Read on a wrong day, and not written to, the right one is kept.
        for wrong in [midnight() + 30 * DAY, midnight() - 30 * DAY] {
            test.clock.set_wall(wrong);
            assert_today(&test, 0);
            test.clock.set_wall(midnight() + SECOND);
            assert_today(&test, 1);
        }
        test.clock.set_wall(midnight() + 30 * DAY);
        happen(&test, 2);
        test.clock.set_wall(midnight() + SECOND);
        assert_today(&test, 0);
        happen(&test, 3);
        assert_today(&test, 1);
    }

    #[test]
    fn a_clock_that_begins_before_1970_has_days_as_well() {
        let clock = Clock::manual();
        let metrics = Metrics::builder().clock(clock.clone()).utc_offset_minutes(0);
        let test = Fixture { metrics: metrics.build().unwrap(), clock };
        for (moment, day) in [
            (UNIX_EPOCH - DAY - Duration::from_nanos(1), -2),
            (UNIX_EPOCH - DAY, -1),
            (UNIX_EPOCH - Duration::from_nanos(1), -1),
            (UNIX_EPOCH, 0),
        ] {
            test.clock.set_wall(moment);
            assert_eq!(test.metrics.day(), day, "{moment:?}");
        }
    }

    #[test]
    fn a_turnover_that_is_no_amount_is_left_out() {
        let test = Fixture::new();
        test.metrics.track_order_turnover(10.0);
        for wrong in [-5.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            test.metrics.track_order_turnover(wrong);
            test.metrics.set_turnover_today(wrong);
        }
        test.assert_series(&[("total_turnover_today_rupees", 10.0)]);
        test.metrics.track_order_turnover(f64::MAX);
        test.metrics.track_order_turnover(10.0);
        test.assert_series(&[("total_turnover_today_rupees", 2_814_749_767_106.55)]);
    }

    #[test]
    fn given_figures_are_set_and_others_left_alone() {
        let test = Fixture::new();
        test.clock.set_wall(midnight());
        test.metrics.set_strategies_created_today(3);
        test.metrics.update_business_metrics(BusinessStats {
            active_users_5m: Some(4),
            active_users_15m: Some(5),
            active_users_1h: Some(6),
            orders_placed_today: Some(70),
            turnover_today_rupees: Some(0.999),
            ..BusinessStats::default()
        });
        test.metrics.business.count_order(test.metrics.day());
        test.assert_series(&[
            (M5, 4.0),
            (M15, 5.0),
            (H1, 6.0),
            ("daily_active_users", 0.0),
            ("total_orders_placed_today", 71.0),
            ("total_strategies_created_today", 3.0),
            ("total_turnover_today_rupees", 1.0),
        ]);
        test.metrics.update_business_metrics(BusinessStats {
            daily_active_users: Some(9),
            strategies_created_today: Some(1),
            ..BusinessStats::default()
        });
        test.clock.advance(DAY);
        test.assert_series(&[
            ("daily_active_users", 9.0),
            ("total_orders_placed_today", 0.0),
            ("total_strategies_created_today", 0.0),
        ]);
    }
}
