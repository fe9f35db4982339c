//! Exemplars, from the span to the line of a scrape.

#![cfg(feature = "exemplars")]

mod common;

use std::{
    cell::RefCell,
    fmt,
    future::poll_fn,
    pin::pin,
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use backend_metrics::{
    Clock, Counter, CounterFamily, Format, Histogram, Metrics, TraceExemplars, families,
    label_values,
};
use common::exposition::{Exemplar, parse, read};
use prometheus_client::{encoding::text::encode, registry::Registry};
use tracing::{Instrument, Span, field, info_span, span::EnteredSpan};
use tracing_subscriber::{Layer, filter::filter_fn, layer::SubscriberExt};

label_values! {
    /// Which way an order goes.
    pub enum Side = "side" {
        /// It buys.
        Buy = "buy",
        /// It sells.
        Sell = "sell",
    }
}

families! {
    /// What a desk does.
    pub struct DeskMetrics = "desk" {
        /// Orders sent
        pub orders: CounterFamily<Side> = "desk_orders_total",

        /// Orders refused
        pub refused: Counter = "desk_refused_total",

        /// Time of an order
        pub duration: Histogram = "desk_order_duration_seconds" in &[0.01, 0.1],

        /// Size of an order
        pub size: Histogram<u64> = "desk_order_size_bytes" in &[100.0],

        /// Part of an order that is filled
        pub fill: Histogram<f64> = "desk_fill_ratio" in &[2.0 / 3.0, 1.0],
    }
}

/// An instance whose clock stands at a moment of 2018 until it is moved, and a layer that goes by it.
struct Test {
    metrics: Metrics,
    clock: Clock,
    desk: &'static DeskMetrics,
}

fn moment() -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(1_520_879_607_789)
}

impl Test {
    fn new() -> Self {
        let clock = Clock::manual();
        clock.set_wall(moment());
        let metrics = Metrics::builder().clock(clock.clone()).mount::<DeskMetrics>();
        let metrics = metrics.build().unwrap();
        Self { metrics, clock, desk: metrics.mounted().unwrap() }
    }

    fn layer(&self) -> TraceExemplars {
        TraceExemplars::new().clock(self.clock.clone())
    }

    /// Runs `act` where the layer is in place.
    fn run<T>(&self, act: impl FnOnce() -> T) -> T {
        let subscriber = tracing_subscriber::registry().with(self.layer());
        tracing::subscriber::with_default(subscriber, act)
    }

    /// The lines of a family of the desk in `OpenMetrics`, after both formats were read.
    fn lines(&self, family: &str) -> Vec<String> {
        read(self.metrics);
        let text = self.metrics.encode(Format::OpenMetrics);
        let lines = text.lines().filter(|line| line.starts_with(family));
        lines.map(str::to_owned).collect()
    }

    /// The exemplar of a sample without labels or of one with this bound.
    fn exemplar(&self, name: &str, bound: Option<&str>) -> Option<Exemplar> {
        let exposition = read(self.metrics);
        let mut samples = exposition.samples().filter(|sample| {
            let le = sample.labels.iter().find(|(name, _)| name == "le");
            sample.name == name && le.map(|(_, bound)| &**bound) == bound
        });
        let sample = samples.next().unwrap();
        assert_eq!(samples.next(), None);
        sample.exemplar.clone()
    }

    /// The trace of the refusal that was counted last.
    fn refused_in(&self) -> Option<String> {
        let exemplar = self.exemplar("desk_refused_total", None)?;
        let [(name, trace)] = &exemplar.labels[..] else { panic!("{exemplar:?}") };
        assert_eq!(name, "trace_id");
        Some(trace.clone())
    }

    /// Counts a refusal in a span of this trace; the trace that is shown then.
    fn refuse_in(&self, trace: &str) -> Option<String> {
        self.run(|| info_span!("order", trace_id = trace).in_scope(|| self.desk.refused.inc()));
        self.refused_in()
    }

