//! An instance and the model of it, to which the same is done.

use std::{
    fmt::Write as _,
    io::Read as _,
    panic::resume_unwind,
    sync::Arc,
    thread,
    time::{Duration, UNIX_EPOCH},
};

use backend_metrics::{
    Clock, Exporter, Format, Metrics, ProcessStats,
    labels::{ScrapeFormat, ScrapeStatus},
};
use http::{
    Request,
    header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING},
};
use http_body_util::BodyExt as _;
use proptest::sample::Index;

use crate::{
    exposition::{self, Exposition},
    guards::{Live, Start},
    helpers::Call,
    layer::Sent,
    model::{Model, SERVICE, Setup, Shown},
};

/// What happens, and whether on a thread that ends after it.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) event: Event,
    pub(crate) elsewhere: bool,
}

/// What happens.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// A helper is called.
    Calls(Arc<dyn Call>),
    /// A guard is started.
    Starts(Arc<dyn Start>),
    /// One of the guards goes a step on.
    Goes(Index),
    /// A request goes through a layer.
    Sends(Arc<Sent>),
    /// Time passes.
    Passes(Duration),
    /// What is exposed is compared.
    Scrapes(Scrape),
}

/// A way of scraping.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scrape {
    format: Format,
    /// Through the exporter, compressed or not.
    exporter: Option<bool>,
}

impl Scrape {
    pub(crate) const ALL: &[Self] = &[
        Self { format: Format::OpenMetrics, exporter: None },
        Self { format: Format::Text, exporter: None },
        Self { format: Format::OpenMetrics, exporter: Some(false) },
        Self { format: Format::Text, exporter: Some(false) },
        Self { format: Format::OpenMetrics, exporter: Some(true) },
        Self { format: Format::Text, exporter: Some(true) },
    ];
}

/// An instance and its model.
pub(crate) struct World {
    metrics: Metrics,
    clock: Clock,
    exporter: Exporter,
    pub(crate) model: Model,
    live: Vec<Box<dyn Live>>,
}

impl World {
    pub(crate) fn new(setup: Setup) -> Self {
        let clock = Clock::manual();
        clock.set_wall(UNIX_EPOCH + setup.made);
        let (version, component) = SERVICE;
        let builder = Metrics::builder()
            .service(version, component)
            .label_cap(setup.cap)
            .clock(clock.clone());
        let labels = setup.constant_labels.iter();
        let builder =
            labels.fold(builder, |builder, (name, value)| builder.constant_label(*name, *value));
        let builder = setup.off.iter().fold(builder, |builder, off| builder.without(*off));
        let metrics = builder.build().expect("the setup keeps the rules");
        // From then on nothing is read from the process.
        metrics.update_process(ProcessStats::default());
        Self {
            metrics,
            clock,
            exporter: Exporter::new(metrics),
            model: Model::new(setup),
            live: Vec::new(),
        }
    }

    /// Does what a step says, to both.
    pub(crate) fn take(&mut self, step: &Step) -> Result<(), String> {
        if step.elsewhere {
            let done = thread::scope(|scope| scope.spawn(|| self.happens(&step.event)).join());
            done.unwrap_or_else(|panic| resume_unwind(panic))
        } else {
            self.happens(&step.event)
        }
    }

    fn happens(&mut self, event: &Event) -> Result<(), String> {
        let model = &mut self.model;
        match event {
            Event::Calls(call) => {
                call.make(self.metrics);
                call.tell(model);
            }
            Event::Starts(start) => self.live.push(start.start(self.metrics, model)),
            Event::Goes(which) if self.live.is_empty() => _ = which,
            Event::Goes(which) => {
                let guard = self.live.swap_remove(which.index(self.live.len()));
                self.live.extend(guard.go(model));
            }
            Event::Sends(sent) => {
                sent.send(self.metrics, &self.clock);
                sent.tell(model);
            }
            Event::Passes(time) => {
                self.clock.advance(*time);
                model.uptime += *time;
            }
            Event::Scrapes(scrape) => return self.compare(*scrape),
        }
        Ok(())
    }

    /// Ends all guards.
    pub(crate) fn end(&mut self) {
        while let Some(guard) = self.live.pop() {
            self.live.extend(guard.go(&mut self.model));
        }
    }

