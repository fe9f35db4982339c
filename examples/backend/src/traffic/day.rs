//! What a trader does on a day: one request at a time, in proportions.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, StatusCode};
use parking_lot::Mutex;
use rand::seq::IndexedRandom;
use serde_json::{Value, json};

use super::client::{Answer, Client, Credentials};
use crate::{
    accounts,
    app::App,
    statements,
    ticker::protocol::{Instrument, InstrumentKind},
};

/// What a trader may do next, and how often of a thousand times.
const DAY: &[(u32, Action)] = &[
    (120, Action::Account),
    (100, Action::Strategies),
    (10, Action::CreateStrategy),
    (40, Action::Strategy),
    (10, Action::ChangeStrategy),
    (15, Action::AddInstrument),
    (5, Action::RemoveInstrument),
    (6, Action::DeleteStrategy),
    (20, Action::MarkToMarket),
    (50, Action::Profit),
    (40, Action::ValidateOrder),
    (90, Action::PlaceOrder),
    (60, Action::Orders),
    (40, Action::Order),
    (10, Action::ModifyOrder),
    (15, Action::CancelOrder),
    (60, Action::Analytics("/fo/{underlying}/option-chain")),
    (30, Action::Analytics("/fo/{underlying}/strike-distribution")),
    (30, Action::Analytics("/fo/{underlying}/open-interest")),
    (30, Action::Analytics("/fo/{underlying}/moneyness")),
    (20, Action::Greeks),
    (90, Action::Indicator),
    (15, Action::Holidays),
    (25, Action::Session),
    (6, Action::UploadStatement),
    (10, Action::Statements),
    (30, Action::LogIn),
    (10, Action::WrongKey),
    (5, Action::Refresh),
    (5, Action::LogOut),
    (3, Action::Lost),
];

#[derive(Clone, Copy, Debug)]
enum Action {
    Account,
    Strategies,
    CreateStrategy,
    Strategy,
    ChangeStrategy,
    AddInstrument,
    RemoveInstrument,
    DeleteStrategy,
    MarkToMarket,
    Profit,
    ValidateOrder,
    PlaceOrder,
    Orders,
    Order,
    ModifyOrder,
    CancelOrder,
    Analytics(&'static str),
    Greeks,
    Indicator,
    Holidays,
    Session,
    UploadStatement,
    Statements,
    LogIn,
    WrongKey,
    Refresh,
    LogOut,
    Lost,
}

/// A trader and what it remembers.
#[derive(Debug)]
pub(super) struct Trader {
    pub(super) account: &'static str,
    pub(super) client: Client,
    pub(super) app: Arc<App>,
    tokens: Mutex<Option<Tokens>>,
    strategies: Mutex<Vec<Strategy>>,
    orders: Mutex<Vec<Order>>,
}

#[derive(Clone, Debug)]
struct Tokens {
    access: String,
    refresh: String,
}

#[derive(Clone, Debug)]
struct Strategy {
    id: String,
    instruments: Vec<String>,
}

#[derive(Clone, Debug)]
struct Order {
    id: String,
    /// In rupees, unless it takes what the market gives.
    price: Option<f64>,
}

impl Trader {
    pub(super) fn new(account: &'static str, client: Client, app: Arc<App>) -> Self {
        Self {
            account,
            client,
            app,
            tokens: Mutex::default(),
            strategies: Mutex::default(),
            orders: Mutex::default(),
        }
    }

    /// Sends one request, or, to be able to, the one that comes before it.
    pub(super) async fn act(&self) {
        let Some(token) = self.tokens.lock().as_ref().map(|tokens| tokens.access.clone()) else {
            self.log_in().await;
            return;
        };
        let who = Credentials::Token(token);
        if self
            .take(pick(), &who)
            .await
            .is_some_and(|answer| answer.status == StatusCode::UNAUTHORIZED)
        {
            // Its session ended.
            *self.tokens.lock() = None;
        }
    }

    /// A token to call with.
    pub(super) async fn token(&self) -> Option<String> {
        if self.tokens.lock().is_none() {
            self.log_in().await;
        }
        self.tokens.lock().as_ref().map(|tokens| tokens.access.clone())
    }

    /// The symbols of everything that can be traded.
    pub(super) fn symbols(&self) -> Vec<String> {
        self.app.market.instruments().iter().map(|instrument| instrument.symbol.clone()).collect()
    }

    /// The symbol of one of the few options that everybody looks at.
    pub(super) fn favourite(&self) -> Option<String> {
        let instruments = self.app.market.instruments();
        let is_option = |it: &&Instrument| matches!(it.kind, InstrumentKind::Option { .. });
        let options: Vec<_> = instruments.iter().filter(is_option).take(5).collect();
        one_of(&options).map(|option| option.symbol.clone())
    }

    fn instrument(&self) -> Option<Instrument> {
        one_of(&self.app.market.instruments())
    }

