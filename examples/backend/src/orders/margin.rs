//! What an account has to put up for an order.

use backend_metrics::{
    Metrics,
    labels::{MarginMethod, OrderSide},
};

use super::order::{NewOrder, float, rupees};
use crate::{
    market::Market,
    reply::Problem,
    ticker::{
        client::TickerClient,
        protocol::{Instrument, InstrumentKind, MarginRequest},
    },
};

/// What a future or a sold option may lose on a bad day (SPAN), and what is asked for on top of it (exposure),
/// as parts of the value of what is underneath. Real ones vary by instrument; these are those of an index.
const SPAN: f64 = 0.09;
const EXPOSURE: f64 = 0.03;
/// As much for a share: the value at risk and the extreme loss.
const EQUITY: f64 = 0.20;

/// The margin of an order, in rupees, and who says so: the ticker service, or if it does not answer, an estimate.
pub(super) async fn required(
    metrics: Metrics,
    market: &Market,
    ticker: &TickerClient,
    instrument: &Instrument,
    asked: &NewOrder,
    price_paise: i64,
) -> Result<(f64, MarginMethod), Problem> {
    let request = MarginRequest {
        symbol: asked.instrument.clone(),
        quantity: asked.quantity,
        price: rupees(price_paise),
        sell: asked.side == OrderSide::Sell,
    };
    let calculation = metrics.start_margin_calculation(MarginMethod::TickerService);
    let error = match ticker.margin(&request).await {
        Ok(margin) => {
            calculation.success();
            return Ok((margin.rupees, MarginMethod::TickerService));
        }
        Err(error) => error,
    };
    let underlying = market.last(&instrument.underlying).map(|tick| tick.price);
    if let Some(margin) = estimate(instrument.kind, &request, underlying) {
        calculation.fallback();
        tracing::warn!(%error, "the margin is an estimate");
        Ok((margin, MarginMethod::Fallback))
    } else {
        calculation.error();
        Err(Problem::Upstream(error.into()))
    }
}

/// Estimates a margin, unless the price that it depends on is not known.
fn estimate(kind: InstrumentKind, request: &MarginRequest, underlying: Option<f64>) -> Option<f64> {
    let quantity = float(request.quantity);
    match kind {
        InstrumentKind::Equity => Some(quantity * request.price * EQUITY),
        // Who buys an option pays for it, and can lose no more.
        InstrumentKind::Option { .. } if !request.sell => Some(quantity * request.price),
        InstrumentKind::Future { .. } | InstrumentKind::Option { .. } => {
            Some(quantity * underlying? * (SPAN + EXPOSURE))
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;

    use super::estimate;
    use crate::ticker::protocol::{InstrumentKind, MarginRequest};

    #[test]
    fn who_sells_an_option_puts_up_a_part_of_what_is_underneath() {
        let kind = InstrumentKind::Option { expiry: NaiveDate::MAX, strike: 24_500.0, call: true };
        let mut request =
            MarginRequest { symbol: "NIFTY".to_owned(), quantity: 75, price: 100.0, sell: false };
        assert_eq!(estimate(kind, &request, None), Some(7_500.0));
        request.sell = true;
        assert_eq!(estimate(kind, &request, Some(24_000.0)), Some(216_000.0));
        assert_eq!(estimate(kind, &request, None), None);
    }
}
