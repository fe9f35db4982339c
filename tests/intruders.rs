//! The library's own listener as a stranger finds it, over real sockets.

#![cfg(feature = "server")]

use std::{
    future::pending,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use backend_metrics::{Counter, Exporter, Metrics, Now, exporter::Server, families};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::{pause, resume, timeout},
};

const GET: &str = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Longer than anything here takes.
const LONG: Duration = Duration::from_mins(1);

families! {
    /// A subsystem that talks too much.
    pub struct TalkativeMetrics = "talkative" {
        /// Things that happened
        pub things: Counter = "talkative_things_total",
    }
    on_scrape = TalkativeMetrics::read
}

impl TalkativeMetrics {
    fn read(&self, _: &Now) {
        self.things.inc();
        panic!("postgres://backend:secret@database, as the test wants");
    }
}

/// An exporter whose answers are a few hundred kilobytes.
fn exporter() -> Exporter {
    let metrics = Metrics::builder().mount::<TalkativeMetrics>().build().unwrap();
    for number in 0..500 {
        let method = http::Method::GET;
        drop(metrics.start_http_request(&method, &format!("/route-{number}")));
    }
    Exporter::new(metrics)
}

/// A listener whose sockets hold little, so that who does not read is noticed.
fn listener() -> std::net::TcpListener {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_send_buffer_size(4 * 1024).unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    socket.listen(128).unwrap().into_std().unwrap()
}

fn serve(exporter: Exporter, options: impl FnOnce(Server) -> Server) -> SocketAddr {
    let server = options(Server::from_listener(exporter, listener()).unwrap());
    let address = server.local_addr();
    tokio::spawn(server.serve(pending()));
    address
}

/// A connection that has sent something, and holds little of what comes back.
async fn send(address: SocketAddr, request: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4 * 1024).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// What comes until the server closes, if it does so at all; what cuts the connection short ends it too.
async fn rest(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    _ = timeout(LONG, stream.read_to_end(&mut bytes)).await.expect("the server closes");
    String::from_utf8(bytes).unwrap()
}

/// The answer to a request line and headers, after which the connection is closed.
async fn answer(address: SocketAddr, head: &str) -> (String, String) {
    let request = format!("{head}Host: localhost\r\nConnection: close\r\n\r\n");
    let answer = rest(send(address, &request).await).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
    (head.to_owned(), body.to_owned())
}

