//! What an order is: as it is asked for, and as it is stored.

use backend_metrics::labels::{OrderSide, OrderState, OrderType};
use rust_decimal::prelude::ToPrimitive;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use sqlx::{Error, FromRow, Row, any::AnyRow};

use crate::reply::Problem;

/// The largest price, in rupees. With it no product of a price and a quantity overflows.
const LARGEST_PRICE: f64 = 10_000_000.0;
/// The largest quantity.
const LARGEST_QUANTITY: i64 = 1_000_000_000;

/// An order as it is asked for.
#[derive(Clone, Debug, Deserialize)]
pub struct NewOrder {
    /// What to trade.
    pub instrument: String,
    /// How.
    #[serde(deserialize_with = "read")]
    pub order_type: OrderType,
    /// Which way.
    #[serde(deserialize_with = "read")]
    pub side: OrderSide,
    /// How many.
    pub quantity: i64,
    /// The limit of a limit order, the trigger of a stop order. In rupees from outside.
    #[serde(default, rename = "price", deserialize_with = "read_price")]
    pub price_paise: Option<i64>,
}

impl NewOrder {
    /// Whether it says all that an order of its type has to say, and no more.
    pub fn complete(self) -> Result<Self, Problem> {
        if !(1..=LARGEST_QUANTITY).contains(&self.quantity) {
            return Err(Problem::BadRequest("no such quantity".to_owned()));
        }
        match (self.order_type, self.price_paise) {
            (OrderType::Market, Some(_)) => {
                Err(Problem::BadRequest("a market order has no price".to_owned()))
            }
            (OrderType::Market, None) | (_, Some(_)) => Ok(self),
            (_, None) => Err(Problem::BadRequest("an order of this type has a price".to_owned())),
        }
    }
}

/// What is to be changed of an order.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Change {
    /// The new quantity, what is filled included.
    pub quantity: Option<i64>,
    /// The new price.
    #[serde(default, rename = "price", deserialize_with = "read_price")]
    pub price_paise: Option<i64>,
}

/// An order as it is stored and shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Order {
    /// Its name.
    pub id: String,
    /// Whose it is.
    pub account_id: String,
    /// What is traded.
    pub instrument: String,
    /// How.
    #[serde(serialize_with = "write")]
    pub order_type: OrderType,
    /// Which way.
    #[serde(serialize_with = "write")]
    pub side: OrderSide,
    /// How many.
    pub quantity: i64,
    /// The price that was asked for; without one, that of the market then.
    pub price_paise: i64,
    /// How many of them are traded.
    pub filled_quantity: i64,
    /// At which price, on the average.
    pub fill_price_paise: Option<i64>,
    /// What became of it.
    #[serde(serialize_with = "write")]
    pub state: OrderState,
    /// When, in milliseconds since 1970.
    pub placed_at: i64,
}

impl Order {
    /// What would have to be asked for to get the order with `change`.
    #[must_use]
    pub fn changed(self, change: Change) -> NewOrder {
        let price = (self.order_type != OrderType::Market).then_some(self.price_paise);
        NewOrder {
            instrument: self.instrument,
            order_type: self.order_type,
            side: self.side,
            quantity: change.quantity.unwrap_or(self.quantity),
            price_paise: change.price_paise.or(price),
        }
    }
}

impl FromRow<'_, AnyRow> for Order {
    fn from_row(row: &AnyRow) -> Result<Self, Error> {
        Ok(Self {
            id: row.try_get("id")?,
            account_id: row.try_get("account_id")?,
            instrument: row.try_get("instrument")?,
            order_type: column(row, "order_type")?,
            side: column(row, "side")?,
            quantity: row.try_get("quantity")?,
            price_paise: row.try_get("price_paise")?,
            filled_quantity: row.try_get("filled_quantity")?,
            fill_price_paise: row.try_get("fill_price_paise")?,
            state: column(row, "state")?,
            placed_at: row.try_get("placed_at")?,
        })
    }
}

/// Rupees in paise, if there can be such a price.
pub(super) fn paise(rupees: f64) -> Option<i64> {
    (0.0..=LARGEST_PRICE).contains(&rupees).then(|| (rupees * 100.0).round().to_i64())?
}

/// Paise in rupees.
pub(super) fn rupees(paise: i64) -> f64 {
    float(paise) / 100.0
}

/// A number to reckon with where rounding does no harm.
pub(super) fn float(number: i64) -> f64 {
    number.to_f64().unwrap_or(f64::NAN)
}

/// A label that is called the same in the API and in the database.
trait Named: Copy + 'static {
    const ALL: &'static [Self];

    fn name(self) -> &'static str;

    fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|value| value.name() == name)
    }
}

impl Named for OrderType {
    const ALL: &'static [Self] = Self::ALL;

    fn name(self) -> &'static str {
        self.as_str()
    }
}

impl Named for OrderSide {
    const ALL: &'static [Self] = Self::ALL;

    fn name(self) -> &'static str {
        self.as_str()
    }
}

impl Named for OrderState {
    const ALL: &'static [Self] = Self::ALL;

    fn name(self) -> &'static str {
        self.as_str()
    }
}

fn column<T: Named>(row: &AnyRow, name: &str) -> Result<T, Error> {
    let text: String = row.try_get(name)?;
    T::named(&text).ok_or_else(|| Error::ColumnDecode {
        index: name.to_owned(),
        source: format!("unknown value {text}").into(),
    })
}

fn read<'de, D: Deserializer<'de>, T: Named>(from: D) -> Result<T, D::Error> {
    let text = String::deserialize(from)?;
    T::named(&text).ok_or_else(|| D::Error::custom(format_args!("no such thing: {text}")))
}

fn read_price<'de, D: Deserializer<'de>>(from: D) -> Result<Option<i64>, D::Error> {
    let Some(price) = Option::<f64>::deserialize(from)? else { return Ok(None) };
    let price = paise(price).filter(|price| *price > 0);
    price.map(Some).ok_or_else(|| D::Error::custom("no such price"))
}

fn write<S: Serializer, T: Named>(value: &T, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(value.name())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{NewOrder, paise};
    use crate::reply::Problem;

    fn asked(order_type: &str, price: impl Into<Option<f64>>) -> Result<NewOrder, Problem> {
        let price = price.into();
        let asked = json!({
            "instrument": "INFY", "order_type": order_type, "side": "sell", "quantity": 5, "price": price,
        });
        let asked = serde_json::from_value::<NewOrder>(asked);
        asked.map_err(|error| Problem::BadRequest(error.to_string()))?.complete()
    }

    #[test]
    fn a_price_goes_with_every_order_but_a_market_order() {
        assert_eq!(asked("limit", 1500.05).unwrap().price_paise, Some(150_005));
        assert_eq!(asked("market", None).unwrap().price_paise, None);
        for (order_type, price) in [
            ("limit", None),
            ("market", Some(1500.0)),
            ("limit", Some(0.0)),
            ("limit", Some(-5.0)),
            ("stop_loss", Some(1e300)),
            ("iceberg", Some(5.0)),
        ] {
            assert!(matches!(asked(order_type, price), Err(Problem::BadRequest(_))), "{price:?}");
        }
    }

    #[test]
    fn what_is_no_price_is_no_number_of_paise() {
        assert_eq!(paise(0.05), Some(5));
        for rupees in [f64::NAN, f64::INFINITY, -0.01, 1e12] {
            assert_eq!(paise(rupees), None);
        }
    }
}
