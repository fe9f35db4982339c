//! Validation, cost and life of orders.
//!
//! | family | labels | recorded by |
//! | --- | --- | --- |
//! | `smart_order_validations_total`, `smart_order_validation_duration_seconds`, `smart_order_rejection_reasons_total` | `status`; none; `reason` | [`Metrics::start_smart_order_validation`], [`Metrics::track_smart_order_validation`] |
//! | `margin_calculations_total`, `margin_calculation_duration_seconds` | `status`; `method` | [`Metrics::start_margin_calculation`], [`Metrics::track_margin_calculation`] |
//! | `cost_breakdown_calculations_total`, `cost_breakdown_duration_seconds` | `transaction_type` | [`Metrics::track_cost_breakdown`] |
//! | `market_impact_assessments_total`, `market_impact_assessment_duration_seconds` | `impact_level`; none | [`Metrics::track_market_impact_assessment`] |
//! | `orders_placed_total`, `order_placement_duration_seconds` | `order_type`; `side`, `status` | [`Metrics::start_order`], [`Metrics::track_order_placement`] |
//! | `order_state_transitions_total` | `state` | [`OpenOrder`], [`Metrics::track_order_state`] |
//! | `orders_open` | `order_type` | [`OpenOrder`], [`Metrics::track_order_state`], [`Metrics::track_open_orders`] |
//! | `order_fill_duration_seconds` | `order_type` | [`OpenOrder::filled`], [`Metrics::track_order_fill`] |
//! | `order_slippage_ratio` | `side`, `direction` | [`OpenOrder::fill_price`], [`Metrics::track_order_slippage`] |
//!
//! An order has two parts. Its *placement* lasts until the broker answers. After that it has a *life* of
//! states, which another part of the service often hears of: either one [`OpenOrder`] is kept until the end,
//! or each change is told with [`Metrics::track_order_state`]. Use one or the other for an order.
//!
//! ```
//! use backend_metrics::{
//!     Metrics,
//!     labels::{OrderSide, OrderType},
//! };
//!
//! let metrics = Metrics::new();
//! let order = metrics.start_order(OrderType::Limit, OrderSide::Buy);
//! // The broker accepts it.
//! let mut order = order.accepted_open();
//! assert!(metrics.to_text().contains("orders_open{order_type=\"limit\"} 1\n"));
//! // The exchange fills it.
//! order.fill_price(100.0, 100.5);
//! order.filled();
//! let text = metrics.to_text();
//! assert!(text.contains("orders_open{order_type=\"limit\"} 0\n"));
//! assert!(text.contains("order_slippage_ratio_sum{side=\"buy\",direction=\"adverse\"} 0.005\n"));
//! ```

use std::time::Duration;

use crate::{
    CounterFamily, Histogram, HistogramFamily, InFlight, Metrics, Stopwatch, UpDownGaugeFamily,
    guard::dropped,
};

use super::helpers::helpers;

