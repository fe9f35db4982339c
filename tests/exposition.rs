//! Both text formats of a small subsystem, written out in full.

use std::{
    collections::BTreeSet,
    time::{Duration, UNIX_EPOCH},
};

use backend_metrics::{
    Counter, CounterFamily, Domain, Format, Gauge, GaugeFamily, Histogram, HistogramFamily,
    LateGauge, Metrics, Open, UpDownGauge, catalog, families, label_values, open_labels,
};

label_values! {
    /// Which way a quote goes.
    pub enum Direction = "direction" {
        /// To the exchange.
        Outbound = "outbound",
        /// From the exchange.
        Inbound = "inbound",
    }
}

label_values! {
    /// Where a quote goes.
    pub enum Venue = "venue" {
        /// The National Stock Exchange.
        Nse = "nse",
        /// The Bombay Stock Exchange.
        Bse = "bse",
    }
}

open_labels! {
    /// The book a quote belongs to.
    pub struct Book(book);
}

families! {
    /// The quotes of a desk.
    pub struct DeskMetrics = "desk" {
        with {
            /// The books seen so far.
            pub books: Domain<Book>,
        }

        /// Quotes sent and received
        pub quotes: CounterFamily<(Venue, Direction)> = "desk_quotes_total",

        /// Quotes refused
        pub refused: Counter = "desk_refused_total",

        /// Bytes received
        pub received: Counter = "desk_received_bytes_total",

        /// Quotes that are not answered
        pub open_quotes: UpDownGauge = "desk_open_quotes",

        /// Distance of the quotes from the middle
        pub spread: GaugeFamily<Venue> = "desk_spread_ratio",

        /// Time of the last quote
        pub last_quote: LateGauge = "desk_last_quote_timestamp_seconds",

        /// Time of the last refusal
        pub last_refusal: LateGauge = "desk_last_refusal_timestamp_seconds",

        /// Exposure of a book by venue
        pub exposure: GaugeFamily<(Open<Book>, Venue)> = "desk_exposure_rupees",

        /// Time from the tick to the quote
        pub quote_duration: HistogramFamily<(Venue, Open<Book>)> =
            "desk_quote_duration_seconds" in &[0.000_01, 0.5, 1.0, 2.5],

        /// Size of quotes
        pub quote_size: Histogram<u64> = "desk_quote_size_bytes" in &[0.0, 100.0, 1_000_000.0],

        /// Fill of the orders that follow
        pub fill: Histogram<f64> = "desk_fill_ratio" in &[0.25, 1.0],

        /// Level of the day
        pub level: Gauge = "desk_level",
    }
}

fn recorded() -> Metrics {
    let others: BTreeSet<_> = catalog().map(|entry| entry.subsystem).collect();
    let builder = Metrics::builder().mount::<DeskMetrics>().constant_label("region", "mum\"bai");
    let metrics = others.into_iter().fold(builder, backend_metrics::Builder::without);
    let metrics = metrics.build().unwrap();
    let desk = metrics.mounted::<DeskMetrics>().unwrap();
    desk.quotes.get((Venue::Nse, Direction::Inbound)).add(7);
    desk.quotes.get((Venue::Bse, Direction::Outbound)).inc();
    desk.received.add(1_234_567_890_123);
    desk.open_quotes.add(3);
    desk.open_quotes.dec();
    desk.spread.get(Venue::Nse).set(0.125);
    desk.spread.get(Venue::Bse).set(f64::NAN);
    desk.last_quote.set_time(UNIX_EPOCH + Duration::from_millis(1_700_000_000_250));
    let (volatility, hostile) = (desk.books.get("volatility"), desk.books.get("a\\b\"c\nd"));
    desk.exposure.get((volatility, Venue::Bse)).set(-2.5e17);
    for millis in [0, 500, 501, 10_000] {
        desk.quote_duration.get((Venue::Nse, volatility)).observe(Duration::from_millis(millis));
    }
    desk.quote_duration.get((Venue::Bse, hostile)).observe(Duration::from_nanos(1));
    desk.quote_size.observe(0);
    desk.quote_size.observe(1_000_001);
    desk.level.set(f64::INFINITY);
    metrics
}

#[test]
fn openmetrics() {
    assert_eq!(recorded().encode(Format::OpenMetrics), OPENMETRICS);
}

#[test]
fn text() {
    assert_eq!(recorded().encode(Format::Text), TEXT);
}

