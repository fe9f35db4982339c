//! A subsystem of the service: declared, mounted, recorded into and exposed like those of the library.

mod common;

use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

use backend_metrics::{
    Clock, Counter, CounterFamily, Domain, Format, Gauge, GaugeFamily, Histogram, HistogramFamily,
    Kind, LabelSet, LateGauge, LateGaugeFamily, Metrics, Now, Open, Part, PoolStats, RatioWindow,
    ReadCounter, Registrar, Shared, Subsystem, UpDownGauge, UpDownGaugeFamily, buckets, families,
    label_values,
    labels::{IndicatorType, OrderState, QueryType},
    open_labels,
};
use common::exposition::{parse, read};

label_values! {
    /// Where a quote goes.
    pub enum Venue = "venue" {
        /// The National Stock Exchange.
        Nse = "nse",
        /// The Bombay Stock Exchange.
        Bse = "bse",
    }
}

label_values! {
    /// How a quote ended.
    pub enum QuoteOutcome = "outcome" {
        /// It was taken.
        Taken = "taken",
        /// It was withdrawn.
        Withdrawn = "withdrawn",
    }
}

open_labels! {
    /// The book a quote belongs to.
    pub struct Book(book);
}

open_labels! {
    /// The account that took a quote, and its desk.
    pub struct Taker(account, desk);
}

families! {
    /// The quotes of the desk, with a family of every type.
    pub struct DeskMetrics = "desk" {
        with {
            /// The books seen so far.
            pub books: Domain<Book>,
            /// The takers seen so far.
            pub takers: Domain<Taker>,
            /// The quotes of the last five minutes that were taken.
            pub taken: RatioWindow<Venue>,
            /// What is read before a scrape.
            pub feed: Feed,
        }

        /// Quotes sent
        pub quotes: Counter = "desk_quotes_total",

        /// Quotes by venue and how they ended
        pub ended: CounterFamily<(Venue, QuoteOutcome)> = "desk_quotes_ended_total",

        /// Quotes by book and venue
        pub book_quotes: CounterFamily<(Open<Book>, Venue)> = "desk_book_quotes_total",

        /// Quotes by who took them
        pub taker_quotes: CounterFamily<Open<Taker>> = "desk_taker_quotes_total",

        /// Messages of the feed
        pub feed_messages: ReadCounter = "desk_feed_messages_total",

        /// Percent of the quotes of the last five minutes that were taken
        pub taken_rate: GaugeFamily<Venue> = "desk_taken_rate" [shared_value("nse")],

        /// Limit of the desk
        pub limit: Gauge = "desk_limit_rupees" [shared],

        /// When the feed was last seen
        pub feed_seen: LateGauge = "desk_feed_timestamp_seconds",

        /// Spread of a book
        pub spread: LateGaugeFamily<Open<Book>> = "desk_spread_ratio",

        /// Quotes in the market
        pub open_quotes: UpDownGauge = "desk_open_quotes",

        /// Quotes in the market by venue
        pub venue_quotes: UpDownGaugeFamily<Venue> = "desk_venue_quotes",

        /// Books that were ever open
        pub books_total: Gauge = "desk_books_total" [specified_name],

        /// Time from the tick to the quote
        pub quote_duration: Histogram = "desk_quote_duration_seconds" in &[0.001, 0.01],

        /// Time that a venue took to answer
        pub answer_duration: HistogramFamily<Venue> = "desk_answer_duration_seconds" in &[0.5],

        /// Lots of a quote
        pub lots: Histogram<u64> = "desk_quote_lots" in &[0.0, 1e6],

        /// Size of a message by book
        pub message_size: HistogramFamily<Open<Book>, u64> = "desk_message_size_bytes"
            in buckets::SIZE,

        /// Share of a quote that was filled
        pub filled: Histogram<f64> = "desk_filled_ratio" in &[0.5, 1.0],
    }
    on_scrape = DeskMetrics::derive
}

/// What the feed of the desk knows.
#[derive(Debug, Default)]
pub struct Feed {
    messages: AtomicU64,
    panics: AtomicBool,
}