families! {
    /// Validation, cost and life of orders.
    pub struct SmartOrderMetrics = "smart_orders" {
        /// Validations of orders by how they ended
        pub validations: CounterFamily<ValidationStatus> = "smart_order_validations_total",

        /// Time that the validation of an order took
        ///
        /// Cancelled validations are included.
        pub validation_duration: Histogram =
            "smart_order_validation_duration_seconds" in &[0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0],

        /// Rejected validations by the reason
        ///
        /// One reason for each: the sum is the rejected [`validations`](Self::validations).
        pub rejection_reasons: CounterFamily<OrderRejectionReason> =
            "smart_order_rejection_reasons_total",

        /// Margin calculations by how they ended
        pub margin_calculations: CounterFamily<MarginStatus> = "margin_calculations_total",

        /// Time that a margin calculation took
        ///
        /// Failed and cancelled calculations are included. The method is the one that gave the result; one
        /// that fell back includes the time of the try before.
        pub margin_calculation_duration: HistogramFamily<MarginMethod> =
            "margin_calculation_duration_seconds"
            in &[0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0],

        /// Cost breakdowns that were calculated
        pub cost_breakdown_calculations: CounterFamily<CostTransactionType> =
            "cost_breakdown_calculations_total",

        /// Assessments of what an order does to the market
        pub market_impact_assessments: CounterFamily<MarketImpactLevel> =
            "market_impact_assessments_total",

        /// Time that a cost breakdown took
        pub cost_breakdown_duration: HistogramFamily<CostTransactionType> =
            "cost_breakdown_duration_seconds"
            in &[0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0],

        /// Time that an assessment of the market impact took
        pub market_impact_assessment_duration: Histogram =
            "market_impact_assessment_duration_seconds"
            in &[0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0],

        /// Orders sent to the broker by its answer
        pub orders_placed: CounterFamily<(OrderType, OrderSide, PlacementStatus)> =
            "orders_placed_total",

        /// Time from sending an order to the answer of the broker
        ///
        /// Rejected, failed and cancelled placements are included.
        pub placement_duration: HistogramFamily<OrderType> =
            "order_placement_duration_seconds"
            in &[0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0],

        /// Time from the acceptance of an order to its complete fill
        ///
        /// An order that ends otherwise is not in it.
        pub fill_duration: HistogramFamily<OrderType> =
            "order_fill_duration_seconds"
            in &[0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0],

        /// Changes of the state of orders by the new state
        pub state_transitions: CounterFamily<OrderState> = "order_state_transitions_total",

        /// Orders that are open at the exchange now
        ///
        /// Those that this process follows: after a start it knows the earlier ones only when it is told, by
        /// [`Metrics::start_open_order`] or [`Metrics::track_open_orders`].
        pub open: UpDownGaugeFamily<OrderType> = "orders_open",

        /// Size of fill price against expected price
        ///
        /// The distance of the two divided by the expected price: 0.001 is 0.1 percent.
        pub slippage: HistogramFamily<(OrderSide, SlippageDirection), f64> =
            "order_slippage_ratio" in &[0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05],
    }
}

label_values! {
    /// How the validation of an order ended.
    pub enum ValidationStatus = "status" {
        /// The order may be placed.
        Passed = "passed",
        /// The order may not be placed.
        Rejected = "rejected",
        /// It could not be carried out, or its guard was dropped by a panic.
        Error = "error",
        /// The guard was dropped without an outcome: the caller went away.
        Cancelled = "cancelled",
    }
}

label_values! {
    /// Why the validation of an order rejected it.
    pub enum OrderRejectionReason = "reason" {
        /// The order would move the market too far.
        HighImpact = "high_impact",
        /// The spread of bid and ask is too wide.
        WideSpread = "wide_spread",
        /// The order book is too thin for the order.
        LowLiquidity = "low_liquidity",
        /// The account has too little margin.
        MarginInsufficient = "margin_insufficient",
        /// Any other reason.
        Other = "other",
    }
}

label_values! {
    /// How a margin calculation ended.
    pub enum MarginStatus = "status" {
        /// The ticker service gave the result.
        Success = "success",
        /// There is no result.
        Error = "error",
        /// The fallback gave the result, asked at once or after the ticker service had failed.
        Fallback = "fallback",
        /// The guard was dropped without an outcome: the caller went away.
        Cancelled = "cancelled",
    }
}

label_values! {
    /// How a margin is calculated.
    pub enum MarginMethod = "method" {
        /// By the ticker service, which asks the broker.
        TickerService = "ticker_service",
        /// By the estimate of the service itself.
        Fallback = "fallback",
    }
}

label_values! {
    /// What kind of trade a cost breakdown is for.
    pub enum CostTransactionType = "transaction_type" {
        /// Buying options.
        OptionsBuy = "options_buy",
        /// Selling options, which carries the transaction tax.
        OptionsSell = "options_sell",
        /// Futures, either side.
        Futures = "futures",
        /// Shares, either side.
        Equity = "equity",
    }
}

label_values! {
    /// How far an order would move the market, by the thresholds of the service.
    pub enum MarketImpactLevel = "impact_level" {
        /// Hardly.
        Low = "low",
        /// Noticeably.
        Medium = "medium",
        /// Too far: such orders are usually rejected.
        High = "high",
    }
}

label_values! {
    /// The type of an order.
    pub enum OrderType = "order_type" {
        /// At the price of the market.
        Market = "market",
        /// At a given price or a better one.
        Limit = "limit",
        /// A limit order that waits for a trigger price.
        StopLoss = "stop_loss",
        /// A market order that waits for a trigger price.
        StopLossMarket = "stop_loss_market",
    }
}