    /// Counts a refusal in a span a second later; the trace that it was kept with.
    fn refuse_later_in(&self, span: &Span) -> Option<String> {
        self.clock.advance(Duration::from_secs(1));
        span.in_scope(|| self.desk.refused.inc());
        let now = self.clock.wall().duration_since(UNIX_EPOCH).unwrap();
        let exemplar = self.exemplar("desk_refused_total", None)?;
        let is_of_now =
            exemplar.timestamp == format!("{}.{:03}", now.as_secs(), now.subsec_millis());
        is_of_now.then(|| self.refused_in()).flatten()
    }
}

#[test]
fn counters_and_buckets_have_exemplars_and_nothing_else_does() {
    let test = Test::new();
    test.desk.orders.get(Side::Buy).add(5);
    test.desk.duration.observe(Duration::from_millis(5));
    test.run(|| {
        let trace_id = "4bf92f3577b34da6a3ce929d0e0e4736";
        info_span!("order", trace_id).in_scope(|| {
            test.desk.orders.get(Side::Sell).inc();
            test.clock.advance(Duration::from_millis(1));
            test.desk.size.observe(1_234);
            test.desk.duration.observe(Duration::from_millis(67));
        });
    });
    assert_eq!(
        test.lines("desk_orders_total"),
        [
            r#"desk_orders_total{side="buy"} 5"#,
            r#"desk_orders_total{side="sell"} 1 # {trace_id="4bf92f3577b34da6a3ce929d0e0e4736"} 1 1520879607.789"#,
        ]
    );
    assert_eq!(
        test.lines("desk_order_duration_seconds"),
        [
            r#"desk_order_duration_seconds_bucket{le="0.01"} 1"#,
            r#"desk_order_duration_seconds_bucket{le="0.1"} 2 # {trace_id="4bf92f3577b34da6a3ce929d0e0e4736"} 0.067 1520879607.790"#,
            r#"desk_order_duration_seconds_bucket{le="+Inf"} 2"#,
            "desk_order_duration_seconds_sum 0.072",
            "desk_order_duration_seconds_count 2",
        ]
    );
    assert_eq!(
        test.lines("desk_order_size_bytes"),
        [
            r#"desk_order_size_bytes_bucket{le="100.0"} 0"#,
            r#"desk_order_size_bytes_bucket{le="+Inf"} 1 # {trace_id="4bf92f3577b34da6a3ce929d0e0e4736"} 1234 1520879607.790"#,
            "desk_order_size_bytes_sum 1234",
            "desk_order_size_bytes_count 1",
        ]
    );
    assert!(!test.metrics.to_text().contains("trace_id"));

    let mut registry = Registry::default();
    registry.register_collector(Box::new(test.metrics.collector()));
    let mut collected = String::new();
    encode(&mut collected, &registry).unwrap();
    assert!(collected.contains("desk_orders_total{side=\"sell\"} 1\n"), "{collected}");
    assert!(!collected.contains("trace_id"), "{collected}");
}

#[test]
fn the_last_value_is_what_a_counter_grew_by() {
    let test = Test::new();
    test.run(|| {
        info_span!("order", trace_id = "a").in_scope(|| {
            test.desk.refused.add(0);
            assert_eq!(test.refused_in(), None);
            test.desk.refused.add(40);
        });
    });
    let exemplar = test.exemplar("desk_refused_total", None).unwrap();
    assert_eq!((&*exemplar.value, &*exemplar.timestamp), ("40", "1520879607.789"));
}

#[test]
fn a_span_is_part_of_the_trace_above_it() {
    let test = Test::new();
    let refuse = |span| test.refuse_later_in(&span);
    test.run(|| {
        let outer = info_span!("outer", trace_id = "outer");
        let entered = outer.clone().entered();
        assert_eq!(refuse(info_span!("below")).unwrap(), "outer");
        info_span!("further").in_scope(|| {
            assert_eq!(refuse(info_span!("below")).unwrap(), "outer");
        });
        assert_eq!(refuse(info_span!("other", trace_id = "other")).unwrap(), "other");
        assert_eq!(refuse(outer.clone()).unwrap(), "outer");
        // A root is in no trace but its own, wherever it is entered.
        assert_eq!(refuse(info_span!(parent: None, "root", trace_id = "root")).unwrap(), "root");
        assert_eq!(refuse(info_span!(parent: None, "alone")), None);
        drop(entered);
        assert_eq!(refuse(Span::none()), None);
        assert_eq!(refuse(info_span!("alone")), None);
        assert_eq!(refuse(info_span!(parent: &outer, "elsewhere")).unwrap(), "outer");
    });
}

