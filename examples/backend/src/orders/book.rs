//! The order book of this instance: orders from their placement to their end.
//!
//! What an order is stands in the database. The book keeps what the database cannot: which orders this instance
//! matches, and the guard that measures the life of each.
//!
//! An order is matched by the instance that placed it, so instances on one database do not fill an order twice.
//! Orders are good for `VALIDITY`. So an instance that starts takes over none: what another one left behind
//! is over, and is ended in the database by [`Orders::expire`] of any instance.

use std::{collections::HashMap, sync::Arc, time::Duration};

use backend_metrics::{
    Metrics,
    labels::{ErrorSeverity, OrderState},
    subsystems::smart_orders::OpenOrder,
};
use sqlx::Error;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use super::{
    matching::{self, Quote},
    order::{NewOrder, Order, rupees},
    stored,
};
use crate::{database::Database, reply::Problem};

/// How long an order is good for.
const VALIDITY: Duration = Duration::from_secs(45);
/// The most orders that an account may have open.
const MOST_OPEN: usize = 25;

/// The orders.
#[derive(Debug)]
pub struct Orders {
    pub(super) metrics: Metrics,
    pub(super) database: Database,
    /// Held while an order is changed, so that two changes do not meet.
    followed: Mutex<HashMap<String, Followed>>,
    /// For each account a permit for every order that it may still have open.
    places: parking_lot::Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// An open order that this instance matches.
#[derive(Debug)]
struct Followed {
    order: Order,
    lot: i64,
    waits: bool,
    guard: OpenOrder,
    _place: OwnedSemaphorePermit,
}

impl Followed {
    fn end(self, state: OrderState) {
        match state {
            OrderState::Filled => self.guard.filled(),
            OrderState::Cancelled => self.guard.cancelled(),
            OrderState::Rejected => self.guard.rejected(),
            OrderState::Expired => self.guard.expired(),
            _ => {}
        }
    }
}

impl Orders {
    /// No orders yet.
    #[must_use]
    pub fn new(metrics: Metrics, database: Database) -> Self {
        let places = parking_lot::Mutex::default();
        Self { metrics, database, followed: Mutex::default(), places }
    }

    /// Places an order that was checked; gives its name. The price is the one that it is expected to trade at.
    pub async fn place(
        &self,
        account: String,
        asked: NewOrder,
        price_paise: i64,
        lot: i64,
        now: i64,
    ) -> Result<String, Problem> {
        let placement = self.metrics.start_order(asked.order_type, asked.side);
        let Some(place) = self.place_of(&account) else {
            placement.rejected();
            return Err(Problem::Refused("too many orders are open".to_owned()));
        };
        let order = Order {
            id: Uuid::now_v7().simple().to_string(),
            account_id: account,
            instrument: asked.instrument,
            order_type: asked.order_type,
            side: asked.side,
            quantity: asked.quantity,
            price_paise,
            filled_quantity: 0,
            fill_price_paise: None,
            state: OrderState::Open,
            placed_at: now,
        };
        if let Err(error) = self.store(&order).await {
            placement.failed();
            return Err(error.into());
        }
        let (id, waits) = (order.id.clone(), matching::waits(order.order_type));
        let guard = placement.accepted_open();
        let followed = Followed { order, lot, waits, guard, _place: place };
        self.followed.lock().await.insert(id.clone(), followed);
        Ok(id)
    }

    /// A place for one more open order. It is taken before the order is stored, so that orders placed at the same
    /// time count as well.
    fn place_of(&self, account: &str) -> Option<OwnedSemaphorePermit> {
        let mut places = self.places.lock();
        let of_account =
            places.entry(account.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(MOST_OPEN)));
        Arc::clone(of_account).try_acquire_owned().ok()
    }

    async fn store(&self, order: &Order) -> Result<(), Error> {
        let mut transaction = self.database.begin("place_order").await?;
        transaction.insert(stored::insert(order)).await?;
        transaction.commit().await
    }

    /// The last orders of an account.
    pub async fn list(&self, account: &str) -> Result<Vec<Order>, Error> {
        self.database.select(stored::of_account(account)).await
    }

