//! Requests through the layers, by a service that does what a request's plan says.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    task::Poll,
    time::Duration,
};

use backend_metrics::{
    Clock, Metrics,
    labels::ErrorSeverity,
    middleware::{ClientLayer, Endpoint, MetricsLayer},
};
use http::{Method, Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body::Body;
use proptest::{collection, prelude::any, sample::select, strategy::Strategy};
use tower::{Layer, Service};

use crate::{
    arguments::Argument as _,
    exchange::Exchange,
    model::Model,
    scripted::{Failure, Plan, Scripted, Step, poll, poll_frame},
    unready::{Asked, Unready, ask},
};

/// A request that one of the layers sees, and what becomes of it.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    side: Side,
    /// Its endpoint at the server, or the upstream of the client.
    to: &'static str,
    method: Method,
    /// The size of its body, where the server's layer can know it.
    size: Option<usize>,
    /// What the service says when it is asked whether it is ready, and the milliseconds after that.
    asked: Vec<(Asked, u64)>,
    /// How it ends before it is called, if it is not.
    unready: Option<End>,
    head: Head,
    status: StatusCode,
    form: Form,
    /// The frames of the response's body: milliseconds before each, and its bytes.
    frames: Vec<(u64, usize)>,
    then: End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Server,
    /// The path is one that the server's layer leaves out.
    Excluded,
    Client,
}

/// What happens instead of a head, after milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Head {
    Comes(u64),
    CallPanics,
    Ends(u64, End),
}

/// How something ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Itself,
    Fails,
    Panics,
    /// The caller goes away.
    Left,
}

/// What a response's body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Plain,
    OfKnownSize,
    Events,
}

impl Sent {
    pub(crate) fn random() -> impl Strategy<Value = Self> {
        let head =
            (any::<bool>(), 0..40_u64, select(&[End::Fails, End::Panics, End::Left][..]), 0..8)
                .prop_map(|(comes, after, end, rare)| match (comes, rare) {
                    (_, 0) => Head::CallPanics,
                    (false, 1..4) => Head::Ends(after, end),
                    _ => Head::Comes(after),
                });
        let asked = (select(&[Asked::Pending, Asked::Ready][..]), 0..40_u64);
        let unready =
            proptest::option::weighted(0.2, select(&[End::Fails, End::Panics, End::Left][..]));
        let then = select(&[End::Itself, End::Itself, End::Fails, End::Panics, End::Left][..]);
        (
            (
                select(&[Side::Server, Side::Server, Side::Excluded, Side::Client][..]),
                <&str>::random(),
                Method::random(),
                proptest::option::of(0..2_000_usize),
                head,
            ),
            (collection::vec(asked, 0..4), unready),
            StatusCode::random(),
            select(&[Form::Plain, Form::OfKnownSize, Form::Events][..]),
            collection::vec((0..30_u64, 0..1_500_usize), 0..4),
            then,
        )
            .prop_map(
                |((side, to, method, size, head), ready, status, form, frames, then)| {
                    let (asked, unready) = ready;
                    Self {
                        side,
                        to,
                        method,
                        size,
                        asked,
                        unready,
                        head,
                        status,
                        form,
                        frames,
                        then,
                    }
                },
            )
    }

    /// Sends it through its layer.
    pub(crate) fn send(&self, metrics: Metrics, clock: &Clock) {
        let last = match self.unready {
            Some(End::Fails) => Some(Asked::Fails),
            Some(End::Panics) => Some(Asked::Panics),
            _ => None,
        };
        // Nobody asks again after that, but who does is told the same.
        let asked = self.asked.iter().map(|(asked, _)| *asked).chain(last).chain(last);
        let service = Unready::new(clock, asked);
        if self.side == Side::Client {
            self.run(ClientLayer::new(metrics, self.to).layer(service), clock);
        } else {
            self.run(MetricsLayer::new(metrics).exclude(["/health"]).layer(service), clock);
        }
    }

