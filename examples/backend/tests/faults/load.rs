//! Clients that ask and count what they get.

use std::{
    collections::BTreeMap,
    iter,
    net::SocketAddr,
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::http;

/// A request: method, endpoint, path, body.
pub(crate) type Request = (&'static str, &'static str, &'static str, &'static str);

/// How many ask at once.
const CLIENTS: usize = 8;
/// How long each waits before it asks again.
const PAUSE: Duration = Duration::from_millis(300);

/// Requests in turn. One in six writes and asks the ticker service, one more reads from
/// the database, the others are answered from memory.
///
/// So what fails or is slow is a third of the answers at most, and the objectives that allow the most are met.
const REQUESTS: [Request; 6] = [
    ("POST", "/orders", "/orders", ORDER),
    ("GET", MONEYNESS, "/fo/NIFTY/moneyness", ""),
    ("GET", MONEYNESS, "/fo/BANKNIFTY/moneyness", ""),
    ("GET", "/strategies", "/strategies", ""),
    ("GET", MONEYNESS, "/fo/NIFTY/moneyness", ""),
    ("GET", MONEYNESS, "/fo/BANKNIFTY/moneyness", ""),
];
const ORDER: &str = r#"{"instrument":"RELIANCE","order_type":"market","side":"buy","quantity":1}"#;
const MONEYNESS: &str = "/fo/{underlying}/moneyness";

/// What the clients saw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Answers by method, endpoint and status.
    pub(crate) answers: BTreeMap<(String, String, String), u64>,
    /// Requests without an answer, or with half of one.
    pub(crate) unanswered: Vec<String>,
}

impl Tally {
    /// Adds what others saw.
    pub(crate) fn add(&mut self, tally: Self) {
        for (key, count) in tally.answers {
            *self.answers.entry(key).or_default() += count;
        }
        self.unanswered.extend(tally.unanswered);
    }
}

/// Clients at work, until they are stopped.
pub(crate) struct Load {
    clients: Vec<JoinHandle<Tally>>,
    // Dropped, it ends them.
    stop: Vec<Sender<()>>,
}

impl Load {
    /// Starts clients that call with this token.
    pub(crate) fn start(backend: SocketAddr, token: &str) -> Self {
        let clients = (0..CLIENTS)
            .map(|number| client(backend, token, PAUSE, REQUESTS.into_iter().cycle().skip(number)));
        let (clients, stop) = clients.unzip();
        Self { clients, stop }
    }

    /// Starts a client that asks this every so often.
    pub(crate) fn of(request: Request, pause: Duration, backend: SocketAddr, token: &str) -> Self {
        let requests = iter::repeat(request);
        let (client, stop) = client(backend, token, pause, requests);
        Self { clients: vec![client], stop: vec![stop] }
    }

    /// With the clients of another.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.clients.extend(other.clients);
        self.stop.extend(other.stop);
        self
    }

    /// Stops the clients after the answers that they wait for; gives what all of them saw.
    #[track_caller]
    pub(crate) fn stop(self) -> Tally {
        drop(self.stop);
        let mut sum = Tally::default();
        for client in self.clients {
            sum.add(client.join().expect("a client does not panic"));
        }
        sum
    }
}

fn client(
    backend: SocketAddr,
    token: &str,
    pause: Duration,
    mut requests: impl Iterator<Item = Request> + Send + 'static,
) -> (JoinHandle<Tally>, Sender<()>) {
    let (stop, stopped) = mpsc::channel::<()>();
    let authorization = format!("Bearer {token}");
    let client = thread::spawn(move || {
        let mut tally = Tally::default();
        while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
            let (method, endpoint, path, body) = requests.next().expect("there are more");
            let length = body.len().to_string();
            let headers = [
                ("Content-Length", length.as_str()),
                // Who takes JSON does not look.
                ("Content-Type", "text/csv"),
                ("Authorization", &authorization),
            ];
            match http::send(backend, method, path, &headers, body) {
                Ok(answer) => {
                    let status = answer.status.to_string();
                    let key = (method.to_owned(), endpoint.to_owned(), status);
                    *tally.answers.entry(key).or_default() += 1;
                }
                Err(error) => tally.unanswered.push(format!("{method} {path}: {error}")),
            }
        }
        tally
    });
    (client, stop)
}
