//! Waiting for something to come true.

use std::{
    thread,
    time::{Duration, Instant},
};

/// Long enough for a busy machine: it is waited out only by a test that fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// Asks until the answer is `Ok`, and panics with the last `Err` at the deadline.
#[track_caller]
pub(crate) fn eventually<T>(deadline: Duration, mut ask: impl FnMut() -> Result<T, String>) -> T {
    let started = Instant::now();
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(error) if started.elapsed() >= deadline => {
                panic!("not within {deadline:?}: {error}")
            }
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    }
}