#[test]
fn an_id_may_come_later_and_the_first_one_stays() {
    let test = Test::new();
    test.run(|| {
        let later = info_span!("later", trace_id = field::Empty, other = field::Empty);
        let child = info_span!(parent: &later, "child");
        assert_eq!(test.refuse_later_in(&child), None);
        later.record("other", "not an id");
        assert_eq!(test.refuse_later_in(&child), None);
        later.record("trace_id", field::display(17));
        assert_eq!(test.refuse_later_in(&child).unwrap(), "17");
        later.record("trace_id", "18");
        assert_eq!(test.refuse_later_in(&child).unwrap(), "17");
        // Until it has an id of its own, a span has that of the one above.
        let below = info_span!(parent: &child, "below", trace_id = field::Empty);
        assert_eq!(test.refuse_later_in(&below).unwrap(), "17");
        below.record("trace_id", "below");
        assert_eq!(test.refuse_later_in(&below).unwrap(), "below");
        assert_eq!(test.refuse_later_in(&child).unwrap(), "17");
    });
}

#[test]
fn the_field_can_have_another_name() {
    let test = Test::new();
    let subscriber = tracing_subscriber::registry().with(test.layer().field("otel.trace_id"));
    tracing::subscriber::with_default(subscriber, || {
        info_span!("order", trace_id = "no").in_scope(|| test.desk.refused.inc());
        assert_eq!(test.refused_in(), None);
        info_span!("order", otel.trace_id = "yes").in_scope(|| test.desk.refused.inc());
        assert_eq!(test.refused_in().unwrap(), "yes");
    });
}

#[test]
fn layers_for_several_fields_agree_on_the_trace() {
    let test = Test::new();
    for [inner, outer] in [["trace_id", "traceparent"], ["traceparent", "trace_id"]] {
        let [inner, outer] = [inner, outer].map(|field| test.layer().field(field));
        let subscriber = tracing_subscriber::registry().with(inner).with(outer);
        tracing::subscriber::with_default(subscriber, || {
            let first = info_span!("first", traceparent = "first");
            let second = info_span!(parent: &first, "second", trace_id = "second");
            let third = info_span!(parent: &second, "third", traceparent = field::Empty);
            for (span, trace) in [(&first, "first"), (&second, "second"), (&third, "second")] {
                assert_eq!(test.refuse_later_in(span).unwrap(), trace);
            }
            third.record("traceparent", "third");
            assert_eq!(test.refuse_later_in(&third).unwrap(), "third");
        });
    }
}

#[test]
fn a_filter_of_its_own_hides_spans_from_the_layer_alone() {
    let test = Test::new();
    let layer = test.layer().with_filter(filter_fn(|metadata| metadata.name() != "hidden"));
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::with_default(subscriber, || {
        let _seen = info_span!("seen", trace_id = "seen").entered();
        let _hidden = info_span!("hidden", trace_id = "hidden").entered();
        info_span!("below").in_scope(|| test.desk.refused.inc());
    });
    assert_eq!(test.refused_in().unwrap(), "seen");
}

#[test]
fn the_span_of_another_thread_is_not_seen() {
    let test = Test::new();
    test.run(|| {
        let span = info_span!("order", trace_id = "here");
        let _here = span.enter();
        thread::scope(|scope| {
            scope.spawn(|| test.desk.refused.inc()).join().unwrap();
            assert_eq!(test.refused_in(), None);
            // It is where the other thread enters it too.
            scope.spawn(|| span.in_scope(|| test.desk.refused.inc())).join().unwrap();
        });
    });
    assert_eq!(test.refused_in().unwrap(), "here");
}

