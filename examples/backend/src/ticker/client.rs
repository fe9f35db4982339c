//! The client of the ticker service: a timeout, retries and a circuit breaker around every call.
//!
//! A call is one or more attempts. Each attempt is a request in the families of `ticker_service`, those that the
//! open circuit breaker refuses included; what was sent is a request in those of `http_client` as well.

use std::{error::Error, io, net::SocketAddr, time::Duration};

use backend_metrics::{
    Metrics,
    labels::{CircuitBreakerState, TickerErrorType, TickerOperation},
    middleware::{ClientExchange, ClientLayer, ClientService, ResponseBody},
};
use backon::{ExponentialBuilder, Retryable};
use bytes::Bytes;
use failsafe::{
    Instrument as Observer, StateMachine,
    backoff::{self, Constant},
    failure_policy::{self, ConsecutiveFailures},
};
use futures_util::{Stream, TryStreamExt, future};
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use tokio::time;
use tokio_util::{
    codec::{FramedRead, LinesCodec},
    io::StreamReader,
};
use tower::{ServiceBuilder, ServiceExt};

use super::protocol::{Candle, Instrument, Margin, MarginRequest, Subscription, Tick};

/// How long an answer may take. More than the two seconds from which on an alert calls the service slow.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Failures in a row that open the circuit breaker.
const FAILURES: u32 = 5;
/// How long the service is left alone.
const OPEN: Duration = Duration::from_secs(10);
/// When a request that failed is sent again.
const RETRIES: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(50))
    .with_max_times(2)
    .with_jitter();
/// The longest event of the stream.
const LONGEST_EVENT: usize = 4096;

/// An answer whose body is still to be read, within the layer.
type Head = Response<ResponseBody<Incoming, ClientExchange>>;

/// Talks to the ticker service.
#[derive(Clone, Debug)]
pub struct TickerClient {
    address: SocketAddr,
    metrics: Metrics,
    http: ClientService<Client<HttpConnector, Full<Bytes>>>,
    breaker: StateMachine<ConsecutiveFailures<Constant>, BreakerObserver>,
}

/// Why the ticker service did not answer.
#[derive(Debug, thiserror::Error)]
pub enum TickerError {
    /// It took too long.
    #[error("no answer in time")]
    Timeout,
    /// There is no connection to it.
    #[error("no connection: {0}")]
    Connection(String),
    /// It failed too often lately, and is left alone for a while.
    #[error("the circuit is open")]
    CircuitOpen,
    /// It answered with an error.
    #[error("it answered {0}")]
    Http(StatusCode),
    /// It answered something that is not understood.
    #[error("not understood: {0}")]
    Answer(#[from] serde_json::Error),
}

impl TickerError {
    fn connection(error: &(dyn Error + 'static)) -> Self {
        // The cause says more: the error itself is the same for whatever breaks a connection.
        Self::Connection(error.source().unwrap_or(error).to_string())
    }

    fn kind(&self) -> TickerErrorType {
        match self {
            Self::Timeout => TickerErrorType::Timeout,
            Self::Connection(_) => TickerErrorType::Connection,
            Self::CircuitOpen => TickerErrorType::CircuitOpen,
            Self::Http(_) | Self::Answer(_) => TickerErrorType::Http,
        }
    }

    /// Whether the service is at fault; otherwise the request was.
    fn is_failure(&self) -> bool {
        match self {
            Self::Timeout | Self::Connection(_) => true,
            Self::Http(status) => status.is_server_error(),
            Self::CircuitOpen | Self::Answer(_) => false,
        }
    }

    /// Whether the next attempt may fare better. Whoever waited for a timeout has waited long enough.
    fn is_passing(&self) -> bool {
        self.is_failure() && !matches!(self, Self::Timeout)
    }
}

impl TickerClient {
    /// A client of the service at `address`.
    #[must_use]
    pub fn new(address: SocketAddr, metrics: Metrics) -> Self {
        Self::opening_for(OPEN, address, metrics)
    }

    fn opening_for(open: Duration, address: SocketAddr, metrics: Metrics) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        let http = ServiceBuilder::new().layer(ClientLayer::new(metrics, "ticker")).service(client);
        let policy = failure_policy::consecutive_failures(FAILURES, backoff::constant(open));
        let breaker = StateMachine::new(policy, BreakerObserver(metrics));
        Self { address, metrics, http, breaker }
    }

    /// Every instrument there is.
    pub async fn instruments(&self) -> Result<Vec<Instrument>, TickerError> {
        let answer = self.call(TickerOperation::Other, Method::GET, "/instruments", Bytes::new());
        Ok(serde_json::from_slice(&answer.await?)?)
    }