impl Part for Feed {
    fn register(_: &mut Registrar) -> Self {
        Self::default()
    }
}

impl DeskMetrics {
    fn derive(&self, now: &Now) {
        for venue in Venue::ALL {
            self.taken_rate.get(*venue).set(self.taken.percent(*venue, now.uptime));
        }
        assert!(!self.feed.panics.load(Ordering::Relaxed), "the feed panics, as the test wants");
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        self.feed_messages.set(self.feed.messages.load(Ordering::Relaxed) as f64);
        self.feed_seen.set_time(now.wall);
    }
}

fn desk() -> (Metrics, &'static DeskMetrics, Clock) {
    let clock = Clock::manual();
    clock.set_wall(SystemTime::UNIX_EPOCH + Duration::from_millis(1_790_000_000_500));
    let builder = Metrics::builder().mount::<DeskMetrics>().cap_of::<Book>(2);
    let metrics = builder.clock(clock.clone()).build().unwrap();
    (metrics, metrics.mounted().unwrap(), clock)
}

/// What is exposed of the desk: it comes last.
fn exposed(metrics: Metrics, format: Format) -> String {
    let text = metrics.encode(format);
    let start = text.find("# HELP desk_").unwrap();
    text[start..].to_owned()
}

fn record(desk: &DeskMetrics) {
    desk.quotes.add(3);
    desk.ended.get((Venue::Nse, QuoteOutcome::Taken)).inc();
    desk.ended.get((Venue::Bse, QuoteOutcome::Withdrawn)).add(2);
    for book in ["vol", "arb", "vol", "rates", "fx"] {
        let book = desk.books.get(book);
        desk.book_quotes.get((book, Venue::Bse)).inc();
        desk.spread.get(book).set(0.25);
        desk.message_size.get(book).observe(150);
    }
    desk.taker_quotes.get(desk.takers.get(("A-1", "delta \"one\""))).inc();
    for (hit, count) in [(true, 3), (false, 1)] {
        (0..count).for_each(|_| desk.taken.record(Venue::Bse, hit, Duration::ZERO));
    }
    desk.limit.set(2.5e6);
    desk.books_total.set_count(4);
    std::mem::forget(desk.open_quotes.track());
    drop(desk.open_quotes.track());
    desk.venue_quotes.get(Venue::Bse).add(7);
    desk.quote_duration.observe(Duration::from_micros(2_500));
    desk.quote_duration.observe(Duration::from_millis(10));
    desk.answer_duration.get(Venue::Nse).observe(Duration::from_secs(2));
    desk.lots.observe(0);
    desk.lots.observe(75);
    desk.filled.observe(0.75);
    desk.feed.messages.store(12, Ordering::Relaxed);
}