label_values! {
    /// The side of an order.
    pub enum OrderSide = "side" {
        /// It buys.
        Buy = "buy",
        /// It sells.
        Sell = "sell",
    }
}

label_values! {
    /// How the placement of an order ended.
    pub enum PlacementStatus = "status" {
        /// The broker took the order.
        Accepted = "accepted",
        /// The broker refused the order.
        Rejected = "rejected",
        /// There was no answer: the call failed, timed out or panicked. The order may have been placed.
        Failed = "failed",
        /// The guard was dropped without an outcome: the caller went away. The order may have been placed.
        Cancelled = "cancelled",
    }
}

label_values! {
    /// The state that an order came into.
    pub enum OrderState = "state" {
        /// It stands in the order book.
        Open = "open",
        /// A part of it is filled, the rest stands in the order book.
        PartiallyFilled = "partially_filled",
        /// All of it is filled.
        Filled = "filled",
        /// Its price or quantity was changed; it stands in the order book.
        Modified = "modified",
        /// It was taken back.
        Cancelled = "cancelled",
        /// The exchange or the broker's risk check refused it after the broker had accepted it.
        Rejected = "rejected",
        /// Its validity ended, at the end of the day say.
        Expired = "expired",
    }
}

label_values! {
    /// Whether a fill was worse than expected.
    pub enum SlippageDirection = "direction" {
        /// Worse: a buy was filled higher, a sell lower.
        Adverse = "adverse",
        /// Not worse: a buy was filled lower, a sell higher, or either as expected.
        Favourable = "favourable",
    }
}

impl OrderState {
    /// Whether an order in this state stands in the order book.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Open | Self::PartiallyFilled | Self::Modified)
    }
}

/// What the validation of an order came to, for [`Metrics::track_smart_order_validation`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ValidationOutcome {
    /// The order may be placed.
    Passed,
    /// The order may not be placed, for this reason.
    Rejected(OrderRejectionReason),
    /// The validation could not be carried out.
    Error,
    /// The validation was given up.
    Cancelled,
}

/// Size and direction of a slippage, if there is one to speak of.
fn slippage(
    side: OrderSide,
    expected_price: f64,
    fill_price: f64,
) -> Option<(f64, SlippageDirection)> {
    let known = expected_price.is_finite() && expected_price > 0.0 && fill_price.is_finite();
    known.then(|| {
        let above = (fill_price - expected_price) / expected_price;
        let adverse = match side {
            OrderSide::Buy => above > 0.0,
            OrderSide::Sell => above < 0.0,
        };
        let direction =
            if adverse { SlippageDirection::Adverse } else { SlippageDirection::Favourable };
        (above.abs(), direction)
    })
}