    /// Asks for the ticks of instruments.
    pub async fn subscribe(&self, symbols: &[String]) -> Result<(), TickerError> {
        let body = json(&Subscription { symbols: symbols.to_vec() })?;
        self.call(TickerOperation::Subscribe, Method::POST, "/subscriptions", body).await?;
        Ok(())
    }

    /// Asks for the ticks of instruments no more.
    pub async fn unsubscribe(&self, symbols: &[String]) -> Result<(), TickerError> {
        let body = json(&Subscription { symbols: symbols.to_vec() })?;
        self.call(TickerOperation::Unsubscribe, Method::DELETE, "/subscriptions", body).await?;
        Ok(())
    }

    /// Whether the service is well.
    pub async fn health(&self) -> Result<(), TickerError> {
        // One attempt: the question is how it is now.
        let answer = self.answer(Method::GET, "/health", Bytes::new());
        self.attempt(TickerOperation::Health, answer).await?;
        Ok(())
    }

    /// The last `candles` minutes of an instrument.
    pub async fn history(&self, symbol: &str, candles: u32) -> Result<Vec<Candle>, TickerError> {
        let symbol = utf8_percent_encode(symbol, NON_ALPHANUMERIC);
        let path = format!("/history/{symbol}?candles={candles}");
        let answer = self.call(TickerOperation::History, Method::GET, &path, Bytes::new());
        Ok(serde_json::from_slice(&answer.await?)?)
    }

    /// What margin an order needs.
    pub async fn margin(&self, request: &MarginRequest) -> Result<Margin, TickerError> {
        let answer = self.call(TickerOperation::Other, Method::POST, "/margin", json(request)?);
        Ok(serde_json::from_slice(&answer.await?)?)
    }

    /// The ticks of what is subscribed to: the last one of each, then those from now on.
    pub(super) async fn stream(
        &self,
    ) -> Result<impl Stream<Item = Result<Tick, TickerError>> + use<>, TickerError> {
        // The service says that it is a stream of events. So the time that the layer around the client observes
        // ends with the head, and not hours later; the request is active until the stream is dropped.
        let head = self.head(Method::GET, "/stream", Bytes::new());
        let body = self.attempt(TickerOperation::Other, head).await?.into_body();
        let body = StreamReader::new(body.into_data_stream().map_err(io::Error::other));
        let lines = FramedRead::new(body, LinesCodec::new_with_max_length(LONGEST_EVENT));
        Ok(lines.map_err(|error| TickerError::connection(&error)).try_filter_map(|line| {
            let tick = line.strip_prefix("data: ").map(serde_json::from_str).transpose();
            future::ready(tick.map_err(TickerError::from))
        }))
    }

    /// Attempts until one succeeds or there is no hope. All calls may be repeated: the last one alone counts.
    async fn call(
        &self,
        operation: TickerOperation,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Bytes, TickerError> {
        let attempt = || self.attempt(operation, self.answer(method.clone(), path, body.clone()));
        attempt
            .retry(RETRIES)
            .when(TickerError::is_passing)
            .notify(|_, _| self.metrics.track_ticker_retry(operation))
            .await
    }

    /// Does what the circuit breaker permits, in time, and records how it ended.
    async fn attempt<T>(
        &self,
        operation: TickerOperation,
        work: impl Future<Output = Result<T, TickerError>>,
    ) -> Result<T, TickerError> {
        let request = self.metrics.start_ticker_request(operation);
        let result = if self.breaker.is_call_permitted() {
            // Dropped half-way it tells the breaker nothing. That does no harm: half-open the breaker permits
            // every call, and changes its state with the first that ends.
            let result = time::timeout(TIMEOUT, work).await.unwrap_or(Err(TickerError::Timeout));
            if result.as_ref().is_err_and(TickerError::is_failure) {
                self.metrics.track_circuit_breaker_failure();
                self.breaker.on_error();
            } else {
                self.breaker.on_success();
            }
            result
        } else {
            Err(TickerError::CircuitOpen)
        };
        request.finish(&result, TickerError::kind);
        result
    }

    /// The answer to a request, read to its end.
    async fn answer(&self, method: Method, path: &str, body: Bytes) -> Result<Bytes, TickerError> {
        let body = self.head(method, path, body).await?.into_body();
        let body = body.collect().await.map_err(|error| TickerError::connection(&error))?;
        Ok(body.to_bytes())
    }

    /// The answer to a request as soon as its head is there, if it is not an error.
    async fn head(&self, method: Method, path: &str, body: Bytes) -> Result<Head, TickerError> {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|error| TickerError::connection(&error))?;
        let answer = self.http.clone().oneshot(request).await;
        let answer = answer.map_err(|error| TickerError::connection(&error))?;
        match answer.status() {
            status if status.is_success() => Ok(answer),
            status => Err(TickerError::Http(status)),
        }
    }
}

fn json(value: &impl Serialize) -> Result<Bytes, TickerError> {
    Ok(serde_json::to_vec(value)?.into())
}

/// Shows the state of the circuit breaker.
#[derive(Clone, Copy, Debug)]
struct BreakerObserver(Metrics);

impl Observer for BreakerObserver {
    fn on_call_rejected(&self) {}

