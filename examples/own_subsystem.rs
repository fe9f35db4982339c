//! A subsystem of the service itself: its families are declared like those of the library, and come out of
//! the same `/metrics`.
//!
//! ```text
//! cargo run --example own_subsystem
//! ```
//!
//! Adding a family is one entry in `families!`: registration and exposition follow from it. A name or a
//! bucket that breaks a rule does not compile.

use std::{error::Error, thread, time::Duration};

use backend_metrics::{
    CounterFamily, Domain, Histogram, HistogramFamily, InFlight, Metrics, Open, Stopwatch,
    UpDownGauge, families, label_values, open_labels,
};

label_values! {
    /// How a basket ended.
    pub enum BasketOutcome = "outcome" {
        /// Every order was filled.
        Filled = "filled",
        /// Some orders were filled.
        Partial = "partial",
        /// It was dropped under way.
        Cancelled = "cancelled",
    }
}

open_labels! {
    /// The desk that sent a basket. Any text, so there is a cap on how many.
    pub struct Desk(desk);
}

families! {
    /// Baskets: several orders that are sent as one.
    pub struct BasketMetrics = "baskets" {
        with {
            /// The desks seen so far.
            pub desks: Domain<Desk>,
        }

        /// Baskets by desk and how they ended
        pub ended: CounterFamily<(Open<Desk>, BasketOutcome)> = "baskets_total",

        /// Baskets that are under way
        pub active: UpDownGauge = "baskets_active",

        /// Time from the first order of a basket to its end
        pub duration: HistogramFamily<BasketOutcome> = "basket_duration_seconds" in &[0.01, 0.1, 1.0],

        /// Orders of a basket
        pub orders: Histogram<u64> = "basket_orders" in &[2.0, 5.0, 10.0],
    }
}

// The service calls these and nothing else, so that what belongs together moves together.
impl BasketMetrics {
    /// Starts a basket; the guard records how it ended.
    fn start(&'static self, metrics: Metrics, desk: &str, orders: u64) -> BasketGuard {
        self.orders.observe(orders);
        BasketGuard {
            baskets: self,
            _active: self.active.track(),
            watch: metrics.stopwatch(),
            desk: self.desks.get(desk),
            outcome: BasketOutcome::Cancelled,
        }
    }
}

/// A basket that is under way. Dropped without an outcome, it is `cancelled`.
#[must_use = "a guard dropped at once records a cancelled basket"]
struct BasketGuard {
    baskets: &'static BasketMetrics,
    _active: InFlight,
    watch: Stopwatch,
    desk: Open<Desk>,
    outcome: BasketOutcome,
}

impl BasketGuard {
    /// So many of its orders were filled.
    fn filled(mut self, filled: u64, orders: u64) {
        self.outcome =
            if filled == orders { BasketOutcome::Filled } else { BasketOutcome::Partial };
    }
}

impl Drop for BasketGuard {
    fn drop(&mut self) {
        self.baskets.ended.get((self.desk, self.outcome)).inc();
        self.baskets.duration.get(self.outcome).observe(self.watch.elapsed());
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let metrics = Metrics::builder()
        .mount::<BasketMetrics>()
        .cap_of::<Desk>(2)
        // Every series carries it, those of the library too.
        .constant_label("region", "mumbai")
        .build()?;
    // Look it up once, and hand it to whoever records.
    let baskets: &'static BasketMetrics = metrics.mounted().ok_or("it is mounted above")?;

    for (desk, orders, filled) in [("arbitrage", 2, 2), ("volatility", 4, 3), ("arbitrage", 2, 2)] {
        let basket = baskets.start(metrics, desk, orders);
        thread::sleep(Duration::from_millis(5)); // in place of the exchange
        basket.filled(filled, orders);
    }
    // Past the cap, so it is `other`, and `metrics_label_overflows_total` counts it.
    drop(baskets.start(metrics, "rates", 12));
    let _under_way = baskets.start(metrics, "arbitrage", 3);

    // A scrape has the families of the library before these.
    let text = metrics.to_text();
    for family in text.split("# HELP ").filter(|family| family.starts_with("basket")) {
        print!("# HELP {family}");
    }
    Ok(())
}