/// What is exposed of [`record`].
const OPENMETRICS: &str = r#"# HELP desk_quotes Quotes sent
# TYPE desk_quotes counter
desk_quotes_total 3
# HELP desk_quotes_ended Quotes by venue and how they ended
# TYPE desk_quotes_ended counter
desk_quotes_ended_total{venue="nse",outcome="taken"} 1
desk_quotes_ended_total{venue="nse",outcome="withdrawn"} 0
desk_quotes_ended_total{venue="bse",outcome="taken"} 0
desk_quotes_ended_total{venue="bse",outcome="withdrawn"} 2
# HELP desk_book_quotes Quotes by book and venue
# TYPE desk_book_quotes counter
desk_book_quotes_total{book="arb",venue="nse"} 0
desk_book_quotes_total{book="arb",venue="bse"} 1
desk_book_quotes_total{book="other",venue="nse"} 0
desk_book_quotes_total{book="other",venue="bse"} 2
desk_book_quotes_total{book="vol",venue="nse"} 0
desk_book_quotes_total{book="vol",venue="bse"} 2
# HELP desk_taker_quotes Quotes by who took them
# TYPE desk_taker_quotes counter
desk_taker_quotes_total{account="A-1",desk="delta \"one\""} 1
# HELP desk_feed_messages Messages of the feed
# TYPE desk_feed_messages counter
desk_feed_messages_total 12
# HELP desk_taken_rate Percent of the quotes of the last five minutes that were taken
# TYPE desk_taken_rate gauge
desk_taken_rate{venue="nse"} NaN
desk_taken_rate{venue="bse"} 75
# HELP desk_limit_rupees Limit of the desk
# TYPE desk_limit_rupees gauge
# UNIT desk_limit_rupees rupees
desk_limit_rupees 2500000
# HELP desk_feed_timestamp_seconds When the feed was last seen
# TYPE desk_feed_timestamp_seconds gauge
# UNIT desk_feed_timestamp_seconds seconds
desk_feed_timestamp_seconds 1790000000.5
# HELP desk_spread_ratio Spread of a book
# TYPE desk_spread_ratio gauge
# UNIT desk_spread_ratio ratio
desk_spread_ratio{book="arb"} 0.25
desk_spread_ratio{book="other"} 0.25
desk_spread_ratio{book="vol"} 0.25
# HELP desk_open_quotes Quotes in the market
# TYPE desk_open_quotes gauge
desk_open_quotes 1
# HELP desk_venue_quotes Quotes in the market by venue
# TYPE desk_venue_quotes gauge
desk_venue_quotes{venue="nse"} 0
desk_venue_quotes{venue="bse"} 7
# HELP desk_books_total Books that were ever open
# TYPE desk_books_total gauge
desk_books_total 4
# HELP desk_quote_duration_seconds Time from the tick to the quote
# TYPE desk_quote_duration_seconds histogram
# UNIT desk_quote_duration_seconds seconds
desk_quote_duration_seconds_bucket{le="0.001"} 0
desk_quote_duration_seconds_bucket{le="0.01"} 2
desk_quote_duration_seconds_bucket{le="+Inf"} 2
desk_quote_duration_seconds_sum 0.0125
desk_quote_duration_seconds_count 2
# HELP desk_answer_duration_seconds Time that a venue took to answer
# TYPE desk_answer_duration_seconds histogram
# UNIT desk_answer_duration_seconds seconds
desk_answer_duration_seconds_bucket{venue="nse",le="0.5"} 0
desk_answer_duration_seconds_bucket{venue="nse",le="+Inf"} 1
desk_answer_duration_seconds_sum{venue="nse"} 2
desk_answer_duration_seconds_count{venue="nse"} 1
# HELP desk_quote_lots Lots of a quote
# TYPE desk_quote_lots histogram
desk_quote_lots_bucket{le="0.0"} 1
desk_quote_lots_bucket{le="1e+06"} 2
desk_quote_lots_bucket{le="+Inf"} 2
desk_quote_lots_sum 75
desk_quote_lots_count 2
# HELP desk_message_size_bytes Size of a message by book
# TYPE desk_message_size_bytes histogram
# UNIT desk_message_size_bytes bytes
desk_message_size_bytes_bucket{book="arb",le="100.0"} 0
desk_message_size_bytes_bucket{book="arb",le="1000.0"} 1
desk_message_size_bytes_bucket{book="arb",le="10000.0"} 1
desk_message_size_bytes_bucket{book="arb",le="100000.0"} 1
desk_message_size_bytes_bucket{book="arb",le="1e+06"} 1
desk_message_size_bytes_bucket{book="arb",le="+Inf"} 1
desk_message_size_bytes_sum{book="arb"} 150
desk_message_size_bytes_count{book="arb"} 1
desk_message_size_bytes_bucket{book="other",le="100.0"} 0
desk_message_size_bytes_bucket{book="other",le="1000.0"} 2
desk_message_size_bytes_bucket{book="other",le="10000.0"} 2
desk_message_size_bytes_bucket{book="other",le="100000.0"} 2
desk_message_size_bytes_bucket{book="other",le="1e+06"} 2
desk_message_size_bytes_bucket{book="other",le="+Inf"} 2
desk_message_size_bytes_sum{book="other"} 300
desk_message_size_bytes_count{book="other"} 2
desk_message_size_bytes_bucket{book="vol",le="100.0"} 0
desk_message_size_bytes_bucket{book="vol",le="1000.0"} 2
desk_message_size_bytes_bucket{book="vol",le="10000.0"} 2
desk_message_size_bytes_bucket{book="vol",le="100000.0"} 2
desk_message_size_bytes_bucket{book="vol",le="1e+06"} 2
desk_message_size_bytes_bucket{book="vol",le="+Inf"} 2
desk_message_size_bytes_sum{book="vol"} 300
desk_message_size_bytes_count{book="vol"} 2
# HELP desk_filled_ratio Share of a quote that was filled
# TYPE desk_filled_ratio histogram
# UNIT desk_filled_ratio ratio
desk_filled_ratio_bucket{le="0.5"} 0
desk_filled_ratio_bucket{le="1.0"} 1
desk_filled_ratio_bucket{le="+Inf"} 1
desk_filled_ratio_sum 0.75
desk_filled_ratio_count 1
# EOF
"#;