helpers! {
    /// Counts the validation of an order that ended and observes how long it took.
    ///
    /// Moves `smart_order_validations_total`, `smart_order_validation_duration_seconds` and, when it was
    /// rejected, `smart_order_rejection_reasons_total`. [`Metrics::start_smart_order_validation`] measures the
    /// time itself.
    pub fn track_smart_order_validation(self, duration: Duration, outcome: ValidationOutcome) {
        let status = match outcome {
            ValidationOutcome::Passed => ValidationStatus::Passed,
            ValidationOutcome::Rejected(reason) => {
                self.smart_orders.rejection_reasons.get(reason).inc();
                ValidationStatus::Rejected
            }
            ValidationOutcome::Error => ValidationStatus::Error,
            ValidationOutcome::Cancelled => ValidationStatus::Cancelled,
        };
        let validations = self.smart_orders.validations.get(status);
        self.smart_orders.validation_duration.observe_counted(duration, validations);
    }

    /// Starts the validation of an order; the guard records how it ended.
    pub fn start_smart_order_validation(self) -> ValidationGuard {
        ValidationGuard { watch: self.stopwatch(), outcome: None }
    }

    /// Counts a margin calculation that ended and observes how long it took.
    ///
    /// Moves `margin_calculations_total` and `margin_calculation_duration_seconds`.
    /// [`Metrics::start_margin_calculation`] measures the time itself.
    pub fn track_margin_calculation(self, method: MarginMethod, duration: Duration, status: MarginStatus) {
        let calculations = self.smart_orders.margin_calculations.get(status);
        self.smart_orders.margin_calculation_duration.get(method).observe_counted(duration, calculations);
    }

    /// Starts a margin calculation by `method`; the guard records how it ended.
    pub fn start_margin_calculation(self, method: MarginMethod) -> MarginGuard {
        MarginGuard { watch: self.stopwatch(), method, status: None }
    }

    /// Counts a cost breakdown and observes how long it took.
    ///
    /// Moves `cost_breakdown_calculations_total` and `cost_breakdown_duration_seconds`.
    pub fn track_cost_breakdown(self, transaction_type: CostTransactionType, duration: Duration) {
        let calculations = self.smart_orders.cost_breakdown_calculations.get(transaction_type);
        self.smart_orders.cost_breakdown_duration.get(transaction_type).observe_counted(duration, calculations);
    }

    /// Counts an assessment of the market impact by its result and observes how long it took.
    ///
    /// Moves `market_impact_assessments_total` and `market_impact_assessment_duration_seconds`.
    pub fn track_market_impact_assessment(self, level: MarketImpactLevel, duration: Duration) {
        let assessments = self.smart_orders.market_impact_assessments.get(level);
        self.smart_orders.market_impact_assessment_duration.observe_counted(duration, assessments);
    }

    /// Counts an order that was sent to the broker and observes how long the answer took.
    ///
    /// Moves `orders_placed_total` and `order_placement_duration_seconds`. [`Metrics::start_order`] measures
    /// the time itself. What becomes of the order is told with [`Metrics::track_order_state`].
    pub fn track_order_placement(
        self,
        order_type: OrderType,
        side: OrderSide,
        duration: Duration,
        status: PlacementStatus,
    ) {
        let orders_placed = self.smart_orders.orders_placed.get((order_type, side, status));
        self.smart_orders.placement_duration.get(order_type).observe_counted(duration, orders_placed);
        if status == PlacementStatus::Accepted {
            self.business.count_order(self.day());
        }
    }

    /// Starts to place an order; the guard records the answer of the broker.
    pub fn start_order(self, order_type: OrderType, side: OrderSide) -> OrderGuard {
        OrderGuard { watch: self.stopwatch(), order_type, side, status: None }
    }

    /// Counts that an order came into `state`, in `order_state_transitions_total`.
    ///
    /// `previous` is the state before, `None` for an order that is new. Where the order comes into the order
    /// book or leaves it by that, `orders_open` goes up or down: so an order that is filled or rejected
    /// without having been open does not take another's place away.
    ///
    /// ```
    /// use backend_metrics::{
    ///     Metrics,
    ///     labels::{OrderState, OrderType},
    /// };
    ///
    /// let metrics = Metrics::new();
    /// metrics.track_order_state(OrderType::Limit, None, OrderState::Open);
    /// metrics.track_order_state(OrderType::Limit, Some(OrderState::Open), OrderState::Modified);
    /// metrics.track_order_state(OrderType::Market, None, OrderState::Filled);
    /// assert!(metrics.to_text().contains("orders_open{order_type=\"limit\"} 1\n"));
    /// assert!(metrics.to_text().contains("orders_open{order_type=\"market\"} 0\n"));
    /// ```
    pub fn track_order_state(self, order_type: OrderType, previous: Option<OrderState>, state: OrderState) {
        self.smart_orders.state_transitions.get(state).inc();
        match (previous.is_some_and(OrderState::is_open), state.is_open()) {
            (false, true) => self.smart_orders.open.get(order_type).inc(),
            (true, false) => self.smart_orders.open.get(order_type).dec(),
            _ => {}
        }
    }

    /// Moves `orders_open` up by `change`, or down where it is negative, without a change of state.
    ///
    /// For the orders that are open already when the service starts.
    pub fn track_open_orders(self, order_type: OrderType, change: i64) {
        self.smart_orders.open.get(order_type).add(change);
    }

    /// Follows an order that is open already, from an earlier run of the service say.
    ///
    /// `orders_open` goes up, and no change of state is counted. Its complete fill is not timed, as its
    /// acceptance is unknown.
    pub fn start_open_order(self, order_type: OrderType, side: OrderSide) -> OpenOrder {
        OpenOrder::new(self, order_type, side, None)
    }

    /// Observes the time from the acceptance of an order to its complete fill, in
    /// `order_fill_duration_seconds`.
    pub fn track_order_fill(self, order_type: OrderType, duration: Duration) {
        self.smart_orders.fill_duration.get(order_type).observe(duration);
    }

    /// Observes how far a fill was from the price that was expected, in `order_slippage_ratio`.
    ///
    /// The size is `|fill_price - expected_price| / expected_price`. A buy that is filled higher and a sell
    /// that is filled lower are adverse; all else is favourable, no slippage included. Without a ratio there
    /// is no observation: when a price is not finite, or the expected one is zero or negative.
    pub fn track_order_slippage(self, side: OrderSide, expected_price: f64, fill_price: f64) {
        if let Some((size, direction)) = slippage(side, expected_price, fill_price) {
            self.smart_orders.slippage.get((side, direction)).observe(size);
        }
    }
}

