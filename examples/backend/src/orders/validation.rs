//! Whether an order may be placed, and what it would need and cost.

use backend_metrics::labels::{MarketImpactLevel, OrderRejectionReason as Reason};
use serde::Serialize;

use super::{
    book::Orders,
    costs::{self, Costs},
    impact, margin,
    matching::Quote,
    order::{NewOrder, float, paise, rupees},
};
use crate::{market::Market, reply::Problem, ticker::client::TickerClient};

/// The widest spread that an order may meet, as a part of the price: two percent.
const WIDEST_SPREAD: f64 = 0.02;
/// How many times what is offered at the best price an order may be.
const TIMES_OFFERED: i64 = 20;

/// An order that may be placed.
#[derive(Clone, Debug, Serialize)]
pub struct Checked {
    /// The price that is asked for; without one, that of the market now.
    pub price_paise: i64,
    /// The step of its quantity.
    pub lot: i64,
    /// What it would bring or take, in rupees.
    value: f64,
    /// What the account has to put up for it, in rupees.
    margin: f64,
    /// Who says so.
    margin_method: &'static str,
    /// How far it would move the market.
    impact_level: &'static str,
    /// The same, as a part of the price.
    impact: f64,
    /// What it costs.
    costs: Costs,
}

/// Why an order may not be placed, or why nobody can say.
enum Refusal {
    Rejected(Reason, &'static str),
    Unknown(Problem),
}

impl Orders {
    /// Checks an order of `account`, to be placed now.
    pub async fn check(
        &self,
        market: &Market,
        ticker: &TickerClient,
        account: &str,
        asked: &NewOrder,
    ) -> Result<Checked, Problem> {
        let validation = self.metrics.start_smart_order_validation();
        match self.examine(market, ticker, account, asked).await {
            Ok(checked) => {
                validation.passed();
                Ok(checked)
            }
            Err(Refusal::Rejected(reason, text)) => {
                validation.rejected(reason);
                Err(Problem::Refused(text.to_owned()))
            }
            // The order is not at fault.
            Err(Refusal::Unknown(problem)) => {
                validation.error();
                Err(problem)
            }
        }
    }

    async fn examine(
        &self,
        market: &Market,
        ticker: &TickerClient,
        account: &str,
        asked: &NewOrder,
    ) -> Result<Checked, Refusal> {
        let rejected = |reason, text| Err(Refusal::Rejected(reason, text));

        let Some(instrument) = market.instrument(&asked.instrument) else {
            return rejected(Reason::Other, "no such instrument");
        };
        let lot = i64::from(instrument.lot.max(1));
        if asked.quantity % lot != 0 {
            return rejected(Reason::Other, "the quantity is not a multiple of the lot");
        }
        let Some(quote) = market.last(&asked.instrument).and_then(|tick| Quote::of(&tick)) else {
            return rejected(Reason::LowLiquidity, "the instrument is not traded");
        };
        if quote.spread() > WIDEST_SPREAD {
            return rejected(Reason::WideSpread, "the spread is too wide");
        }
        let (best, offered) = quote.against(asked.side);
        if asked.quantity > offered.saturating_mul(TIMES_OFFERED) {
            return rejected(Reason::LowLiquidity, "too little is offered");
        }
        let (level, impact) = impact::assess(self.metrics, &quote, asked.quantity, offered);
        if level == MarketImpactLevel::High {
            return rejected(Reason::HighImpact, "the order would move the market too far");
        }
        let price_paise = asked.price_paise.unwrap_or(best);
        let value = rupees(price_paise) * float(asked.quantity);
        let costs = costs::breakdown(self.metrics, instrument.kind, asked.side, value);
        let (margin, method) =
            margin::required(self.metrics, market, ticker, &instrument, asked, price_paise)
                .await
                .map_err(Refusal::Unknown)?;
        let there_is = self.margin(account).await.map_err(Refusal::Unknown)?;
        // What open orders of the account need as well is not looked at: the risk check of a broker does.
        if paise(margin).is_none_or(|margin| margin > there_is) {
            return rejected(Reason::MarginInsufficient, "the margin of the account is too small");
        }
        Ok(Checked {
            price_paise,
            lot,
            value,
            margin,
            margin_method: method.as_str(),
            impact_level: level.as_str(),
            impact,
            costs,
        })
    }