const OPENMETRICS: &str = r#"# HELP desk_quotes Quotes sent and received
# TYPE desk_quotes counter
desk_quotes_total{region="mum\"bai",venue="nse",direction="outbound"} 0
desk_quotes_total{region="mum\"bai",venue="nse",direction="inbound"} 7
desk_quotes_total{region="mum\"bai",venue="bse",direction="outbound"} 1
desk_quotes_total{region="mum\"bai",venue="bse",direction="inbound"} 0
# HELP desk_refused Quotes refused
# TYPE desk_refused counter
desk_refused_total{region="mum\"bai"} 0
# HELP desk_received_bytes Bytes received
# TYPE desk_received_bytes counter
# UNIT desk_received_bytes bytes
desk_received_bytes_total{region="mum\"bai"} 1234567890123
# HELP desk_open_quotes Quotes that are not answered
# TYPE desk_open_quotes gauge
desk_open_quotes{region="mum\"bai"} 2
# HELP desk_spread_ratio Distance of the quotes from the middle
# TYPE desk_spread_ratio gauge
# UNIT desk_spread_ratio ratio
desk_spread_ratio{region="mum\"bai",venue="nse"} 0.125
desk_spread_ratio{region="mum\"bai",venue="bse"} NaN
# HELP desk_last_quote_timestamp_seconds Time of the last quote
# TYPE desk_last_quote_timestamp_seconds gauge
# UNIT desk_last_quote_timestamp_seconds seconds
desk_last_quote_timestamp_seconds{region="mum\"bai"} 1700000000.25
# HELP desk_exposure_rupees Exposure of a book by venue
# TYPE desk_exposure_rupees gauge
# UNIT desk_exposure_rupees rupees
desk_exposure_rupees{region="mum\"bai",book="a\\b\"c\nd",venue="nse"} 0
desk_exposure_rupees{region="mum\"bai",book="a\\b\"c\nd",venue="bse"} 0
desk_exposure_rupees{region="mum\"bai",book="volatility",venue="nse"} 0
desk_exposure_rupees{region="mum\"bai",book="volatility",venue="bse"} -2.5e17
# HELP desk_quote_duration_seconds Time from the tick to the quote
# TYPE desk_quote_duration_seconds histogram
# UNIT desk_quote_duration_seconds seconds
desk_quote_duration_seconds_bucket{region="mum\"bai",venue="bse",book="a\\b\"c\nd",le="1e-05"} 1
desk_quote_duration_seconds_bucket{region="mum\"bai",venue="bse",book="a\\b\"c\nd",le="0.5"} 1
desk_quote_duration_seconds_bucket{region="mum\"bai",venue="bse",book="a\\b\"c\nd",le="1.0"} 1
desk_quote_duration_seconds_bucket{region="mum\"bai",venue="bse",book="a\\b\"c\nd",le="2.5"} 1
desk_quote_duration_seconds_bucket{region="mum\"bai",venue="bse",book="a\\b\"c\nd",le="+Inf"} 1
desk_quote_duration_seconds_sum{region="mum\"bai",venue="bse",book="a\\b\"c\nd"} 0.000000001
desk_quote_duration_seconds_count{region="mum\"bai",venue="bse",book="a\\b\"c\nd"} 1
desk_quote_duration_seconds_bucket{region="mum\"bai",venue="nse",book="volatility",le="1e-05"} 1
desk_quote_duration_seconds_bucket{region="mum\"bai",venue="nse",book="volatility",le="0.5"} 2
desk_quote_duration_seconds_bucket{region="mum\"bai",venue="nse",book="volatility",le="1.0"} 3
desk_quote_duration_seconds_bucket{region="mum\"bai",venue="nse",book="volatility",le="2.5"} 3
desk_quote_duration_seconds_bucket{region="mum\"bai",venue="nse",book="volatility",le="+Inf"} 4
desk_quote_duration_seconds_sum{region="mum\"bai",venue="nse",book="volatility"} 11.001
desk_quote_duration_seconds_count{region="mum\"bai",venue="nse",book="volatility"} 4
# HELP desk_quote_size_bytes Size of quotes
# TYPE desk_quote_size_bytes histogram
# UNIT desk_quote_size_bytes bytes
desk_quote_size_bytes_bucket{region="mum\"bai",le="0.0"} 1
desk_quote_size_bytes_bucket{region="mum\"bai",le="100.0"} 1
desk_quote_size_bytes_bucket{region="mum\"bai",le="1e+06"} 1
desk_quote_size_bytes_bucket{region="mum\"bai",le="+Inf"} 2
desk_quote_size_bytes_sum{region="mum\"bai"} 1000001
desk_quote_size_bytes_count{region="mum\"bai"} 2
# HELP desk_level Level of the day
# TYPE desk_level gauge
desk_level{region="mum\"bai"} +Inf
# EOF
"#;

