//! Strategies and their mark to market.
//!
//! | family | labels | recorded by |
//! | --- | --- | --- |
//! | `strategies_total`, `strategy_instruments_total`, `strategy_pnl_total` | `account_id` | [`Metrics::update_strategy_account`], [`Metrics::set_strategy_pnl`]; taken out by [`Metrics::remove_strategy_account`] |
//! | `strategy_operations_total`, `strategy_operation_duration_seconds` | `operation`; `status` | [`Metrics::start_strategy_operation`], [`Metrics::track_strategy_operation`] |
//! | `strategy_m2m_calculations_total`, `strategy_m2m_calculation_duration_seconds`, `strategy_m2m_last_success_timestamp_seconds` | `status` | [`Metrics::start_strategy_m2m`], [`Metrics::track_strategy_m2m`] |
//! | `strategy_signals_total` | `signal` | [`Metrics::track_strategy_signal`] |
//! | `strategy_stop_losses_triggered_total` | | [`Metrics::track_strategy_stop_loss`] |
//!
//! The three gauges by account are shared: every replica that knows an account reports the same numbers.
//! Take the maximum by account before you add accounts up:
//! `sum(max by (account_id) (strategy_pnl_total))`.
//!
//! ```
//! use backend_metrics::{Metrics, labels::StrategyOperation};
//!
//! fn add_strategy(metrics: Metrics, account: &str) -> Result<(), std::io::Error> {
//!     let operation = metrics.start_strategy_operation(StrategyOperation::Create);
//!     let result = Ok(()); // the work; an early return or a cancelled future is recorded too
//!     operation.finish(&result);
//!     metrics.update_strategy_account(account, 1, 4, -1_250.75);
//!     result
//! }
//!
//! let metrics = Metrics::new();
//! add_strategy(metrics, "ACC-7")?;
//! let text = metrics.to_text();
//! assert!(text.contains("strategy_operations_total{operation=\"create\",status=\"success\"} 1\n"));
//! assert!(text.contains("strategy_pnl_total{account_id=\"ACC-7\"} -1250.75\n"));
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! [`Metrics::update_strategy_account`]: crate::Metrics::update_strategy_account
//! [`Metrics::set_strategy_pnl`]: crate::Metrics::set_strategy_pnl
//! [`Metrics::remove_strategy_account`]: crate::Metrics::remove_strategy_account
//! [`Metrics::start_strategy_operation`]: crate::Metrics::start_strategy_operation
//! [`Metrics::track_strategy_operation`]: crate::Metrics::track_strategy_operation
//! [`Metrics::start_strategy_m2m`]: crate::Metrics::start_strategy_m2m
//! [`Metrics::track_strategy_m2m`]: crate::Metrics::track_strategy_m2m
//! [`Metrics::track_strategy_signal`]: crate::Metrics::track_strategy_signal
//! [`Metrics::track_strategy_stop_loss`]: crate::Metrics::track_strategy_stop_loss

use std::time::Duration;

use crate::{
    Counter, CounterFamily, Domain, GaugeFamily, Histogram, HistogramFamily, LateGauge, Open,
    Stopwatch, guard::dropped,
};

use super::helpers::helpers;

families! {
    /// Strategies and their mark to market.
    pub struct StrategyMetrics = "strategies" {
        with {
            /// The accounts that have strategies.
            pub accounts: Domain<Account>,
        }

        /// Active strategies of an account
        ///
        /// Set by [`Metrics::update_strategy_account`](crate::Metrics::update_strategy_account).
        pub strategies: GaugeFamily<Open<Account>> = "strategies_total" [specified_name, shared],

        /// Strategy operations by how they ended
        pub operations: CounterFamily<(StrategyOperation, StrategyOperationStatus)> =
            "strategy_operations_total",

        /// Mark-to-market calculations by how they ended
        pub m2m_calculations: CounterFamily<StrategyM2mStatus> = "strategy_m2m_calculations_total",

        /// Time of a mark-to-market calculation
        ///
        /// Failed and cancelled calculations are included.
        pub m2m_calculation_duration: Histogram =
            "strategy_m2m_calculation_duration_seconds"
            in &[0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0],

        /// Instruments in the strategies of an account
        ///
        /// Set by [`Metrics::update_strategy_account`](crate::Metrics::update_strategy_account).
        pub instruments: GaugeFamily<Open<Account>> =
            "strategy_instruments_total" [specified_name, shared],

        /// Profit of the strategies of an account in rupees, negative for a loss
        ///
        /// Fractions are kept. Set by
        /// [`Metrics::update_strategy_account`](crate::Metrics::update_strategy_account) and
        /// [`Metrics::set_strategy_pnl`](crate::Metrics::set_strategy_pnl).
        pub pnl: GaugeFamily<Open<Account>> = "strategy_pnl_total" [specified_name, shared],

        /// Time of a strategy operation
        ///
        /// Failed and cancelled operations are included.
        pub operation_duration: HistogramFamily<StrategyOperation> =
            "strategy_operation_duration_seconds"
            in &[0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0],

        /// Time of day when a mark-to-market calculation last succeeded
        ///
        /// Seconds since 1970. Absent until the first success. `time() - max(...)` is its age.
        pub m2m_last_success_timestamp: LateGauge = "strategy_m2m_last_success_timestamp_seconds",

        /// Signals that strategies gave
        pub signals: CounterFamily<StrategySignal> = "strategy_signals_total",

        /// Stop losses that were triggered
        pub stop_losses_triggered: Counter = "strategy_stop_losses_triggered_total",
    }
}