    /// The margin of an account, in paise.
    async fn margin(&self, account: &str) -> Result<i64, Problem> {
        let query = sqlx::query_as("SELECT margin_paise FROM accounts WHERE id = $1");
        let margin: Option<(i64,)> =
            self.database.select(query.bind(account.to_owned())).await?.pop();
        Ok(margin.ok_or(Problem::NotFound("account"))?.0)
    }
}

#[cfg(test)]
mod tests {
    use backend_metrics::{
        Metrics,
        labels::{OrderSide, OrderType},
    };

    use super::super::{book::tests::orders, order::NewOrder};
    use crate::{
        market::Market,
        reply::Problem,
        ticker::{
            client::TickerClient,
            protocol::{Instrument, InstrumentKind, Tick},
        },
    };

    fn market(spread: f64) -> Market {
        let market = Market::default();
        let symbol = "INFY".to_owned();
        let (underlying, kind) = (symbol.clone(), InstrumentKind::Equity);
        market.set_instruments(vec![Instrument {
            symbol: symbol.clone(),
            underlying,
            kind,
            lot: 5,
        }]);
        market.apply(Tick {
            symbol,
            sequence: 1,
            price: 1000.0,
            bid: 1000.0 - spread / 2.0,
            ask: 1000.0 + spread / 2.0,
            bid_quantity: 100,
            ask_quantity: 100,
            open_interest: 0,
            sent_at: 0,
        });
        market
    }

    /// Checks an order to buy; nobody answers for the ticker service.
    async fn check(market: &Market, instrument: &str, quantity: i64) -> (String, String) {
        let metrics = Metrics::new();
        let (orders, _database) = orders(metrics).await;
        let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let ticker = TickerClient::new(unused, metrics);
        let asked = NewOrder {
            instrument: instrument.to_owned(),
            order_type: OrderType::Market,
            side: OrderSide::Buy,
            quantity,
            price_paise: None,
        };
        let result = match orders.check(market, &ticker, "T-01", &asked).await {
            Ok(checked) => checked.margin_method.to_owned(),
            Err(Problem::Refused(reason)) => reason,
            Err(problem) => panic!("{problem}"),
        };
        (result, metrics.to_text())
    }

    #[tokio::test]
    async fn an_order_is_rejected_for_the_reason_that_is_counted() {
        for (spread, instrument, quantity, reason) in [
            (1.0, "NOTHING", 5, "other"),
            (1.0, "INFY", 7, "other"),
            (25.0, "INFY", 5, "wide_spread"),
            (1.0, "INFY", 2_005, "low_liquidity"),
            (10.0, "INFY", 105, "high_impact"),
            // A fifth of a million and more; the account has 100,000 rupees.
            (1.0, "INFY", 1_000, "margin_insufficient"),
        ] {
            let (_, text) = check(&market(spread), instrument, quantity).await;
            let line = format!("smart_order_rejection_reasons_total{{reason=\"{reason}\"}} 1\n");
            assert!(text.contains(&line), "{reason}");
            assert!(text.contains("smart_order_validations_total{status=\"rejected\"} 1\n"));
        }
    }

    #[tokio::test]
    async fn without_the_ticker_service_the_margin_is_an_estimate() {
        let (method, text) = check(&market(1.0), "INFY", 100).await;
        assert_eq!(method, "fallback");
        for line in [
            "smart_order_validations_total{status=\"passed\"} 1\n",
            "margin_calculations_total{status=\"fallback\"} 1\n",
            "margin_calculation_duration_seconds_count{method=\"fallback\"} 1\n",
            "cost_breakdown_calculations_total{transaction_type=\"equity\"} 1\n",
            "market_impact_assessments_total{impact_level=\"low\"} 1\n",
        ] {
            assert!(text.contains(line), "{line}");
        }
    }
}
