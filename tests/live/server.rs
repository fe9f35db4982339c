//! A server of one request per connection, on a port of its own.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::http;

/// The content type of `OpenMetrics`.
pub(crate) const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// The content type of Prometheus text 0.0.4.
pub(crate) const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a [`Server`] answers.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) body: Vec<u8>,
}

/// Serves until it is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves what `answer` makes of the head of each request.
    pub(crate) fn start(answer: impl Fn(&str) -> Answer + Send + 'static) -> Self {
        Self::receiving(move |head, _| answer(head))
    }

    /// Serves what `answer` makes of the head and the body of each request.
    pub(crate) fn receiving(answer: impl Fn(&str, &[u8]) -> Answer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback has a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Relaxed) {
                    return;
                }
                // A client that goes away is none of the server's business.
                _ = stream.and_then(|stream| serve(stream, &answer));
            }
        });
        Self { address, stop, thread: Some(thread) }
    }

    /// Serves one exposition, whatever is asked for.
    pub(crate) fn exposing(content_type: &'static str, exposition: &'static str) -> Self {
        Self::start(move |_| Answer {
            status: 200,
            content_type: content_type.to_owned(),
            body: exposition.into(),
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        // Wakes the thread, which looks at the flag.
        _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            eprintln!("the server at {} panicked", self.address);
        }
    }
}

fn serve(mut stream: TcpStream, answer: impl Fn(&str, &[u8]) -> Answer) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut head = Vec::new();
    let mut chunk = [0; 4096];
    let end = loop {
        if let Some(end) = head.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        let read = stream.read(&mut chunk)?;
        if read == 0 {
            return Ok(());
        }
        head.extend_from_slice(&chunk[..read]);
    };
    let mut body = head.split_off(end);
    let head = String::from_utf8_lossy(&head);
    let length = http::header(&head, "content-length").and_then(|length| length.parse().ok());
    let rest = length.unwrap_or(0_u64).saturating_sub(body.len() as u64);
    (&stream).take(rest).read_to_end(&mut body)?;
    let Answer { status, content_type, body } = answer(&head, &body);
    write!(
        stream,
        "HTTP/1.1 {status} \r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        body.len()
    )?;
    stream.write_all(&body)
}
