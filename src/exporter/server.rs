//! A listener for scrapes alone.

use std::{
    fmt, io,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener},
    pin::pin,
    time::Duration,
};

use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::TcpStream,
    sync::{Notify, watch},
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{Exporter, Refusal, ResponseFuture};

/// The only path that is answered.
const PATH: &str = "/metrics";

/// No request of a scraper comes near it.
const MAX_HEAD: usize = 16 * 1024;

/// From then on a connection is closed as soon as no request is under way, so that none is kept for good.
const CONNECTION_AGE: Duration = Duration::from_mins(5);

/// As good as no limit, and more than this may be too far ahead for hyper to reckon with.
const FOR_EVER: Duration = Duration::from_hours(24 * 365 * 100);

/// How long to leave be when no connection can be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A listener of its own for `/metrics`, apart from the service's.
///
/// It answers `/metrics` and nothing else, over HTTP/1.1 without TLS: bind it where only the scraper comes.
/// It needs a tokio runtime with I/O and time.
///
/// Whoever comes, it holds no more than [`max_connections`](Self::max_connections) answers, which share their
/// bytes where they were asked for at the same time, and 16 KiB of each connection's requests. A head has 100
/// headers at most, a body is not read, and nobody keeps a connection by being slow: see
/// [`header_timeout`](Self::header_timeout) and [`answer_timeout`](Self::answer_timeout).
///
/// ```no_run
/// use backend_metrics::{Exporter, Metrics, exporter::Server};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let server = Server::bind(Exporter::new(Metrics::new()), ([127, 0, 0, 1], 9464))?;
/// println!("http://{}/metrics", server.local_addr());
/// server.serve(async { _ = tokio::signal::ctrl_c().await }).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a server answers nothing until `serve` is called"]
pub struct Server {
    exporter: Exporter,
    listener: TcpListener,
    address: SocketAddr,
    max_connections: usize,
    limits: Limits,
}

/// How long what a client does may take.
#[derive(Clone, Copy, Debug)]
struct Limits {
    header: Duration,
    answer: Duration,
    shutdown: Duration,
}

/// The server cannot listen.
#[derive(Debug)]
#[non_exhaustive]
pub enum ServerError {
    /// The address cannot be bound.
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the operating system says.
        source: io::Error,
    },
    /// The listener cannot be used.
    Listener(io::Error),
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind { address, .. } => write!(f, "cannot bind {address}"),
            Self::Listener(_) => f.write_str("cannot use the listener"),
        }
    }
}

impl std::error::Error for ServerError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Bind { source, .. } | Self::Listener(source) => Some(source),
        }
    }
}

impl Exporter {
    /// Serves `/metrics` at [`Server::DEFAULT_ADDRESS`] until `shutdown` ends.
    ///
    /// # Errors
    ///
    /// When the address cannot be bound.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> Result<(), ServerError> {
        Server::bind(self, Server::DEFAULT_ADDRESS)?.serve(shutdown).await
    }
}

impl Server {
    /// Port 9464 of the loopback interface: nothing outside of the host reaches it.
    pub const DEFAULT_ADDRESS: SocketAddr =
        SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9464));

    /// Binds an address. With port 0 the system picks one, which [`local_addr`](Self::local_addr) tells.
    ///
    /// # Errors
    ///
    /// When the address cannot be bound.
    pub fn bind(exporter: Exporter, address: impl Into<SocketAddr>) -> Result<Self, ServerError> {
        let address = address.into();
        let listener =
            TcpListener::bind(address).map_err(|source| ServerError::Bind { address, source })?;
        Self::from_listener(exporter, listener)
    }

    /// Takes a listener that is bound, one handed over by the service manager say.
    ///
    /// # Errors
    ///
    /// When the listener cannot be used.
    pub fn from_listener(exporter: Exporter, listener: TcpListener) -> Result<Self, ServerError> {
        listener.set_nonblocking(true).map_err(ServerError::Listener)?;
        Ok(Self {
            exporter,
            address: listener.local_addr().map_err(ServerError::Listener)?,
            listener,
            max_connections: 64,
            limits: Limits {
                header: Duration::from_secs(30),
                answer: Duration::from_secs(30),
                shutdown: Duration::from_secs(5),
            },
        })
    }

    /// How many connections are open at once; further ones wait to be accepted. At least one. Default: 64.
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.max_connections = connections.max(1);
        self
    }

    /// How long a client may take to send the head of a request, waiting between two requests included.
    /// Default: 30 seconds.
    pub fn header_timeout(mut self, timeout: Duration) -> Self {
        self.limits.header = timeout;
        self
    }

    /// How long a client may take from the head of its request until it has taken the answer. Default: 30
    /// seconds.
    ///
    /// Where the answer is taken and where the next head begins cannot be told apart, so the connection is closed
    /// after this and the [`header_timeout`](Self::header_timeout) together.
    pub fn answer_timeout(mut self, timeout: Duration) -> Self {
        self.limits.answer = timeout;
        self
    }

    /// How long scrapes under way may take to end once the server is to stop. Default: 5 seconds.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.limits.shutdown = timeout;
        self
    }

    /// The address that is bound.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` ends; scrapes under way then end first, within the timeout. A future that is
    /// dropped closes all connections at once.
    ///
    /// # Errors
    ///
    /// When the listener cannot be used.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> Result<(), ServerError> {
        let listener =
            tokio::net::TcpListener::from_std(self.listener).map_err(ServerError::Listener)?;
        let (stop, stopped) = watch::channel(());
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(self.limits.header.min(FOR_EVER))
            .max_buf_size(MAX_HEAD);
        let mut connections = JoinSet::new();
        let mut shutdown = pin!(shutdown);
        loop {
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                Some(_) = connections.join_next() => {}
                accepted = listener.accept(), if connections.len() < self.max_connections => {
                    if let Ok((stream, _)) = accepted {
                        connections.spawn(connection(
                            http.clone(),
                            stream,
                            self.exporter.clone(),
                            stopped.clone(),
                            self.limits,
                        ));
                    } else {
                        // The client is gone, or the process has no descriptors left for now.
                        sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        }
        drop((listener, stop));
        // Each connection ends within the timeout.
        while connections.join_next().await.is_some() {}
        Ok(())
    }
}