    fn on_open(&self) {
        self.0.set_circuit_breaker_state(CircuitBreakerState::Open);
        tracing::warn!("the ticker service is left alone");
    }

    fn on_half_open(&self) {
        self.0.set_circuit_breaker_state(CircuitBreakerState::HalfOpen);
    }

    fn on_closed(&self) {
        self.0.set_circuit_breaker_state(CircuitBreakerState::Closed);
    }
}

#[cfg(test)]
mod tests {
    use std::{net::SocketAddr, time::Duration};

    use backend_metrics::Metrics;
    use futures_util::{FutureExt, StreamExt};
    use tokio::{net::TcpListener, task};
    use tokio_util::{sync::CancellationToken, task::TaskTracker};

    use super::{FAILURES, MarginRequest, OPEN, TickerClient, TickerError};
    use crate::{
        faults::{Fault, Faults},
        ticker::server,
    };

    async fn service(faults: &Faults) -> SocketAddr {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        server::start(faults.clone(), &tasks, stop).await.unwrap()
    }

    #[track_caller]
    fn assert_series(metrics: Metrics, expected: &[(&str, f64)]) {
        for (series, value) in expected {
            assert_eq!(metrics.value(series), Some(*value), "{series}");
        }
    }

    #[tokio::test]
    async fn every_call_is_answered_and_counted_once_in_both_subsystems() {
        let metrics = Metrics::new();
        let client = TickerClient::new(service(&Faults::default()).await, metrics);
        client.health().await.unwrap();
        let symbols = [client.instruments().await.unwrap().pop().unwrap().symbol];
        client.subscribe(&symbols).await.unwrap();
        client.unsubscribe(&symbols).await.unwrap();
        assert_eq!(client.history(&symbols[0], 20).await.unwrap().len(), 20);
        let [symbol] = symbols;
        let order = MarginRequest { symbol, quantity: 1, price: 2.0, sell: false };
        assert!(client.margin(&order).await.unwrap().rupees > 0.0);
        // What the service does not know is no failure of the service, and no other path.
        let error = client.history("../health", 1).await.unwrap_err();
        assert!(matches!(error, TickerError::Http(http::StatusCode::NOT_FOUND)), "{error}");
        assert_series(
            metrics,
            &[
                (r#"ticker_service_requests_total{operation="health",status="success"}"#, 1.0),
                (r#"ticker_service_requests_total{operation="subscribe",status="success"}"#, 1.0),
                (r#"ticker_service_requests_total{operation="unsubscribe",status="success"}"#, 1.0),
                (r#"ticker_service_requests_total{operation="history",status="success"}"#, 1.0),
                (r#"ticker_service_requests_total{operation="history",status="error"}"#, 1.0),
                (r#"ticker_service_requests_total{operation="other",status="success"}"#, 2.0),
                (r#"ticker_service_errors_total{error_type="http_error"}"#, 1.0),
                (r#"ticker_service_retries_total{operation="history"}"#, 0.0),
                ("ticker_service_circuit_breaker_failures_total", 0.0),
                (r#"http_client_requests_total{upstream="ticker",method="GET",status="200"}"#, 3.0),
                (r#"http_client_requests_total{upstream="ticker",method="GET",status="404"}"#, 1.0),
                (
                    r#"http_client_requests_total{upstream="ticker",method="POST",status="200"}"#,
                    2.0,
                ),
                (
                    r#"http_client_requests_total{upstream="ticker",method="DELETE",status="200"}"#,
                    1.0,
                ),
                (r#"http_client_active_requests{upstream="ticker"}"#, 0.0),
            ],
        );
    }

    #[tokio::test]
    async fn a_service_that_fails_is_asked_again_and_then_left_alone() {
        let metrics = Metrics::new();
        let client = TickerClient::new(service(&Faults::new(&[Fault::Ticker])).await, metrics);
        let error = client.history("NIFTY", 1).await.unwrap_err();
        assert!(matches!(error, TickerError::Http(_) | TickerError::Connection(_)), "{error}");
        let error = client.instruments().await.unwrap_err();
        assert!(matches!(error, TickerError::CircuitOpen), "{error}");
        assert_series(
            metrics,
            &[
                (r#"ticker_service_requests_total{operation="history",status="error"}"#, 3.0),
                (r#"ticker_service_retries_total{operation="history"}"#, 2.0),
                (r#"ticker_service_requests_total{operation="other",status="error"}"#, 3.0),
                (r#"ticker_service_retries_total{operation="other"}"#, 2.0),
                ("ticker_service_circuit_breaker_failures_total", f64::from(FAILURES)),
                ("ticker_service_circuit_breaker_state", 1.0),
                (r#"ticker_service_circuit_breaker_transitions_total{state="open"}"#, 1.0),
                (r#"ticker_service_errors_total{error_type="circuit_open"}"#, 1.0),
                (r#"http_client_active_requests{upstream="ticker"}"#, 0.0),
            ],
        );
    }

    #[tokio::test]
    async fn the_circuit_closes_with_the_first_call_that_succeeds() {
        let (metrics, faults) = (Metrics::new(), Faults::default());
        let client = TickerClient::opening_for(Duration::ZERO, service(&faults).await, metrics);
        let trouble = tokio::spawn({
            let faults = faults.clone();
            async move { faults.hold(Fault::Ticker, OPEN).await }
        });
        while !faults.is_on(Fault::Ticker) {
            task::yield_now().await;
        }
        for _ in 0..FAILURES {
            client.health().await.unwrap_err();
        }
        assert_series(metrics, &[("ticker_service_circuit_breaker_state", 1.0)]);
        // A call that is given up tells nothing: the next one is permitted as well.
        assert!(client.health().now_or_never().is_none());
        assert_series(metrics, &[("ticker_service_circuit_breaker_state", 2.0)]);
        trouble.abort();
        assert!(trouble.await.is_err());
        client.health().await.unwrap();
        assert_series(
            metrics,
            &[
                ("ticker_service_circuit_breaker_state", 0.0),
                (r#"ticker_service_circuit_breaker_transitions_total{state="half_open"}"#, 1.0),
                (r#"ticker_service_circuit_breaker_transitions_total{state="closed"}"#, 1.0),
                (r#"ticker_service_requests_total{operation="health",status="cancelled"}"#, 1.0),
                (r#"http_client_active_requests{upstream="ticker"}"#, 0.0),
            ],
        );
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_too_long_does_not_wait_again() {
        let metrics = Metrics::new();
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TickerClient::new(silent.local_addr().unwrap(), metrics);
        let error = client.instruments().await.unwrap_err();
        assert!(matches!(error, TickerError::Timeout), "{error}");
        assert_series(
            metrics,
            &[
                (r#"ticker_service_requests_total{operation="other",status="error"}"#, 1.0),
                (r#"ticker_service_errors_total{error_type="timeout"}"#, 1.0),
                (r#"ticker_service_retries_total{operation="other"}"#, 0.0),
                ("ticker_service_circuit_breaker_failures_total", 1.0),
                (
                    r#"http_client_requests_total{upstream="ticker",method="GET",status="error"}"#,
                    1.0,
                ),
            ],
        );
    }

    #[tokio::test]
    async fn a_stream_is_active_as_long_as_it_is_read_and_its_time_ends_with_its_head() {
        let (metrics, faults) = (Metrics::new(), Faults::default());
        let client = TickerClient::new(service(&faults).await, metrics);
        client.subscribe(&["NIFTY".to_owned(), "TCS".to_owned()]).await.unwrap();
        let mut stream = client.stream().await.unwrap().boxed();
        for symbol in ["NIFTY", "TCS"] {
            assert_eq!(stream.next().await.unwrap().unwrap().symbol, symbol);
        }
        stream.next().await.unwrap().unwrap();
        assert_series(metrics, &[(r#"http_client_active_requests{upstream="ticker"}"#, 1.0)]);
        drop(stream);
        assert_series(
            metrics,
            &[
                (r#"http_client_requests_total{upstream="ticker",method="GET",status="200"}"#, 1.0),
                (
                    r#"http_client_request_duration_seconds_bucket{upstream="ticker",method="GET",le="0.1"}"#,
                    1.0,
                ),
                (r#"http_client_active_requests{upstream="ticker"}"#, 0.0),
            ],
        );
    }
}