    /// An order of an account.
    pub async fn find(&self, account: &str, id: &str) -> Result<Order, Problem> {
        let order = self.database.select(stored::by_id(id)).await?.pop();
        let order = order.filter(|order| order.account_id == account);
        order.ok_or(Problem::NotFound("order"))
    }

    /// An order of an account that can be changed here.
    pub async fn open(&self, account: &str, id: &str) -> Result<Order, Problem> {
        let order = self.find(account, id).await?;
        if !order.state.is_open() {
            Err(Problem::Conflict(format!("the order is {}", order.state.as_str())))
        } else if !self.followed.lock().await.contains_key(id) {
            Err(Problem::Conflict("the order was placed elsewhere".to_owned()))
        } else {
            Ok(order)
        }
    }

    /// Changes quantity and price of an open order.
    pub async fn modify(&self, id: &str, quantity: i64, price_paise: i64) -> Result<(), Problem> {
        let mut book = self.followed.lock().await;
        let statement = stored::modify(id, quantity, price_paise);
        let changed = self.database.update(statement).await? == 1;
        let (true, Some(followed)) = (changed, book.get_mut(id)) else {
            return Err(Problem::Conflict("so much of the order is filled already".to_owned()));
        };
        let order = &mut followed.order;
        (order.quantity, order.price_paise) = (quantity, price_paise);
        followed.waits = matching::waits(order.order_type);
        followed.guard.modified();
        Ok(())
    }

    /// Ends an order in `state`; false if it was over already.
    pub async fn end(&self, id: &str, state: OrderState) -> Result<bool, Error> {
        let mut book = self.followed.lock().await;
        if self.database.update(stored::end(id, state)).await? == 1 {
            if let Some(followed) = book.remove(id) {
                followed.end(state);
            }
            return Ok(true);
        }
        // Its end reached the database though the answer was lost.
        if book.contains_key(id) {
            let stored = self.database.select(stored::by_id(id)).await?.pop();
            if let (Some(followed), Some(order)) = (book.remove(id), stored) {
                followed.end(order.state);
            }
        }
        Ok(false)
    }

    /// Ends the orders that were placed too long before `now`; gives how many.
    pub async fn expire(&self, now: i64) -> Result<u64, Error> {
        let validity = i64::try_from(VALIDITY.as_millis()).unwrap_or(i64::MAX);
        let old = |followed: &&Followed| followed.order.placed_at < now - validity;
        let book = self.followed.lock().await;
        let ids: Vec<_> = book.values().filter(old).map(|old| old.order.id.clone()).collect();
        drop(book);
        let mut expired = 0;
        for id in ids {
            expired += u64::from(self.end(&id, OrderState::Expired).await?);
        }
        // Twice as old as allowed: their instance is no more.
        let left_behind = stored::open_since_before(now - 2 * validity);
        for order in self.database.select(left_behind).await? {
            if self.end(&order.id, OrderState::Expired).await? {
                self.metrics.track_order_state(order.order_type, None, OrderState::Expired);
                expired += 1;
            }
        }
        Ok(expired)
    }

    /// Lets the orders of an instrument meet its market.
    pub(super) async fn meet(&self, instrument: &str, quote: &Quote) {
        let mut met = Vec::new();
        for (id, followed) in &mut *self.followed.lock().await {
            if followed.order.instrument == instrument {
                followed.waits &= !matching::triggers(&followed.order, quote);
                let refused = matching::out_of_band(&followed.order, quote);
                let filled = matching::fill(&followed.order, followed.lot, quote).is_some();
                if refused || (filled && !followed.waits) {
                    met.push((id.clone(), refused));
                }
            }
        }
        for (id, refused) in met {
            let done = if refused {
                self.end(&id, OrderState::Rejected).await.map(drop)
            } else {
                self.fill(&id, quote).await
            };
            if let Err(error) = done {
                // The order stays as it is and meets the next quote.
                self.metrics.track_application_error("database", ErrorSeverity::Error);
                tracing::error!(error_type = "database", %error, "an order is not filled");
            }
        }
    }

