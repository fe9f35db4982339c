//! Scrapes are encoded on a thread that runs while any wait, each kind once for all of them.

use std::{
    io, mem,
    sync::{Arc, Weak},
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::{
    Format, Metrics,
    collect::callback::{Deadline, caught},
    exposition::Scrape,
    labels::{ScrapeFormat, ScrapeStatus},
};

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) format: Format,
    pub(super) gzip: bool,
}

/// Encodes an instance for the requests that wait.
#[derive(Debug)]
pub(super) struct Scraper {
    metrics: Metrics,
    encode: fn(&Scrape, Format) -> String,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Vec<Request>,
    /// Whether a thread takes from the queue.
    running: bool,
}

#[derive(Debug)]
struct Request {
    wanted: Wanted,
    deadline: Deadline,
    /// Whether its scraper gives callbacks less time than the service does.
    is_hurried: bool,
    /// Gone if the request was dropped.
    answer: Weak<Mutex<Answer>>,
}

/// Where the bytes are put for a request.
#[derive(Debug)]
enum Answer {
    /// They are not there; whom to wake when they are.
    Awaited(Option<Waker>),
    /// They are there, or none if they could not be encoded.
    Given(Option<Bytes>),
}

/// A request that waits for its bytes.
#[derive(Debug)]
pub(super) struct Pending(Arc<Mutex<Answer>>);

impl Pending {
    /// The bytes, or none if they could not be encoded.
    pub(super) fn poll(&self, context: &Context<'_>) -> Poll<Option<Bytes>> {
        match &mut *self.0.lock() {
            Answer::Given(bytes) => return Poll::Ready(bytes.clone()),
            Answer::Awaited(Some(waker)) => waker.clone_from(context.waker()),
            Answer::Awaited(waker) => *waker = Some(context.waker().clone()),
        }
        Poll::Pending
    }
}

impl Scraper {
    pub(super) fn new(metrics: Metrics) -> Self {
        Self::encoding_by(metrics, Scrape::encode)
    }

    pub(super) fn encoding_by(metrics: Metrics, encode: fn(&Scrape, Format) -> String) -> Self {
        Self { metrics, encode, queue: Mutex::default() }
    }

    pub(super) fn metrics(&self) -> Metrics {
        self.metrics
    }

    /// Queues a request, whose callbacks have so long from now on.
    pub(super) fn request(self: &Arc<Self>, wanted: Wanted, allowance: Duration) -> Pending {
        self.request_on(wanted, allowance, |work| {
            thread::Builder::new().name("metrics-scrape".into()).spawn(work).map(drop)
        })
    }

    fn request_on(
        self: &Arc<Self>,
        wanted: Wanted,
        allowance: Duration,
        spawn: impl FnOnce(Box<dyn FnOnce() + Send>) -> io::Result<()>,
    ) -> Pending {
        let answer = Arc::new(Mutex::new(Answer::Awaited(None)));
        let mut queue = self.queue.lock();
        let deadline = Deadline::after(allowance);
        let is_hurried = allowance < self.metrics.collect_timeout();
        let request = Request { wanted, deadline, is_hurried, answer: Arc::downgrade(&answer) };
        queue.waiting.push(request);
        let was_running = mem::replace(&mut queue.running, true);
        drop(queue);
        if !was_running {
            let scraper = Arc::clone(self);
            if spawn(Box::new(move || scraper.run())).is_err() {
                // Late is better than never.
                self.run();
            }
        }
        Pending(answer)
    }

    /// Answers requests until none wait. All that wait arrived before what they get is encoded.
    fn run(&self) {
        loop {
            let mut queue = self.queue.lock();
            let waiting = mem::take(&mut queue.waiting);
            if waiting.is_empty() {
                queue.running = false;
                return;
            }
            drop(queue);
            let (hurried, others): (Vec<_>, Vec<_>) =
                waiting.into_iter().partition(|request| request.is_hurried);
            // Apart, so that no client can shorten the time of callbacks for others.
            self.answer(hurried);
            self.answer(others);
        }
    }

    /// Answers requests from one reading of the instance, each kind encoded once.
    fn answer(&self, waiting: Vec<Request>) {
        let waiting = waiting.into_iter().filter_map(|request| {
            Some((request.wanted, request.deadline, request.answer.upgrade()?))
        });
        let waiting: Vec<_> = waiting.collect();
        let deadlines = waiting.iter().map(|(_, deadline, _)| *deadline);
        let Some(deadline) = deadlines.reduce(Deadline::earlier) else { return };
        let mut encodings = Encodings::of(self, deadline.with_reserve());
        for (wanted, _, answer) in waiting {
            let encoding = encodings.get(wanted);
            let ok = encoding.bytes.is_some();
            record_scrape(self.metrics, wanted.format, ok, encoding.took, encoding.size);
            give(&answer, encoding.bytes);
        }
    }
}

