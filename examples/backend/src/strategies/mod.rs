//! Strategies: what an account holds together, and what it is worth.
//!
//! The handlers change the database and give the worker the account to [mark](mark_account); it alone sets the
//! gauges of accounts, so what two requests change at once is shown in order.

mod marking;

use std::collections::BTreeSet;

use backend_metrics::{
    Metrics,
    labels::{DenialReason, StrategyOperation, StrategySignal},
};
use chrono::Utc;
use http::StatusCode;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;
use sqlx::FromRow;
use uuid::Uuid;

pub use self::marking::mark_account;
use self::marking::{mark_strategy, note_stop_loss};
use crate::{
    app::App,
    database::Statement,
    market::Market,
    reply::{self, Problem, Reply},
    routes::Call,
    workers::Work,
};

/// The most that a strategy can hold of an instrument, or sell of it.
const LARGEST_QUANTITY: u64 = 1_000_000;
/// The highest price, in paise: a million rupees.
const HIGHEST_PRICE: i64 = 100_000_000;
/// The most that a strategy may be allowed to lose, in paise: a trillion rupees.
const LARGEST_LOSS: i64 = 100_000_000_000_000;
/// The longest name, in bytes.
const LONGEST_NAME: usize = 100;

/// A strategy.
#[derive(Clone, Debug, FromRow, Serialize)]
struct Strategy {
    id: String,
    #[serde(skip)]
    account_id: String,
    name: String,
    stop_loss_paise: i64,
    created_at: i64,
    /// As of the last mark to market.
    pnl_paise: i64,
}

impl Strategy {
    /// Whether it has lost what it may lose.
    fn is_stopped(&self) -> bool {
        self.pnl_paise <= -self.stop_loss_paise
    }
}

/// What a strategy holds of an instrument; a negative quantity is sold.
#[derive(Clone, Debug, FromRow, Serialize)]
struct Position {
    #[serde(skip)]
    strategy_id: String,
    instrument: String,
    quantity: i64,
    entry_price_paise: i64,
}

/// What can be changed of a strategy.
#[derive(Debug, Deserialize)]
struct Settings {
    name: String,
    /// The loss at which to get out.
    #[serde(rename = "stop_loss_rupees", deserialize_with = "read_rupees")]
    stop_loss_paise: i64,
}

impl Settings {
    fn check(&self) -> Result<(), Problem> {
        if self.name.is_empty() || self.name.len() > LONGEST_NAME {
            return Err(Problem::Refused("the name is empty or too long".to_owned()));
        }
        if !(1..=LARGEST_LOSS).contains(&self.stop_loss_paise) {
            return Err(Problem::Refused("the stop loss is not possible".to_owned()));
        }
        Ok(())
    }
}

#[derive(Debug, Deserialize)]
struct NewStrategy {
    #[serde(flatten)]
    settings: Settings,
    #[serde(default)]
    instruments: Vec<NewPosition>,
}

#[derive(Debug, Deserialize)]
struct NewPosition {
    instrument: String,
    quantity: i64,
    /// What was paid, in rupees from outside, for a position that was held before; otherwise the last price.
    #[serde(default, rename = "price", deserialize_with = "read_price")]
    price_paise: Option<i64>,
}

impl NewPosition {
    /// The position of a strategy, if the market allows it.
    fn enter(self, market: &Market, strategy_id: &str) -> Result<Position, Problem> {
        let refused = |why: &str| Problem::Refused(format!("{}: {why}", self.instrument));
        let instrument =
            market.instrument(&self.instrument).ok_or_else(|| refused("not traded"))?;
        let quantity = self.quantity.unsigned_abs();
        if quantity == 0 || quantity > LARGEST_QUANTITY {
            return Err(refused("the quantity is zero or too large"));
        }
        if !quantity.is_multiple_of(instrument.lot.into()) {
            return Err(refused("the quantity is not in whole lots"));
        }
        let price = self
            .price_paise
            .or_else(|| last_price(market, &self.instrument))
            .ok_or_else(|| refused("no price yet"))?;
        if !(1..=HIGHEST_PRICE).contains(&price) {
            return Err(refused("the price is not possible"));
        }
        Ok(Position {
            strategy_id: strategy_id.to_owned(),
            instrument: self.instrument,
            quantity: self.quantity,
            entry_price_paise: price,
        })
    }
}

