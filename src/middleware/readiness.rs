//! Whether a service is ready for a request, and the request that waits for it.

use std::{mem, task::Poll};

use super::{End, Exchange};
use crate::{Metrics, Stopwatch, instance::PausedStopwatch};

/// What is known of the next request of a service before the call; nothing while the service is always ready.
///
/// It belongs to one clone of the service. Behind a pointer, so that a clone that never waits carries little.
#[derive(Debug)]
pub(super) struct Readiness<X>(Option<Box<State<X>>>);

#[derive(Debug)]
enum State<X> {
    /// The service is not ready, and a request waits for it.
    Pending(X),
    /// The service is ready, and the request that waited has yet to come.
    Ready(PausedStopwatch),
    /// The service failed instead, and that was recorded.
    Failed,
}

/// An exchange that can begin before its request is known.
pub(super) trait Waits: Exchange {
    type Layer;

    fn metrics(layer: &Self::Layer) -> Metrics;

    /// Begins an exchange, of which nothing is known but its time.
    fn wait(layer: &Self::Layer, watch: Stopwatch) -> Self;

    /// Takes the exchange back: it is not active any more, and not recorded.
    fn take_back(self) -> Stopwatch;
}

impl<X> Readiness<X> {
    pub(super) const fn new() -> Self {
        Self(None)
    }
}

impl<X: Waits> Readiness<X> {
    /// Runs `poll_ready` of the service.
    #[inline]
    pub(super) fn poll<E>(
        &mut self,
        layer: &X::Layer,
        poll_ready: impl FnOnce() -> Poll<Result<(), E>>,
    ) -> Poll<Result<(), E>> {
        let unwinding = Unwinding(self, layer);
        let polled = poll_ready();
        mem::forget(unwinding);
        match polled {
            Poll::Ready(Ok(())) if self.0.is_none() => {}
            Poll::Ready(Ok(())) => self.ready(),
            Poll::Ready(Err(_)) => self.end(layer, End::ServiceError),
            Poll::Pending => self.wait(layer),
        }
        polled
    }

    /// A stopwatch for the request that comes now: if it waited, it goes on from there.
    #[inline]
    pub(super) fn start(&mut self, layer: &X::Layer) -> Stopwatch {
        if self.0.is_some()
            && let Some(watch) = self.waited()
        {
            return watch.resume();
        }
        X::metrics(layer).stopwatch()
    }

    #[cold]
    fn waited(&mut self) -> Option<PausedStopwatch> {
        match *self.0.take()? {
            State::Pending(exchange) => Some(exchange.take_back().pause()),
            State::Ready(watch) => Some(watch),
            State::Failed => None,
        }
    }

    #[cold]
    fn ready(&mut self) {
        let Some(state) = &mut self.0 else { return };
        match mem::replace(&mut **state, State::Failed) {
            State::Pending(exchange) => **state = State::Ready(exchange.take_back().pause()),
            State::Ready(watch) => **state = State::Ready(watch),
            State::Failed => self.0 = None,
        }
    }

    #[cold]
    fn wait(&mut self, layer: &X::Layer) {
        if !matches!(self.0.as_deref(), Some(State::Pending(_))) {
            self.0 = Some(Box::new(State::Pending(self.exchange(layer))));
        }
    }

    /// Records that the service failed or panicked: once, until it is ready or pending again.
    #[cold]
    fn end(&mut self, layer: &X::Layer, end: End) {
        if !matches!(self.0.as_deref(), Some(State::Failed)) {
            self.exchange(layer).end(end);
            self.0 = Some(Box::new(State::Failed));
        }
    }

    fn exchange(&mut self, layer: &X::Layer) -> X {
        match self.0.take().map(|state| *state) {
            Some(State::Pending(exchange)) => exchange,
            Some(State::Ready(watch)) => X::wait(layer, watch.resume()),
            Some(State::Failed) | None => X::wait(layer, X::metrics(layer).stopwatch()),
        }
    }
}

impl<X> Clone for Readiness<X> {
    /// A clone has not waited.
    #[inline]
    fn clone(&self) -> Self {
        Self::new()
    }
}

/// Dropped only where `poll_ready` panics.
struct Unwinding<'a, X: Waits>(&'a mut Readiness<X>, &'a X::Layer);

impl<X: Waits> Drop for Unwinding<'_, X> {
    fn drop(&mut self) {
        self.0.end(self.1, End::Panic);
    }
}
