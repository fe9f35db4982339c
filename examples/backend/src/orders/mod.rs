//! Orders: validated, placed, filled.
//!
//! An order is checked against the market and the margin of its account, then stored. The exchange is this
//! service itself: [`run`] fills orders as ticks come in.

pub mod book;
pub mod costs;
mod impact;
mod margin;
mod matching;
pub mod order;
mod stored;
pub mod validation;

use std::sync::Arc;

use backend_metrics::labels::OrderState;
use chrono::Utc;
use http::StatusCode;
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;

pub use self::book::Orders;
use self::{
    matching::Quote,
    order::{Change, NewOrder},
    validation::Checked,
};
use crate::{
    app::App,
    reply::{self, Problem, Reply},
    routes::{Call, to_the_end},
};

/// `POST /orders/validate`
pub async fn validate(mut call: Call) -> Result<Reply, Problem> {
    let asked = call.json::<NewOrder>().await?.complete()?;
    reply::json(StatusCode::OK, &check(&call, &asked).await?)
}

/// `GET /orders`
pub async fn list(call: Call) -> Result<Reply, Problem> {
    reply::json(StatusCode::OK, &call.app.orders.list(&call.account).await?)
}

/// `POST /orders`
pub async fn place(mut call: Call) -> Result<Reply, Problem> {
    let asked = call.json::<NewOrder>().await?.complete()?;
    let Checked { price_paise, lot, .. } = check(&call, &asked).await?;
    let Call { app, account, .. } = call;
    let now = Utc::now().timestamp_millis();
    let id =
        to_the_end(async move { app.orders.place(account, asked, price_paise, lot, now).await });
    answer(StatusCode::CREATED, &id.await?, OrderState::Open)
}

/// `GET /orders/{id}`
pub async fn show(call: Call) -> Result<Reply, Problem> {
    let order = call.app.orders.find(&call.account, call.parameter("id")).await?;
    reply::json(StatusCode::OK, &order)
}

/// `PUT /orders/{id}`
pub async fn modify(mut call: Call) -> Result<Reply, Problem> {
    let change: Change = call.json().await?;
    let order = call.app.orders.open(&call.account, call.parameter("id")).await?;
    let id = order.id.clone();
    let asked = order.changed(change).complete()?;
    let Checked { price_paise, .. } = check(&call, &asked).await?;
    let app = call.app.clone();
    to_the_end(async move { app.orders.modify(&id, asked.quantity, price_paise).await }).await?;
    show(call).await
}

/// `DELETE /orders/{id}`
pub async fn cancel(call: Call) -> Result<Reply, Problem> {
    let id = call.app.orders.open(&call.account, call.parameter("id")).await?.id;
    let (app, order) = (call.app.clone(), id.clone());
    let end = to_the_end(async move { Ok(app.orders.end(&order, OrderState::Cancelled).await?) });
    if !end.await? {
        return Err(Problem::Conflict("the order is over".to_owned()));
    }
    answer(StatusCode::OK, &id, OrderState::Cancelled)
}

/// Fills orders as the market reaches their prices, until the backend stops.
pub async fn run(app: Arc<App>) {
    let mut ticks = app.market.ticks();
    loop {
        match ticks.recv().await {
            Ok(tick) => {
                // The last one: this loop may be behind, and an order shall not be filled at a price of the past.
                let tick = app.market.last(&tick.symbol).unwrap_or(tick);
                if let Some(quote) = Quote::of(&tick) {
                    app.orders.meet(&tick.symbol, &quote).await;
                }
            }
            // The orders meet the next tick of their instrument.
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}

/// Ends the orders that nobody wants any more; gives how many.
pub async fn expire_stale(app: &App) -> Result<u64, Problem> {
    Ok(app.orders.expire(Utc::now().timestamp_millis()).await?)
}

async fn check(call: &Call, asked: &NewOrder) -> Result<Checked, Problem> {
    let app = &call.app;
    app.orders.check(&app.market, &app.ticker, &call.account, asked).await
}

fn answer(status: StatusCode, id: &str, state: OrderState) -> Result<Reply, Problem> {
    reply::json(status, &json!({ "id": id, "state": state.as_str() }))
}
