//! Scrapes that wait, and the thread that encodes for them, as `exporter/scrape.rs` has it.

use super::*;

/// What a request gets, or who is to be woken.
enum Answer {
    Awaited(Option<usize>),
    Given(u64),
}

struct Request {
    answer: Mutex<Answer>,
    /// The wakers that were woken, as bits.
    woken: AtomicUsize,
}

impl Request {
    /// As `Pending::poll`.
    fn poll(&self, waker: usize) -> Option<u64> {
        let mut answer = self.answer.lock();
        match *answer {
            Answer::Given(count) => Some(count),
            Answer::Awaited(_) => {
                *answer = Answer::Awaited(Some(waker));
                None
            }
        }
    }

    /// As `give`.
    fn give(&self, count: u64) {
        let awaited = std::mem::replace(&mut *self.answer.lock(), Answer::Given(count));
        if let Answer::Awaited(Some(waker)) = awaited {
            self.woken.store(waker, Release);
        }
    }
}

#[derive(Default)]
struct Queue {
    waiting: Vec<Arc<Request>>,
    running: bool,
}

struct Scraper {
    queue: Mutex<Queue>,
    /// What is encoded.
    count: AtomicU64,
}

impl Scraper {
    fn new() -> Arc<Self> {
        Arc::new(Self { queue: Mutex::default(), count: AtomicU64::new(0) })
    }

    /// Queues a request. Who finds no thread that runs is the one, in place of making one.
    fn request(&self) -> Arc<Request> {
        let answer = Mutex::new(Answer::Awaited(None));
        let request = Arc::new(Request { answer, woken: AtomicUsize::new(0) });
        let mut queue = self.queue.lock();
        queue.waiting.push(request.clone());
        let was_running = std::mem::replace(&mut queue.running, true);
        drop(queue);
        if !was_running {
            self.run();
        }
        request
    }

    fn run(&self) {
        loop {
            let mut queue = self.queue.lock();
            let waiting = std::mem::take(&mut queue.waiting);
            if waiting.is_empty() {
                queue.running = false;
                return;
            }
            drop(queue);
            let count = self.count.load(Relaxed);
            for request in waiting {
                request.give(count);
            }
        }
    }
}

#[test]
fn no_request_is_left_when_the_thread_ends_and_none_gets_what_is_older_than_itself() {
    let answered = outcomes(|| {
        let scraper = Scraper::new();
        let other = thread::spawn({
            let scraper = scraper.clone();
            move || scraper.request()
        });
        // Recorded before it is asked for.
        scraper.count.store(1, Relaxed);
        let own = scraper.request();
        let other = join(other);
        let [own, other] = [own, other].map(|request| request.poll(1));
        assert_eq!(own, Some(1), "a request has no answer, or an old one");
        assert!(other.is_some(), "a request has no answer");
        other
    });
    assert_eq!(answered, BTreeSet::from([Some(0), Some(1)]));
}

#[test]
fn who_waits_for_an_answer_is_woken() {
    let polled = outcomes(|| {
        let answer = Mutex::new(Answer::Awaited(None));
        let request = Arc::new(Request { answer, woken: AtomicUsize::new(0) });
        let gives = thread::spawn({
            let request = request.clone();
            move || request.give(7)
        });
        let first = request.poll(1);
        // It moved to another task.
        let second = first.or_else(|| request.poll(2));
        join(gives);
        let woken = request.woken.load(Acquire);
        assert!(second.is_some() || woken == 2, "it waits for ever: {second:?}, {woken}");
        (first.is_some(), second.is_some(), woken)
    });
    let [no, yes] = [false, true];
    assert_eq!(polled, BTreeSet::from([(no, no, 2), (no, yes, 1), (yes, yes, 0)]));
}
