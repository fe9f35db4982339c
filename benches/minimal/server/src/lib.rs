//! What every program has: a server that answers with an order.

use std::{
    convert::Infallible,
    error::Error,
    future::ready,
    io,
    rc::Rc,
    time::{Duration, Instant},
};

use http_body_util::Full;
use hyper::{
    Request, Response,
    body::{Body, Bytes, Incoming},
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpListener,
    task::{LocalSet, spawn_local},
};

/// What a program records by hand.
pub trait Record: 'static {
    /// A query that was answered: a counter and a histogram.
    fn query(&self, query_type: &'static str, status: &'static str, took: Duration);

    /// A request that was answered, as a layer would: a counter and a histogram.
    fn request(&self, method: &str, endpoint: &'static str, status: &str, took: Duration);

    /// The answer to a scrape.
    fn scrape(&self) -> String;
}

/// Serves on a free port of loopback.
///
/// # Errors
///
/// When there is none.
pub async fn serve<S, B>(service: S) -> io::Result<()>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + 'static,
    B: Body<Error: Into<Box<dyn Error + Send + Sync>>> + 'static,
{
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("http://{}", listener.local_addr()?);
    let accept = async {
        loop {
            let (stream, _) = listener.accept().await?;
            let connection =
                http1::Builder::new().serve_connection(TokioIo::new(stream), service.clone());
            drop(spawn_local(connection));
        }
    };
    LocalSet::new().run_until(accept).await
}

/// Serves, and records by hand.
///
/// # Errors
///
/// When there is no port.
pub async fn serve_measured(metrics: impl Record) -> io::Result<()> {
    let metrics = Rc::new(metrics);
    serve(service_fn(move |request: Request<Incoming>| {
        ready(Ok::<_, Infallible>(answer(&*metrics, &request)))
    }))
    .await
}

fn answer(metrics: &impl Record, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    if request.uri().path() == "/metrics" {
        return Response::new(Full::from(metrics.scrape()));
    }
    let started = Instant::now();
    metrics.query("select", "success", started.elapsed());
    let response = order();
    let (method, status) = (request.method().as_str(), response.status());
    metrics.request(method, "/orders", status.as_str(), started.elapsed());
    response
}

/// An order.
#[must_use]
pub fn order() -> Response<Full<Bytes>> {
    Response::new(Full::from("an order"))
}
