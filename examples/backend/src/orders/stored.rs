//! Orders in the database.
//!
//! A change that finds the order over, or none, changes no row.

use backend_metrics::labels::OrderState;

use super::order::Order;
use crate::database::{Select, Statement};

/// As SQL, that an order is open. To be modified is an event and not stored: the order stays open, or filled in
/// part.
macro_rules! is_open {
    () => {
        "state IN ('open', 'partially_filled')"
    };
}

pub(super) fn by_id(id: &str) -> Select<Order> {
    sqlx::query_as("SELECT * FROM orders WHERE id = $1").bind(id.to_owned())
}

/// The last ones of an account.
pub(super) fn of_account(account: &str) -> Select<Order> {
    let query =
        "SELECT * FROM orders WHERE account_id = $1 ORDER BY placed_at DESC, id DESC LIMIT 50";
    sqlx::query_as(query).bind(account.to_owned())
}

/// Those that are open though they were placed before then.
pub(super) fn open_since_before(then: i64) -> Select<Order> {
    let query = concat!("SELECT * FROM orders WHERE placed_at < $1 AND ", is_open!());
    sqlx::query_as(query).bind(then)
}

pub(super) fn insert(order: &Order) -> Statement {
    sqlx::query(
        "INSERT INTO orders (id, account_id, instrument, order_type, side, quantity, price_paise, state, \
         placed_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(order.id.clone())
    .bind(order.account_id.clone())
    .bind(order.instrument.clone())
    .bind(order.order_type.as_str())
    .bind(order.side.as_str())
    .bind(order.quantity)
    .bind(order.price_paise)
    .bind(order.state.as_str())
    .bind(order.placed_at)
}

/// No order becomes smaller than what is filled of it.
pub(super) fn modify(id: &str, quantity: i64, price_paise: i64) -> Statement {
    sqlx::query(concat!(
        "UPDATE orders SET quantity = $2, price_paise = $3 WHERE id = $1 AND filled_quantity < $2 AND ",
        is_open!()
    ))
    .bind(id.to_owned())
    .bind(quantity)
    .bind(price_paise)
}

pub(super) fn end(id: &str, state: OrderState) -> Statement {
    sqlx::query(concat!("UPDATE orders SET state = $2 WHERE id = $1 AND ", is_open!()))
        .bind(id.to_owned())
        .bind(state.as_str())
}

/// Stores what is filled of an order, and the state that it is in by that.
pub(super) fn fill(order: &Order) -> Statement {
    sqlx::query(concat!(
        "UPDATE orders SET filled_quantity = $2, fill_price_paise = $3, state = $4 WHERE id = $1 AND ",
        is_open!()
    ))
    .bind(order.id.clone())
    .bind(order.filled_quantity)
    .bind(order.fill_price_paise)
    .bind(order.state.as_str())
}
