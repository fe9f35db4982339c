//! What strategies are worth, and whether that is too little.

use std::slice;

use backend_metrics::{Metrics, labels::StrategySignal};

use super::{Position, Strategy, last_price, of_account, positions_of_account, rupees};
use crate::{app::App, market::Market, reply::Problem, workers::Work};

/// Marks a strategy to the market, and has the worker show what its account is worth now.
pub(super) async fn mark_strategy(app: &App, strategy: &mut Strategy) -> Result<(), Problem> {
    let account = strategy.account_id.clone();
    let calculation = app.metrics.start_strategy_m2m();
    let result = async {
        let positions = positions_of_account(app, &account).await?;
        mark(app, slice::from_mut(strategy), &positions).await
    }
    .await;
    calculation.finish(&result);
    result?;
    app.workers.enqueue(Work::MarkToMarket(account));
    Ok(())
}

/// Marks the strategies of an account to the market, and shows what it has.
pub async fn mark_account(app: &App, account: &str) -> Result<(), Problem> {
    let calculation = app.metrics.start_strategy_m2m();
    let result = async {
        let mut strategies = of_account(app, account).await?;
        let positions = positions_of_account(app, account).await?;
        let result = mark(app, &mut strategies, &positions).await;
        if strategies.is_empty() {
            app.metrics.remove_strategy_account(account);
        } else {
            let pnl = strategies.iter().map(|strategy| strategy.pnl_paise).sum();
            let count = |number| u32::try_from(number).unwrap_or(u32::MAX);
            let (strategies, instruments) = (count(strategies.len()), count(positions.len()));
            app.metrics.update_strategy_account(account, strategies, instruments, rupees(pnl));
        }
        result
    }
    .await;
    calculation.finish(&result);
    result
}

/// Sets the profit of strategies to what their positions are worth, and stores it.
///
/// A strategy with a position that has no price keeps its profit, and the others are marked before that is
/// an error.
async fn mark(
    app: &App,
    strategies: &mut [Strategy],
    positions: &[Position],
) -> Result<(), Problem> {
    let mut unknown = None;
    let mut changes = Vec::new();
    for strategy in strategies {
        let of_strategy = positions.iter().filter(|position| position.strategy_id == strategy.id);
        let pnl: Result<i64, _> = of_strategy.map(|position| worth(&app.market, position)).sum();
        match pnl {
            Ok(pnl) if pnl != strategy.pnl_paise => changes.push((pnl, strategy)),
            Ok(_) => {}
            Err(problem) => unknown = Some(problem),
        }
    }
    if !changes.is_empty() {
        store(app, changes).await?;
    }
    unknown.map_or(Ok(()), Err)
}

async fn store(app: &App, changes: Vec<(i64, &mut Strategy)>) -> Result<(), Problem> {
    let mut stored = Vec::new();
    let mut transaction = app.database.begin("mark_to_market").await?;
    for (pnl, strategy) in changes {
        // Of two that mark at once, or beside a change of the stop loss, one finds the row as it was: a stop
        // loss is noted once.
        let statement = sqlx::query(
            "UPDATE strategies SET pnl_paise = $1 \
             WHERE id = $2 AND pnl_paise = $3 AND stop_loss_paise = $4",
        )
        .bind(pnl)
        .bind(strategy.id.clone())
        .bind(strategy.pnl_paise)
        .bind(strategy.stop_loss_paise);
        if transaction.update(statement).await? > 0 {
            stored.push((pnl, strategy));
        }
    }
    transaction.commit().await?;
    for (pnl, strategy) in stored {
        let before = strategy.clone();
        strategy.pnl_paise = pnl;
        app.websockets.strategy_changed(&strategy.account_id, &strategy.id, pnl);
        note_stop_loss(app.metrics, &before, strategy);
    }
    Ok(())
}

/// Counts a stop loss that was reached in between. To get out is asked for once, until there is less to lose
/// again.
pub(super) fn note_stop_loss(metrics: Metrics, before: &Strategy, after: &Strategy) {
    if after.is_stopped() && !before.is_stopped() {
        metrics.track_strategy_stop_loss();
        metrics.track_strategy_signal(StrategySignal::Exit);
        tracing::info!(strategy = after.id, "the stop loss is reached");
    }
}

/// What a position has won, in paise.
fn worth(market: &Market, position: &Position) -> Result<i64, Problem> {
    let Position { instrument, quantity, entry_price_paise, .. } = position;
    let price = match last_price(market, instrument) {
        Some(price) => price,
        // An expired contract in an old database: it is worth nothing more and nothing less.
        None if is_gone(market, instrument) => *entry_price_paise,
        None => return Err(Problem::Conflict(format!("{instrument} has no price yet"))),
    };
    Ok(quantity * (price - entry_price_paise))
}