/// Is not ready the first time.
async fn yields() {
    let mut yielded = false;
    poll_fn(
        |_| if std::mem::replace(&mut yielded, true) { Poll::Ready(()) } else { Poll::Pending },
    )
    .await;
}

#[test]
fn tasks_that_take_turns_on_a_thread_keep_their_traces() {
    let test = Test::new();
    test.run(|| {
        let task = |trace: &'static str, counter: Counter| {
            let span = info_span!("task", trace_id = trace);
            async move {
                yields().await;
                counter.inc();
                yields().await;
            }
            .instrument(span)
        };
        let (buys, sells) = (test.desk.orders.get(Side::Buy), test.desk.orders.get(Side::Sell));
        let (mut buys, mut sells) = (pin!(task("buys", buys)), pin!(task("sells", sells)));
        let context = &mut Context::from_waker(Waker::noop());
        for ready in [false, false, true] {
            assert_eq!(buys.as_mut().poll(context).is_ready(), ready);
            assert_eq!(sells.as_mut().poll(context).is_ready(), ready);
        }
        test.desk.refused.inc();
    });
    assert_eq!(
        test.lines("desk_orders_total"),
        [
            r#"desk_orders_total{side="buy"} 1 # {trace_id="buys"} 1 1520879607.789"#,
            r#"desk_orders_total{side="sell"} 1 # {trace_id="sells"} 1 1520879607.789"#,
        ]
    );
    assert_eq!(test.refused_in(), None);
}

#[test]
fn spans_that_are_left_out_of_order_are_left() {
    let test = Test::new();
    test.run(|| {
        let first = info_span!("first", trace_id = "first").entered();
        let second = info_span!("second", trace_id = "second").entered();
        drop(first);
        test.desk.refused.inc();
        assert_eq!(test.refused_in().unwrap(), "second");
        drop(second);
        test.clock.advance(Duration::from_secs(9));
        test.desk.refused.inc();
        assert_eq!(test.refused_in().unwrap(), "second");
        info_span!("third", trace_id = "third").in_scope(|| test.desk.refused.inc());
        assert_eq!(test.refused_in().unwrap(), "third");
    });
}

#[test]
fn an_interval_has_one_exemplar() {
    let test = Test::new();
    assert_eq!(test.refuse_in("first").unwrap(), "first");
    assert_eq!(test.refuse_in("second").unwrap(), "first");
    test.clock.advance(Duration::from_millis(999));
    assert_eq!(test.refuse_in("second").unwrap(), "first");
    test.clock.advance(Duration::from_millis(1));
    assert_eq!(test.refuse_in("second").unwrap(), "second");
    // The interval is that of the series.
    test.run(|| info_span!("order", trace_id = "third").in_scope(|| test.desk.size.observe(1)));
    assert_eq!(
        test.lines("desk_order_size_bytes_bucket{le=\"100.0\"} 1 # {trace_id=\"third\"}").len(),
        1
    );
    // A clock that is set back does not end it all.
    test.clock.set_wall(moment() - Duration::from_hours(1));
    assert_eq!(test.refuse_in("earlier").unwrap(), "earlier");
}

#[test]
fn a_span_that_is_never_left_gets_to_know_the_time() {
    let test = Test::new();
    test.run(|| {
        let _forever = info_span!("forever", trace_id = "forever").entered();
        test.desk.refused.inc();
        test.clock.advance(Duration::from_secs(5));
        for _ in 0..=64 {
            test.desk.refused.inc();
        }
    });
    let exemplar = test.exemplar("desk_refused_total", None).unwrap();
    assert_eq!(exemplar.timestamp, "1520879612.789");
}

#[test]
fn a_thread_that_is_late_does_not_break_the_interval() {
    let test = Test::new();
    test.run(|| {
        let _late = info_span!("late", trace_id = "late").entered();
        test.desk.size.observe(1);
        test.clock.advance(Duration::from_secs(5));
        let subscriber = tracing::dispatcher::get_default(Clone::clone);
        thread::scope(|scope| {
            scope.spawn(|| {
                tracing::dispatcher::with_default(&subscriber, || {
                    info_span!("other", trace_id = "other").in_scope(|| test.desk.refused.inc());
                });
            });
        });
        // It goes by a time at which the other exemplar was still to come.
        test.desk.refused.inc();
    });
    assert_eq!(test.refused_in().unwrap(), "other");
}