/// A validation that is under way. Dropped without an outcome it is `cancelled`, dropped by a panic `error`.
#[derive(Debug)]
#[must_use = "a guard dropped at once records a cancelled validation"]
pub struct ValidationGuard {
    watch: Stopwatch,
    outcome: Option<ValidationOutcome>,
}

impl ValidationGuard {
    /// The order may be placed.
    pub fn passed(mut self) {
        self.outcome = Some(ValidationOutcome::Passed);
    }

    /// The order may not be placed.
    pub fn rejected(mut self, reason: OrderRejectionReason) {
        self.outcome = Some(ValidationOutcome::Rejected(reason));
    }

    /// The validation could not be carried out.
    pub fn error(mut self) {
        self.outcome = Some(ValidationOutcome::Error);
    }
}

impl Drop for ValidationGuard {
    fn drop(&mut self) {
        let outcome = self
            .outcome
            .unwrap_or_else(|| dropped(ValidationOutcome::Error, ValidationOutcome::Cancelled));
        self.watch.metrics().track_smart_order_validation(self.watch.elapsed(), outcome);
    }
}

/// A margin calculation that is under way. Dropped without an outcome it is `cancelled`, dropped by a panic
/// `error`.
#[derive(Debug)]
#[must_use = "a guard dropped at once records a cancelled calculation"]
pub struct MarginGuard {
    watch: Stopwatch,
    method: MarginMethod,
    status: Option<MarginStatus>,
}

impl MarginGuard {
    /// The method that it was started with gave the result. Where that is the fallback, it counts as
    /// [`MarginStatus::Fallback`].
    pub fn success(mut self) {
        self.status = Some(match self.method {
            MarginMethod::TickerService => MarginStatus::Success,
            MarginMethod::Fallback => MarginStatus::Fallback,
        });
    }

    /// The fallback gave the result. The time is that of the method `fallback`, the try before included.
    pub fn fallback(mut self) {
        self.method = MarginMethod::Fallback;
        self.status = Some(MarginStatus::Fallback);
    }

    /// There is no result.
    pub fn error(mut self) {
        self.status = Some(MarginStatus::Error);
    }
}

impl Drop for MarginGuard {
    fn drop(&mut self) {
        let status =
            self.status.unwrap_or_else(|| dropped(MarginStatus::Error, MarginStatus::Cancelled));
        self.watch.metrics().track_margin_calculation(self.method, self.watch.elapsed(), status);
    }
}

/// An order on its way to the broker. Dropped without an outcome it is `cancelled`, as nobody waited for the answer;
/// dropped by a panic it is `failed`.
#[derive(Debug)]
#[must_use = "a guard dropped at once records a cancelled placement"]
pub struct OrderGuard {
    watch: Stopwatch,
    order_type: OrderType,
    side: OrderSide,
    status: Option<PlacementStatus>,
}

impl OrderGuard {
    /// The broker took the order. What becomes of it is told with [`Metrics::track_order_state`].
    pub fn accepted(mut self) {
        self.status = Some(PlacementStatus::Accepted);
    }

    /// The broker took the order, and it is followed from here: it comes into the state `open`.
    pub fn accepted_open(mut self) -> OpenOrder {
        self.status = Some(PlacementStatus::Accepted);
        let metrics = self.watch.metrics();
        metrics.smart_orders.state_transitions.get(OrderState::Open).inc();
        OpenOrder::new(metrics, self.order_type, self.side, Some(metrics.stopwatch()))
    }

    /// The broker refused the order.
    pub fn rejected(mut self) {
        self.status = Some(PlacementStatus::Rejected);
    }

    /// There was no answer.
    pub fn failed(mut self) {
        self.status = Some(PlacementStatus::Failed);
    }
}