#[test]
fn every_type_is_exposed_in_openmetrics() {
    let (metrics, desk, _) = desk();
    record(desk);
    assert_eq!(exposed(metrics, Format::OpenMetrics), OPENMETRICS);
    assert_eq!(
        read(metrics)
            .value("metrics_label_overflows_total", &[("family", "desk_book_quotes_total")]),
        Some("2")
    );
}

#[test]
fn text_names_counters_as_their_samples_and_has_no_units() {
    let (metrics, desk, _) = desk();
    record(desk);
    let mut expected = String::new();
    for line in OPENMETRICS.lines() {
        if line == "# EOF" || line.starts_with("# UNIT ") {
            continue;
        }
        let counters = ["quotes", "quotes_ended", "book_quotes", "taker_quotes", "feed_messages"];
        let of_a_counter = line.starts_with('#')
            && counters.iter().any(|name| line.split(' ').nth(2) == Some(&format!("desk_{name}")));
        let mut words: Vec<_> = line.splitn(4, ' ').map(str::to_owned).collect();
        if of_a_counter {
            words[2].push_str("_total");
        }
        expected.push_str(&words.join(" "));
        expected.push('\n');
    }
    let text = exposed(metrics, Format::Text);
    assert_eq!(text, expected);
    assert!(text.starts_with(
        "# HELP desk_quotes_total Quotes sent\n# TYPE desk_quotes_total counter\ndesk_quotes_total 3\n"
    ));
}

#[test]
fn what_was_never_used_is_at_zero_or_absent() {
    let (metrics, _, _) = desk();
    assert_eq!(
        exposed(metrics, Format::Text),
        r#"# HELP desk_quotes_total Quotes sent
# TYPE desk_quotes_total counter
desk_quotes_total 0
# HELP desk_quotes_ended_total Quotes by venue and how they ended
# TYPE desk_quotes_ended_total counter
desk_quotes_ended_total{venue="nse",outcome="taken"} 0
desk_quotes_ended_total{venue="nse",outcome="withdrawn"} 0
desk_quotes_ended_total{venue="bse",outcome="taken"} 0
desk_quotes_ended_total{venue="bse",outcome="withdrawn"} 0
# HELP desk_feed_messages_total Messages of the feed
# TYPE desk_feed_messages_total counter
desk_feed_messages_total 0
# HELP desk_taken_rate Percent of the quotes of the last five minutes that were taken
# TYPE desk_taken_rate gauge
desk_taken_rate{venue="nse"} NaN
desk_taken_rate{venue="bse"} NaN
# HELP desk_limit_rupees Limit of the desk
# TYPE desk_limit_rupees gauge
desk_limit_rupees 0
# HELP desk_feed_timestamp_seconds When the feed was last seen
# TYPE desk_feed_timestamp_seconds gauge
desk_feed_timestamp_seconds 1790000000.5
# HELP desk_open_quotes Quotes in the market
# TYPE desk_open_quotes gauge
desk_open_quotes 0
# HELP desk_venue_quotes Quotes in the market by venue
# TYPE desk_venue_quotes gauge
desk_venue_quotes{venue="nse"} 0
desk_venue_quotes{venue="bse"} 0
# HELP desk_books_total Books that were ever open
# TYPE desk_books_total gauge
desk_books_total 0
"#
    );
}

