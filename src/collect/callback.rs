//! Callbacks: code of the service that a scrape runs on separate threads, within a deadline.

use std::{
    cell::Cell,
    fmt, mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Weak},
    thread,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};

use crate::registry::Now;

/// How much of its allowance a scrape that waited in line keeps for its callbacks: a tenth, but no more than this.
const MAX_RESERVE: Duration = Duration::from_millis(100);

/// Until when a scrape waits for its callbacks, all of them together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    /// None if it is further ahead than the clock can tell.
    at: Option<Instant>,
    /// How long the scrape waits at most.
    allowance: Duration,
}

/// Why a callback gave nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallbackError {
    /// It returned, and had nothing to give.
    Nothing,
    /// It panicked.
    Panic,
    /// It did not return by the deadline.
    Timeout,
}

thread_local! {
    /// The deadline of the callback that runs on this thread.
    static ENCLOSING: Cell<Option<Deadline>> = const { Cell::new(None) };
}

impl Deadline {
    /// This long from now. A callback that scrapes an instance passes on nine tenths of the time it has left.
    pub(crate) fn after(allowance: Duration) -> Self {
        let this = Self::from_now(allowance);
        match ENCLOSING.get() {
            Some(enclosing) if enclosing.at.is_some() => {
                this.earlier(Self::from_now(enclosing.left() / 10 * 9))
            }
            _ => this,
        }
    }

    fn from_now(allowance: Duration) -> Self {
        Self { at: Instant::now().checked_add(allowance), allowance }
    }

    /// The one that comes first.
    pub(crate) fn earlier(self, other: Self) -> Self {
        match (self.at, other.at) {
            (Some(one), Some(another)) if another < one => other,
            (None, Some(_)) => other,
            _ => self,
        }
    }

    /// The same, but not before a callback that does not block has had time to run.
    pub(crate) fn with_reserve(self) -> Self {
        let reserve = (self.allowance / 10).min(MAX_RESERVE);
        Self { at: self.at.map(|at| at.max(Instant::now() + reserve)), ..self }
    }

    fn left(self) -> Duration {
        self.at.map_or(Duration::MAX, |at| at.saturating_duration_since(Instant::now()))
    }
}

/// Code of the service that gives a `T` for a scrape, by a name that operators see.
///
/// It runs on one thread at a time, which ends when no scrape waits for it: while it is under way, further scrapes wait
/// for its next run, which they share.
pub(crate) struct Callback<T>(Arc<Shared<T>>);

type Run<T> = dyn Fn(&Now) -> Option<T> + Send + Sync;

struct Shared<T> {
    name: Box<str>,
    /// Taken when it is dropped.
    run: Option<Box<Run<T>>>,
    runs: Mutex<Runs<T>>,
}

struct Runs<T> {
    /// When the run that is under way began.
    since: Option<Instant>,
    /// The scrapes that wait for the next run.
    waiting: Vec<Waiting<T>>,
}

struct Waiting<T> {
    now: Now,
    deadline: Deadline,
    /// Gone if the scrape waits no longer.
    answer: Weak<Answer<T>>,
}

struct Answer<T> {
    given: Mutex<Option<Result<T, CallbackError>>>,
    changed: Condvar,
}

/// A callback that was begun for a scrape.
pub(crate) struct Call<T> {
    callback: Arc<Shared<T>>,
    deadline: Deadline,
    /// None if it will not be there in time.
    answer: Option<Arc<Answer<T>>>,
}

impl<T> Callback<T> {
    pub(crate) fn new(
        name: impl Into<Box<str>>,
        run: impl Fn(&Now) -> Option<T> + Send + Sync + 'static,
    ) -> Self {
        let runs = Mutex::new(Runs { since: None, waiting: Vec::new() });
        Self(Arc::new(Shared { name: name.into(), run: Some(Box::new(run)), runs }))
    }

    pub(crate) fn name(&self) -> &str {
        &self.0.name
    }

    /// Whether the call is one of it.
    pub(crate) fn is_of(&self, call: &Call<T>) -> bool {
        Arc::ptr_eq(&self.0, &call.callback)
    }
}

impl<T: Clone + Send + 'static> Callback<T> {
    /// Begins it for a scrape. It is not begun again while it is under way.
    pub(crate) fn begin(&self, now: &Now, deadline: Deadline) -> Call<T> {
        let answer = Arc::new(Answer { given: Mutex::new(None), changed: Condvar::new() });
        let waiting = Waiting { now: *now, deadline, answer: Arc::downgrade(&answer) };
        let in_time = self.0.take(waiting);
        Call { callback: Arc::clone(&self.0), deadline, answer: in_time.then_some(answer) }
    }
}