#[test]
fn an_interval_of_zero_takes_the_last() {
    let test = Test::new();
    let subscriber = tracing_subscriber::registry().with(test.layer().interval(Duration::ZERO));
    tracing::subscriber::with_default(subscriber, || {
        for trace in ["first", "second"] {
            info_span!("order", trace_id = trace).in_scope(|| test.desk.refused.inc());
            assert_eq!(test.refused_in().unwrap(), trace);
        }
    });
}

#[test]
fn an_id_has_120_characters_at_most_or_there_is_none() {
    let test = Test::new();
    let [most, more] = [120, 121].map(|length| "a".repeat(length));
    assert_eq!(test.refuse_in(&more), None);
    assert_eq!(test.refuse_in(&most), Some(most));
    let test = Test::new();
    assert_eq!(test.refuse_in(""), None);
    test.run(|| {
        let _outer = info_span!("outer", trace_id = "outer").entered();
        info_span!("inner", trace_id = %"x".repeat(121)).in_scope(|| test.desk.refused.inc());
        assert_eq!(test.refused_in(), None, "it is of no trace, nor of the one above");
    });
}

/// Fails when it has written a part.
struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a-part").and(Err(fmt::Error))
    }
}

#[test]
fn an_id_that_cannot_be_written_is_none() {
    let test = Test::new();
    test.run(|| {
        info_span!("order", trace_id = %Broken).in_scope(|| test.desk.refused.inc());
    });
    assert_eq!(test.refused_in(), None);
}

#[test]
fn instances_do_not_mix() {
    let (one, other) = (Test::new(), Test::new());
    one.desk.refused.inc();
    other.desk.refused.inc();
    assert_eq!(one.refuse_in("one").unwrap(), "one");
    assert_eq!(other.refused_in(), None);
    assert_eq!(other.refuse_in("other").unwrap(), "other");
    assert_eq!(one.refused_in().unwrap(), "one");
}

#[test]
fn an_exemplar_lies_in_its_bucket_or_is_left_out() {
    let nanos = Duration::from_nanos;
    for (observed, bound, value) in [
        (nanos(0), "0.01", Some("0")),
        (nanos(1), "0.01", Some("1e-9")),
        (nanos(10_000_000), "0.01", Some("0.01")),
        (nanos(10_000_001), "0.1", Some("0.010000001")),
        (nanos(100_000_001), "+Inf", Some("0.100000001")),
        (Duration::MAX, "+Inf", Some("+Inf")),
    ] {
        let test = Test::new();
        test.run(|| {
            info_span!("order", trace_id = "a").in_scope(|| test.desk.duration.observe(observed));
        });
        let exemplar = test.exemplar("desk_order_duration_seconds_bucket", Some(bound));
        assert_eq!(exemplar.as_ref().map(|exemplar| &*exemplar.value), value, "{observed:?}");
    }
    for (observed, bound, value) in [
        (-1.0, "0.6666666666666666", Some("0")),
        (0.5, "0.6666666666666666", Some("0.5")),
        // It is rounded to a billionth, and then is above the bound.
        (2.0 / 3.0, "0.6666666666666666", None),
        (1.0, "1.0", Some("1")),
        (f64::NAN, "+Inf", Some("+Inf")),
    ] {
        let test = Test::new();
        test.run(|| {
            info_span!("order", trace_id = "a").in_scope(|| test.desk.fill.observe(observed));
        });
        let exemplar = test.exemplar("desk_fill_ratio_bucket", Some(bound));
        assert_eq!(exemplar.as_ref().map(|exemplar| &*exemplar.value), value, "{observed}");
    }
}