#[test]
fn a_window_forgets_after_five_minutes() {
    let (metrics, desk, clock) = desk();
    let rate =
        |venue| read(metrics).value("desk_taken_rate", &[("venue", venue)]).unwrap().to_owned();
    desk.taken.record(Venue::Nse, true, metrics.uptime());
    clock.advance(Duration::from_secs(150));
    desk.taken.record(Venue::Nse, false, metrics.uptime());
    assert_eq!((rate("nse"), rate("bse")), ("50".into(), "NaN".into()));
    clock.advance(Duration::from_secs(151));
    assert_eq!(rate("nse"), "0");
    clock.advance(Duration::from_secs(150));
    assert_eq!(rate("nse"), "NaN");
}

#[test]
fn its_definitions_are_known_without_an_instance() {
    let families: HashMap<&str, _> =
        DeskMetrics::DEFINITIONS.iter().map(|family| (family.name, family)).collect();
    assert_eq!(DeskMetrics::NAME, "desk");
    assert_eq!(families.len(), 17);
    let rate = families["desk_taken_rate"];
    assert_eq!((rate.kind, rate.shared), (Kind::Gauge, Shared::Value("nse")));
    assert_eq!(rate.labels[0].values.known(), ["nse", "bse"]);
    assert_eq!(families["desk_limit_rupees"].shared, Shared::Yes);
    assert_eq!(families["desk_limit_rupees"].unit(), Some("rupees"));
    assert_eq!(families["desk_books_total"].openmetrics_name(), "desk_books_total");
    assert_eq!(families["desk_quote_lots"].buckets.unwrap().bounds(), [0.0, 1e6]);
    assert_eq!(families["desk_quotes_ended_total"].closed_combinations(), 4);
    assert_eq!(<(Venue, QuoteOutcome)>::COUNT, 4);
    // The library's catalog is the library's alone.
    assert!(backend_metrics::catalog().all(|entry| !families.contains_key(entry.family.name)));
}

#[test]
fn a_panic_before_a_scrape_costs_what_it_would_have_set() {
    let (metrics, desk, clock) = desk();
    record(desk);
    assert_eq!(read(metrics).value("desk_feed_messages_total", &[]), Some("12"));

    desk.feed.panics.store(true, Ordering::Relaxed);
    desk.feed.messages.store(13, Ordering::Relaxed);
    desk.taken.record(Venue::Nse, true, metrics.uptime());
    desk.quotes.inc();
    clock.advance(Duration::from_secs(1));
    let panics = || panic!("a pool panics, as the test wants");
    metrics.add_database_pool_source("orders", panics);
    let stats = PoolStats { active: 1, idle: 2, max: 3 };
    metrics.add_redis_pool_source("quotes", move || Some(stats));
    // One of the subsystem and one of the pool.
    let panics = [("error_type", "collector_panic"), ("severity", "error")];
    for scrape in 1..4 {
        let text = metrics.encode(Format::OpenMetrics);
        let exposition = parse(&text, Format::OpenMetrics).unwrap();
        for (name, labels, expected) in [
            ("application_errors_total", &panics[..], Some(&*(scrape * 2).to_string())),
            ("desk_quotes_total", &[], Some("4")),
            ("desk_taken_rate", &[("venue", "nse")], Some("100")),
            ("desk_feed_messages_total", &[], Some("12")),
            ("desk_feed_timestamp_seconds", &[], Some("1790000000.5")),
            ("database_pool_connections", &[("state", "total")], None),
            ("redis_pool_connections", &[("state", "total")], Some("3")),
        ] {
            assert_eq!(exposition.value(name, labels), expected, "{name}");
        }
    }

    desk.feed.panics.store(false, Ordering::Relaxed);
    let text = metrics.to_text();
    assert!(text.contains("\ndesk_feed_messages_total 13\n"));
    assert!(text.contains("\ndesk_feed_timestamp_seconds 1790000001.5\n"));
}

