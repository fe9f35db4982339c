//! Code of the service that runs for a scrape.

use std::{
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
        mpsc,
    },
    thread,
    time::Duration,
};

/// Something of the service that is read, on a thread that lives as long as the reading takes.
///
/// There is one such thread at most: while a reading does not come to its end, no other is begun.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    is_under_way: Arc<AtomicBool>,
}

/// Why a reading gave nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotRead {
    /// It panicked.
    Panicked,
    /// It takes longer than allowed, or the one before still does.
    Late,
}

impl Reading {
    /// What `read` gives, if it gives it in time. What it gives later is dropped.
    pub(crate) fn read<T: Send + 'static>(
        &self,
        limit: Duration,
        read: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NotRead> {
        if self.is_under_way.swap(true, SeqCst) {
            return Err(NotRead::Late);
        }
        let (sender, given) = mpsc::sync_channel(1);
        let is_under_way = Arc::clone(&self.is_under_way);
        let thread = thread::Builder::new().name("metrics-collect".into()).spawn(move || {
            let result = caught(read);
            is_under_way.store(false, SeqCst);
            // Nobody waits for it any more if it is late.
            _ = sender.send(result);
        });
        if thread.is_err() {
            self.is_under_way.store(false, SeqCst);
        }
        given.recv_timeout(limit).unwrap_or(Err(NotRead::Late))
    }
}

/// Gets rid of a panic, and of one of what the panic carries.
fn caught<T>(read: impl FnOnce() -> T) -> Result<T, NotRead> {
    catch_unwind(AssertUnwindSafe(read)).map_err(|payload| {
        if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            mem::forget(another);
        }
        NotRead::Panicked
    })
}

#[cfg(test)]
mod tests {
    use std::{panic::panic_any, sync::mpsc::channel};

    use super::*;

    /// Longer than any test takes.
    const LONG: Duration = Duration::from_mins(10);

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
        for _ in 0..100 {
            let read = reading.read(LONG, || panic!("it is begun a second time"));
            assert_eq!(read, Err::<(), _>(NotRead::Late));
        }
        drop(release);
        while reading.is_under_way.load(SeqCst) {
            thread::yield_now();
        }
        assert_eq!(reading.read(LONG, || 7), Ok(7));
    }

    #[test]
    fn a_panic_ends_with_the_reading() {
        struct PanicsAgain;
        impl Drop for PanicsAgain {
            fn drop(&mut self) {
                panic!("what a panic carries panics, as the test wants");
            }
        }
        let reading = Reading::default();
        for _ in 0..3 {
            let read = reading.read(LONG, || panic_any(PanicsAgain));
            assert_eq!(read, Err::<(), _>(NotRead::Panicked));
        }
        assert_eq!(reading.read(LONG, || 7), Ok(7));
    }
}
