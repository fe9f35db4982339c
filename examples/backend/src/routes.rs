//! Which handler answers which path, and who may ask.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use backend_metrics::middleware::Endpoint;
use bytes::Bytes;
use futures_util::{FutureExt, future::BoxFuture};
use http::{Method, Request};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use matchit::Router;
use serde::de::DeserializeOwned;
use tokio::time;
use tracing::Instrument;

use crate::{
    accounts,
    app::App,
    auth, calendar, fno, indicators, orders,
    reply::{Problem, Reply},
    statements, strategies, websocket,
};

/// The largest body of JSON.
const LARGEST_JSON: usize = 64 * 1024;
/// How long a client may take to send a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Answers a call.
pub type Handler = fn(Call) -> BoxFuture<'static, Result<Reply, Problem>>;

/// Who may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anyone.
    Public,
    /// Whoever is logged in or has an API key.
    Account,
    /// Whoever is logged in; an API key is not enough.
    Trade,
}

/// A row of the table below.
struct Route(Method, &'static str, Access, Handler);

/// Every route of the service.
#[rustfmt::skip]
static ROUTES: &[Route] = &[
    Route(Method::GET, "/health", Access::Public, |call| health(call).boxed()),
    Route(Method::POST, "/auth/login", Access::Public, |call| auth::login(call).boxed()),
    Route(Method::POST, "/auth/refresh", Access::Public, |call| auth::refresh(call).boxed()),
    Route(Method::POST, "/auth/logout", Access::Trade, |call| auth::logout(call).boxed()),
    Route(Method::GET, "/accounts/{id}", Access::Account, |call| accounts::show(call).boxed()),
    Route(Method::GET, "/strategies", Access::Account, |call| strategies::list(call).boxed()),
    Route(Method::POST, "/strategies", Access::Trade, |call| to_the_end(strategies::create(call)).boxed()),
    Route(Method::GET, "/strategies/{id}", Access::Account, |call| strategies::show(call).boxed()),
    Route(Method::PUT, "/strategies/{id}", Access::Trade, |call| to_the_end(strategies::update(call)).boxed()),
    Route(Method::DELETE, "/strategies/{id}", Access::Trade, |call| to_the_end(strategies::delete(call)).boxed()),
    Route(Method::POST, "/strategies/{id}/instruments", Access::Trade, |call| to_the_end(strategies::add_instrument(call)).boxed()),
    Route(Method::DELETE, "/strategies/{id}/instruments/{instrument}", Access::Trade, |call| to_the_end(strategies::remove_instrument(call)).boxed()),
    Route(Method::POST, "/strategies/{id}/m2m", Access::Trade, |call| to_the_end(strategies::mark_to_market(call)).boxed()),
    Route(Method::GET, "/strategies/{id}/pnl", Access::Account, |call| strategies::profit(call).boxed()),
    Route(Method::POST, "/orders/validate", Access::Trade, |call| orders::validate(call).boxed()),
    Route(Method::GET, "/orders", Access::Account, |call| orders::list(call).boxed()),
    Route(Method::POST, "/orders", Access::Trade, |call| orders::place(call).boxed()),
    Route(Method::GET, "/orders/{id}", Access::Account, |call| orders::show(call).boxed()),
    Route(Method::PUT, "/orders/{id}", Access::Trade, |call| orders::modify(call).boxed()),
    Route(Method::DELETE, "/orders/{id}", Access::Trade, |call| orders::cancel(call).boxed()),
    Route(Method::GET, "/fo/{underlying}/option-chain", Access::Account, |call| fno::option_chain(call).boxed()),
    Route(Method::GET, "/fo/{underlying}/strike-distribution", Access::Account, |call| fno::strike_distribution(call).boxed()),
    Route(Method::GET, "/fo/{underlying}/open-interest", Access::Account, |call| fno::open_interest(call).boxed()),
    Route(Method::GET, "/fo/{underlying}/moneyness", Access::Account, |call| fno::moneyness(call).boxed()),
    Route(Method::POST, "/fo/greeks", Access::Account, |call| fno::greeks(call).boxed()),
    Route(Method::GET, "/indicators/{indicator}/{instrument}", Access::Account, |call| indicators::show(call).boxed()),
    Route(Method::GET, "/calendar/holidays", Access::Public, |call| calendar::holidays(call).boxed()),
    Route(Method::GET, "/calendar/session", Access::Public, |call| calendar::session(call).boxed()),
    Route(Method::POST, "/statements", Access::Account, |call| statements::upload(call).boxed()),
    Route(Method::GET, "/statements", Access::Account, |call| statements::list(call).boxed()),
    Route(Method::GET, "/ws/fo/stream", Access::Account, |call| websocket::fo_stream(call).boxed()),
    Route(Method::GET, "/ws/indicators", Access::Account, |call| websocket::indicators(call).boxed()),
];

static ROUTER: LazyLock<Router<Vec<&'static Route>>> = LazyLock::new(|| {
    let mut router: Router<Vec<&'static Route>> = Router::new();
    for route in ROUTES {
        match router.at_mut(route.1) {
            Ok(found) => found.value.push(route),
            Err(_) => router.insert(route.1, vec![route]).expect("the routes are well formed"),
        }
    }
    router
});

