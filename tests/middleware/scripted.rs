//! A service, its futures and its bodies, made by hand: they do step by step what a plan says.

use std::{
    collections::VecDeque,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
    time::Duration,
};

use backend_metrics::{
    Clock,
    middleware::{ClientExchange, Endpoint, ResponseBody, ServerExchange},
};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header::IntoHeaderName};
use http_body::{Body, Frame, SizeHint};
use tower::Service;

/// What a future or a body does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A body gives so many bytes.
    Data(usize),
    /// A body gives trailers.
    Trailers,
    /// The clock moves by milliseconds.
    Takes(u64),
    /// It is not ready once.
    Yields,
    /// It is never ready.
    Hangs,
    /// It gives an error.
    Fails,
    /// It panics.
    Panics,
}

/// The error of a service or a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failure;

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it fails, as the test wants")
    }
}

impl std::error::Error for Failure {}

/// Panics without a message on the terminal.
pub(crate) fn panic() -> ! {
    std::panic::resume_unwind(Box::new(Failure))
}

/// Runs `f`, which panics as a script does, and checks that the panic came through as it was.
#[track_caller]
pub(crate) fn panics<T>(f: impl FnOnce() -> T) {
    let panic = catch_unwind(AssertUnwindSafe(f)).err().expect("it panics");
    assert_eq!(panic.downcast_ref(), Some(&Failure));
}

/// Steps on their way.
#[derive(Clone, Debug, Default)]
struct Script {
    steps: VecDeque<Step>,
    clock: Option<Clock>,
}

impl Script {
    /// The next frame of a body, or the end of the script.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        loop {
            // The last one stays where it is.
            if self.steps.front() == Some(&Step::Hangs) {
                return Poll::Pending;
            }
            return Poll::Ready(Some(match self.steps.pop_front() {
                None => return Poll::Ready(None),
                Some(Step::Data(bytes)) => Ok(Frame::data(vec![b'x'; bytes].into())),
                Some(Step::Trailers) => {
                    let value = "0".parse().unwrap();
                    Ok(Frame::trailers(HeaderMap::from_iter([(
                        "checksum".parse().unwrap(),
                        value,
                    )])))
                }
                Some(Step::Takes(milliseconds)) => {
                    let clock = self.clock.as_ref().expect("the plan has a clock");
                    clock.advance(Duration::from_millis(milliseconds));
                    continue;
                }
                Some(Step::Fails) => Err(Failure),
                Some(Step::Panics) => panic(),
                Some(Step::Yields | Step::Hangs) => {
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }));
        }
    }
}

/// A body that follows a script; empty if there is none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scripted {
    script: Script,
    /// Whether it knows its length.
    sized: bool,
    /// Whether it says that its end is reached.
    tells_end: bool,
    /// Whether it panics when it is asked its size.
    size_panics: bool,
    /// With how many steps left it panics when it is asked whether its end is reached.
    end_panics: Option<usize>,
}

impl Scripted {
    /// A body of known length.
    pub(crate) fn sized(bytes: usize) -> Self {
        let steps = [Step::Data(bytes)].into();
        Self { script: Script { steps, clock: None }, sized: true, ..Self::default() }
    }

    /// A body that panics when it is asked its size.
    pub(crate) fn whose_size_panics() -> Self {
        Self { size_panics: true, ..Self::default() }
    }

    /// A body of unknown length.
    pub(crate) fn unsized_(bytes: usize) -> Self {
        Self { sized: false, ..Self::sized(bytes) }
    }
}

impl Body for Scripted {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        self.script.poll(context)
    }

    fn is_end_stream(&self) -> bool {
        if self.end_panics == Some(self.script.steps.len()) {
            panic();
        }
        self.tells_end && self.script.steps.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        if self.size_panics {
            panic();
        }
        let bytes = |step: &Step| if let Step::Data(bytes) = step { *bytes as u64 } else { 0 };
        if self.sized {
            SizeHint::with_exact(self.script.steps.iter().map(bytes).sum())
        } else {
            SizeHint::default()
        }
    }
}

/// How a request is answered.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    panics_in_call: bool,
    before: Vec<Step>,
    response: Response<Scripted>,
}

impl Plan {
    /// A response without a body.
    pub(crate) fn status(status: u16) -> Self {
        let mut response = Response::new(Scripted::default());
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        Self { panics_in_call: false, before: Vec::new(), response }
    }

    pub(crate) fn ok() -> Self {
        Self::status(200)
    }

    /// The service panics before it has made a future.
    pub(crate) fn panics_in_call() -> Self {
        Self { panics_in_call: true, ..Self::ok() }
    }

    /// What the future does before it gives the response.
    pub(crate) fn before(mut self, steps: impl IntoIterator<Item = Step>) -> Self {
        self.before = steps.into_iter().collect();
        self
    }

