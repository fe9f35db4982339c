//! What the market does to an order: nothing but arithmetic on a quote.

use backend_metrics::labels::{OrderSide, OrderType};

use super::order::{Order, float, paise};
use crate::ticker::protocol::Tick;

/// How far a price may be from the last one before the exchange refuses the order, in percent of that.
const PRICE_BAND: i64 = 20;
/// How far past its trigger a stop order still trades, in parts of a thousand: its limit.
const PAST_TRIGGER: i64 = 5;

/// The prices of a tick, in paise.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quote {
    pub(super) last: i64,
    pub(super) bid: i64,
    pub(super) ask: i64,
    pub(super) bid_quantity: i64,
    pub(super) ask_quantity: i64,
}

/// What is traded of an order at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fill {
    pub(super) quantity: i64,
    pub(super) price_paise: i64,
}

impl Quote {
    /// The quote of a tick, if it has one that makes sense.
    pub(super) fn of(tick: &Tick) -> Option<Self> {
        let price = |rupees| paise(rupees).filter(|price| *price > 0);
        let quantity = |quantity| i64::try_from(quantity).unwrap_or(i64::MAX);
        let quote = Self {
            last: price(tick.price)?,
            bid: price(tick.bid)?,
            ask: price(tick.ask)?,
            bid_quantity: quantity(tick.bid_quantity),
            ask_quantity: quantity(tick.ask_quantity),
        };
        (quote.bid <= quote.ask).then_some(quote)
    }

    /// The distance of bid and ask, as a part of the price in the middle.
    pub(super) fn spread(&self) -> f64 {
        2.0 * float(self.ask - self.bid) / float(self.ask + self.bid)
    }

    /// What an order of `side` trades against: price and quantity.
    pub(super) fn against(&self, side: OrderSide) -> (i64, i64) {
        match side {
            OrderSide::Sell => (self.bid, self.bid_quantity),
            _ => (self.ask, self.ask_quantity),
        }
    }
}

/// Whether an order of this type waits for its trigger.
pub(super) fn waits(order_type: OrderType) -> bool {
    matches!(order_type, OrderType::StopLoss | OrderType::StopLossMarket)
}

/// Whether the market has reached the price of a stop order: a buy from below, a sell from above.
pub(super) fn triggers(order: &Order, quote: &Quote) -> bool {
    match order.side {
        OrderSide::Sell => quote.last <= order.price_paise,
        _ => quote.last >= order.price_paise,
    }
}

/// Whether the exchange refuses an order for its price.
pub(super) fn out_of_band(order: &Order, quote: &Quote) -> bool {
    let distance = (order.price_paise - quote.last).abs();
    order.order_type != OrderType::Market && distance * 100 > quote.last * PRICE_BAND
}

/// What is traded of an order that does not wait for a trigger. `lot` is the step of quantities.
pub(super) fn fill(order: &Order, lot: i64, quote: &Quote) -> Option<Fill> {
    let (price_paise, offered) = quote.against(order.side);
    let past = order.price_paise * PAST_TRIGGER / 1000;
    let limit = match (order.order_type, order.side) {
        (OrderType::Limit, _) => Some(order.price_paise),
        (OrderType::StopLoss, OrderSide::Sell) => Some(order.price_paise - past),
        (OrderType::StopLoss, _) => Some(order.price_paise + past),
        _ => None,
    };
    let reached = limit.is_none_or(|limit| match order.side {
        OrderSide::Sell => price_paise >= limit,
        _ => price_paise <= limit,
    });
    let quantity = (order.quantity - order.filled_quantity).min(offered / lot * lot);
    (reached && quantity > 0).then_some(Fill { quantity, price_paise })
}

#[cfg(test)]
mod tests {
    use backend_metrics::labels::{OrderSide, OrderState, OrderType};

    use super::{Fill, Quote, fill, out_of_band, triggers};
    use crate::{orders::order::Order, ticker::protocol::Tick};

    const QUOTE: Quote =
        Quote { last: 10_000, bid: 9_990, ask: 10_010, bid_quantity: 80, ask_quantity: 40 };

    fn order(order_type: OrderType, side: OrderSide, price_paise: i64) -> Order {
        Order {
            id: "1".to_owned(),
            account_id: "A-01".to_owned(),
            instrument: "INFY".to_owned(),
            order_type,
            side,
            quantity: 50,
            price_paise,
            filled_quantity: 0,
            fill_price_paise: None,
            state: OrderState::Open,
            placed_at: 0,
        }
    }

    #[test]
    fn no_more_is_filled_than_is_offered_in_whole_lots() {
        let mut order = order(OrderType::Market, OrderSide::Buy, 10_000);
        let part = |quantity| Some(Fill { quantity, price_paise: 10_010 });
        assert_eq!(fill(&order, 25, &QUOTE), part(25));
        assert_eq!(fill(&order, 1, &QUOTE), part(40));
        order.filled_quantity = 45;
        assert_eq!(fill(&order, 1, &QUOTE), part(5));
        assert_eq!(fill(&order, 50, &QUOTE), None);
    }

    #[test]
    fn a_limit_order_is_filled_at_its_price_or_a_better_one() {
        let price = |side, limit| {
            fill(&order(OrderType::Limit, side, limit), 1, &QUOTE).map(|fill| fill.price_paise)
        };
        assert_eq!(price(OrderSide::Buy, 10_009), None);
        assert_eq!(price(OrderSide::Buy, 10_020), Some(10_010));
        assert_eq!(price(OrderSide::Sell, 9_991), None);
        assert_eq!(price(OrderSide::Sell, 9_980), Some(9_990));
    }

    #[test]
    fn a_stop_order_triggers_when_the_market_moves_against_it() {
        let triggers = |side, trigger| triggers(&order(OrderType::StopLoss, side, trigger), &QUOTE);
        assert!(triggers(OrderSide::Buy, 10_000));
        assert!(!triggers(OrderSide::Buy, 10_001));
        assert!(triggers(OrderSide::Sell, 10_000));
        assert!(!triggers(OrderSide::Sell, 9_999));
    }

    #[test]
    fn a_triggered_stop_order_has_a_limit_and_a_stop_market_order_none() {
        let fills = |order_type, trigger| {
            fill(&order(order_type, OrderSide::Buy, trigger), 1, &QUOTE).is_some()
        };
        assert!(fills(OrderType::StopLoss, 9_970));
        assert!(!fills(OrderType::StopLoss, 9_900));
        assert!(fills(OrderType::StopLossMarket, 9_900));
    }

    #[test]
    fn the_exchange_refuses_prices_far_from_the_last_one() {
        let refused =
            |order_type, price| out_of_band(&order(order_type, OrderSide::Sell, price), &QUOTE);
        assert!(!refused(OrderType::Limit, 12_000));
        assert!(refused(OrderType::Limit, 12_001));
        assert!(refused(OrderType::StopLoss, 7_999));
        assert!(!refused(OrderType::Market, 1));
    }

    #[test]
    fn a_tick_that_makes_no_sense_has_no_quote() {
        let quote = |bid, ask| {
            let tick = Tick {
                symbol: "INFY".to_owned(),
                sequence: 1,
                price: 100.0,
                bid,
                ask,
                bid_quantity: 1,
                ask_quantity: 1,
                open_interest: 0,
                sent_at: 0,
            };
            Quote::of(&tick)
        };
        assert!(quote(99.9, 100.1).is_some());
        assert!(quote(100.1, 99.9).is_none());
        assert!(quote(f64::NAN, 100.1).is_none());
        assert!(quote(0.0, 100.1).is_none());
    }
}