    /// Trades what can be traded of an order now.
    async fn fill(&self, id: &str, quote: &Quote) -> Result<(), Error> {
        let mut book = self.followed.lock().await;
        // It may have ended since it was looked at, or been changed to wait again.
        let followed = book.get_mut(id).filter(|followed| !followed.waits);
        let Some(followed) = followed else { return Ok(()) };
        let mut transaction = self.database.begin("fill_order").await?;
        let Some(mut order) = transaction.select(stored::by_id(id)).await?.pop() else {
            return Ok(());
        };
        if !order.state.is_open() {
            // It ended before, though the answer of the database was lost.
            if let Some(followed) = book.remove(id) {
                followed.end(order.state);
            }
            return Ok(());
        }
        let Some(fill) = matching::fill(&order, followed.lot, quote) else { return Ok(()) };

        let before = order.fill_price_paise.unwrap_or_default() * order.filled_quantity;
        let traded = fill.price_paise * fill.quantity;
        order.filled_quantity += fill.quantity;
        order.fill_price_paise = Some((before + traded) / order.filled_quantity);
        order.state = if order.filled_quantity == order.quantity {
            OrderState::Filled
        } else {
            OrderState::PartiallyFilled
        };
        if transaction.update(stored::fill(&order)).await? != 1 {
            return Ok(());
        }
        transaction.commit().await?;

        self.metrics.track_order_turnover(rupees(traded));
        followed.guard.fill_price(rupees(order.price_paise), rupees(fill.price_paise));
        followed.order = order;
        if followed.order.state.is_open() {
            followed.guard.partially_filled();
        } else if let Some(followed) = book.remove(id) {
            followed.end(OrderState::Filled);
        }
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use backend_metrics::{
        Clock, Metrics,
        labels::{OrderSide, OrderState, OrderType},
    };

    use futures_util::future::join_all;

    use super::{MOST_OPEN, Orders};
    use crate::{
        database::{Database, Temporary},
        orders::{
            matching::Quote,
            order::{NewOrder, Order},
        },
        reply::Problem,
    };

    const ACCOUNT: &str = "T-01";
    /// An hour after the beginning of 1970.
    const NOW: i64 = 3_600_000;

    /// Orders in a database with one account, which has a margin of 100,000 rupees.
    pub(crate) async fn orders(metrics: Metrics) -> (Orders, Option<Temporary>) {
        let (database, temporary) = Database::open(None, metrics).await.unwrap();
        let account = sqlx::query("INSERT INTO accounts VALUES ($1, 'Test', '', 10000000)");
        database.insert(account.bind(ACCOUNT)).await.unwrap();
        (Orders::new(metrics, database), temporary)
    }

    struct Test {
        orders: Orders,
        clock: Clock,
        _database: Option<Temporary>,
    }

    impl Test {
        async fn new() -> Self {
            let clock = Clock::manual();
            let metrics = Metrics::builder().clock(clock.clone()).build().unwrap();
            let (orders, database) = orders(metrics).await;
            Self { orders, clock, _database: database }
        }

        async fn try_place(
            &self,
            order_type: OrderType,
            side: OrderSide,
            price_paise: i64,
        ) -> Result<String, Problem> {
            let asked = NewOrder {
                instrument: "INFY".to_owned(),
                order_type,
                side,
                quantity: 100,
                price_paise: Some(price_paise),
            };
            self.orders.place(ACCOUNT.to_owned(), asked, price_paise, 10, NOW).await
        }

        async fn place(&self, order_type: OrderType, side: OrderSide, price_paise: i64) -> String {
            self.try_place(order_type, side, price_paise).await.unwrap()
        }

        /// The market is at `last`, ten paise more to buy and less to sell, for `quantity`.
        async fn meet(&self, last: i64, quantity: i64) {
            let quote = Quote {
                last,
                bid: last - 10,
                ask: last + 10,
                bid_quantity: quantity,
                ask_quantity: quantity,
            };
            self.orders.meet("INFY", &quote).await;
        }

        async fn order(&self, id: &str) -> Order {
            self.orders.find(ACCOUNT, id).await.unwrap()
        }

        fn assert(&self, lines: &[&str]) {
            let text = self.orders.metrics.to_text();
            for line in lines {
                assert!(text.contains(&format!("{line}\n")), "{line} is not in\n{text}");
            }
        }
    }

    #[tokio::test]
    async fn an_order_is_filled_in_parts_as_the_market_offers_them() {
        let test = Test::new().await;
        let id = test.place(OrderType::Market, OrderSide::Buy, 10_000).await;
        test.assert(&[
            "orders_placed_total{order_type=\"market\",side=\"buy\",status=\"accepted\"} 1",
            "total_orders_placed_today 1",
            "orders_open{order_type=\"market\"} 1",
            "database_transactions_total{operation=\"place_order\",outcome=\"committed\"} 1",
        ]);
        test.meet(10_000, 65).await;
        let order = test.order(&id).await;
        assert_eq!((order.filled_quantity, order.fill_price_paise), (60, Some(10_010)));
        assert_eq!(order.state, OrderState::PartiallyFilled);
        test.clock.advance(Duration::from_secs(2));
        test.meet(10_100, 65).await;
        let order = test.order(&id).await;
        assert_eq!((order.filled_quantity, order.fill_price_paise), (100, Some(10_050)));
        test.assert(&[
            "orders_open{order_type=\"market\"} 0",
            "order_state_transitions_total{state=\"open\"} 1",
            "order_state_transitions_total{state=\"partially_filled\"} 1",
            "order_state_transitions_total{state=\"filled\"} 1",
            "order_fill_duration_seconds_sum{order_type=\"market\"} 2",
            "order_slippage_ratio_count{side=\"buy\",direction=\"adverse\"} 2",
            // 60 at 100.10 rupees and 40 at 101.10.
            "total_turnover_today_rupees 10050",
            "database_transactions_total{operation=\"fill_order\",outcome=\"committed\"} 2",
        ]);
        // It is over, so there is no more to fill.
        test.meet(10_000, 65).await;
        assert_eq!(test.order(&id).await, order);
    }

    #[tokio::test]
    async fn a_stop_order_rests_until_its_trigger_and_a_changed_one_waits_again() {
        let test = Test::new().await;
        let id = test.place(OrderType::StopLossMarket, OrderSide::Sell, 9_900).await;
        test.meet(10_000, 50).await;
        assert_eq!(test.order(&id).await.filled_quantity, 0);
        test.meet(9_900, 50).await;
        assert_eq!(test.order(&id).await.filled_quantity, 50);
        test.orders.modify(&id, 100, 9_800).await.unwrap();
        test.meet(9_900, 50).await;
        assert_eq!(test.order(&id).await.filled_quantity, 50);
        test.meet(9_790, 50).await;
        assert_eq!(test.order(&id).await.state, OrderState::Filled);
        test.assert(&[
            "order_state_transitions_total{state=\"modified\"} 1",
            "orders_open{order_type=\"stop_loss_market\"} 0",
        ]);
    }

    #[tokio::test]
    async fn no_order_becomes_smaller_than_what_is_filled_of_it() {
        let test = Test::new().await;
        let id = test.place(OrderType::Limit, OrderSide::Buy, 10_100).await;
        test.meet(10_000, 50).await;
        let changed = test.orders.modify(&id, 50, 10_100).await;
        assert!(matches!(changed, Err(Problem::Conflict(_))));
        assert_eq!(test.order(&id).await.quantity, 100);
        test.assert(&["order_state_transitions_total{state=\"modified\"} 0"]);
    }

    #[tokio::test]
    async fn an_order_ends_once_whoever_ends_it() {
        let test = Test::new().await;
        let id = test.place(OrderType::Limit, OrderSide::Buy, 9_000).await;
        assert!(test.orders.end(&id, OrderState::Cancelled).await.unwrap());
        assert!(!test.orders.end(&id, OrderState::Expired).await.unwrap());
        assert_eq!(test.orders.expire(NOW + 100_000).await.unwrap(), 0);
        let open = test.orders.open(ACCOUNT, &id).await;
        assert!(matches!(open, Err(Problem::Conflict(_))));
        test.assert(&[
            "order_state_transitions_total{state=\"cancelled\"} 1",
            "order_state_transitions_total{state=\"expired\"} 0",
            "orders_open{order_type=\"limit\"} 0",
        ]);
    }

    #[tokio::test]
    async fn an_order_far_from_the_market_is_refused_after_it_was_accepted() {
        let test = Test::new().await;
        let id = test.place(OrderType::Limit, OrderSide::Buy, 5_000).await;
        test.meet(10_000, 50).await;
        assert_eq!(test.order(&id).await.state, OrderState::Rejected);
        test.assert(&[
            "order_state_transitions_total{state=\"rejected\"} 1",
            "orders_open{order_type=\"limit\"} 0",
        ]);
    }

    #[tokio::test]
    async fn orders_expire_also_those_that_another_instance_left_behind() {
        let test = Test::new().await;
        let id = test.place(OrderType::Limit, OrderSide::Buy, 9_000).await;
        assert_eq!(test.orders.expire(NOW + 45_000).await.unwrap(), 0);
        // Another instance on the same database leaves it alone while it may be alive.
        let other = Orders::new(Metrics::new(), test.orders.database.clone());
        assert_eq!(other.expire(NOW + 45_001).await.unwrap(), 0);
        assert!(matches!(other.open(ACCOUNT, &id).await, Err(Problem::Conflict(_))));
        assert_eq!(other.expire(NOW + 90_001).await.unwrap(), 1);
        assert!(
            other
                .metrics
                .to_text()
                .contains("order_state_transitions_total{state=\"expired\"} 1\n")
        );
        test.assert(&["orders_open{order_type=\"limit\"} 1"]);
        // The first one learns that it is over, and does not count it among those that it expired.
        assert_eq!(test.orders.expire(NOW + 90_001).await.unwrap(), 0);
        test.assert(&["orders_open{order_type=\"limit\"} 0"]);
    }

    #[tokio::test]
    async fn an_account_has_only_so_many_orders_open() {
        let test = Test::new().await;
        let at_once =
            (0..MOST_OPEN + 5).map(|_| test.try_place(OrderType::Limit, OrderSide::Sell, 11_000));
        let (placed, refused): (Vec<_>, Vec<_>) =
            join_all(at_once).await.into_iter().partition(Result::is_ok);
        assert!(refused.iter().all(|refused| matches!(refused, Err(Problem::Refused(_)))));
        test.assert(&[
            "orders_placed_total{order_type=\"limit\",side=\"sell\",status=\"rejected\"} 5",
            "orders_open{order_type=\"limit\"} 25",
            "total_orders_placed_today 25",
        ]);
        // The next one takes the place of one that ended.
        let ended = placed[0].as_ref().unwrap();
        assert!(test.orders.end(ended, OrderState::Cancelled).await.unwrap());
        test.place(OrderType::Limit, OrderSide::Sell, 11_000).await;
    }

    #[tokio::test]
    async fn an_order_that_is_not_stored_is_not_open() {
        let test = Test::new().await;
        test.orders.database.close().await;
        let failed = test.try_place(OrderType::Limit, OrderSide::Buy, 9_000).await;
        assert!(matches!(failed, Err(Problem::Database(_))));
        test.assert(&[
            "orders_placed_total{order_type=\"limit\",side=\"buy\",status=\"failed\"} 1",
            "orders_open{order_type=\"limit\"} 0",
            "order_state_transitions_total{state=\"open\"} 0",
        ]);
    }

    #[tokio::test]
    async fn an_order_that_the_database_cannot_fill_stays_open() {
        let test = Test::new().await;
        test.place(OrderType::Market, OrderSide::Buy, 10_000).await;
        test.orders.database.close().await;
        test.meet(10_000, 100).await;
        test.assert(&[
            "orders_open{order_type=\"market\"} 1",
            "total_turnover_today_rupees 0",
            "application_errors_total{error_type=\"database\",severity=\"error\"} 1",
        ]);
    }
}