impl Drop for OrderGuard {
    fn drop(&mut self) {
        let status = self
            .status
            .unwrap_or_else(|| dropped(PlacementStatus::Failed, PlacementStatus::Cancelled));
        self.watch.metrics().track_order_placement(
            self.order_type,
            self.side,
            self.watch.elapsed(),
            status,
        );
    }
}

/// An order in the order book, which `orders_open` counts. Dropped without an end it is no longer followed,
/// and no change of state is counted.
#[derive(Debug)]
#[must_use = "an order that is dropped is no longer followed"]
pub struct OpenOrder {
    metrics: Metrics,
    order_type: OrderType,
    side: OrderSide,
    /// Since its acceptance, if that is known.
    accepted: Option<Stopwatch>,
    _open: InFlight,
}

impl OpenOrder {
    fn new(
        metrics: Metrics,
        order_type: OrderType,
        side: OrderSide,
        accepted: Option<Stopwatch>,
    ) -> Self {
        let open = metrics.smart_orders.open.get(order_type).track();
        Self { metrics, order_type, side, accepted, _open: open }
    }

    /// Observes how far a fill, of all or of a part, was from the price that was expected, as
    /// [`Metrics::track_order_slippage`].
    pub fn fill_price(&mut self, expected_price: f64, fill_price: f64) {
        self.metrics.track_order_slippage(self.side, expected_price, fill_price);
    }

    /// A part of the order is filled.
    pub fn partially_filled(&mut self) {
        self.count(OrderState::PartiallyFilled);
    }

    /// The price or the quantity of the order was changed.
    pub fn modified(&mut self) {
        self.count(OrderState::Modified);
    }

    /// All of the order is filled.
    pub fn filled(self) {
        self.count(OrderState::Filled);
        if let Some(accepted) = self.accepted {
            self.metrics.track_order_fill(self.order_type, accepted.elapsed());
        }
    }

    /// The order was taken back.
    pub fn cancelled(self) {
        self.count(OrderState::Cancelled);
    }

    /// The exchange or the broker's risk check refused the order.
    pub fn rejected(self) {
        self.count(OrderState::Rejected);
    }

    /// The validity of the order ended.
    pub fn expired(self) {
        self.count(OrderState::Expired);
    }

    fn count(&self, state: OrderState) {
        self.metrics.smart_orders.state_transitions.get(state).inc();
    }
}

#[cfg(test)]
mod tests {
    use std::{panic::AssertUnwindSafe, time::Duration};

    use super::{
        CostTransactionType, MarginMethod, MarginStatus, MarketImpactLevel, OrderRejectionReason,
        OrderSide, OrderState, OrderType, PlacementStatus, SlippageDirection, ValidationOutcome,
        slippage,
    };
    use crate::testing::Fixture;

    /// Drops `guard` by a panic.
    fn unwind<T>(guard: T) {
        std::panic::catch_unwind(AssertUnwindSafe(|| {
            let _guard = guard;
            panic!("the guard unwinds");
        }))
        .unwrap_err();
    }