    async fn take(&self, action: Action, who: &Credentials) -> Option<Answer> {
        let key = Credentials::Key(format!("demo-key-{}", self.account));
        let get = async |endpoint, path: &str, who| {
            self.client.ask(Method::GET, endpoint, path, who, None).await
        };
        match action {
            Action::Account => {
                get("/accounts/{id}", &format!("/accounts/{}", self.account), &key).await
            }
            Action::Strategies => get("/strategies", "/strategies", &key).await,
            Action::CreateStrategy => self.create_strategy(who).await,
            Action::Strategy => match self.strategy() {
                Some(it) => get("/strategies/{id}", &format!("/strategies/{}", it.id), who).await,
                None => self.create_strategy(who).await,
            },
            Action::Profit => match self.strategy() {
                Some(it) => {
                    get("/strategies/{id}/pnl", &format!("/strategies/{}/pnl", it.id), who).await
                }
                None => self.create_strategy(who).await,
            },
            Action::ChangeStrategy
            | Action::AddInstrument
            | Action::RemoveInstrument
            | Action::DeleteStrategy
            | Action::MarkToMarket => match self.strategy() {
                Some(strategy) => self.change_strategy(action, strategy, who).await,
                None => self.create_strategy(who).await,
            },
            Action::ValidateOrder => {
                let order = self.new_order();
                self.client
                    .ask(Method::POST, "/orders/validate", "/orders/validate", who, Some(order))
                    .await
            }
            Action::PlaceOrder => self.place_order(who).await,
            Action::Orders => get("/orders", "/orders", who).await,
            Action::Order | Action::ModifyOrder | Action::CancelOrder => match self.order() {
                Some(order) => self.change_order(action, &order, who).await,
                None => self.place_order(who).await,
            },
            Action::Analytics(endpoint) => {
                let underlying = if rand::random() { "NIFTY" } else { "BANKNIFTY" };
                get(endpoint, &endpoint.replace("{underlying}", underlying), &key).await
            }
            Action::Greeks => {
                let option = json!({
                    "price": 24_500.0, "strike": 24_000.0 + 50.0 * f64::from(rand::random_range(0..20)),
                    "days": 7.0, "volatility": 0.14, "rate": 0.07, "call": rand::random::<bool>(),
                });
                self.client.ask(Method::POST, "/fo/greeks", "/fo/greeks", who, Some(option)).await
            }
            Action::Indicator => {
                let option = self.favourite()?;
                let names = ["iv", "delta", "gamma", "theta", "vega", "oi"];
                let name = one_of(&names)?;
                let path = format!("/indicators/{name}/{option}");
                get("/indicators/{indicator}/{instrument}", &path, &key).await
            }
            Action::Holidays => {
                get("/calendar/holidays", "/calendar/holidays?year=2026", &Credentials::Nobody)
                    .await
            }
            Action::Session => {
                get("/calendar/session", "/calendar/session", &Credentials::Nobody).await
            }
            Action::UploadStatement => self.upload_statement(who).await,
            Action::Statements => get("/statements", "/statements", who).await,
            Action::LogIn => self.log_in().await,
            Action::WrongKey => {
                let key = Credentials::Key("no such key".to_owned());
                get("/orders", "/orders", &key).await;
                None
            }
            Action::Refresh => self.refresh().await,
            Action::LogOut => {
                *self.tokens.lock() = None;
                self.client.ask(Method::POST, "/auth/logout", "/auth/logout", who, None).await
            }
            Action::Lost => get("unmatched", "/index.php", &Credentials::Nobody).await,
        }
    }

    async fn log_in(&self) -> Option<Answer> {
        let body = json!({ "account": self.account, "password": accounts::DEMO_PASSWORD });
        self.tokens_of("/auth/login", body).await
    }

    async fn refresh(&self) -> Option<Answer> {
        let refresh = self.tokens.lock().as_ref()?.refresh.clone();
        self.tokens_of("/auth/refresh", json!({ "refresh_token": refresh })).await
    }

    async fn tokens_of(&self, endpoint: &'static str, body: Value) -> Option<Answer> {
        let answer = self
            .client
            .ask(Method::POST, endpoint, endpoint, &Credentials::Nobody, Some(body))
            .await?;
        let text = |key: &str| answer.value[key].as_str().map(str::to_owned);
        if let (Some(access), Some(refresh)) = (text("access_token"), text("refresh_token")) {
            *self.tokens.lock() = Some(Tokens { access, refresh });
        }
        Some(answer)
    }

    fn strategy(&self) -> Option<Strategy> {
        one_of(&self.strategies.lock())
    }

    async fn create_strategy(&self, who: &Credentials) -> Option<Answer> {
        // Some lose more than that soon.
        let body = json!({ "name": "straddle", "stop_loss_rupees": rand::random_range(1..5_000) });
        let answer =
            self.client.ask(Method::POST, "/strategies", "/strategies", who, Some(body)).await?;
        if let Some(id) = answer.value["id"].as_str() {
            self.strategies.lock().push(Strategy { id: id.to_owned(), instruments: Vec::new() });
        }
        Some(answer)
    }