    fn request(&self) -> Request<Scripted> {
        let path = if self.side == Side::Excluded { "/health" } else { "/orders/17" };
        let mut request = Request::new(self.size.map_or(Scripted::unsized_(1), Scripted::sized));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = path.parse().expect("it is a path");
        request.extensions_mut().insert(Endpoint::from_static(self.to));
        request.extensions_mut().insert(self.plan());
        request
    }

    fn plan(&self) -> Plan {
        let last = |end| match end {
            End::Itself => None,
            End::Fails => Some(Step::Fails),
            End::Panics => Some(Step::Panics),
            End::Left => Some(Step::Hangs),
        };
        let plan = match self.head {
            Head::CallPanics => return Plan::panics_in_call(),
            Head::Comes(after) => {
                Plan::status(self.status.as_u16()).before([Step::Yields, Step::Takes(after)])
            }
            Head::Ends(after, end) => {
                Plan::ok().before([Step::Takes(after)].into_iter().chain(last(end)))
            }
        };
        let frames = self.frames.iter();
        let frames = frames.flat_map(|&(after, bytes)| [Step::Takes(after), Step::Data(bytes)]);
        let plan = plan.body(frames.chain(last(self.then)));
        match self.form {
            Form::Plain => plan,
            Form::OfKnownSize => plan.sized(),
            Form::Events => plan.header(CONTENT_TYPE, "text/event-stream"),
        }
    }