    /// What the body does.
    pub(crate) fn body(mut self, steps: impl IntoIterator<Item = Step>) -> Self {
        self.response.body_mut().script.steps = steps.into_iter().collect();
        self
    }

    /// The body knows its length.
    pub(crate) fn sized(mut self) -> Self {
        self.response.body_mut().sized = true;
        self
    }

    /// The body says that its end is reached.
    pub(crate) fn tells_end(mut self) -> Self {
        self.response.body_mut().tells_end = true;
        self
    }

    /// The body panics when it is asked its size.
    pub(crate) fn size_panics(mut self) -> Self {
        self.response.body_mut().size_panics = true;
        self
    }

    /// The body panics when it is asked, with so many steps left, whether its end is reached.
    pub(crate) fn end_panics(mut self, left: usize) -> Self {
        self.response.body_mut().end_panics = Some(left);
        self
    }

    pub(crate) fn header(mut self, name: impl IntoHeaderName, value: &'static str) -> Self {
        self.response.headers_mut().insert(name, value.parse().unwrap());
        self
    }

    /// The response names its endpoint.
    pub(crate) fn endpoint(mut self, template: &'static str) -> Self {
        self.response.extensions_mut().insert(Endpoint::from_static(template));
        self
    }
}

/// A request for a path that is answered by the plan.
pub(crate) fn request<B: Default>(method: &str, path: &str, plan: Plan) -> Request<B> {
    let request = Request::builder().method(method).uri(path).extension(plan);
    request.body(B::default()).unwrap()
}

/// Answers each request by the [`Plan`] in its extensions.
#[derive(Clone, Debug)]
pub(crate) struct Answers {
    pub(crate) clock: Clock,
}

impl<B> Service<Request<B>> for Answers {
    type Response = Response<Scripted>;
    type Error = Failure;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Answer {
        let plan = request.extensions_mut().remove().expect("the request has a plan");
        let Plan { panics_in_call, before, mut response } = plan;
        if panics_in_call {
            panic();
        }
        response.body_mut().script.clock = Some(self.clock.clone());
        let before = Script { steps: before.into(), clock: Some(self.clock.clone()) };
        Answer { before, response: Some(response) }
    }
}

/// The future of [`Answers`].
#[derive(Debug)]
pub(crate) struct Answer {
    before: Script,
    response: Option<Response<Scripted>>,
}

impl Future for Answer {
    type Output = Result<Response<Scripted>, Failure>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.before.poll(context).map(|step| match step {
            Some(Err(failure)) => Err(failure),
            Some(Ok(_)) => unreachable!("only a body has frames"),
            None => Ok(self.response.take().expect("it is not polled after its end")),
        })
    }
}

/// What the tests' services answer with, seen through the server's layer.
pub(crate) type Served = Response<ResponseBody<Scripted, ServerExchange>>;

/// What the tests' services answer with, seen through the client's layer.
pub(crate) type Received = Response<ResponseBody<Scripted, ClientExchange>>;

/// Polls once.
pub(crate) fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

type Polled<B> = Poll<Option<Result<Frame<<B as Body>::Data>, <B as Body>::Error>>>;

/// The next frame of a body.
pub(crate) fn poll_frame<B: Body + Unpin>(body: &mut B) -> Polled<B> {
    Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()))
}

/// Takes a frame of a body that is ready with one.
#[track_caller]
pub(crate) fn frame<B: Body + Unpin>(response: &mut Response<B>) -> Frame<B::Data> {
    match poll_frame(response.body_mut()) {
        Poll::Ready(Some(Ok(frame))) => frame,
        Poll::Ready(Some(Err(_))) => panic!("the body gives an error"),
        Poll::Ready(None) => panic!("the body has ended"),
        Poll::Pending => panic!("the body is not ready"),
    }
}

/// Reads a body until it gives no further frame; how many frames it gave.
#[track_caller]
pub(crate) fn read<B: Body + Unpin>(mut response: Response<B>) -> usize {
    let mut frames = 0;
    loop {
        match poll_frame(response.body_mut()) {
            Poll::Ready(Some(Ok(_))) => frames += 1,
            Poll::Ready(Some(Err(_))) => panic!("the body gives an error"),
            Poll::Ready(None) => return frames,
            Poll::Pending => panic!("the body is not ready"),
        }
    }
}

/// What a service answers at once.
#[track_caller]
pub(crate) fn answer<S, B, T>(mut service: S, request: Request<B>) -> Result<T, S::Error>
where
    S: Service<Request<B>, Response = T, Future: Unpin>,
{
    match poll(&mut service.call(request)) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("the service is not ready"),
    }
}
