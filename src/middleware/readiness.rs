//! Whether a service is ready for a request, and the request that waits for it.

use std::{mem, task::Poll};

use super::{End, Exchange};
use crate::{Metrics, Stopwatch, instance::PausedStopwatch};

/// What is known of the next request of a service before it is called.
///
/// It belongs to one clone of the service: another one waits by itself.
#[derive(Debug, Default)]
pub(super) enum Readiness<X> {
    /// No request is known.
    #[default]
    Idle,
    /// The service is not ready, and a request waits for it.
    Pending(X),
    /// The service is ready, and the request that waited has yet to come.
    Ready(PausedStopwatch),
    /// The service failed instead, and that was recorded.
    Failed,
}

/// An exchange that can begin before there is a request.
pub(super) trait Waits: Exchange {
    type Layer;

    fn metrics(layer: &Self::Layer) -> Metrics;

    /// A request that waits, of which nothing is known yet.
    fn wait(layer: &Self::Layer, watch: Stopwatch) -> Self;

    /// Takes it back without a record.
    fn take_back(self) -> Stopwatch;
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
            Poll::Ready(Ok(())) if matches!(self, Self::Idle) => {}
            Poll::Ready(Ok(())) => self.ready(),
            Poll::Ready(Err(_)) => self.end(layer, End::ServiceError),
            Poll::Pending => self.wait(layer),
        }
        polled
    }

    /// The time that the request waited, for the call that follows.
    #[inline]
    pub(super) fn take(&mut self) -> Waited {
        if matches!(self, Self::Idle) {
            return Waited(None);
        }
        self.ready();
        match mem::take(self) {
            Self::Ready(watch) => Waited(Some(watch)),
            _ => Waited(None),
        }
    }

    #[cold]
    fn ready(&mut self) {
        *self = match mem::take(self) {
            Self::Pending(exchange) => Self::Ready(exchange.take_back().pause()),
            other => other,
        };
    }

    #[cold]
    fn wait(&mut self, layer: &X::Layer) {
        *self = Self::Pending(mem::take(self).exchange(layer));
    }

    /// Records that the service failed or panicked, once until it is called or pending again.
    #[cold]
    fn end(&mut self, layer: &X::Layer, end: End) {
        if !matches!(self, Self::Failed) {
            mem::replace(self, Self::Failed).exchange(layer).end(end);
        }
    }

    fn exchange(self, layer: &X::Layer) -> X {
        match self {
            Self::Pending(exchange) => exchange,
            Self::Ready(watch) => X::wait(layer, watch.resume()),
            Self::Idle | Self::Failed => X::wait(layer, X::metrics(layer).stopwatch()),
        }
    }
}

impl<X> Clone for Readiness<X> {
    /// A clone has not waited.
    fn clone(&self) -> Self {
        Self::Idle
    }
}

/// Dropped only where `poll_ready` panics.
struct Unwinding<'a, X: Waits>(&'a mut Readiness<X>, &'a X::Layer);

impl<X: Waits> Drop for Unwinding<'_, X> {
    fn drop(&mut self) {
        self.0.end(self.1, End::Panic);
    }
}

/// How long a request waited before the call, if it did.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waited(Option<PausedStopwatch>);

impl Waited {
    /// A stopwatch that shows the time waited, and goes on.
    #[inline]
    pub(super) fn resume(self, metrics: Metrics) -> Stopwatch {
        self.0.map_or_else(|| metrics.stopwatch(), PausedStopwatch::resume)
    }
}
