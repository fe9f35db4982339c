//! A small trading backend that shows every family of `backend-metrics` alive.
//!
//! Read it from the top: [`telemetry`] makes the one metrics instance and the log, [`Backend::start`] hands the
//! instance to every part, [`server`] puts the layers around the handlers, [`routes`] lists them. A module is a
//! concern; each records where its events happen.

pub mod accounts;
pub mod app;
pub mod auth;
pub mod cache;
pub mod calendar;
pub mod config;
pub mod database;
pub mod faults;
pub mod fno;
pub mod indicators;
pub mod market;
pub mod orders;
pub mod rate_limit;
pub mod reply;
pub mod routes;
pub mod server;
pub mod statements;
pub mod strategies;
pub mod telemetry;
pub mod ticker;
pub mod traffic;
pub mod websocket;
pub mod workers;

use std::{error::Error, net::SocketAddr, sync::Arc, time::Duration};

use backend_metrics::{Exporter, Metrics, exporter::TokenError};
use tokio::{task::JoinHandle, time};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    app::App,
    auth::Auth,
    cache::Cache,
    config::Config,
    database::{Database, Temporary},
    faults::{Fault, Faults},
    indicators::Indicators,
    market::Market,
    orders::Orders,
    rate_limit::RateLimits,
    ticker::client::TickerClient,
    traffic::Tally,
    websocket::Websockets,
    workers::Workers,
};

/// How long what is under way may take to end when the backend stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Why the backend did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is taken or not of this machine.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, std::io::Error),
    /// The database cannot be reached or used.
    #[error("cannot use the database: {0}")]
    Database(Box<dyn Error + Send + Sync>),
    /// Redis cannot be reached.
    #[error("cannot use Redis: {0}")]
    Redis(Box<dyn Error + Send + Sync>),
    /// The ticker service did not start.
    #[error("cannot start the ticker service: {0}")]
    Ticker(std::io::Error),
    /// The token of the metrics is not one.
    #[error("cannot use the metrics token: {0}")]
    Token(#[from] TokenError),
}

/// A backend that runs.
#[derive(Debug)]
pub struct Backend {
    app: Arc<App>,
    address: SocketAddr,
    server: TaskTracker,
    background: TaskTracker,
    ticker: TaskTracker,
    ticker_stop: CancellationToken,
    traffic: Option<JoinHandle<Tally>>,
    traffic_stop: CancellationToken,
    temporary: Option<Temporary>,
    faults: Vec<Fault>,
}

impl Backend {
    /// Starts everything.
    pub async fn start(config: Config, metrics: Metrics) -> Result<Self, StartError> {
        let mut exporter = (!config.without_metrics).then(|| Exporter::new(metrics));
        if let Some(token) = &config.metrics_token {
            exporter = exporter.map(|exporter| exporter.bearer_token(token)).transpose()?;
        }
        // First of all, so that a port that is taken is known at once.
        let listener = server::listen(config.listen)
            .map_err(|error| StartError::Listen(config.listen, error))?;
        let address =
            listener.local_addr().map_err(|error| StartError::Listen(config.listen, error))?;
        metrics.watch_tokio(&tokio::runtime::Handle::current());

        let faults = Faults::default();
        let (stop, ticker_stop) = (CancellationToken::new(), CancellationToken::new());
        let (background, ticker_tasks) = (TaskTracker::new(), TaskTracker::new());
        let (database, temporary) = Database::open(config.database.as_deref(), metrics)
            .await
            .map_err(StartError::Database)?;
        accounts::seed(&database).await.map_err(StartError::Database)?;
        let cache = Cache::open(config.redis.as_deref(), metrics, faults.clone())
            .await
            .map_err(StartError::Redis)?;
        let ticker = ticker::server::start(faults.clone(), &ticker_tasks, ticker_stop.clone())
            .await
            .map_err(StartError::Ticker)?;
        let app = Arc::new(App {
            metrics,
            faults: faults.clone(),
            database: database.clone(),
            cache: cache.clone(),
            market: Market::default(),
            indicators: Indicators::new(metrics),
            orders: Orders::new(metrics, database.clone()),
            ticker: TickerClient::new(ticker, metrics),
            auth: Auth::new(metrics, database.clone(), cache.clone()),
            limits: RateLimits::new(metrics, config.rate_limit),
            websockets: Websockets::new(background.clone(), stop.clone()),
            workers: Workers::new(metrics),
            stop: stop.clone(),
        });

        let until_stopped = |task: futures_util::future::BoxFuture<'static, ()>| {
            background.spawn(stop.clone().run_until_cancelled_owned(task));
        };
        let (mut ticks, made) = (app.market.ticks(), config.faults.clone());
        until_stopped(Box::pin(database.trouble(faults.clone())));
        until_stopped(Box::pin(async move {
            // Trouble finds a day that has begun: without a market nobody trades, and little of it would show.
            drop(ticks.recv().await);
            faults.turn_on(&made);
        }));
        until_stopped(Box::pin(cache.watch()));
        until_stopped(Box::pin(ticker::feed::run(app.clone())));
        until_stopped(Box::pin(orders::run(app.clone())));
        until_stopped(Box::pin(websocket::hub::run(app.clone())));
        background.spawn(workers::run(app.clone()));

        let server = TaskTracker::new();
        server.spawn(server::serve(app.clone(), listener, exporter));

        let traffic_stop = CancellationToken::new();
        let traffic = (config.traffic > 0).then(|| {
            tokio::spawn(traffic::run(app.clone(), address, config.traffic, traffic_stop.clone()))
        });
        tracing::info!(%address, "started");
        Ok(Self {
            app,
            address,
            server,
            background,
            ticker: ticker_tasks,
            ticker_stop,
            traffic,
            traffic_stop,
            temporary,
            faults: config.faults,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its parts.
    #[must_use]
    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// Ends the trouble that is made, or makes it again.
    pub fn switch_faults(&self) {
        self.app.faults.switch(&self.faults);
    }

    /// Ends the traffic, after the answers under way; gives what its clients saw.
    pub async fn stop_traffic(&mut self) -> Tally {
        self.traffic_stop.cancel();
        match self.traffic.take() {
            Some(traffic) => traffic.await.unwrap_or_default(),
            None => Tally::default(),
        }
    }

    /// Listens no more, and ends the traffic and what is under way, then the rest; after ten seconds without waiting.
    pub async fn stop(mut self) {
        let in_order = async {
            // Connections end after their request, WebSockets with a close frame, workers after their task.
            self.app.stop.cancel();
            self.stop_traffic().await;
            ended(&self.server).await;
            ended(&self.background).await;
            // Last: what was under way asked it until its end.
            self.ticker_stop.cancel();
            ended(&self.ticker).await;
            self.app.database.close().await;
        };
        if time::timeout(STOP_TIMEOUT, in_order).await.is_ok() {
            tracing::info!("stopped");
        } else {
            tracing::warn!("stopped, though not everything had ended");
        }
        drop(self.temporary);
    }
}

async fn ended(tasks: &TaskTracker) {
    tasks.close();
    tasks.wait().await;
}