open_labels! {
    /// The account that strategies trade for.
    ///
    /// Its id is shown as it is given, unless the builder has
    /// [`without_account_ids`](crate::Builder::without_account_ids) or a key to hash it.
    ///
    /// Past the cap, the accounts without a place share `other`, which shows the one that was set last. Raise
    /// the cap with [`Builder::cap_of`](crate::Builder::cap_of) to more accounts than the service has.
    pub struct Account(account_id) [removable];
}

label_values! {
    /// What is done to a strategy.
    pub enum StrategyOperation = "operation" {
        /// It is made.
        Create = "create",
        /// Its settings change.
        Update = "update",
        /// It is removed.
        Delete = "delete",
        /// An instrument is added to it.
        AddInstrument = "add_instrument",
        /// An instrument is taken out of it.
        RemoveInstrument = "remove_instrument",
    }
}

label_values! {
    /// How an operation on a strategy ended.
    pub enum StrategyOperationStatus = "status" {
        /// It was done.
        Success = "success",
        /// It failed, or its guard was dropped by a panic.
        Error = "error",
        /// Its guard was dropped without an outcome: the caller went away.
        Cancelled = "cancelled",
    }
}

label_values! {
    /// How a mark-to-market calculation ended.
    pub enum StrategyM2mStatus = "status" {
        /// It gave a result.
        Success = "success",
        /// It failed, or its guard was dropped by a panic.
        Error = "error",
        /// Its guard was dropped without an outcome: the task was stopped.
        Cancelled = "cancelled",
    }
}

label_values! {
    /// What a strategy's signal asks for.
    pub enum StrategySignal = "signal" {
        /// To open a position.
        Entry = "entry",
        /// To close a position.
        Exit = "exit",
        /// To change the size or the legs of a position.
        Adjust = "adjust",
    }
}