impl<T: Clone + Send + 'static> Shared<T> {
    /// Whether the scrape may get an answer.
    fn take(self: &Arc<Self>, scrape: Waiting<T>) -> bool {
        let mut runs = self.runs.lock();
        if let Some(since) = runs.since {
            // A callback may scrape, and would wait for itself.
            if since.elapsed() >= scrape.deadline.allowance || ENCLOSING.get().is_some() {
                return false;
            }
            runs.waiting.retain(Waiting::is_there);
            runs.waiting.push(scrape);
            return true;
        }
        runs.since = Some(Instant::now());
        drop(runs);
        let this = Arc::clone(self);
        let thread = thread::Builder::new().name("metrics-collect".into());
        let thread = thread.spawn(move || this.run_for(vec![scrape]));
        if thread.is_err() {
            let mut runs = self.runs.lock();
            *runs = Runs { since: None, waiting: Vec::new() };
        }
        thread.is_ok()
    }

    /// Runs until no scrape waits.
    fn run_for(&self, mut waiting: Vec<Waiting<T>>) {
        while let Some(Waiting { now, deadline, .. }) = waiting.last() {
            ENCLOSING.set(Some(*deadline));
            let result = match caught(|| self.run.as_ref().and_then(|run| run(now))) {
                Some(Some(given)) => Ok(given),
                Some(None) => Err(CallbackError::Nothing),
                None => Err(CallbackError::Panic),
            };
            // First, so that who is answered can begin it again.
            let next = self.next();
            for answer in waiting.iter().filter_map(|waiting| waiting.answer.upgrade()) {
                *answer.given.lock() = Some(result.clone());
                answer.changed.notify_all();
            }
            waiting = next;
        }
    }

    /// The scrapes that wait for the next run.
    fn next(&self) -> Vec<Waiting<T>> {
        let mut runs = self.runs.lock();
        let mut next = mem::take(&mut runs.waiting);
        next.retain(Waiting::is_there);
        runs.since = (!next.is_empty()).then(Instant::now);
        next
    }
}

impl<T> Waiting<T> {
    fn is_there(&self) -> bool {
        self.answer.strong_count() > 0
    }
}

impl<T> Call<T> {
    pub(crate) fn name(&self) -> &str {
        &self.callback.name
    }

    /// What it gives, if it does so by the deadline. What it gives later is dropped.
    pub(crate) fn finish(&self) -> Result<T, CallbackError> {
        let Some(answer) = &self.answer else { return Err(CallbackError::Timeout) };
        let mut given = answer.given.lock();
        loop {
            if let Some(given) = given.take() {
                return given;
            }
            let left = self.deadline.left();
            if left.is_zero() {
                return Err(CallbackError::Timeout);
            }
            answer.changed.wait_for(&mut given, left);
        }
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        // It holds values of the service, whose destructors may panic.
        let run = self.run.take();
        _ = caught(|| drop(run));
    }
}

impl<T> fmt::Debug for Callback<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Callback").field(&self.0.name).finish()
    }
}

/// What `run` gives, or none if it panics. The panic ends here, and so does one of what it carries.
pub(crate) fn caught<T>(run: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(run))
        .map_err(|payload| {
            if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
                mem::forget(another);
            }
        })
        .ok()
}

#[cfg(test)]
mod tests {
    use std::{
        panic::panic_any,
        sync::{
            atomic::{AtomicU32, Ordering::SeqCst},
            mpsc::{Receiver, Sender, channel},
        },
        time::SystemTime,
    };

    use super::*;
    use crate::testing::PanicsAgain;

    /// Longer than any test takes.
    const LONG: Duration = Duration::from_mins(1);

    const NOW: Now = Now { uptime: Duration::ZERO, wall: SystemTime::UNIX_EPOCH, day: 0 };