    async fn change_strategy(
        &self,
        action: Action,
        strategy: Strategy,
        who: &Credentials,
    ) -> Option<Answer> {
        let path = format!("/strategies/{}", strategy.id);
        let known = |change: &dyn Fn(&mut Strategy)| {
            self.strategies
                .lock()
                .iter_mut()
                .filter(|known| known.id == strategy.id)
                .for_each(change);
        };
        match (action, one_of(&strategy.instruments)) {
            (Action::ChangeStrategy, _) => {
                let body =
                    json!({ "name": "strangle", "stop_loss_rupees": rand::random_range(1..5_000) });
                self.client.ask(Method::PUT, "/strategies/{id}", &path, who, Some(body)).await
            }
            (Action::DeleteStrategy, _) => {
                self.strategies.lock().retain(|known| known.id != strategy.id);
                self.client.ask(Method::DELETE, "/strategies/{id}", &path, who, None).await
            }
            (Action::MarkToMarket, _) => {
                let path = format!("{path}/m2m");
                self.client.ask(Method::POST, "/strategies/{id}/m2m", &path, who, None).await
            }
            (Action::RemoveInstrument, Some(symbol)) => {
                known(&|known| known.instruments.retain(|one| *one != symbol));
                let path = format!("{path}/instruments/{symbol}");
                let endpoint = "/strategies/{id}/instruments/{instrument}";
                self.client.ask(Method::DELETE, endpoint, &path, who, None).await
            }
            _ => {
                let instrument = self.instrument()?;
                if strategy.instruments.contains(&instrument.symbol) {
                    return None;
                }
                known(&|known| known.instruments.push(instrument.symbol.clone()));
                let lots = rand::random_range(-3..=3_i64);
                let quantity = i64::from(instrument.lot) * if lots == 0 { 1 } else { lots };
                let body = json!({ "instrument": instrument.symbol, "quantity": quantity });
                let path = format!("{path}/instruments");
                self.client
                    .ask(Method::POST, "/strategies/{id}/instruments", &path, who, Some(body))
                    .await
            }
        }
    }

    fn order(&self) -> Option<Order> {
        one_of(&self.orders.lock())
    }

    /// An order near the market, of a kind at random.
    fn new_order(&self) -> Value {
        let Some(instrument) = self.instrument() else { return Value::Null };
        let price = self.app.market.last(&instrument.symbol).map_or(100.0, |tick| tick.price);
        let side = if rand::random() { "buy" } else { "sell" };
        let (order_type, away) = match rand::random_range(0..10) {
            0..4 => ("market", None),
            4..8 => ("limit", Some(0.999)),
            8 => ("stop_loss", Some(1.001)),
            _ => ("stop_loss_market", Some(1.001)),
        };
        let away = away.map(|away: f64| if side == "buy" { away } else { away.recip() });
        json!({
            "instrument": instrument.symbol,
            "order_type": order_type,
            "side": side,
            "quantity": instrument.lot,
            "price": away.map(|away| in_steps(price * away)),
        })
    }

    async fn place_order(&self, who: &Credentials) -> Option<Answer> {
        let body = self.new_order();
        let price = body["price"].as_f64();
        let answer = self.client.ask(Method::POST, "/orders", "/orders", who, Some(body)).await?;
        if let Some(id) = answer.value["id"].as_str() {
            let mut orders = self.orders.lock();
            orders.push(Order { id: id.to_owned(), price });
            // Older ones are over.
            if orders.len() > 20 {
                orders.remove(0);
            }
        }
        Some(answer)
    }

    async fn change_order(
        &self,
        action: Action,
        order: &Order,
        who: &Credentials,
    ) -> Option<Answer> {
        let path = format!("/orders/{}", order.id);
        let (method, body) = match (action, order.price) {
            (Action::ModifyOrder, Some(price)) => {
                (Method::PUT, Some(json!({ "price": in_steps(price * 1.001) })))
            }
            (Action::CancelOrder, _) => (Method::DELETE, None),
            _ => (Method::GET, None),
        };
        self.client.ask(method, "/orders/{id}", &path, who, body).await
    }

    async fn upload_statement(&self, who: &Credentials) -> Option<Answer> {
        let rows = rand::random_range(20..200);
        let (media_type, body) = match rand::random_range(0..10) {
            // Not every file is what its name says.
            0 => (statements::CSV, Bytes::from_static(b"day;what\nyesterday;something\n")),
            1..5 => (statements::XLSX, statements::sample_xlsx(rows).unwrap_or_default().into()),
            _ => (statements::CSV, statements::sample_csv(rows).into()),
        };
        self.client.send(Method::POST, "/statements", "/statements", who, media_type, body).await
    }
}

/// An action, as often as the table says.
fn pick() -> Action {
    DAY.choose_weighted(&mut rand::rng(), |row| row.0).expect("the weights are positive").1
}

/// A price in steps of five paise.
fn in_steps(price: f64) -> f64 {
    (price * 20.0).round() / 20.0
}

fn one_of<T: Clone>(all: &[T]) -> Option<T> {
    all.choose(&mut rand::rng()).cloned()
}
