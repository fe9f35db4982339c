//! A hyper server on loopback whose end can be waited for.

use std::{
    error::Error,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use http::{Request, Response};
use http_body::Body;
use hyper::{
    body::Incoming,
    rt::Executor,
    server::conn::{http1, http2},
};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
};
use tower::{Layer, Service};

use crate::{
    exposed::Test,
    scripted::{Answer, Answers, Failure, Plan, Scripted},
};

/// Answers each request by the plan that a function makes for it.
#[derive(Clone)]
pub(crate) struct Planned {
    answers: Answers,
    plan: fn(&Request<Incoming>) -> Plan,
}

impl Service<Request<Incoming>> for Planned {
    type Response = Response<Scripted>;
    type Error = Failure;
    type Future = Answer;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Failure>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Incoming>) -> Answer {
        let plan = (self.plan)(&request);
        request.extensions_mut().insert(plan);
        self.answers.call(request)
    }
}

/// What runs on behalf of a server or a client.
#[derive(Clone, Default)]
pub(crate) struct Tasks(Arc<Mutex<Vec<JoinHandle<()>>>>);

impl Tasks {
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.lock().unwrap().push(tokio::spawn(task));
    }

    /// Drops them where they are, sockets and all.
    pub(crate) async fn abort(&self) {
        self.0.lock().unwrap().iter().for_each(JoinHandle::abort);
        self.ended().await;
    }

    async fn ended(&self) {
        loop {
            let task = self.0.lock().unwrap().pop();
            match task {
                // Some panic, as their tests want.
                Some(task) => drop(task.await),
                None => return,
            }
        }
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Tasks {
    fn execute(&self, task: F) {
        self.spawn(task);
    }
}

/// A server that answers on a port of its own until it is told to stop.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// Connections that [`send`](Self::send) has opened.
    opened: Arc<AtomicUsize>,
    stop: oneshot::Sender<()>,
    accepting: JoinHandle<()>,
    tasks: Tasks,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    Http1,
    Http2,
}

impl Server {
    /// Serves HTTP/1 by plan, with the layer around it.
    pub(crate) async fn planned(test: &Test, plan: fn(&Request<Incoming>) -> Plan) -> Self {
        let answers = Answers { clock: test.clock.clone() };
        Self::http1(test.layer().layer(Planned { answers, plan })).await
    }

    /// Serves HTTP/2 by plan, with the layer around it.
    pub(crate) async fn planned_http2(test: &Test, plan: fn(&Request<Incoming>) -> Plan) -> Self {
        let answers = Answers { clock: test.clock.clone() };
        let service = test.layer().layer(Planned { answers, plan });
        Self::start(service, Version::Http2).await
    }

    pub(crate) async fn http1<S, B>(service: S) -> Self
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
    {
        Self::start(service, Version::Http1).await
    }

    async fn start<S, B>(service: S, version: Version) -> Self
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, mut stopped) = oneshot::channel();
        let tasks = Tasks::default();
        let connections = tasks.clone();
        let opened = Arc::new(AtomicUsize::new(0));
        let to_accept = Arc::clone(&opened);
        let accepting = tokio::spawn(async move {
            let mut accepted = 0;
            // One that was closed at once may still wait.
            while accepted < to_accept.load(Relaxed) || !stopped.is_terminated() {
                let stream = tokio::select! {
                    stream = listener.accept() => TokioIo::new(stream.unwrap().0),
                    _ = &mut stopped, if !stopped.is_terminated() => continue,
                };
                accepted += 1;
                let service = TowerToHyperService::new(service.clone());
                let tasks = connections.clone();
                connections.spawn(async move {
                    // A connection that breaks off is what some tests are about.
                    _ = match version {
                        Version::Http1 => {
                            let http1 = http1::Builder::new();
                            http1.serve_connection(stream, service).with_upgrades().await
                        }
                        Version::Http2 => {
                            http2::Builder::new(tasks).serve_connection(stream, service).await
                        }
                    };
                });
            }
        });
        Self { address, opened, stop, accepting, tasks }
    }

    /// Stops accepting, and waits until every connection has ended; the clients must have gone.
    pub(crate) async fn ended(self) {
        _ = self.stop.send(());
        self.accepting.await.unwrap();
        self.tasks.ended().await;
    }

    /// Sends this text on a connection of its own.
    pub(crate) async fn send(&self, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        self.opened.fetch_add(1, Relaxed);
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }

    /// Sends this text, and reads until the server closes the connection.
    pub(crate) async fn exchange(&self, text: &str) -> String {
        read_to_end(&mut self.send(text).await).await
    }
}

/// Reads what comes until the connection is closed, or broken off.
pub(crate) async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

/// Reads until this has come.
pub(crate) async fn read_until(stream: &mut TcpStream, text: &str) -> String {
    let mut answer = String::new();
    while !answer.contains(text) {
        let mut buffer = [0; 4_096];
        let bytes = stream.read(&mut buffer).await.unwrap();
        assert!(bytes > 0, "{text:?} does not come: {answer:?}");
        answer += str::from_utf8(&buffer[..bytes]).unwrap();
    }
    answer
}