/// The paths of the table, those with several methods more than once.
pub fn templates() -> impl Iterator<Item = &'static str> {
    ROUTES.iter().map(|route| route.1)
}

/// What a request was matched to.
#[derive(Clone, Debug)]
pub struct Matched {
    /// The path, with names in place of what varies.
    pub template: &'static str,
    /// Who may call.
    pub access: Access,
    /// Answers it.
    pub handler: Handler,
    parameters: Arc<[(String, String)]>,
}

/// Looks the route up and notes it with the request, for the layers further in.
///
/// The metrics layer takes the template from the [`Endpoint`]: with the path itself every order would have
/// series of its own.
pub fn match_route(mut request: Request<Incoming>) -> Request<Incoming> {
    let path = request.uri().path().to_owned();
    if let Ok(found) = ROUTER.at(&path) {
        let template = found.value[0].1;
        let matched = found.value.iter().find(|route| route.0 == request.method()).map(|route| {
            let parameters =
                found.params.iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
            Matched {
                template,
                access: route.2,
                handler: route.3,
                parameters: parameters.collect(),
            }
        });
        request.extensions_mut().insert(Endpoint::from_static(template));
        if let Some(matched) = matched {
            request.extensions_mut().insert(matched);
        }
    }
    request
}

/// A request on its way to its handler.
#[derive(Debug)]
pub struct Call {
    /// What handlers share.
    pub app: Arc<App>,
    /// The request.
    pub request: Request<Incoming>,
    /// The account that calls, unless the route is public.
    pub account: String,
    /// The parameters of the path.
    pub matched: Matched,
}

impl Call {
    /// A parameter of the path.
    #[must_use]
    pub fn parameter(&self, name: &str) -> &str {
        self.matched
            .parameters
            .iter()
            .find(|(found, _)| found == name)
            .map_or("", |(_, value)| value)
    }

    /// The query of the URL as `T`.
    pub fn query<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        serde_urlencoded::from_str(self.request.uri().query().unwrap_or_default())
            .map_err(|error| Problem::BadRequest(error.to_string()))
    }

    /// The body as JSON.
    pub async fn json<T: DeserializeOwned>(&mut self) -> Result<T, Problem> {
        let bytes = self.bytes(LARGEST_JSON).await?;
        serde_json::from_slice(&bytes).map_err(|error| Problem::BadRequest(error.to_string()))
    }

    /// The whole body, if it is not larger than `limit` bytes.
    pub async fn bytes(&mut self, limit: usize) -> Result<Bytes, Problem> {
        let body = Limited::new(self.request.body_mut(), limit).collect();
        match time::timeout(BODY_TIMEOUT, body).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Problem::TooLarge),
            Ok(Err(_)) => Err(Problem::BadRequest("the body broke off".to_owned())),
            Err(_) => Err(Problem::TooSlow),
        }
    }
}

/// `GET /health`
async fn health(_: Call) -> Result<Reply, Problem> {
    Ok(crate::reply::empty(http::StatusCode::OK))
}

/// Does all of `change` even if the client goes away: half-way, the database and what follows from it would
/// differ.
pub async fn to_the_end<T: Send + 'static>(
    change: impl Future<Output = Result<T, Problem>> + Send + 'static,
) -> Result<T, Problem> {
    tokio::spawn(change.in_current_span())
        .await
        .unwrap_or_else(|error| Err(Problem::Internal(error.into())))
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::sync::oneshot;

    use super::to_the_end;

    #[tokio::test]
    async fn a_change_comes_to_its_end_when_the_client_goes_away() {
        let (answer, database) = oneshot::channel::<()>();
        let (done, changed) = oneshot::channel();
        let change = to_the_end(async move {
            drop(database.await);
            done.send(()).unwrap();
            Ok(())
        });
        // Polled once, then dropped.
        assert!(change.now_or_never().is_none());
        answer.send(()).unwrap();
        changed.await.unwrap();
    }
}