    /// Asks the service, calls it and reads what it answers, until its end or until the caller leaves.
    fn run<S, B>(&self, mut service: S, clock: &Clock)
    where
        S: Service<Request<Scripted>, Response = Response<B>, Error = Failure, Future: Unpin>,
        B: Body + Unpin,
    {
        for (_, after) in &self.asked {
            _ = ask(&mut service);
            clock.advance(Duration::from_millis(*after));
        }
        match self.unready {
            Some(End::Left) => return,
            Some(_) => {
                for _ in 0..2 {
                    // It fails or panics.
                    _ = catch_unwind(AssertUnwindSafe(|| ask(&mut service).is_ready()));
                }
                return;
            }
            None => {}
        }
        let run = || {
            let mut future = service.call(self.request());
            let mut polled = poll(&mut future);
            if polled.is_pending() {
                polled = poll(&mut future);
            }
            let Poll::Ready(Ok(mut response)) = polled else { return };
            drop(future);
            if self.is_without_body() {
                return;
            }
            let mut left = self.size();
            while let Poll::Ready(Some(Ok(frame))) = poll_frame(response.body_mut()) {
                let data = frame.into_data().unwrap_or_else(|_| unreachable!("it has no trailers"));
                left -= bytes::Buf::remaining(&data);
                if left == 0 && self.form == Form::OfKnownSize {
                    return;
                }
            }
        };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(run)) {
            assert!(panic.is::<Failure>(), "it panics as the plan says");
        }
    }

    /// The size of the response's body.
    fn size(&self) -> usize {
        self.frames.iter().map(|(_, bytes)| bytes).sum()
    }

    fn is_upgrade(&self) -> bool {
        self.status == 101 || (self.method == Method::CONNECT && self.status.is_success())
    }

    fn is_without_body(&self) -> bool {
        self.is_upgrade()
            || self.method == Method::HEAD
            || self.status.as_u16() < 200
            || [204, 304].contains(&self.status.as_u16())
            || (self.form == Form::OfKnownSize && self.size() == 0)
    }

    fn is_stream(&self) -> bool {
        self.form == Form::Events && !self.is_without_body()
    }

    /// How long it waits for the service, and how long nothing waits.
    fn waits(&self) -> (Duration, Duration) {
        let sum =
            |of: Asked| self.asked.iter().filter(|(asked, _)| *asked == of).map(|(_, ms)| ms).sum();
        (Duration::from_millis(sum(Asked::Pending)), Duration::from_millis(sum(Asked::Ready)))
    }

    /// What becomes of it, by the plan, if the service is called.
    fn course(&self) -> Course {
        let (waits, _) = self.waits();
        let mut course = Course { to_head: None, took: waits, sent: 0, end: End::Itself };
        match self.head {
            Head::CallPanics => course.end = End::Panics,
            Head::Ends(after, end) => {
                course.took += Duration::from_millis(after);
                course.end = end;
            }
            Head::Comes(after) => {
                course.took += Duration::from_millis(after);
                course.to_head = Some(course.took);
            }
        }
        if course.to_head.is_some() && !self.is_without_body() {
            for (after, bytes) in &self.frames {
                course.took += Duration::from_millis(*after);
                course.sent += bytes;
                if course.sent == self.size() && self.form == Form::OfKnownSize {
                    // It is at its end, and nobody asks again.
                    return course;
                }
            }
            course.end = self.then;
        }
        course
    }

    /// Tells the model.
    pub(crate) fn tell(&self, m: &mut Model) {
        if self.side != Side::Client {
            // The layer makes room for what no route fits.
            m.show("http", &[("endpoint", "unmatched".into())]);
        }
        let (waits, idle) = self.waits();
        m.uptime += idle;
        if let Some(end) = self.unready {
            self.tell_unready(m, waits, end);
            m.uptime += waits;
            return;
        }
        let course = self.course();
        match self.side {
            Side::Server => self.tell_server(m, &course),
            Side::Excluded => {}
            Side::Client => self.tell_client(m, &course),
        }
        m.uptime += course.took;
    }

    /// It ends before its method and path are known.
    fn tell_unready(&self, m: &mut Model, waits: Duration, end: End) {
        let unknown = Method::from_bytes(b"UNKNOWN").expect("it is a method");
        let upstream =
            (self.side == Side::Client).then(|| m.open("http_client", "upstream", self.to));
        let last = self.asked.last().map(|(asked, _)| *asked);
        if end == End::Left && last != Some(Asked::Pending) {
            // It was not there.
            return;
        }
        if let Some(upstream) = upstream {
            m.upstream_request(&upstream, &unknown, None, waits);
            return;
        }
        let mut exchange = Exchange::begin(m, &unknown, "unmatched".into());
        match end {
            End::Fails => {
                m.track_application_error("handler_error", ErrorSeverity::Error);
                exchange.fail();
            }
            End::Panics => _ = exchange.panic(m),
            End::Left | End::Itself => {}
        }
        exchange.record(m, waits, end == End::Left);
    }

    fn tell_server(&self, m: &mut Model, course: &Course) {
        let label = m.open("http", "endpoint", self.to);
        let mut exchange = Exchange::begin(m, &self.method, label);
        exchange.received = self.size.map(|size| size as u64);
        exchange.sent = course.sent as u64;
        if let Some(to_head) = course.to_head {
            exchange.head(m, self.status, to_head);
            exchange.upgraded = self.is_upgrade();
            exchange.streams = self.is_stream();
        }
        match course.end {
            End::Itself | End::Left => {}
            End::Fails => {
                let with_head = course.to_head.is_some();
                let error = if with_head { "response_body_error" } else { "handler_error" };
                m.track_application_error(error, ErrorSeverity::Error);
                exchange.fail();
            }
            End::Panics => _ = exchange.panic(m),
        }
        let cancelled = course.end == End::Left && !exchange.streams;
        exchange.record(m, course.took, cancelled);
    }

    fn tell_client(&self, m: &mut Model, course: &Course) {
        let upstream = m.open("http_client", "upstream", self.to);
        let answered = course.to_head.filter(|_| !matches!(course.end, End::Fails | End::Panics));
        let took = course.to_head.filter(|_| self.is_stream()).unwrap_or(course.took);
        m.upstream_request(&upstream, &self.method, answered.map(|_| self.status), took);
    }
}

/// What becomes of a request.
struct Course {
    /// The time to the head, if there is one.
    to_head: Option<Duration>,
    took: Duration,
    sent: usize,
    end: End,
}
