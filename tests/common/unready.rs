//! A service that says by a script whether it is ready.

use std::{
    collections::VecDeque,
    task::{Context, Poll, Waker},
};

use backend_metrics::Clock;
use http::{Request, Response};
use tower::Service;

use super::scripted::{Answer, Answers, Failure, Scripted, panic};

/// What a service says when it is asked whether it is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Pending,
    Ready,
    Fails,
    Panics,
}

/// [`Answers`] that are ready by a script, and always after its end.
#[derive(Clone, Debug)]
pub(crate) struct Unready {
    answers: Answers,
    asked: VecDeque<Asked>,
}

impl Unready {
    pub(crate) fn new(clock: &Clock, asked: impl IntoIterator<Item = Asked>) -> Self {
        Self { answers: Answers { clock: clock.clone() }, asked: asked.into_iter().collect() }
    }
}

impl<B> Service<Request<B>> for Unready {
    type Response = Response<Scripted>;
    type Error = Failure;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        match self.asked.pop_front() {
            Some(Asked::Pending) => Poll::Pending,
            Some(Asked::Ready) | None => Poll::Ready(Ok(())),
            Some(Asked::Fails) => Poll::Ready(Err(Failure)),
            Some(Asked::Panics) => panic(),
        }
    }

    fn call(&mut self, request: Request<B>) -> Answer {
        self.answers.call(request)
    }
}

/// Asks a service once whether it is ready.
pub(crate) fn ask<S: Service<Request<Scripted>>>(service: &mut S) -> Poll<Result<(), S::Error>> {
    service.poll_ready(&mut Context::from_waker(Waker::noop()))
}