    #[test]
    fn a_validation_is_counted_and_timed_once_whatever_its_end() {
        let test = Fixture::new();
        let start = || {
            let validation = test.metrics.start_smart_order_validation();
            test.clock.advance(Duration::from_millis(30));
            validation
        };
        start().passed();
        start().rejected(OrderRejectionReason::WideSpread);
        start().error();
        drop(start());
        unwind(start());
        test.metrics.track_smart_order_validation(
            Duration::from_millis(50),
            ValidationOutcome::Rejected(OrderRejectionReason::Other),
        );
        test.metrics
            .track_smart_order_validation(Duration::from_millis(100), ValidationOutcome::Passed);
        test.assert_series(&[
            (r#"smart_order_validations_total{status="passed"}"#, 2.0),
            (r#"smart_order_validations_total{status="rejected"}"#, 2.0),
            (r#"smart_order_validations_total{status="error"}"#, 2.0),
            (r#"smart_order_validations_total{status="cancelled"}"#, 1.0),
            (r#"smart_order_rejection_reasons_total{reason="wide_spread"}"#, 1.0),
            (r#"smart_order_rejection_reasons_total{reason="other"}"#, 1.0),
            (r#"smart_order_rejection_reasons_total{reason="high_impact"}"#, 0.0),
            ("smart_order_validation_duration_seconds_count", 7.0),
            ("smart_order_validation_duration_seconds_sum", 0.3),
        ]);
    }

    #[test]
    fn a_margin_calculation_counts_for_the_method_that_gave_the_result() {
        let test = Fixture::new();
        let start = |method| {
            let margin = test.metrics.start_margin_calculation(method);
            test.clock.advance(Duration::from_millis(250));
            margin
        };
        start(MarginMethod::TickerService).success();
        start(MarginMethod::TickerService).fallback();
        start(MarginMethod::TickerService).error();
        start(MarginMethod::Fallback).success();
        drop(start(MarginMethod::TickerService));
        unwind(start(MarginMethod::TickerService));
        test.metrics.track_margin_calculation(
            MarginMethod::TickerService,
            Duration::from_secs(1),
            MarginStatus::Success,
        );
        test.assert_series(&[
            (r#"margin_calculations_total{status="success"}"#, 2.0),
            (r#"margin_calculations_total{status="error"}"#, 2.0),
            (r#"margin_calculations_total{status="fallback"}"#, 2.0),
            (r#"margin_calculations_total{status="cancelled"}"#, 1.0),
            (r#"margin_calculation_duration_seconds_sum{method="ticker_service"}"#, 2.0),
            (r#"margin_calculation_duration_seconds_count{method="fallback"}"#, 2.0),
        ]);
    }

    #[test]
    fn costs_and_market_impact_are_counted_and_timed() {
        let test = Fixture::new();
        let duration = Duration::from_millis(4);
        test.metrics.track_cost_breakdown(CostTransactionType::OptionsSell, duration);
        test.metrics.track_market_impact_assessment(MarketImpactLevel::High, duration);
        test.assert_series(&[
            (r#"cost_breakdown_calculations_total{transaction_type="options_sell"}"#, 1.0),
            (r#"cost_breakdown_calculations_total{transaction_type="equity"}"#, 0.0),
            (r#"cost_breakdown_duration_seconds_sum{transaction_type="options_sell"}"#, 0.004),
            (r#"market_impact_assessments_total{impact_level="high"}"#, 1.0),
            (r#"market_impact_assessments_total{impact_level="low"}"#, 0.0),
            ("market_impact_assessment_duration_seconds_sum", 0.004),
        ]);
    }

    #[test]
    fn a_placement_is_counted_and_timed_once_whatever_its_end() {
        let test = Fixture::new();
        let start = || {
            let order = test.metrics.start_order(OrderType::Market, OrderSide::Sell);
            test.clock.advance(Duration::from_millis(50));
            order
        };
        start().accepted();
        start().rejected();
        start().failed();
        drop(start());
        unwind(start());
        drop(start().accepted_open());
        test.metrics.track_order_placement(
            OrderType::Market,
            OrderSide::Sell,
            Duration::from_millis(200),
            PlacementStatus::Failed,
        );
        for (status, count) in
            [("accepted", 2.0), ("rejected", 1.0), ("failed", 3.0), ("cancelled", 1.0)]
        {
            let series = format!(
                "orders_placed_total{{order_type=\"market\",side=\"sell\",status=\"{status}\"}}"
            );
            test.assert_series(&[(&series, count)]);
        }
        test.assert_series(&[
            (r#"orders_placed_total{order_type="market",side="buy",status="accepted"}"#, 0.0),
            (r#"order_placement_duration_seconds_count{order_type="market"}"#, 7.0),
            (r#"order_placement_duration_seconds_sum{order_type="market"}"#, 0.5),
            (r#"orders_open{order_type="market"}"#, 0.0),
            (r#"order_state_transitions_total{state="open"}"#, 1.0),
        ]);
    }

    #[test]
    fn an_open_order_is_followed_to_its_end() {
        let test = Fixture::new();
        let place = || test.metrics.start_order(OrderType::Limit, OrderSide::Buy).accepted_open();
        let mut order = place();
        place().cancelled();
        place().rejected();
        place().expired();
        let earlier = test.metrics.start_open_order(OrderType::Limit, OrderSide::Buy);
        test.assert_series(&[(r#"orders_open{order_type="limit"}"#, 2.0)]);
        test.clock.advance(Duration::from_secs(2));
        order.modified();
        order.partially_filled();
        order.fill_price(200.0, 199.0);
        test.assert_series(&[(r#"orders_open{order_type="limit"}"#, 2.0)]);
        order.filled();
        earlier.filled();
        for (state, count) in [
            ("open", 4.0),
            ("partially_filled", 1.0),
            ("filled", 2.0),
            ("modified", 1.0),
            ("cancelled", 1.0),
            ("rejected", 1.0),
            ("expired", 1.0),
        ] {
            let series = format!("order_state_transitions_total{{state=\"{state}\"}}");
            test.assert_series(&[(&series, count)]);
        }
        test.assert_series(&[
            (r#"orders_open{order_type="limit"}"#, 0.0),
            (r#"order_fill_duration_seconds_count{order_type="limit"}"#, 1.0),
            (r#"order_fill_duration_seconds_sum{order_type="limit"}"#, 2.0),
            (r#"order_slippage_ratio_sum{side="buy",direction="favourable"}"#, 0.005),
        ]);
    }

    #[test]
    fn an_order_that_was_never_open_does_not_close_another() {
        let test = Fixture::new();
        let limit = |previous, state| {
            test.metrics.track_order_state(OrderType::Limit, previous, state);
        };
        limit(None, OrderState::Open);
        limit(None, OrderState::Rejected);
        limit(None, OrderState::Filled);
        test.assert_series(&[(r#"orders_open{order_type="limit"}"#, 1.0)]);
        limit(Some(OrderState::Open), OrderState::PartiallyFilled);
        limit(Some(OrderState::PartiallyFilled), OrderState::Modified);
        test.assert_series(&[(r#"orders_open{order_type="limit"}"#, 1.0)]);
        limit(Some(OrderState::Modified), OrderState::Filled);
        test.metrics.track_order_fill(OrderType::Limit, Duration::from_secs(8));
        test.metrics.track_open_orders(OrderType::StopLoss, 3);
        test.metrics.track_open_orders(OrderType::StopLoss, -1);
        test.assert_series(&[
            (r#"orders_open{order_type="limit"}"#, 0.0),
            (r#"orders_open{order_type="stop_loss"}"#, 2.0),
            (r#"order_state_transitions_total{state="open"}"#, 1.0),
            (r#"order_state_transitions_total{state="filled"}"#, 2.0),
            (r#"order_state_transitions_total{state="rejected"}"#, 1.0),
            (r#"order_fill_duration_seconds_sum{order_type="limit"}"#, 8.0),
        ]);
    }

    #[test]
    fn slippage_is_adverse_where_the_fill_is_worse() {
        use OrderSide::{Buy, Sell};
        use SlippageDirection::{Adverse, Favourable};
        for (side, expected, fill, slipped) in [
            (Buy, 100.0, 101.0, (0.01, Adverse)),
            (Buy, 100.0, 99.0, (0.01, Favourable)),
            (Sell, 100.0, 99.0, (0.01, Adverse)),
            (Sell, 100.0, 101.0, (0.01, Favourable)),
            (Buy, 100.0, 100.0, (0.0, Favourable)),
            (Sell, 100.0, 100.0, (0.0, Favourable)),
            (Sell, 100.0, 0.0, (1.0, Adverse)),
        ] {
            assert_eq!(slippage(side, expected, fill), Some(slipped), "{side:?} {expected} {fill}");
        }
    }

    #[test]
    fn slippage_without_a_ratio_is_not_observed() {
        let test = Fixture::new();
        for (expected, fill) in [
            (0.0, 10.0),
            (-0.0, 10.0),
            (-5.0, 10.0),
            (f64::NAN, 10.0),
            (f64::INFINITY, 10.0),
            (10.0, f64::NAN),
            (10.0, f64::NEG_INFINITY),
        ] {
            test.metrics.track_order_slippage(OrderSide::Buy, expected, fill);
        }
        assert!(!test.metrics.to_text().contains("order_slippage_ratio_count"));
        test.metrics.track_order_slippage(OrderSide::Buy, 100.0, 100.04);
        test.assert_series(&[
            (r#"order_slippage_ratio_bucket{side="buy",direction="adverse",le="0.0001"}"#, 0.0),
            (r#"order_slippage_ratio_bucket{side="buy",direction="adverse",le="0.0005"}"#, 1.0),
            (r#"order_slippage_ratio_count{side="buy",direction="adverse"}"#, 1.0),
        ]);
    }
}