fn give(answer: &Mutex<Answer>, bytes: Option<Bytes>) {
    let awaited = mem::replace(&mut *answer.lock(), Answer::Given(bytes));
    if let Answer::Awaited(Some(waker)) = awaited {
        // It is the executor's, and its panic must not cost the others their answers.
        _ = caught(|| waker.wake());
    }
}

/// Counts a scrape that was answered: its format, whether it could be encoded, how long that took, and its
/// size before compression.
fn record_scrape(metrics: Metrics, format: Format, ok: bool, duration: Duration, size: usize) {
    let format = match format {
        Format::OpenMetrics => ScrapeFormat::OpenMetrics,
        Format::Text => ScrapeFormat::Text,
    };
    let status = if ok { ScrapeStatus::Ok } else { ScrapeStatus::Error };
    metrics.track_scrape(format, status, duration, size as u64);
}

/// What was encoded for the requests at hand.
struct Encodings<'a> {
    scraper: &'a Scraper,
    /// What is encoded, and how long its callbacks took; none if there was a panic.
    scrape: Option<Scrape>,
    read: Duration,
    done: Vec<(Wanted, Encoding)>,
}

#[derive(Clone, Default)]
struct Encoding {
    /// The bytes as sent; none if there was a panic.
    bytes: Option<Bytes>,
    took: Duration,
    /// How many bytes there are before compression.
    size: usize,
}

impl<'a> Encodings<'a> {
    /// Callbacks run once for all formats.
    fn of(scraper: &'a Scraper, deadline: Deadline) -> Self {
        let stopwatch = scraper.metrics.stopwatch();
        // Code of the service runs elsewhere. A fault of ours costs this scrape, but not the thread.
        let scrape = caught(|| scraper.metrics.read(deadline));
        Self { scraper, scrape, read: stopwatch.elapsed(), done: Vec::new() }
    }

    fn get(&mut self, wanted: Wanted) -> Encoding {
        if let Some((_, encoding)) = self.done.iter().find(|(done, _)| *done == wanted) {
            return encoding.clone();
        }
        let plain = if wanted.gzip {
            self.get(Wanted { gzip: false, ..wanted })
        } else {
            Encoding { took: self.read, ..Encoding::default() }
        };
        let Scraper { metrics, encode, .. } = *self.scraper;
        let stopwatch = metrics.stopwatch();
        let bytes = match &plain.bytes {
            Some(bytes) => compressed(bytes),
            None if wanted.gzip => None,
            None => self
                .scrape
                .as_ref()
                .and_then(|scrape| caught(|| encode(scrape, wanted.format)).map(Bytes::from)),
        };
        let encoding = Encoding {
            took: plain.took + stopwatch.elapsed(),
            size: plain.bytes.as_ref().or(bytes.as_ref()).map_or(0, Bytes::len),
            bytes,
        };
        self.done.push((wanted, encoding.clone()));
        encoding
    }
}

#[cfg(feature = "gzip")]
fn compressed(bytes: &[u8]) -> Option<Bytes> {
    use std::io::Write;

    let into = Vec::with_capacity(bytes.len() / 8);
    let mut encoder = flate2::write::GzEncoder::new(into, flate2::Compression::fast());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).ok().map(Bytes::from)
}

