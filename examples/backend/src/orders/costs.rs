//! What a trade costs beside its price.

use backend_metrics::{
    Metrics,
    labels::{CostTransactionType, OrderSide},
};
use serde::Serialize;

use crate::ticker::protocol::InstrumentKind;

/// The rates of a kind of trade, as parts of its value: those of the National Stock Exchange since October 2024.
struct Rates {
    /// The broker's share, at most [`LARGEST_BROKERAGE`].
    brokerage: f64,
    /// The securities transaction tax (STT) of who buys.
    stt_buy: f64,
    /// That of who sells.
    stt_sell: f64,
    /// The exchange's charge for the transaction.
    exchange: f64,
    /// The stamp duty, of who buys.
    stamp_duty: f64,
}

const OPTIONS: Rates = Rates {
    // So that the flat amount is what counts: options have no share.
    brokerage: 1.0,
    stt_buy: 0.0,
    stt_sell: 0.001,
    exchange: 0.000_350_3,
    stamp_duty: 0.000_03,
};
const FUTURES: Rates = Rates {
    brokerage: 0.000_3,
    stt_buy: 0.0,
    stt_sell: 0.000_2,
    exchange: 0.000_017_3,
    stamp_duty: 0.000_02,
};
/// Shares that are delivered.
const EQUITY: Rates = Rates {
    brokerage: 0.000_3,
    stt_buy: 0.001,
    stt_sell: 0.001,
    exchange: 0.000_029_7,
    stamp_duty: 0.000_15,
};

/// The most that the broker takes for an order, in rupees.
const LARGEST_BROKERAGE: f64 = 20.0;
/// The goods and services tax (GST) on what broker and exchange take.
const GST: f64 = 0.18;

/// What an order costs, in rupees.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Costs {
    brokerage: f64,
    stt: f64,
    exchange_charges: f64,
    gst: f64,
    stamp_duty: f64,
    total: f64,
}

/// Calculates what a trade of `value` rupees costs.
pub(super) fn breakdown(
    metrics: Metrics,
    kind: InstrumentKind,
    side: OrderSide,
    value: f64,
) -> Costs {
    let watch = metrics.stopwatch();
    let transaction = transaction_type(kind, side);
    let costs = calculate(transaction, side, value);
    metrics.track_cost_breakdown(transaction, watch.elapsed());
    costs
}

fn transaction_type(kind: InstrumentKind, side: OrderSide) -> CostTransactionType {
    match (kind, side) {
        (InstrumentKind::Equity, _) => CostTransactionType::Equity,
        (InstrumentKind::Future { .. }, _) => CostTransactionType::Futures,
        (InstrumentKind::Option { .. }, OrderSide::Sell) => CostTransactionType::OptionsSell,
        (InstrumentKind::Option { .. }, _) => CostTransactionType::OptionsBuy,
    }
}

fn calculate(transaction: CostTransactionType, side: OrderSide, value: f64) -> Costs {
    let rates = match transaction {
        CostTransactionType::Futures => FUTURES,
        CostTransactionType::Equity => EQUITY,
        _ => OPTIONS,
    };
    let (stt, stamp_duty) = match side {
        OrderSide::Sell => (rates.stt_sell, 0.0),
        _ => (rates.stt_buy, rates.stamp_duty),
    };
    let rounded = |rupees: f64| (rupees * 100.0).round() / 100.0;
    let brokerage = rounded((value * rates.brokerage).min(LARGEST_BROKERAGE));
    let exchange_charges = rounded(value * rates.exchange);
    let (stt, stamp_duty) = (rounded(value * stt), rounded(value * stamp_duty));
    let gst = rounded((brokerage + exchange_charges) * GST);
    let total = rounded(brokerage + stt + exchange_charges + gst + stamp_duty);
    Costs { brokerage, stt, exchange_charges, gst, stamp_duty, total }
}

#[cfg(test)]
mod tests {
    use backend_metrics::labels::{CostTransactionType, OrderSide};

    use super::calculate;

    #[test]
    fn the_seller_of_an_option_pays_the_tax_and_its_buyer_the_stamp() {
        let sold = calculate(CostTransactionType::OptionsSell, OrderSide::Sell, 100_000.0);
        let parts = [sold.brokerage, sold.stt, sold.exchange_charges, sold.gst, sold.stamp_duty];
        assert_eq!((parts, sold.total), ([20.0, 100.0, 35.03, 9.91, 0.0], 164.94));
        let bought = calculate(CostTransactionType::OptionsBuy, OrderSide::Buy, 100_000.0);
        assert_eq!((bought.stt, bought.stamp_duty, bought.total), (0.0, 3.0, 67.94));
    }

    #[test]
    fn the_broker_takes_a_share_of_a_small_trade() {
        let small = calculate(CostTransactionType::Equity, OrderSide::Buy, 10_000.0);
        assert_eq!((small.brokerage, small.stt), (3.0, 10.0));
        let large = calculate(CostTransactionType::Futures, OrderSide::Buy, 1_000_000.0);
        assert_eq!((large.brokerage, large.stt, large.stamp_duty), (20.0, 0.0, 20.0));
    }
}
