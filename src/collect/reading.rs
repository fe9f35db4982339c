//! Code of the service that runs for a scrape.

use std::{
    cell::Cell,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};

/// Something of the service that is read, on a thread that lives as long as the reading takes.
///
/// There is one such thread at most: while a reading does not come to its end, no other is begun.
#[derive(Debug, Default)]
pub(crate) struct Reading(Arc<UnderWay>);

#[derive(Debug, Default)]
struct UnderWay {
    /// When the reading that is under way began.
    since: Mutex<Option<Instant>>,
    ended: Condvar,
}

/// Why a reading gave nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotRead {
    /// It panicked.
    Panicked,
    /// It takes longer than allowed, or the one before still does.
    Late,
}

thread_local! {
    /// Whether this thread reads.
    static READS: Cell<bool> = const { Cell::new(false) };
}

impl UnderWay {
    /// Begins a reading, once the one under way has ended; `false` if that one is late.
    fn begin(&self, limit: Duration) -> bool {
        let mut since = self.since.lock();
        while let Some(begun) = *since {
            let left = limit.saturating_sub(begun.elapsed());
            // What is read may ask for what is read, and would wait for itself.
            if left.is_zero() || READS.get() {
                return false;
            }
            self.ended.wait_for(&mut since, left);
        }
        *since = Some(Instant::now());
        true
    }

    fn end(&self) {
        *self.since.lock() = None;
        self.ended.notify_all();
    }
}

impl Reading {
    /// What `read` gives, if it gives it in time. What it gives later is dropped.
    pub(crate) fn read<T: Send + 'static>(
        &self,
        limit: Duration,
        read: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NotRead> {
        if !self.0.begin(limit) {
            return Err(NotRead::Late);
        }
        let (sender, given) = mpsc::sync_channel(1);
        let under_way = Arc::clone(&self.0);
        let thread = thread::Builder::new().name("metrics-collect".into()).spawn(move || {
            READS.set(true);
            let result = caught(read).ok_or(NotRead::Panicked);
            under_way.end();
            // Nobody waits for it any more if it is late.
            _ = sender.send(result);
        });
        if thread.is_err() {
            self.0.end();
        }
        given.recv_timeout(limit).unwrap_or(Err(NotRead::Late))
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
    use std::{panic::panic_any, sync::mpsc::channel};

    use super::*;
    use crate::testing::PanicsAgain;

    /// Longer than any test takes.
    const LONG: Duration = Duration::from_mins(1);

    #[test]
    fn what_is_read_in_time_is_given() {
        let reading = Reading::default();
        for number in 0..3 {
            assert_eq!(reading.read(LONG, move || number), Ok(number));
        }
    }

    #[test]
    fn what_blocks_is_left_alone_and_begun_once() {
        let reading = Reading::default();
        let (release, held) = channel::<()>();
        let (begin, begun) = channel();
        let read = reading.read(Duration::ZERO, move || {
            begin.send(()).unwrap();
            _ = held.recv();
        });
        assert_eq!(read, Err(NotRead::Late));
        begun.recv().unwrap();
        // As if that were long ago.
        *reading.0.since.lock() = Instant::now().checked_sub(LONG);
        for _ in 0..100 {
            let read = reading.read(LONG, || panic!("it is begun a second time"));
            assert_eq!(read, Err::<(), _>(NotRead::Late));
        }
        reading.0.since.lock().replace(Instant::now());
        drop(release);
        assert_eq!(reading.read(LONG, || 7), Ok(7));
    }

    #[test]
    fn what_reads_itself_does_not_wait_for_itself() {
        let reading = Arc::new(Reading::default());
        let itself = Arc::clone(&reading);
        assert_eq!(
            reading.read(LONG, move || itself.read(Duration::MAX, || 7)),
            Ok(Err(NotRead::Late))
        );
    }

    #[test]
    fn a_panic_ends_with_the_reading() {
        let reading = Reading::default();
        for _ in 0..3 {
            let read = reading.read(LONG, || panic_any(PanicsAgain));
            assert_eq!(read, Err::<(), _>(NotRead::Panicked));
        }
        assert_eq!(reading.read(LONG, || 7), Ok(7));
    }
}