const TEXT: &str = r#"# HELP desk_quotes_total Quotes sent and received
# TYPE desk_quotes_total counter
desk_quotes_total{region="mum\"bai",venue="nse",direction="outbound"} 0
desk_quotes_total{region="mum\"bai",venue="nse",direction="inbound"} 7
desk_quotes_total{region="mum\"bai",venue="bse",direction="outbound"} 1
desk_quotes_total{region="mum\"bai",venue="bse",direction="inbound"} 0
# HELP desk_refused_total Quotes refused
# TYPE desk_refused_total counter
desk_refused_total{region="mum\"bai"} 0
# HELP desk_received_bytes_total Bytes received
# TYPE desk_received_bytes_total counter
desk_received_bytes_total{region="mum\"bai"} 1234567890123
# HELP desk_open_quotes Quotes that are not answered
# TYPE desk_open_quotes gauge
desk_open_quotes{region="mum\"bai"} 2
# HELP desk_spread_ratio Distance of the quotes from the middle
# TYPE desk_spread_ratio gauge
desk_spread_ratio{region="mum\"bai",venue="nse"} 0.125
desk_spread_ratio{region="mum\"bai",venue="bse"} NaN
# HELP desk_last_quote_timestamp_seconds Time of the last quote
# TYPE desk_last_quote_timestamp_seconds gauge
desk_last_quote_timestamp_seconds{region="mum\"bai"} 1700000000.25
# HELP desk_exposure_rupees Exposure of a book by venue
# TYPE desk_exposure_rupees gauge
desk_exposure_rupees{region="mum\"bai",book="a\\b\"c\nd",venue="nse"} 0
desk_exposure_rupees{region="mum\"bai",book="a\\b\"c\nd",venue="bse"} 0
desk_exposure_rupees{region="mum\"bai",book="volatility",venue="nse"} 0
desk_exposure_rupees{region="mum\"bai",book="volatility",venue="bse"} -2.5e17
# HELP desk_quote_duration_seconds Time from the tick to the quote
# TYPE desk_quote_duration_seconds histogram
desk_quote_duration_seconds_bucket{region="mum\"bai",venue="bse",book="a\\b\"c\nd",le="1e-05"} 1
desk_quote_duration_seconds_bucket{region="mum\"bai",venue="bse",book="a\\b\"c\nd",le="0.5"} 1
desk_quote_duration_seconds_bucket{region="mum\"bai",venue="bse",book="a\\b\"c\nd",le="1.0"} 1
desk_quote_duration_seconds_bucket{region="mum\"bai",venue="bse",book="a\\b\"c\nd",le="2.5"} 1
desk_quote_duration_seconds_bucket{region="mum\"bai",venue="bse",book="a\\b\"c\nd",le="+Inf"} 1
desk_quote_duration_seconds_sum{region="mum\"bai",venue="bse",book="a\\b\"c\nd"} 0.000000001
desk_quote_duration_seconds_count{region="mum\"bai",venue="bse",book="a\\b\"c\nd"} 1
desk_quote_duration_seconds_bucket{region="mum\"bai",venue="nse",book="volatility",le="1e-05"} 1
desk_quote_duration_seconds_bucket{region="mum\"bai",venue="nse",book="volatility",le="0.5"} 2
desk_quote_duration_seconds_bucket{region="mum\"bai",venue="nse",book="volatility",le="1.0"} 3
desk_quote_duration_seconds_bucket{region="mum\"bai",venue="nse",book="volatility",le="2.5"} 3
desk_quote_duration_seconds_bucket{region="mum\"bai",venue="nse",book="volatility",le="+Inf"} 4
desk_quote_duration_seconds_sum{region="mum\"bai",venue="nse",book="volatility"} 11.001
desk_quote_duration_seconds_count{region="mum\"bai",venue="nse",book="volatility"} 4
# HELP desk_quote_size_bytes Size of quotes
# TYPE desk_quote_size_bytes histogram
desk_quote_size_bytes_bucket{region="mum\"bai",le="0.0"} 1
desk_quote_size_bytes_bucket{region="mum\"bai",le="100.0"} 1
desk_quote_size_bytes_bucket{region="mum\"bai",le="1e+06"} 1
desk_quote_size_bytes_bucket{region="mum\"bai",le="+Inf"} 2
desk_quote_size_bytes_sum{region="mum\"bai"} 1000001
desk_quote_size_bytes_count{region="mum\"bai"} 2
# HELP desk_level Level of the day
# TYPE desk_level gauge
desk_level{region="mum\"bai"} +Inf
"#;