    /// Compares what is exposed with what the model comes to.
    pub(crate) fn compare(&mut self, scrape: Scrape) -> Result<(), String> {
        let text = match scrape.exporter {
            None => self.metrics.encode(scrape.format),
            Some(gzip) => self.fetch(scrape.format, gzip)?,
        };
        self.model.derive();
        let read = if text.is_empty() && scrape.format == Format::Text {
            // There is nothing to show.
            Ok(Exposition { families: Vec::new() })
        } else {
            exposition::parse(&text, scrape.format)
        };
        let read = read.map_err(|broken| format!("{scrape:?}: {broken}\n{text}"))?;
        let complaints = complaints(&read, &self.model, scrape.format);
        if scrape.exporter.is_some() {
            let format = if scrape.format == Format::Text {
                ScrapeFormat::Text
            } else {
                ScrapeFormat::OpenMetrics
            };
            self.model.track_scrape(format, ScrapeStatus::Ok, Duration::ZERO, text.len() as u64);
        }
        if complaints.is_empty() { Ok(()) } else { Err(format!("{scrape:?}:\n{complaints}")) }
    }

    /// What the exporter answers.
    fn fetch(&self, format: Format, gzip: bool) -> Result<String, String> {
        let accept =
            if format == Format::Text { "text/plain" } else { "application/openmetrics-text" };
        let coding = if gzip { "gzip" } else { "identity" };
        let request =
            Request::get("/metrics").header(ACCEPT, accept).header(ACCEPT_ENCODING, coding);
        let request = request.body(()).expect("the request is one");
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        let answer = runtime.block_on(async {
            let response =
                self.exporter.respond(&request).await.unwrap_or_else(|never| match never {});
            let (head, body) = response.into_parts();
            (head, body.collect().await.unwrap_or_else(|never| match never {}).to_bytes())
        });
        let (head, body) = answer;
        let is_gzip = head.headers.contains_key(CONTENT_ENCODING);
        if is_gzip != (gzip && cfg!(feature = "gzip")) {
            return Err(format!("{head:?}"));
        }
        let mut text = String::new();
        let read =
            if is_gzip { gunzip(&body, &mut text) } else { (&body[..]).read_to_string(&mut text) };
        read.map_err(|error| error.to_string())?;
        Ok(text)
    }
}

#[cfg(feature = "gzip")]
fn gunzip(body: &[u8], into: &mut String) -> std::io::Result<usize> {
    flate2::read::GzDecoder::new(body).read_to_string(into)
}

#[cfg(not(feature = "gzip"))]
fn gunzip(_: &[u8], _: &mut String) -> std::io::Result<usize> {
    unreachable!("nothing is compressed")
}

/// Where the exposition is not what the model comes to, a line each.
fn complaints(read: &Exposition, model: &Model, format: Format) -> String {
    let mut out = String::new();
    let expected = model.shown();
    let headed = |name: &str, kind: &str| {
        let suffix = match (format, kind) {
            (Format::OpenMetrics, "counter") => "_total",
            (Format::OpenMetrics, "info") => "_info",
            _ => "",
        };
        let kind = if (format, kind) == (Format::Text, "info") { "gauge" } else { kind };
        format!("{} {kind}", name.strip_suffix(suffix).expect("it has the suffix"))
    };
    let heads: Vec<_> =
        expected.iter().map(|(family, _)| headed(family.name, family.kind)).collect();
    let found: Vec<_> =
        read.families.iter().map(|family| format!("{} {}", family.name, family.kind)).collect();
    if heads != found {
        let missing = heads
            .iter()
            .filter(|head| !found.contains(head))
            .map(|head| format!("{head} is missing"));
        let more = found
            .iter()
            .filter(|head| !heads.contains(head))
            .map(|head| format!("{head} is not expected"));
        let all: Vec<_> = missing.chain(more).collect();
        _ = writeln!(
            out,
            "families: {}",
            if all.is_empty() { "their order".into() } else { all.join(", ") }
        );
    }
    let mut expected: std::collections::BTreeMap<_, _> =
        expected.into_iter().flat_map(|(_, lines)| lines).collect();
    for sample in read.samples() {
        let number = || sample.value.parse::<f64>().expect("it was read as a number");
        // A bound is one number however it is written.
        let labels = sample.labels.iter().map(|(name, value)| match value.parse::<f64>() {
            Ok(bound) if name == "le" && bound.is_finite() => (name.clone(), bound.to_string()),
            _ => (name.clone(), value.clone()),
        });
        let series = (sample.name.clone(), labels.collect());
        let is_it = match expected.remove(&series) {
            Some(Shown::Whole(whole)) if sample.value == whole.to_string() => continue,
            #[expect(clippy::float_cmp, reason = "they are the same number")]
            Some(Shown::Real(real)) if real == number() || (real.is_nan() && number().is_nan()) => {
                continue;
            }
            Some(other) => format!("{other:?}"),
            None => "not there".into(),
        };
        _ = writeln!(out, "{}{:?} is {}, expected: {is_it}", series.0, series.1, sample.value);
    }
    for (series, shown) in expected {
        _ = writeln!(out, "{}{:?} is not there, expected: {shown:?}", series.0, series.1);
    }
    out
}