#[cfg(not(feature = "gzip"))]
fn compressed(_: &[u8]) -> Option<Bytes> {
    None
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, panic::panic_any, task::Wake};

    use super::*;
    use crate::testing::{
        PanicsAgain,
        gate::{Gate, Gated},
    };

    const TEXT: Wanted = Wanted { format: Format::Text, gzip: false };
    const OPENMETRICS: Wanted = Wanted { format: Format::OpenMetrics, gzip: false };

    fn gated() -> (Arc<Scraper>, &'static Gate) {
        let builder = Metrics::builder().mount::<Gated>().collect_timeout(Duration::MAX);
        let metrics = builder.build().unwrap();
        (Arc::new(Scraper::new(metrics)), &metrics.mounted::<Gated>().unwrap().gate)
    }

    fn request(scraper: &Arc<Scraper>, wanted: Wanted) -> Pending {
        scraper.request(wanted, Duration::MAX)
    }

    async fn bytes(pending: Pending) -> Option<Bytes> {
        poll_fn(|context| pending.poll(context)).await
    }

    #[tokio::test]
    async fn scrapes_that_arrive_meanwhile_share_the_next() {
        let (scraper, gate) = gated();
        gate.close();
        let first = request(&scraper, TEXT);
        gate.wait_for_arrivals(1);
        let others: Vec<_> = (0..50).map(|_| request(&scraper, TEXT)).collect();
        let openmetrics = request(&scraper, OPENMETRICS);
        gate.open();
        assert!(bytes(first).await.is_some());
        let mut shared = Vec::new();
        for other in others {
            shared.push(bytes(other).await.unwrap());
        }
        assert!(shared.iter().all(|bytes| bytes.as_ptr() == shared[0].as_ptr()));
        assert!(bytes(openmetrics).await.unwrap().ends_with(b"# EOF\n"));
        assert_eq!(gate.arrivals(), 2);
    }

    #[tokio::test]
    async fn a_scrape_is_not_older_than_its_request() {
        let (scraper, gate) = gated();
        let counter = scraper.metrics.database.pool_acquire_timeouts;
        for count in 1..20 {
            counter.inc();
            let text = bytes(request(&scraper, TEXT)).await.unwrap();
            let line = format!("\ndatabase_pool_acquire_timeouts_total {count}\n");
            assert!(std::str::from_utf8(&text).unwrap().contains(&line));
        }
        assert_eq!(gate.arrivals(), 19);
    }

    #[tokio::test]
    async fn a_dropped_request_is_not_encoded() {
        let (scraper, gate) = gated();
        gate.close();
        let first = request(&scraper, TEXT);
        gate.wait_for_arrivals(1);
        let last = request(&scraper, TEXT);
        drop(request(&scraper, OPENMETRICS));
        gate.open();
        assert!(bytes(first).await.is_some());
        assert!(bytes(last).await.is_some());
        assert_eq!(gate.arrivals(), 2);
    }

    #[tokio::test]
    async fn a_panic_fails_its_scrapes_and_no_later_one() {
        let metrics = Metrics::new();
        let scraper = Arc::new(Scraper::encoding_by(metrics, |scrape, format| {
            let text = scrape.encode(format);
            assert!(text.contains("\ndatabase_pool_acquire_timeouts_total 1\n"));
            text
        }));
        assert!(bytes(request(&scraper, TEXT)).await.is_none());
        assert!(bytes(request(&scraper, Wanted { gzip: true, ..TEXT })).await.is_none());
        metrics.database.pool_acquire_timeouts.inc();
        assert!(bytes(request(&scraper, TEXT)).await.is_some());
    }

    #[tokio::test]
    async fn without_a_thread_the_caller_encodes() {
        let (scraper, gate) = gated();
        let pending =
            scraper.request_on(TEXT, Duration::MAX, |_| Err(io::ErrorKind::OutOfMemory.into()));
        assert_eq!(gate.arrivals(), 1);
        assert!(bytes(pending).await.is_some());
        assert!(bytes(request(&scraper, TEXT)).await.is_some());
    }

    #[tokio::test]
    async fn a_waker_that_panics_costs_nobody_else() {
        struct Panics;
        impl Wake for Panics {
            fn wake(self: Arc<Self>) {
                panic_any(PanicsAgain);
            }
        }
        let (scraper, gate) = gated();
        gate.close();
        let first = request(&scraper, TEXT);
        assert!(first.poll(&Context::from_waker(&Waker::from(Arc::new(Panics)))).is_pending());
        let second = request(&scraper, OPENMETRICS);
        gate.open();
        assert!(bytes(second).await.is_some());
        assert!(bytes(request(&scraper, TEXT)).await.is_some());
    }

    #[cfg(feature = "gzip")]
    #[tokio::test]
    async fn gzip_is_of_the_same_encoding() {
        use std::io::Read;

        let (scraper, gate) = gated();
        gate.close();
        let first = request(&scraper, TEXT);
        gate.wait_for_arrivals(1);
        let (zipped, plain) =
            (request(&scraper, Wanted { gzip: true, ..TEXT }), request(&scraper, TEXT));
        gate.open();
        bytes(first).await;
        let (zipped, plain) = (bytes(zipped).await.unwrap(), bytes(plain).await.unwrap());
        assert_eq!(gate.arrivals(), 2);
        let mut unzipped = Vec::new();
        flate2::read::GzDecoder::new(&zipped[..]).read_to_end(&mut unzipped).unwrap();
        assert!(unzipped == plain && zipped.len() < plain.len());
    }
}