impl Position {
    fn insertion(&self) -> Statement {
        sqlx::query(
            "INSERT INTO strategy_instruments (strategy_id, instrument, quantity, entry_price_paise) \
             VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        )
        .bind(self.strategy_id.clone())
        .bind(self.instrument.clone())
        .bind(self.quantity)
        .bind(self.entry_price_paise)
    }

    /// What an insertion that found it there is answered.
    fn is_there(&self) -> Problem {
        Problem::Conflict(format!("{} is in the strategy already", self.instrument))
    }
}

/// `GET /strategies`
pub async fn list(call: Call) -> Result<Reply, Problem> {
    reply::json(StatusCode::OK, &of_account(&call.app, &call.account).await?)
}

/// `POST /strategies`
pub async fn create(mut call: Call) -> Result<Reply, Problem> {
    let NewStrategy { settings, instruments } = call.json().await?;
    settings.check()?;
    let strategy = Strategy {
        id: Uuid::now_v7().simple().to_string(),
        account_id: call.account,
        name: settings.name,
        stop_loss_paise: settings.stop_loss_paise,
        created_at: Utc::now().timestamp_millis(),
        pnl_paise: 0,
    };
    let app = &*call.app;
    let work = async {
        let positions = instruments
            .into_iter()
            .map(|position| position.enter(&app.market, &strategy.id))
            .collect::<Result<Vec<_>, _>>()?;
        insert(app, &strategy, &positions).await?;
        Ok(positions)
    };
    let positions = recorded(app.metrics, StrategyOperation::Create, work).await?;
    for _ in &positions {
        app.metrics.track_strategy_signal(StrategySignal::Entry);
    }
    app.workers.enqueue(Work::MarkToMarket(strategy.account_id.clone()));
    reply::json(StatusCode::CREATED, &with_positions(&strategy, &positions))
}

/// `GET /strategies/{id}`
pub async fn show(call: Call) -> Result<Reply, Problem> {
    let strategy = of_caller(&call).await?;
    let mut positions = positions_of_account(&call.app, &call.account).await?;
    positions.retain(|position| position.strategy_id == strategy.id);
    reply::json(StatusCode::OK, &with_positions(&strategy, &positions))
}

/// `PUT /strategies/{id}`
pub async fn update(mut call: Call) -> Result<Reply, Problem> {
    let settings: Settings = call.json().await?;
    settings.check()?;
    let app = &*call.app;
    // The row may be marked to the market in between. Then its profit is to be compared anew.
    let work = async {
        loop {
            let before = of_caller(&call).await?;
            let after = Strategy {
                name: settings.name.clone(),
                stop_loss_paise: settings.stop_loss_paise,
                ..before.clone()
            };
            let statement = sqlx::query(
                "UPDATE strategies SET name = $1, stop_loss_paise = $2 \
                 WHERE id = $3 AND stop_loss_paise = $4 AND pnl_paise = $5",
            )
            .bind(after.name.clone())
            .bind(after.stop_loss_paise)
            .bind(after.id.clone())
            .bind(before.stop_loss_paise)
            .bind(before.pnl_paise);
            if app.database.update(statement).await? > 0 {
                return Ok((before, after));
            }
        }
    };
    let (before, after) = recorded(app.metrics, StrategyOperation::Update, work).await?;
    app.metrics.track_strategy_signal(StrategySignal::Adjust);
    // A stop loss that is drawn nearer may be reached at once.
    note_stop_loss(app.metrics, &before, &after);
    reply::json(StatusCode::OK, &after)
}

/// `DELETE /strategies/{id}`
pub async fn delete(call: Call) -> Result<Reply, Problem> {
    let app = &*call.app;
    let work = async { remove(app, of_caller(&call).await?).await };
    recorded(app.metrics, StrategyOperation::Delete, work).await?;
    app.workers.enqueue(Work::MarkToMarket(call.account));
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

/// `POST /strategies/{id}/instruments`
pub async fn add_instrument(mut call: Call) -> Result<Reply, Problem> {
    let position: NewPosition = call.json().await?;
    let app = &*call.app;
    let work = async {
        let strategy = of_caller(&call).await?;
        let position = position.enter(&app.market, &strategy.id)?;
        match app.database.insert(position.insertion()).await? {
            0 => Err(position.is_there()),
            _ => Ok(position),
        }
    };
    let position = recorded(app.metrics, StrategyOperation::AddInstrument, work).await?;
    app.metrics.track_strategy_signal(StrategySignal::Entry);
    app.workers.enqueue(Work::MarkToMarket(call.account));
    reply::json(StatusCode::CREATED, &position)
}

/// `DELETE /strategies/{id}/instruments/{instrument}`
pub async fn remove_instrument(call: Call) -> Result<Reply, Problem> {
    let app = &*call.app;
    let work = async {
        let strategy = of_caller(&call).await?;
        let statement = sqlx::query(
            "DELETE FROM strategy_instruments WHERE strategy_id = $1 AND instrument = $2",
        )
        .bind(strategy.id)
        .bind(call.parameter("instrument").to_owned());
        match app.database.delete(statement).await? {
            0 => Err(Problem::NotFound("instrument")),
            _ => Ok(()),
        }
    };
    recorded(app.metrics, StrategyOperation::RemoveInstrument, work).await?;
    app.metrics.track_strategy_signal(StrategySignal::Exit);
    app.workers.enqueue(Work::MarkToMarket(call.account));
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

/// `POST /strategies/{id}/m2m`
pub async fn mark_to_market(call: Call) -> Result<Reply, Problem> {
    let mut strategy = of_caller(&call).await?;
    mark_strategy(&call.app, &mut strategy).await?;
    profit_of(&strategy)
}

/// `GET /strategies/{id}/pnl`
pub async fn profit(call: Call) -> Result<Reply, Problem> {
    profit_of(&of_caller(&call).await?)
}

/// The accounts that have strategies.
pub async fn accounts(app: &App) -> Result<BTreeSet<String>, Problem> {
    let query = sqlx::query_as("SELECT DISTINCT account_id FROM strategies");
    Ok(app.database.select(query).await?.into_iter().map(|(account,)| account).collect())
}

/// Does an operation on a strategy, and records how it ended, also if the caller goes away.
async fn recorded<T>(
    metrics: Metrics,
    operation: StrategyOperation,
    work: impl Future<Output = Result<T, Problem>>,
) -> Result<T, Problem> {
    let guard = metrics.start_strategy_operation(operation);
    let result = work.await;
    guard.finish(&result);
    result
}

async fn insert(app: &App, strategy: &Strategy, positions: &[Position]) -> Result<(), Problem> {
    let statement = sqlx::query(
        "INSERT INTO strategies (id, account_id, name, stop_loss_paise, created_at, pnl_paise) \
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(strategy.id.clone())
    .bind(strategy.account_id.clone())
    .bind(strategy.name.clone())
    .bind(strategy.stop_loss_paise)
    .bind(strategy.created_at)
    .bind(strategy.pnl_paise);
    let mut transaction = app.database.begin("create_strategy").await?;
    transaction.insert(statement).await?;
    for position in positions {
        if transaction.insert(position.insertion()).await? == 0 {
            return Err(position.is_there());
        }
    }
    Ok(transaction.commit().await?)
}

async fn remove(app: &App, strategy: Strategy) -> Result<(), Problem> {
    let positions = sqlx::query("DELETE FROM strategy_instruments WHERE strategy_id = $1")
        .bind(strategy.id.clone());
    let itself = sqlx::query("DELETE FROM strategies WHERE id = $1").bind(strategy.id);
    let mut transaction = app.database.begin("delete_strategy").await?;
    let positions = transaction.delete(positions).await?;
    if transaction.delete(itself).await? == 0 {
        return Err(Problem::NotFound("strategy"));
    }
    transaction.commit().await?;
    for _ in 0..positions {
        app.metrics.track_strategy_signal(StrategySignal::Exit);
    }
    Ok(())
}

/// The strategy that a call is about.
async fn of_caller(call: &Call) -> Result<Strategy, Problem> {
    let query = sqlx::query_as("SELECT * FROM strategies WHERE id = $1");
    let query = query.bind(call.parameter("id").to_owned());
    let found: Option<Strategy> = call.app.database.select(query).await?.pop();
    let strategy = found.ok_or(Problem::NotFound("strategy"))?;
    if strategy.account_id == call.account {
        Ok(strategy)
    } else {
        Err(Problem::Denied(DenialReason::AccountMismatch))
    }
}

async fn of_account(app: &App, account: &str) -> Result<Vec<Strategy>, Problem> {
    let query = sqlx::query_as("SELECT * FROM strategies WHERE account_id = $1 ORDER BY id");
    Ok(app.database.select(query.bind(account.to_owned())).await?)
}

async fn positions_of_account(app: &App, account: &str) -> Result<Vec<Position>, Problem> {
    let query = sqlx::query_as(
        "SELECT held.* FROM strategy_instruments held \
         JOIN strategies ON strategies.id = held.strategy_id \
         WHERE strategies.account_id = $1 ORDER BY held.strategy_id, held.instrument",
    );
    Ok(app.database.select(query.bind(account.to_owned())).await?)
}

fn with_positions(strategy: &Strategy, positions: &[Position]) -> impl Serialize {
    #[derive(Serialize)]
    struct Shown {
        #[serde(flatten)]
        strategy: Strategy,
        instruments: Vec<Position>,
    }
    Shown { strategy: strategy.clone(), instruments: positions.to_vec() }
}

fn profit_of(strategy: &Strategy) -> Result<Reply, Problem> {
    let Strategy { pnl_paise, .. } = strategy;
    reply::json(
        StatusCode::OK,
        &json!({ "pnl_paise": pnl_paise, "stopped": strategy.is_stopped() }),
    )
}

fn last_price(market: &Market, instrument: &str) -> Option<i64> {
    let price = paise(market.last(instrument)?.price);
    (1..=HIGHEST_PRICE).contains(&price).then_some(price)
}

fn read_rupees<'de, D: Deserializer<'de>>(from: D) -> Result<i64, D::Error> {
    f64::deserialize(from).map(paise)
}

fn read_price<'de, D: Deserializer<'de>>(from: D) -> Result<Option<i64>, D::Error> {
    Ok(Option::<f64>::deserialize(from)?.map(paise))
}

#[expect(clippy::cast_possible_truncation, reason = "the cast saturates, beyond every limit")]
fn paise(rupees: f64) -> i64 {
    (rupees * 100.0).round() as i64
}

#[expect(clippy::cast_precision_loss, reason = "amounts are under 2^53 paise")]
fn rupees(paise: i64) -> f64 {
    paise as f64 / 100.0
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use tempfile::TempDir;

    use super::*;
    use crate::{
        Backend,
        config::Config,
        ticker::protocol::{Instrument, InstrumentKind, Tick},
    };

    pub(super) const ACCOUNT: &str = "T-1";

    async fn start(database: Option<String>) -> Backend {
        let mut config = Config::parse_from(["test", "--listen", "127.0.0.1:0", "--traffic", "0"]);
        (config.database, config.redis) = (database, None);
        Backend::start(config, Metrics::new()).await.unwrap()
    }

    /// A backend without traffic in which nothing happens but what the test does.
    pub(super) async fn backend() -> Backend {
        let backend = start(None).await;
        let app = backend.app();
        app.stop.cancel();
        backend.background.close();
        backend.background.wait().await;
        let account = sqlx::query("INSERT INTO accounts VALUES ($1, 'a test', '', 0)");
        app.database.insert(account.bind(ACCOUNT)).await.unwrap();
        app.market.set_instruments(vec![instrument("TEST-A"), instrument("TEST-B")]);
        backend
    }

    pub(super) fn instrument(symbol: &str) -> Instrument {
        Instrument {
            symbol: symbol.to_owned(),
            underlying: symbol.to_owned(),
            kind: InstrumentKind::Equity,
            lot: 25,
        }
    }

    pub(super) fn set_price(market: &Market, symbol: &str, price: f64) {
        market.apply(Tick {
            symbol: symbol.to_owned(),
            sequence: 0,
            price,
            bid: price,
            ask: price,
            bid_quantity: 0,
            ask_quantity: 0,
            open_interest: 0,
            sent_at: 0,
        });
    }

    /// A strategy with positions at 100 rupees, which may lose 1,000.
    pub(super) async fn add(app: &App, id: &str, positions: &[(&str, i64)]) -> Strategy {
        let strategy = Strategy {
            id: id.to_owned(),
            account_id: ACCOUNT.to_owned(),
            name: id.to_owned(),
            stop_loss_paise: 100_000,
            created_at: Utc::now().timestamp_millis(),
            pnl_paise: 0,
        };
        let positions: Vec<_> = positions
            .iter()
            .map(|(instrument, quantity)| Position {
                strategy_id: id.to_owned(),
                instrument: (*instrument).to_owned(),
                quantity: *quantity,
                entry_price_paise: 10_000,
            })
            .collect();
        insert(app, &strategy, &positions).await.unwrap();
        strategy
    }

    pub(super) async fn stored(app: &App) -> Vec<i64> {
        of_account(app, ACCOUNT).await.unwrap().iter().map(|strategy| strategy.pnl_paise).collect()
    }

    #[track_caller]
    pub(super) fn check(app: &App, expected: &[(&str, f64)]) {
        for (series, expected) in expected {
            assert_eq!(app.metrics.value(series), Some(*expected), "{series}");
        }
    }

    #[tokio::test]
    async fn a_strategy_that_is_removed_leaves_each_of_its_positions() {
        let backend = backend().await;
        let app = backend.app();
        let strategy = add(app, "1", &[("TEST-A", 50), ("TEST-B", -25)]).await;
        remove(app, strategy.clone()).await.unwrap();
        check(app, &[(r#"strategy_signals_total{signal="exit"}"#, 2.0)]);
        let problem = remove(app, strategy).await.unwrap_err();
        assert!(matches!(problem, Problem::NotFound(_)), "{problem}");
        check(app, &[(r#"strategy_signals_total{signal="exit"}"#, 2.0)]);
    }

    #[tokio::test]
    async fn a_strategy_is_created_with_all_of_its_positions_or_not_at_all() {
        let backend = backend().await;
        let app = backend.app();
        let mut strategy = add(app, "1", &[]).await;
        strategy.id = "2".to_owned();
        let position = Position {
            strategy_id: "2".to_owned(),
            instrument: "TEST-A".to_owned(),
            quantity: 25,
            entry_price_paise: 10_000,
        };
        let problem = insert(app, &strategy, &[position.clone(), position]).await.unwrap_err();
        assert!(matches!(problem, Problem::Conflict(_)), "{problem}");
        assert_eq!(stored(app).await, [0]);
    }

    #[tokio::test]
    async fn what_replicas_created_today_can_be_added_up() {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("backend.sqlite").display().to_string();
        let first = start(Some(file.clone())).await;
        let strategy =
            sqlx::query("INSERT INTO strategies VALUES ('1', 'A-01', 'a test', 1, $1, 0)");
        let now = Utc::now().timestamp_millis();
        first.app().database.insert(strategy.bind(now)).await.unwrap();
        let second = start(Some(file)).await;
        check(second.app(), &[("total_strategies_created_today", 0.0)]);
    }

    #[test]
    fn a_position_is_entered_as_the_market_allows() {
        let market = Market::default();
        market.set_instruments(vec![instrument("TEST-A"), instrument("TEST-B")]);
        set_price(&market, "TEST-A", 100.25);
        let enter = |instrument: &str, quantity, price_paise| {
            let instrument = instrument.to_owned();
            let position = NewPosition { instrument, quantity, price_paise };
            position.enter(&market, "1").map(|position| position.entry_price_paise)
        };
        assert_eq!(enter("TEST-A", -50, None).unwrap(), 10_025);
        assert_eq!(enter("TEST-B", 25, Some(9_900)).unwrap(), 9_900);
        for (instrument, quantity, price) in [
            ("TEST-C", 25, Some(1)),
            ("TEST-A", 0, None),
            ("TEST-A", 26, None),
            ("TEST-A", i64::MIN, None),
            ("TEST-B", 25, None),
            ("TEST-A", 25, Some(0)),
        ] {
            let refused = enter(instrument, quantity, price).unwrap_err();
            assert!(matches!(refused, Problem::Refused(_)), "{instrument} {quantity}: {refused}");
        }
    }
}