/// Serves a connection until it ends by itself or by a limit, or the server is to stop.
async fn connection(
    http: http1::Builder,
    stream: TcpStream,
    exporter: Exporter,
    mut stopped: watch::Receiver<()>,
    limits: Limits,
) {
    let asked = Notify::new();
    let service = service_fn(|request| {
        asked.notify_one();
        answer(&exporter, &request)
    });
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
    let mut old = pin!(sleep(CONNECTION_AGE));
    let until_next = || sleep(limits.answer.saturating_add(limits.header));
    let mut late = pin!(until_next());
    loop {
        tokio::select! {
            // What went wrong between client and socket is the client's.
            _ = connection.as_mut() => return,
            () = asked.notified() => late.set(until_next()),
            () = &mut late => return,
            () = &mut old, if !old.is_elapsed() => connection.as_mut().graceful_shutdown(),
            // The sender is dropped.
            _ = stopped.changed() => break,
        }
    }
    connection.as_mut().graceful_shutdown();
    _ = timeout(limits.shutdown, connection).await;
}

fn answer(exporter: &Exporter, request: &http::Request<Incoming>) -> ResponseFuture {
    if request.uri().path() == PATH {
        exporter.respond(request)
    } else {
        ResponseFuture::refused(Refusal::Path, request.method() == http::Method::HEAD)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        sync::oneshot,
        task::JoinHandle,
        time,
    };

    use super::*;
    use crate::{
        Metrics,
        testing::gate::{Gate, Gated},
    };

    const GET: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";

    struct Running {
        address: SocketAddr,
        gate: &'static Gate,
        stop: oneshot::Sender<()>,
        task: JoinHandle<Result<(), ServerError>>,
    }

    fn run(options: impl FnOnce(Server) -> Server) -> Running {
        let builder = Metrics::builder().mount::<Gated>().collect_timeout(Duration::MAX);
        let metrics = builder.build().unwrap();
        let gate = &metrics.mounted::<Gated>().unwrap().gate;
        let server = Server::bind(Exporter::new(metrics), ([127, 0, 0, 1], 0)).unwrap();
        let address = server.local_addr();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(options(server).serve(async { _ = stopped.await }));
        Running { address, gate, stop, task }
    }

    async fn send(address: SocketAddr, request: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request).await.unwrap();
        stream
    }

    /// What the server sends until it closes; what cuts the connection short ends it too.
    async fn rest(mut stream: TcpStream) -> String {
        let mut bytes = Vec::new();
        _ = stream.read_to_end(&mut bytes).await;
        String::from_utf8(bytes).unwrap()
    }

    async fn exchange(address: SocketAddr, line: &str) -> String {
        let request = format!("{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        rest(send(address, request.as_bytes()).await).await
    }

    #[test]
    fn the_default_is_loopback() {
        assert_eq!(Server::DEFAULT_ADDRESS.to_string(), "127.0.0.1:9464");
    }

    #[tokio::test]
    async fn a_taken_address_is_a_typed_error() {
        let running = run(|server| server);
        let error = Server::bind(Exporter::new(Metrics::new()), running.address).unwrap_err();
        assert!(matches!(&error, ServerError::Bind { address, .. } if *address == running.address));
        assert_eq!(error.to_string(), format!("cannot bind {}", running.address));
    }

    #[tokio::test]
    async fn only_metrics_is_answered() {
        let running = run(|server| server);
        let found = exchange(running.address, "GET /metrics?format=text").await;
        assert!(found.starts_with("HTTP/1.1 200 OK\r\n") && found.contains("\ngated_passed_total"));
        for line in ["GET /", "GET /metrics/", "GET /Metrics", "POST /other", "GET *"] {
            let answer = exchange(running.address, line).await;
            assert!(answer.starts_with("HTTP/1.1 404 Not Found\r\n"), "{answer}");
        }
        let answer = exchange(running.address, "HEAD /").await;
        assert!(answer.starts_with("HTTP/1.1 404 Not Found\r\n") && answer.ends_with("\r\n\r\n"));
        let answer = exchange(running.address, "DELETE /metrics").await;
        assert!(answer.starts_with("HTTP/1.1 405 Method Not Allowed\r\n"), "{answer}");
    }

    #[tokio::test]
    async fn a_scrape_under_way_ends_before_the_server() {
        let running = run(|server| server);
        running.gate.close();
        let scrape = send(running.address, GET).await;
        let idle = TcpStream::connect(running.address).await.unwrap();
        tokio::task::spawn_blocking(|| running.gate.wait_for_arrivals(1)).await.unwrap();
        running.stop.send(()).unwrap();
        assert_eq!(rest(idle).await, "");
        assert!(TcpStream::connect(running.address).await.is_err());
        running.gate.open();
        assert!(rest(scrape).await.starts_with("HTTP/1.1 200 OK\r\n"));
        running.task.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_stop_takes_no_longer_than_allowed() {
        let running = run(|server| server.shutdown_timeout(Duration::from_millis(10)));
        running.gate.close();
        let scrape = send(running.address, GET).await;
        tokio::task::spawn_blocking(|| running.gate.wait_for_arrivals(1)).await.unwrap();
        running.stop.send(()).unwrap();
        running.task.await.unwrap().unwrap();
        assert_eq!(rest(scrape).await, "");
        running.gate.open();
    }

    #[tokio::test]
    async fn a_slow_head_is_cut_off() {
        let running = run(|server| server.header_timeout(Duration::from_millis(20)));
        let slow = send(running.address, b"GET /metrics HTTP/1.1\r\nX-Slow:").await;
        let silent = send(running.address, b"").await;
        assert_eq!((rest(slow).await, rest(silent).await), (String::new(), String::new()));
    }

    #[tokio::test]
    async fn an_enormous_head_is_refused() {
        let running = run(|server| server);
        let head = format!("GET /metrics HTTP/1.1\r\nX-Large: {}\r\n\r\n", "x".repeat(MAX_HEAD));
        let answer = rest(send(running.address, head.as_bytes()).await).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
        let found = exchange(running.address, "GET /metrics").await;
        assert!(found.starts_with("HTTP/1.1 200 OK\r\n"));
    }

    #[tokio::test]
    async fn the_longest_limits_are_as_good_as_none() {
        let running = run(|server| {
            let server = server.header_timeout(Duration::MAX).answer_timeout(Duration::MAX);
            server.shutdown_timeout(Duration::MAX)
        });
        let found = exchange(running.address, "GET /metrics").await;
        assert!(found.starts_with("HTTP/1.1 200 OK\r\n"), "{found}");
        running.stop.send(()).unwrap();
        running.task.await.unwrap().unwrap();
    }

    /// A connection that nothing but its age ends.
    fn run_for_long() -> Running {
        let long = CONNECTION_AGE * 10;
        run(|server| server.header_timeout(long).answer_timeout(long))
    }

    #[tokio::test]
    async fn an_old_connection_is_closed_between_two_requests() {
        let running = run_for_long();
        let mut kept = TcpStream::connect(running.address).await.unwrap();
        for _ in 0..2 {
            kept.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
            let mut answer = Vec::new();
            while !answer.ends_with(b"metrics are at /metrics\n") {
                answer.push(kept.read_u8().await.unwrap());
            }
        }
        // Nothing moves from now on but time.
        time::pause();
        let began = time::Instant::now();
        assert_eq!(rest(kept).await, "");
        assert!(began.elapsed() < CONNECTION_AGE * 2);
    }

    #[tokio::test]
    async fn an_answer_under_way_outlives_the_age_of_its_connection() {
        let running = run_for_long();
        running.gate.close();
        let scrape = send(running.address, GET).await;
        tokio::task::spawn_blocking(|| running.gate.wait_for_arrivals(1)).await.unwrap();
        time::pause();
        time::sleep(CONNECTION_AGE * 2).await;
        time::resume();
        running.gate.open();
        // And then it is closed.
        let answer = rest(scrape).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    }
}