helpers! {
    /// Sets what is known of an account: its active strategies, the instruments in them, and their profit in
    /// rupees, negative for a loss.
    ///
    /// Sets `strategies_total`, `strategy_instruments_total` and `strategy_pnl_total`.
    pub fn update_strategy_account(self, account: &str, strategies: u32, instruments: u32, pnl_rupees: f64) {
        let account = self.strategies.accounts.get(account);
        self.strategies.strategies.get(account).set(f64::from(strategies));
        self.strategies.instruments.get(account).set(f64::from(instruments));
        self.strategies.pnl.get(account).set(pnl_rupees);
    }

    /// Sets the profit of an account in rupees, negative for a loss, in `strategy_pnl_total`.
    ///
    /// For a mark-to-market that runs more often than the other numbers change. An account seen for the first
    /// time shows no strategies and no instruments until
    /// [`update_strategy_account`](crate::Metrics::update_strategy_account).
    pub fn set_strategy_pnl(self, account: &str, pnl_rupees: f64) {
        self.strategies.pnl.get(self.strategies.accounts.get(account)).set(pnl_rupees);
    }

    /// Takes the three series of an account out of the exposition, and makes room for another account.
    ///
    /// For an account that was closed or went to another replica. It does nothing if the account has none. What
    /// other threads set meanwhile: see [`Domain::remove`](crate::Domain::remove).
    pub fn remove_strategy_account(self, account: &str) {
        self.strategies.accounts.remove(account);
    }

    /// Counts an operation on a strategy that ended and observes how long it took.
    ///
    /// Moves `strategy_operations_total` and `strategy_operation_duration_seconds`.
    /// [`Metrics::start_strategy_operation`](crate::Metrics::start_strategy_operation) measures the time itself.
    pub fn track_strategy_operation(self, operation: StrategyOperation, duration: Duration, status: StrategyOperationStatus) {
        let operations = self.strategies.operations.get((operation, status));
        self.strategies.operation_duration.get(operation).observe_counted(duration, operations);
        if (operation, status) == (StrategyOperation::Create, StrategyOperationStatus::Success) {
            self.business.count_strategy(self.day());
        }
    }

    /// Starts an operation on a strategy; the guard records how it ended.
    pub fn start_strategy_operation(self, operation: StrategyOperation) -> StrategyOperationGuard {
        StrategyOperationGuard { watch: self.stopwatch(), operation, status: None }
    }

    /// Counts a mark-to-market calculation that ended and observes how long it took.
    ///
    /// Moves `strategy_m2m_calculations_total`, `strategy_m2m_calculation_duration_seconds` and, for a success,
    /// `strategy_m2m_last_success_timestamp_seconds`.
    pub fn track_strategy_m2m(self, duration: Duration, status: StrategyM2mStatus) {
        let calculations = self.strategies.m2m_calculations.get(status);
        self.strategies.m2m_calculation_duration.observe_counted(duration, calculations);
        if status == StrategyM2mStatus::Success {
            self.strategies.m2m_last_success_timestamp.set_time(self.clock().wall());
        }
    }

    /// Starts a mark-to-market calculation; the guard records how it ended.
    pub fn start_strategy_m2m(self) -> StrategyM2mGuard {
        StrategyM2mGuard { watch: self.stopwatch(), status: None }
    }

    /// Counts a signal of a strategy in `strategy_signals_total`.
    pub fn track_strategy_signal(self, signal: StrategySignal) {
        self.strategies.signals.get(signal).inc();
    }

    /// Counts a stop loss that was triggered in `strategy_stop_losses_triggered_total`.
    pub fn track_strategy_stop_loss(self) {
        self.strategies.stop_losses_triggered.inc();
    }
}

/// An operation on a strategy that is under way. Dropped without an outcome it is `cancelled`, dropped by a
/// panic `error`.
#[derive(Debug)]
#[must_use = "a guard dropped at once records a cancelled operation"]
pub struct StrategyOperationGuard {
    watch: Stopwatch,
    operation: StrategyOperation,
    status: Option<StrategyOperationStatus>,
}

impl StrategyOperationGuard {
    /// The operation was done.
    pub fn success(mut self) {
        self.status = Some(StrategyOperationStatus::Success);
    }

    /// The operation failed.
    pub fn error(mut self) {
        self.status = Some(StrategyOperationStatus::Error);
    }

    /// The operation returned `result`.
    pub fn finish<T, E>(self, result: &Result<T, E>) {
        match result {
            Ok(_) => self.success(),
            Err(_) => self.error(),
        }
    }
}

impl Drop for StrategyOperationGuard {
    fn drop(&mut self) {
        let status = self.status.unwrap_or_else(|| {
            dropped(StrategyOperationStatus::Error, StrategyOperationStatus::Cancelled)
        });
        let duration = self.watch.elapsed();
        self.watch.metrics().track_strategy_operation(self.operation, duration, status);
    }
}

/// A mark-to-market calculation that is under way. Dropped without an outcome it is `cancelled`, dropped by a
/// panic `error`.
#[derive(Debug)]
#[must_use = "a guard dropped at once records a cancelled calculation"]
pub struct StrategyM2mGuard {
    watch: Stopwatch,
    status: Option<StrategyM2mStatus>,
}

impl StrategyM2mGuard {
    /// The calculation gave a result.
    pub fn success(mut self) {
        self.status = Some(StrategyM2mStatus::Success);
    }

    /// The calculation failed.
    pub fn error(mut self) {
        self.status = Some(StrategyM2mStatus::Error);
    }

    /// The calculation returned `result`.
    pub fn finish<T, E>(self, result: &Result<T, E>) {
        match result {
            Ok(_) => self.success(),
            Err(_) => self.error(),
        }
    }
}

