//! What instances keep beside their cells: totals of the day, what a session holds, figures that are read.

use loom::sync::Condvar;

use super::*;

/// As `DailyTotal` of `collect/daily.rs`: the day and its amount in one word.
struct Total(AtomicU64);

impl Total {
    fn add(&self, today: u64, amount: u64) {
        let mut word = self.0.load(Relaxed);
        loop {
            // The day stands before the comma, as it were; one that lies ahead is kept.
            let (day, total) = (word / 100, word % 100);
            let (day, total) = if day < today { (today, 0) } else { (day, total) };
            match self.0.compare_exchange_weak(word, day * 100 + total + amount, Relaxed, Relaxed) {
                Ok(_) => return,
                Err(now) => word = now,
            }
        }
    }
}

#[test]
fn over_midnight_nothing_is_lost_or_counted_twice() {
    let totals = outcomes(|| {
        let total = Arc::new(Total(AtomicU64::new(105)));
        let threads = [(1, 1), (2, 2), (2, 4)].map(|(today, amount)| {
            let total = total.clone();
            thread::spawn(move || total.add(today, amount))
        });
        threads.into_iter().for_each(join);
        total.0.load(Relaxed)
    });
    // Who is late by a day counts for the day before, or for the one that has begun.
    assert_eq!(totals, BTreeSet::from([206, 207]));
}

/// As `WebsocketSession::queued` of `subsystems/websocket.rs`: the gauge of all sessions changes by the difference.
struct Session {
    queued: AtomicU64,
    /// Each thread writes cells of its own, here one for each.
    steps: [AtomicU64; 3],
}

impl Session {
    fn queued(&self, thread: usize, messages: u64) {
        let before = self.queued.swap(messages, Relaxed);
        let steps = self.steps[thread].load(Relaxed);
        self.steps[thread].store(steps.wrapping_add(messages).wrapping_sub(before), Relaxed);
    }

    fn gauge(&self) -> u64 {
        self.steps.iter().fold(0, |sum, steps| sum.wrapping_add(steps.load(Relaxed)))
    }
}

#[test]
fn a_session_that_two_tasks_report_the_queue_of_leaves_nothing_behind() {
    let gauges = outcomes(|| {
        let session =
            Arc::new(Session { queued: AtomicU64::new(0), steps: [0; 3].map(AtomicU64::new) });
        let threads = [(0, 3), (1, 5)].map(|(thread, messages)| {
            let session = session.clone();
            thread::spawn(move || session.queued(thread, messages))
        });
        threads.into_iter().for_each(join);
        let gauge = session.gauge();
        // The session ends.
        session.queued(2, 0);
        assert_eq!(session.gauge(), 0);
        gauge
    });
    assert_eq!(gauges, BTreeSet::from([3, 5]));
}

/// As `ProcessMetrics::read` of `subsystems/process.rs`: figures are read and set under one lock.
#[test]
fn a_figure_that_two_scrapes_read_does_not_fall() {
    let seen = outcomes(|| {
        let process = Arc::new((AtomicU64::new(1), AtomicU64::new(0), Mutex::new(())));
        let scrape = |process: &(AtomicU64, AtomicU64, Mutex<()>)| {
            let (source, figure, reading) = process;
            let lock = reading.lock();
            figure.store(source.load(Acquire), Relaxed);
            drop(lock);
            figure.load(Relaxed)
        };
        let other = thread::spawn({
            let process = process.clone();
            move || scrape(&process)
        });
        let first = scrape(&process);
        process.0.store(2, Release);
        let second = scrape(&process);
        assert!(first <= second && second == 2, "from {first} to {second}");
        join(other)
    });
    assert_eq!(seen, BTreeSet::from([1, 2]));
}

/// As `Reading::read` of `collect/reading.rs`: one thread reads at a time, and whoever comes meanwhile reads after it.
#[test]
fn what_is_read_by_one_at_a_time_is_read_whole() {
    let read = outcomes(|| {
        let reading = Arc::new((Mutex::new(false), Condvar::new(), AtomicU64::new(0)));
        let read = |reading: &(Mutex<bool>, Condvar, AtomicU64)| {
            let (is_under_way, ended, state) = reading;
            let mut lock = is_under_way.lock();
            while *lock {
                lock = ended.wait(lock).expect("nobody panics");
            }
            *lock = true;
            drop(lock);
            let seen = state.load(Relaxed);
            state.store(seen + 1, Relaxed);
            *is_under_way.lock() = false;
            ended.notify_all();
        };
        let threads = [(); 3].map(|()| {
            let reading = reading.clone();
            thread::spawn(move || read(&reading))
        });
        threads.into_iter().for_each(join);
        reading.2.load(Relaxed)
    });
    assert_eq!(read, BTreeSet::from([3]), "two read at once");
}