#[tokio::test]
async fn without_the_token_nothing_is_told() {
    let address = serve(exporter().bearer_token("tWq7bXm2").unwrap(), |server| server);
    for header in [
        "",
        "Authorization: Bearer tWq7bXm3\r\n",
        "Authorization: Bearer tWq7bXm\r\n",
        "Authorization: Bearer tWq7bXm2x\r\n",
        "Authorization: Basic tWq7bXm2\r\n",
        "Authorization: Bearer tWq7bXm2\r\nAuthorization: Bearer tWq7bXm2\r\n",
        "Cookie: token=tWq7bXm2\r\n",
    ] {
        for method in ["GET", "POST"] {
            let (head, body) =
                answer(address, &format!("{method} /metrics HTTP/1.1\r\n{header}")).await;
            assert!(head.starts_with("HTTP/1.1 401 Unauthorized\r\n"), "{header:?}: {head}");
            assert!(head.contains("\r\nwww-authenticate: Bearer\r\n"), "{head}");
            assert_eq!(body, "a bearer token is required\n");
        }
    }
    let (head, body) =
        answer(address, "GET /metrics HTTP/1.1\r\nAuthorization: Bearer tWq7bXm2\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(body.contains("\ntalkative_things_total "));
}

#[tokio::test]
async fn the_default_address_is_not_that_of_another_host() {
    let address = SocketAddr::new(Server::DEFAULT_ADDRESS.ip(), 0);
    let server = Server::bind(exporter(), address).unwrap();
    let port = server.local_addr().port();
    tokio::spawn(server.serve(pending()));
    assert!(TcpStream::connect(("127.0.0.1", port)).await.is_ok());
    // All of 127.0.0.0/8 is this host, but only what is bound listens.
    assert!(TcpStream::connect(("127.0.0.2", port)).await.is_err());
}

#[tokio::test]
async fn every_answer_has_the_headers_and_none_says_what_went_wrong() {
    let address = serve(exporter(), |server| server);
    for (line, status, text) in [
        ("GET /metrics", "200 OK", None),
        ("HEAD /metrics", "200 OK", Some("")),
        ("GET /metrics?x=%3Cscript%3E", "200 OK", None),
        ("GET /admin", "404 Not Found", Some("metrics are at /metrics\n")),
        ("GET /metrics/../etc/passwd", "404 Not Found", Some("metrics are at /metrics\n")),
        ("POST /metrics", "405 Method Not Allowed", Some("only GET and HEAD are allowed\n")),
        ("TRACE /metrics", "405 Method Not Allowed", Some("only GET and HEAD are allowed\n")),
        ("OPTIONS /metrics", "405 Method Not Allowed", Some("only GET and HEAD are allowed\n")),
    ] {
        let (head, body) = answer(address, &format!("{line} HTTP/1.1\r\n")).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{line}: {head}");
        for header in [
            "cache-control: no-store",
            "x-content-type-options: nosniff",
            "content-type: text/plain; ",
        ] {
            assert!(head.contains(&format!("\r\n{header}")), "{line}: {head}");
        }
        assert!(!head.to_ascii_lowercase().contains("\r\nserver:"), "{head}");
        assert!(!body.contains("secret"), "{line}: {body}");
        if let Some(text) = text {
            assert_eq!(body, text, "{line}");
        }
    }
}

#[tokio::test]
async fn what_is_no_request_gets_no_text() {
    let address = serve(exporter(), |server| server);
    let many = "X-Header: x\r\n".repeat(101);
    let large = format!("X-Large: {}\r\n", "x".repeat(16 * 1024));
    let long = "x".repeat(16 * 1024);
    for (request, status) in [
        ("\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}\r\n\r\n", "400"),
        ("GET /metrics\r\n\r\n", "400"),
        ("GET /metrics HTTP/1.1\r\nBroken\r\n\r\n", "400"),
        ("POST /metrics HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "400"),
        (&format!("GET /metrics HTTP/1.1\r\n{many}\r\n"), "431"),
        (&format!("GET /metrics HTTP/1.1\r\n{large}\r\n"), "431"),
        (&format!("GET /{long} HTTP/1.1\r\n\r\n"), "431"),
    ] {
        let answer = rest(send(address, request).await).await;
        // A head that is too large may not be read to its end, and then the answer can be lost.
        let is_cut = answer.is_empty() && status == "431" && request.len() > 16 * 1024;
        let is_refused = answer.starts_with(&format!("HTTP/1.1 {status} "))
            || answer.starts_with(&format!("HTTP/1.0 {status} "));
        assert!(is_cut || (is_refused && answer.ends_with("\r\n\r\n")), "{request:?}: {answer}");
    }
    assert_eq!(rest(send(address, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await).await, "");
    let most = "X-Header: x\r\n".repeat(98);
    let (head, _) = answer(address, &format!("GET /metrics HTTP/1.1\r\n{most}")).await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
}

#[tokio::test]
async fn a_body_is_not_read() {
    let address = serve(exporter(), |server| server);
    for (line, status) in [("POST", "405"), ("GET", "200")] {
        for length in ["Content-Length: 1000000000", "Transfer-Encoding: chunked"] {
            let head = format!("{line} /metrics HTTP/1.1\r\nHost: x\r\n{length}\r\n\r\n");
            // The body never comes.
            let answer = rest(send(address, &head).await).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{head}: {answer}");
        }
    }
}

#[tokio::test]
async fn who_sends_no_head_is_cut_off() {
    let address = serve(exporter(), |server| server.header_timeout(Duration::from_millis(50)));
    for begun in ["", "GET /metrics HTTP/1.1\r\nX-Slow: "] {
        assert_eq!(rest(send(address, begun).await).await, "");
    }
}

/// The length of the body that a head announces.
fn length(answer: &str) -> usize {
    let (_, rest) = answer.split_once("\r\ncontent-length: ").unwrap();
    rest.split_once("\r\n").unwrap().0.parse().unwrap()
}

#[tokio::test]
async fn who_takes_no_answer_is_cut_off() {
    let short = Duration::from_millis(50);
    let address = serve(exporter(), |server| {
        server.max_connections(2).header_timeout(short).answer_timeout(short)
    });
    let close = "GET /metrics HTTP/1.1\r\nConnection: close\r\n\r\n";
    let slow = [send(address, GET).await, send(address, close).await];
    // They have the only places until they are cut off.
    let (head, body) = loop {
        // The limit is short for this one as well.
        let (head, body) = answer(address, "GET /metrics HTTP/1.1\r\n").await;
        if body.len() == length(&head) {
            break (head, body);
        }
    };
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && body.len() > 100_000, "{}", body.len());
    for stream in slow {
        let answer = rest(stream).await;
        assert!(answer.len() < length(&answer), "{} of {}", answer.len(), length(&answer));
    }
}

#[tokio::test]
async fn who_comes_while_all_places_are_taken_waits() {
    let address = serve(exporter(), |server| server.max_connections(1));
    let mut first = send(address, GET).await;
    first.read_exact(&mut [0; 100]).await.unwrap();
    let mut second = send(address, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    // This time passes only when there is nothing left to do: the answer would be there at once.
    pause();
    timeout(Duration::from_secs(1), second.read_u8()).await.expect_err("there is no place for it");
    resume();
    drop(first);
    let mut answer = [0; 12];
    second.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 404");
}

#[tokio::test]
async fn who_hangs_up_in_the_middle_leaves_its_place() {
    let address = serve(exporter(), |server| server.max_connections(2));
    for _ in 0..100 {
        let mut stream = send(address, GET).await;
        stream.read_exact(&mut [0; 100]).await.unwrap();
    }
    let (head, body) = answer(address, "GET /metrics HTTP/1.1\r\n").await;
    assert_eq!(body.len(), length(&head));
}

#[tokio::test]
async fn fifty_at_once_are_answered_in_turn() {
    let address = serve(exporter(), |server| server.max_connections(8));
    let scrapes: Vec<_> =
        (0..50).map(|_| tokio::spawn(answer(address, "GET /metrics HTTP/1.1\r\n"))).collect();
    for scrape in scrapes {
        let (head, body) = scrape.await.unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert_eq!(body.len(), length(&head));
    }
}