#[test]
fn what_is_not_exposed_has_no_exemplars() {
    // The families of both are in the cells that nothing reads.
    let off = Metrics::builder().without("database").build().unwrap();
    let test = Test::new();
    test.run(|| {
        info_span!("order", trace_id = "a").in_scope(|| off.database.pool_acquire_timeouts.inc());
    });
    assert!(!off.encode(Format::OpenMetrics).contains("trace_id"));
}

thread_local! {
    static AT_THE_END: RefCell<Option<AtTheEnd>> = const { RefCell::new(None) };
}

/// Records, and leaves its span, when the thread-locals of its thread go.
struct AtTheEnd {
    counter: Counter,
    _entered: EnteredSpan,
}

impl Drop for AtTheEnd {
    fn drop(&mut self) {
        self.counter.inc();
    }
}

#[test]
fn a_thread_may_end_inside_of_a_span() {
    let test = Test::new();
    let counter = test.desk.refused;
    // Thread-locals go in the order in which they were first used, or the other way round.
    for enter_first in [false, true] {
        let lives = || {
            test.run(|| {
                if !enter_first {
                    AT_THE_END.set(None);
                }
                let entered = info_span!("order", trace_id = "a").entered();
                counter.inc();
                AT_THE_END.set(Some(AtTheEnd { counter, _entered: entered }));
            });
        };
        // Joined, so that its thread-locals are gone.
        thread::scope(|scope| scope.spawn(lives).join()).unwrap();
    }
    assert!(test.metrics.to_text().contains("desk_refused_total 4\n"));
    assert_eq!(test.refused_in().unwrap(), "a");
}

#[test]
fn outside_of_spans_nothing_is_kept() {
    let test = Test::new();
    test.run(|| {
        test.desk.refused.inc();
        Span::none().in_scope(|| test.desk.refused.inc());
        info_span!("order").in_scope(|| test.desk.refused.inc());
    });
    assert_eq!(test.refused_in(), None);
}

#[test]
fn the_strict_reader_knows_the_rules_of_exemplars() {
    const COUNTER: &str = "# HELP x Things\n# TYPE x counter\n";
    const HISTOGRAM: &str = "# HELP x Things\n# TYPE x histogram\n";
    let long = format!("{COUNTER}x_total 1 # {{trace_id=\"{}\"}} 1 1.000\n", "é".repeat(121));
    let buckets = |one: &str, two: &str, sum: &str| {
        format!(
            "{HISTOGRAM}x_bucket{{le=\"1.0\"}} 1{one}\nx_bucket{{le=\"+Inf\"}} 2{two}\nx_sum 5{sum}\nx_count 2\n"
        )
    };
    let good = buckets(" # {trace_id=\"a\"} 1 1.000", " # {trace_id=\"a\"} +Inf 1.000", "");
    parse(&format!("{good}# EOF\n"), Format::OpenMetrics).unwrap();
    for (text, rule) in [
        (&*long, "128 characters"),
        (&format!("{COUNTER}x_total 1 # {{trace_id=\"a\"}} 1\n"), "has a timestamp"),
        (&format!("{COUNTER}x_total 1 # {{trace_id=\"a\"}} 1 1\n"), "with milliseconds"),
        (&format!("{COUNTER}x_total 1 # {{trace_id=\"a\"}} one 1.000\n"), "written as one"),
        (&format!("{COUNTER}x_total 1 # {{trace_id=\"a\"b\"}} 1 1.000\n"), "comma"),
        (&buckets(" # {a=\"b\"} 1.1 1.000", "", ""), "in its bucket"),
        (&buckets("", " # {a=\"b\"} 1 1.000", ""), "in its bucket"),
        (&buckets("", "", " # {a=\"b\"} 1 1.000"), "they alone"),
    ] {
        let broken = parse(&format!("{text}# EOF\n"), Format::OpenMetrics).unwrap_err();
        assert!(broken.rule.contains(rule), "{text}\n{broken}");
    }
    let in_text = good.replace("x_total", "x");
    let broken = parse(&in_text, Format::Text).unwrap_err();
    assert!(broken.rule.contains("no exemplars"), "{broken}");
}