impl Drop for StrategyM2mGuard {
    fn drop(&mut self) {
        let status = self
            .status
            .unwrap_or_else(|| dropped(StrategyM2mStatus::Error, StrategyM2mStatus::Cancelled));
        self.watch.metrics().track_strategy_m2m(self.watch.elapsed(), status);
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::{StrategyOperation, StrategySignal};
    use crate::testing::Fixture;

    #[test]
    fn an_operation_is_counted_and_timed_once_whatever_its_end() {
        let test = Fixture::new();
        let start = || {
            let operation = test.metrics.start_strategy_operation(StrategyOperation::AddInstrument);
            test.clock.advance(Duration::from_millis(40));
            operation
        };
        start().success();
        start().error();
        start().finish(&Ok::<_, ()>(1));
        start().finish(&Err::<(), _>(1));
        drop(start());
        std::panic::catch_unwind(|| {
            let _operation = start();
            panic!("the guard unwinds");
        })
        .unwrap_err();
        let operation = r#"operation="add_instrument""#;
        test.assert_series(&[
            (&format!(r#"strategy_operations_total{{{operation},status="success"}}"#), 2.0),
            (&format!(r#"strategy_operations_total{{{operation},status="error"}}"#), 3.0),
            (&format!(r#"strategy_operations_total{{{operation},status="cancelled"}}"#), 1.0),
            (r#"strategy_operations_total{operation="create",status="success"}"#, 0.0),
            (&format!("strategy_operation_duration_seconds_count{{{operation}}}"), 6.0),
            (&format!("strategy_operation_duration_seconds_sum{{{operation}}}"), 0.24),
        ]);
    }

    #[test]
    fn only_a_successful_mark_to_market_moves_its_time() {
        const LAST_SUCCESS: &str = "strategy_m2m_last_success_timestamp_seconds";
        let test = Fixture::new();
        test.clock.set_wall(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000));
        let start = || {
            let calculation = test.metrics.start_strategy_m2m();
            test.clock.advance(Duration::from_millis(250));
            calculation
        };
        start().error();
        drop(start());
        std::panic::catch_unwind(|| {
            let _calculation = start();
            panic!("the guard unwinds");
        })
        .unwrap_err();
        assert_eq!(test.series(LAST_SUCCESS), None);
        start().success();
        test.clock.advance(Duration::from_mins(1));
        start().finish(&Err::<(), _>(1));
        test.assert_series(&[
            (LAST_SUCCESS, 1_700_000_001.0),
            (r#"strategy_m2m_calculations_total{status="success"}"#, 1.0),
            (r#"strategy_m2m_calculations_total{status="error"}"#, 3.0),
            (r#"strategy_m2m_calculations_total{status="cancelled"}"#, 1.0),
            ("strategy_m2m_calculation_duration_seconds_count", 5.0),
            ("strategy_m2m_calculation_duration_seconds_sum", 1.25),
        ]);
    }

    #[test]
    fn an_account_that_is_removed_is_not_exposed_until_it_is_set_again() {
        let test = Fixture::new();
        test.metrics.update_strategy_account("A1", 3, 12, -1_250.75);
        test.metrics.set_strategy_pnl("A2", 0.5);
        test.assert_series(&[
            (r#"strategies_total{account_id="A1"}"#, 3.0),
            (r#"strategy_instruments_total{account_id="A1"}"#, 12.0),
            (r#"strategy_pnl_total{account_id="A1"}"#, -1_250.75),
            (r#"strategies_total{account_id="A2"}"#, 0.0),
            (r#"strategy_pnl_total{account_id="A2"}"#, 0.5),
        ]);
        test.metrics.remove_strategy_account("A1");
        test.metrics.remove_strategy_account("never seen");
        assert!(!test.metrics.to_text().contains(r#"account_id="A1""#));
        test.metrics.set_strategy_pnl("A1", 7.0);
        test.assert_series(&[
            (r#"strategies_total{account_id="A1"}"#, 0.0),
            (r#"strategy_instruments_total{account_id="A1"}"#, 0.0),
            (r#"strategy_pnl_total{account_id="A1"}"#, 7.0),
            (r#"strategy_pnl_total{account_id="A2"}"#, 0.5),
        ]);
    }

    #[test]
    fn signals_and_stop_losses_are_counted() {
        let test = Fixture::new();
        test.metrics.track_strategy_signal(StrategySignal::Entry);
        test.metrics.track_strategy_signal(StrategySignal::Entry);
        test.metrics.track_strategy_signal(StrategySignal::Adjust);
        test.metrics.track_strategy_stop_loss();
        test.assert_series(&[
            (r#"strategy_signals_total{signal="entry"}"#, 2.0),
            (r#"strategy_signals_total{signal="exit"}"#, 0.0),
            (r#"strategy_signals_total{signal="adjust"}"#, 1.0),
            ("strategy_stop_losses_triggered_total", 1.0),
        ]);
    }
}
