//! A client that counts what it gets.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy,
    client::legacy::connect::HttpConnector,
    rt::{TokioExecutor, TokioTimer},
};
use parking_lot::Mutex;
use serde_json::Value;

/// How long a connection may be idle: for less than the backend waits for the next request on it, or one could
/// be sent just as it is closed, and nobody would know of it.
const IDLE_TIMEOUT: Duration = Duration::from_secs(5);

/// Who asks.
#[derive(Clone, Debug)]
pub(super) enum Credentials {
    Nobody,
    Token(String),
    Key(String),
}

/// What came back: how many answers by method, endpoint and status.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Answers by method, endpoint and status.
    pub answers: BTreeMap<(String, &'static str, u16), u64>,
    /// Requests without an answer, by endpoint: the client hung up, or the connection broke.
    pub unanswered: BTreeMap<&'static str, u64>,
    /// Messages that WebSockets sent.
    pub messages_sent: u64,
    /// Messages that WebSockets received.
    pub messages_received: u64,
}

impl Tally {
    /// Answers with a status that `which` says yes to.
    pub fn count(&self, which: impl Fn(u16) -> bool) -> u64 {
        self.answers.iter().filter(|((.., status), _)| which(*status)).map(|(_, count)| count).sum()
    }
}

/// Asks the backend.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) backend: SocketAddr,
    http: legacy::Client<HttpConnector, Full<Bytes>>,
    tally: Arc<Mutex<Tally>>,
}

/// An answer, with a body of JSON or none.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) value: Value,
}

impl Client {
    pub(super) fn new(backend: SocketAddr) -> Self {
        let http = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .build_http();
        Self { backend, http, tally: Arc::default() }
    }

    /// What came back so far.
    pub(super) fn tally(&self) -> Tally {
        self.tally.lock().clone()
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut Tally)) {
        change(&mut self.tally.lock());
    }

    /// Counts a request by what came back.
    pub(super) fn note(&self, method: &Method, endpoint: &'static str, status: Option<StatusCode>) {
        self.count(|tally| match status {
            Some(status) => {
                let key = (method.to_string(), endpoint, status.as_u16());
                *tally.answers.entry(key).or_default() += 1;
            }
            None => *tally.unanswered.entry(endpoint).or_default() += 1,
        });
    }

    /// Asks with a body of JSON, or without one.
    pub(super) async fn ask(
        &self,
        method: Method,
        endpoint: &'static str,
        path: &str,
        who: &Credentials,
        body: Option<Value>,
    ) -> Option<Answer> {
        let body = body.map(|value| value.to_string().into());
        self.send(method, endpoint, path, who, "application/json", body.unwrap_or_default()).await
    }

    /// Asks with a body of any kind. None if there was no answer.
    pub(super) async fn send(
        &self,
        method: Method,
        endpoint: &'static str,
        path: &str,
        who: &Credentials,
        media_type: &str,
        body: Bytes,
    ) -> Option<Answer> {
        let mut request = Request::builder()
            .method(&method)
            .uri(format!("http://{}{path}", self.backend))
            .header(header::CONTENT_TYPE, media_type);
        request = match who {
            Credentials::Nobody => request,
            Credentials::Token(token) => {
                request.header(header::AUTHORIZATION, format!("Bearer {token}"))
            }
            Credentials::Key(key) => request.header("x-api-key", key),
        };
        let answer = async {
            let request = request.body(Full::new(body)).ok()?;
            let response = self.http.request(request).await.ok()?;
            let status = response.status();
            let body = response.into_body().collect().await.ok()?.to_bytes();
            Some(Answer { status, value: serde_json::from_slice(&body).unwrap_or_default() })
        };
        let answer = answer.await;
        self.note(&method, endpoint, answer.as_ref().map(|answer| answer.status));
        answer
    }
}