    fn begin<T: Clone + Send + 'static>(callback: &Callback<T>, allowance: Duration) -> Call<T> {
        callback.begin(&NOW, Deadline::after(allowance))
    }

    /// A callback that gives how often it was begun, once it is told to go on.
    fn stepped() -> (Callback<u32>, Receiver<()>, Sender<()>) {
        let (begin, begun) = channel();
        let (go_on, told) = channel::<()>();
        let (told, times) = (Mutex::new(told), AtomicU32::new(0));
        let callback = Callback::new("stepped", move |_| {
            let times = times.fetch_add(1, SeqCst) + 1;
            begin.send(()).ok()?;
            told.lock().recv().ok()?;
            Some(times)
        });
        (callback, begun, go_on)
    }

    #[test]
    fn what_is_given_in_time_is_taken() {
        let times = AtomicU32::new(0);
        let callback = Callback::new("counts", move |_| Some(times.fetch_add(1, SeqCst)));
        for number in 0..3 {
            assert_eq!(begin(&callback, LONG).finish(), Ok(number));
        }
    }

    #[test]
    fn nothing_and_a_panic_are_told_apart() {
        let nothing = Callback::new("nothing", |_| None::<()>);
        let panics = Callback::new("panics", |_| -> Option<()> { panic_any(PanicsAgain) });
        for _ in 0..3 {
            assert_eq!(begin(&nothing, LONG).finish(), Err(CallbackError::Nothing));
            assert_eq!(begin(&panics, LONG).finish(), Err(CallbackError::Panic));
        }
    }

    #[test]
    fn what_blocks_is_begun_once_and_waited_for_no_longer() {
        let (callback, begun, go_on) = stepped();
        assert_eq!(begin(&callback, Duration::ZERO).finish(), Err(CallbackError::Timeout));
        begun.recv().unwrap();
        // As if that were long ago.
        callback.0.runs.lock().since = Instant::now().checked_sub(LONG);
        for _ in 0..100 {
            assert_eq!(begin(&callback, LONG).finish(), Err(CallbackError::Timeout));
        }
        assert!(callback.0.runs.lock().waiting.is_empty());
        go_on.send(()).unwrap();
        // Nobody waits, so it is not run again before it is begun.
        while callback.0.runs.lock().since.is_some() {
            thread::yield_now();
        }
        go_on.send(()).unwrap();
        assert_eq!(begin(&callback, LONG).finish(), Ok(2));
    }

    #[test]
    fn scrapes_that_come_meanwhile_share_the_next_run() {
        let (callback, begun, go_on) = stepped();
        let first = begin(&callback, LONG);
        begun.recv().unwrap();
        let others: Vec<_> = (0..10).map(|_| begin(&callback, LONG)).collect();
        // They have gone by when the run ends.
        drop(begin(&callback, LONG));
        for _ in 0..2 {
            go_on.send(()).unwrap();
        }
        assert_eq!(first.finish(), Ok(1));
        for other in others {
            assert_eq!(other.finish(), Ok(2));
        }
        begun.recv().unwrap();
        assert!(begun.try_recv().is_err());
    }

    #[test]
    fn a_scrape_waits_for_the_run_of_another_within_its_own_deadline() {
        let (callback, begun, go_on) = stepped();
        let first = begin(&callback, LONG);
        begun.recv().unwrap();
        let late = Deadline { at: Some(Instant::now()), allowance: LONG };
        assert_eq!(callback.begin(&NOW, late).finish(), Err(CallbackError::Timeout));
        go_on.send(()).unwrap();
        assert_eq!(first.finish(), Ok(1));
    }

    #[test]
    fn a_callback_that_scrapes_does_not_wait_for_itself() {
        let itself = Arc::new(Mutex::new(None::<Callback<bool>>));
        let own = Arc::clone(&itself);
        let callback = Callback::new("itself", move |now| {
            let own = own.lock().as_ref()?.begin(now, Deadline::after(Duration::MAX));
            Some(own.finish() == Err(CallbackError::Timeout))
        });
        *itself.lock() = Some(Callback(Arc::clone(&callback.0)));
        assert_eq!(begin(&callback, LONG).finish(), Ok(true));
        itself.lock().take();
    }

    #[test]
    fn a_callback_that_scrapes_passes_its_deadline_on() {
        let callback = Callback::new("scrapes", |_| {
            Some((Deadline::after(Duration::MAX).left(), Deadline::after(Duration::ZERO).left()))
        });
        let (left, none) = begin(&callback, LONG).finish().unwrap();
        assert!(left > LONG / 2 && left <= LONG / 10 * 9, "{left:?}");
        assert!(none.is_zero());
        let (left, _) = begin(&callback, Duration::MAX).finish().unwrap();
        assert!(left > LONG * 1_000);
    }

    #[test]
    fn a_scrape_that_waited_in_line_keeps_a_tenth() {
        let passed = |allowance| Deadline { at: Some(Instant::now()), allowance };
        let left = passed(LONG).with_reserve().left();
        assert!(left > Duration::ZERO && left <= MAX_RESERVE, "{left:?}");
        let left = passed(Duration::from_millis(50)).with_reserve().left();
        assert!(left <= Duration::from_millis(5), "{left:?}");
        let ahead = Deadline::after(LONG).with_reserve().left();
        assert!(ahead <= LONG && ahead > LONG / 2, "{ahead:?}");
    }
}
