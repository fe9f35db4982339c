//! Exemplars from the spans of `tracing`.

use std::{fmt, sync::Arc, time::Duration};

use tracing::{
    Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{
    layer::{Context, Layer},
    registry::{LookupSpan, SpanRef},
};

use crate::{
    clock::Clock,
    storage::trace::{self, Pace, Trace},
};

/// A [`Layer`] that lets counters and histograms say in which trace they were recorded last.
///
/// A span with a field `trace_id` begins a trace, and the spans below it belong to it. What a thread records
/// inside of such a span comes out of an `OpenMetrics` scrape with an exemplar: the id of the trace, what the
/// counter grew by or what the histogram observed, and when.
///
/// ```
/// use std::time::Duration;
///
/// use backend_metrics::{
///     Format, Metrics, TraceExemplars,
///     labels::{QueryStatus, QueryType},
/// };
/// use tracing_subscriber::layer::SubscriberExt;
///
/// let metrics = Metrics::new();
/// let subscriber = tracing_subscriber::registry().with(TraceExemplars::new());
/// tracing::subscriber::with_default(subscriber, || {
///     let _request = tracing::info_span!("request", trace_id = "4bf92f3577b34da6").entered();
///     let _query = tracing::info_span!("query").entered();
///     let took = Duration::from_millis(67);
///     metrics.track_database_query(QueryType::Select, took, QueryStatus::Success);
/// });
/// let text = metrics.encode(Format::OpenMetrics);
/// assert!(text.contains(
///     "database_query_duration_seconds_bucket{query_type=\"select\",le=\"0.1\"} 1 # {trace_id=\"4bf92f3577b34da6\"} 0.067 "
/// ));
/// ```
///
/// - **Which families.** All histograms and counters of all instances of the process, mounted ones included,
///   but for a [`ReadCounter`](crate::ReadCounter) and `metrics_label_overflows_total`.
///   [`Metrics::collector`](crate::Metrics::collector) and the text format 0.0.4 have no exemplars.
/// - **The id** is the field's value as text: `trace_id = "4bf9.."` or `trace_id = %id`. A field that is
///   declared with [`Empty`](tracing::field::Empty) may be recorded later, and counts from then on; until
///   then the trace is that of the span above. The first value of a span counts. It has 1 to 120 of the
///   characters `0-9`, `A-Z`, `a-z` and `_.:/+=-`; with any other there are no exemplars, as some scrapers
///   refuse a whole scrape for one with a quote or a brace, and an id may come from a request.
/// - **How many.** A series, or a bucket, takes one exemplar in an [`interval`](Self::interval) at most, and
///   shows the last one. The process keeps at most 1,024 of them, in 152 KiB that the first layer takes; a
///   new one takes the place of one that is older than the interval. Prometheus stores them when it is
///   started with `--enable-feature=exemplar-storage`.
/// - **Time.** A recording that is refused by the interval mostly goes without a reading of the clock: it is
///   read when a thread has entered a span and records for the first time, and after every 64 recordings. A
///   slow loop that never leaves its span gets new exemplars late.
/// - **Cost.** Outside of a trace a recording reads one thread-local more, 0.1 ns. In a trace one that is
///   refused by the interval takes 10 ns more, one that is kept 50 ns, of which the clock has 23
///   (`cargo bench --bench record --features exemplars`, AMD EPYC, rustc 1.95, 2026-11-24). Recording takes no
///   lock and no memory. Entering a span looks it up in the registry, as other layers do.
/// - **Filters.** Give the layer a filter of its own, such as `.with_filter(LevelFilter::INFO)`, as without one
///   it keeps spans and events of every level alive for itself. Spans that the filter leaves out are not there
///   for it.
///
/// # Where it is easy to miss the span
///
/// What counts is the span that the thread is in when something is recorded, and a guard records when it is
/// finished or dropped. So finish guards inside of the span: a future in
/// [`Instrument::instrument`](tracing::Instrument::instrument) does, and is dropped in it.
///
/// [`MetricsLayer`](crate::middleware::MetricsLayer) records when the body ends, after the handler has
/// returned: it goes inside of the layer that makes the span. See [the order of
/// layers](crate::middleware#the-order-of-layers).
///
/// A response that is dropped before its end is dropped outside of the span, and recorded without an exemplar.
#[derive(Clone, Debug)]
pub struct TraceExemplars {
    field: &'static str,
    pace: Pace,
}

impl TraceExemplars {
    /// Takes the id of a trace from the field `trace_id`.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it takes memory that is never given back")]
    pub fn new() -> Self {
        trace::prepare();
        let pace = Pace { clock: Clock::system(), interval: 1_000 };
        Self { field: "trace_id", pace }
    }

    /// The field of a span that has the id of its trace. The label in the exposition stays `trace_id`. Where
    /// spans have one of several fields, add a layer for each. Default: `trace_id`.
    #[must_use]
    pub fn field(mut self, name: &'static str) -> Self {
        self.field = name;
        self
    }

    /// How long a series, or a bucket, keeps an exemplar before it takes another one, in whole milliseconds.
    /// Default: 1 s.
    #[must_use]
    pub fn interval(mut self, interval: Duration) -> Self {
        self.pace.interval = trace::milliseconds(interval);
        self
    }

    /// The clock. Default: the system's.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.pace.clock = clock;
        self
    }
}

/// The trace that a span belongs to.
fn trace_of<'a, S: LookupSpan<'a>>(span: &SpanRef<'a, S>) -> Option<Arc<Trace>> {
    span.extensions().get::<Arc<Trace>>().cloned()
}

impl<S> Layer<S> for TraceExemplars
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        // Another layer, for another field, may have found one before.
        let above = trace_of(&span).or_else(|| trace_of(&span.parent()?));
        let trace = match attributes.fields().field(self.field) {
            Some(field) => {
                let trace = Trace::new(self.pace.clone(), above);
                attributes.record(&mut TraceId { field, trace: &trace });
                Some(Arc::new(trace))
            }
            None => above,
        };
        if let Some(trace) = trace {
            span.extensions_mut().replace(trace);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let Some(field) = span.fields().field(self.field) else { return };
        if let Some(trace) = trace_of(&span) {
            values.record(&mut TraceId { field, trace: &trace });
        }
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        trace::enter(id.into_u64(), context.span(id).and_then(|span| trace_of(&span)));
    }

    fn on_exit(&self, id: &Id, _: Context<'_, S>) {
        trace::exit(id.into_u64());
    }
}

/// Gives a trace the value of its field.
struct TraceId<'a> {
    field: Field,
    trace: &'a Trace,
}

impl Visit for TraceId<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if *field == self.field {
            self.trace.set_id(format_args!("{value:?}"));
        }
    }
}