/// Whether an instrument is not traded any more. Before the list of instruments is there, nobody knows.
fn is_gone(market: &Market, instrument: &str) -> bool {
    market.instrument(instrument).is_none() && !market.instruments().is_empty()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{
        super::{
            accounts,
            tests::{ACCOUNT, add, backend, check, instrument, set_price, stored},
        },
        *,
    };

    #[tokio::test]
    async fn an_account_is_worth_what_its_positions_are() {
        let backend = backend().await;
        let app = backend.app();
        add(app, "1", &[("TEST-A", 50), ("TEST-B", -25)]).await;
        add(app, "2", &[]).await;
        set_price(&app.market, "TEST-A", 101.5);
        set_price(&app.market, "TEST-B", 99.25);
        mark_account(app, ACCOUNT).await.unwrap();
        assert_eq!(stored(app).await, [9_375, 0]);
        check(
            app,
            &[
                (r#"strategies_total{account_id="T-1"}"#, 2.0),
                (r#"strategy_instruments_total{account_id="T-1"}"#, 2.0),
                (r#"strategy_pnl_total{account_id="T-1"}"#, 93.75),
                (r#"strategy_m2m_calculations_total{status="success"}"#, 1.0),
            ],
        );
        assert_eq!(accounts(app).await.unwrap(), BTreeSet::from([ACCOUNT.to_owned()]));
    }

    #[tokio::test]
    async fn an_account_without_strategies_is_not_shown() {
        let backend = backend().await;
        let app = backend.app();
        add(app, "1", &[]).await;
        mark_account(app, ACCOUNT).await.unwrap();
        check(app, &[(r#"strategies_total{account_id="T-1"}"#, 1.0)]);
        app.database.delete(sqlx::query("DELETE FROM strategies")).await.unwrap();
        mark_account(app, ACCOUNT).await.unwrap();
        assert!(!app.metrics.to_text().contains(ACCOUNT));
    }

    #[tokio::test]
    async fn an_account_without_strategies_is_not_shown_by_a_mark_that_comes_late() {
        let backend = backend().await;
        let app = backend.app();
        let mut strategy = add(app, "1", &[]).await;
        app.database.delete(sqlx::query("DELETE FROM strategies")).await.unwrap();
        mark_account(app, ACCOUNT).await.unwrap();
        mark_strategy(app, &mut strategy).await.unwrap();
        assert!(!app.metrics.to_text().contains(ACCOUNT));
    }

    #[tokio::test]
    async fn a_stop_loss_counts_once_until_there_is_less_to_lose_again() {
        let backend = backend().await;
        let app = backend.app();
        add(app, "1", &[("TEST-A", 100)]).await;
        for price in [95.0, 90.0, 89.0, 88.0, 90.5, 80.0] {
            set_price(&app.market, "TEST-A", price);
            mark_account(app, ACCOUNT).await.unwrap();
        }
        assert_eq!(stored(app).await, [-200_000]);
        check(
            app,
            &[
                ("strategy_stop_losses_triggered_total", 2.0),
                (r#"strategy_signals_total{signal="exit"}"#, 2.0),
            ],
        );
    }

    #[tokio::test]
    async fn of_two_marks_at_once_one_notes_the_stop_loss() {
        let backend = backend().await;
        let app = backend.app();
        let mut one = add(app, "1", &[("TEST-A", 100)]).await;
        let mut other = one.clone();
        store(app, vec![(-150_000, &mut one)]).await.unwrap();
        store(app, vec![(-150_000, &mut other)]).await.unwrap();
        check(app, &[("strategy_stop_losses_triggered_total", 1.0)]);
    }

    #[tokio::test]
    async fn a_strategy_without_a_price_stays_as_it_was() {
        let backend = backend().await;
        let app = backend.app();
        add(app, "1", &[("TEST-A", 25), ("TEST-B", 25)]).await;
        add(app, "2", &[("TEST-A", 25)]).await;
        set_price(&app.market, "TEST-A", 102.0);
        mark_account(app, ACCOUNT).await.unwrap_err();
        assert_eq!(stored(app).await, [0, 5_000]);
        check(
            app,
            &[
                (r#"strategy_m2m_calculations_total{status="error"}"#, 1.0),
                (r#"strategy_pnl_total{account_id="T-1"}"#, 50.0),
            ],
        );
        // It expires, and has won nothing and lost nothing.
        app.market.set_instruments(vec![instrument("TEST-A")]);
        mark_account(app, ACCOUNT).await.unwrap();
        assert_eq!(stored(app).await, [5_000, 5_000]);
        // Nobody knows yet what is traded.
        app.market.set_instruments(Vec::new());
        mark_account(app, ACCOUNT).await.unwrap_err();
    }
}