open_labels! {
    /// A store house.
    pub struct House(house);
}

families! {
    /// Families that are longer than what a thread takes memory for at once.
    pub struct StoreMetrics = "store" {
        with {
            /// The houses seen so far.
            pub houses: Domain<House>,
        }

        /// The time that things stay
        pub stay: HistogramFamily<(QueryType, OrderState, IndicatorType)> = "store_stay_seconds" in buckets::REQUEST,

        /// Things that came
        pub arrivals: CounterFamily<Open<House>> = "store_arrivals_total",

        /// Things that left
        pub departures: CounterFamily<(Open<House>, QueryType)> = "store_departures_total",

        /// The time that things stay in a house
        pub house_stay: HistogramFamily<(Open<House>, QueryType, OrderState, IndicatorType)> =
            "store_house_stay_seconds" in buckets::REQUEST,
    }
}

/// Each series gets a number of its own of observations, in its first bucket and in its last.
#[test]
fn a_family_longer_than_a_chunk_mixes_no_series() {
    let metrics = Metrics::builder().mount::<StoreMetrics>().build().unwrap();
    let store = metrics.mounted::<StoreMetrics>().unwrap();
    let mut expected = HashMap::new();
    let mut number = 0;
    let mut observe = |histogram: Histogram, family: &str, labels: &str| {
        number += 1;
        for _ in 0..number {
            histogram.observe(Duration::from_millis(1));
            histogram.observe(Duration::from_secs(11));
        }
        let number = f64::from(number);
        expected.insert(format!("{family}_bucket{{{labels},le=\"0.005\"}}"), number);
        expected.insert(format!("{family}_bucket{{{labels},le=\"10.0\"}}"), number);
        expected.insert(format!("{family}_bucket{{{labels},le=\"+Inf\"}}"), 2.0 * number);
        expected.insert(format!("{family}_sum{{{labels}}}"), number * 11_001.0 / 1e3);
    };
    for (query, state, indicator) in combinations() {
        let labels = [
            ("query_type", query.as_str()),
            ("state", state.as_str()),
            ("indicator_type", indicator.as_str()),
        ];
        let labels = labels.map(|(name, value)| format!("{name}=\"{value}\"")).join(",");
        observe(store.stay.get((query, state, indicator)), "store_stay_seconds", &labels);
        for house in ["north", "south"] {
            let open = store.houses.get(house);
            let labels = format!("house=\"{house}\",{labels}");
            let histogram = store.house_stay.get((open, query, state, indicator));
            observe(histogram, "store_house_stay_seconds", &labels);
        }
    }
    for (house, count) in [("north", 1_000_001_u32), ("south", 1_000_002)] {
        let open = store.houses.get(house);
        store.arrivals.get(open).add(count.into());
        expected.insert(format!("store_arrivals_total{{house=\"{house}\"}}"), count.into());
        for (count, query) in (2 * count..).zip(QueryType::ALL) {
            store.departures.get((open, *query)).add(count.into());
            let labels = format!("house=\"{house}\",query_type=\"{}\"", query.as_str());
            expected.insert(format!("store_departures_total{{{labels}}}"), count.into());
        }
    }
    let text = metrics.to_text();
    let samples: HashMap<_, f64> = text
        .lines()
        .filter_map(|line| line.rsplit_once(' '))
        .filter_map(|(series, value)| Some((series, value.parse().ok()?)))
        .collect();
    for (series, value) in expected {
        assert_eq!(samples.get(&*series), Some(&value), "{series}");
    }
}

fn combinations() -> impl Iterator<Item = (QueryType, OrderState, IndicatorType)> {
    QueryType::ALL.iter().flat_map(|query| {
        OrderState::ALL.iter().flat_map(move |state| {
            IndicatorType::ALL.iter().map(move |indicator| (*query, *state, *indicator))
        })
    })
}
