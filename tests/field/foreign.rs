//! What strict readers refuse is left out and counted.

use backend_metrics::{Format, Metrics, ReadCounter, families};
use prometheus_client::{metrics::histogram::Histogram, registry::Registry};

#[path = "../common/refused.rs"]
mod refused;

families! {
    /// What the system counts.
    pub struct SystemMetrics = "system" {
        /// Bytes that the system sent
        pub sent: ReadCounter = "system_sent_bytes_total",

        /// Bytes that the system received
        pub received: ReadCounter = "system_received_bytes_total",
    }
}

/// What comes out of the registry in `OpenMetrics`.
const TAKEN: &str = r#"# HELP fills Fills
# TYPE fills counter
fills_total{desk="a"} 2.0
fills_total{desk="infinite"} +Inf
fills_total{desk="b",side="buy"} 1.0
# HELP level Level
# TYPE level gauge
level{desk="a"} NaN
level{desk="b"} -Inf
level{desk="c"} -3.0
# HELP traced Traced
# TYPE traced counter
traced_total{desk="longest"} 1 # {trace_id="xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"} 1.0 1.5
traced_total{desk="long"} 1
traced_total{desk="quoted"} 1
traced_total{desk="brace"} 1
traced_total{desk="twice"} 1
traced_total{desk="name"} 1
traced_total{desk="spaces"} 1 # {path="/a b, # c"} 1.0 1.5
# HELP spread Spread
# TYPE spread histogram
spread_bucket{le="1.0"} 1 # {trace_id="a"} 0.5 1.5
spread_bucket{le="+Inf"} 2
# HELP wait_seconds Waits
# TYPE wait_seconds histogram
# UNIT wait_seconds seconds
wait_seconds_sum{desk="sound"} 0.5
wait_seconds_count{desk="sound"} 3
wait_seconds_bucket{le="1.0",desk="sound"} 1
wait_seconds_bucket{le="+Inf",desk="sound"} 3
wait_seconds_bucket{le="1.0",desk="nan sum"} 1
wait_seconds_bucket{le="+Inf",desk="nan sum"} 3
wait_seconds_bucket{le="1.0",desk="negative sum"} 1
wait_seconds_bucket{le="+Inf",desk="negative sum"} 3
wait_seconds_bucket{le="-1.0",desk="negative bound"} 1
wait_seconds_bucket{le="+Inf",desk="negative bound"} 3
# HELP build_seconds Build
# TYPE build_seconds info
build_seconds_info{version="1"} 1
build_seconds_info{version="2"} 1
# HELP odd Odd
# TYPE odd unknown
odd 1
"#;

/// How many errors of a type a scrape shows.
fn errors(text: &str, error_type: &str) -> Option<String> {
    let series =
        format!("application_errors_total{{error_type=\"{error_type}\",severity=\"error\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&series)).map(str::to_owned)
}

#[test]
fn a_registry_costs_no_more_than_what_is_wrong_in_it() {
    let (registry, left_out) = refused::registry();
    let metrics = Metrics::builder().registry(registry).build().unwrap();
    let text = metrics.encode(Format::OpenMetrics);
    let (ours, foreign) = text.split_once("# HELP fills ").unwrap();
    assert_eq!(format!("# HELP fills {foreign}"), format!("{}# EOF\n", TAKEN));
    assert_eq!(errors(ours, "foreign_metrics"), Some(left_out.to_string()));
    // The next scrape leaves it out again.
    let text = metrics.encode(Format::Text);
    assert_eq!(errors(&text, "foreign_metrics"), Some((2 * left_out).to_string()));
}

#[test]
fn a_histogram_that_observed_no_number_keeps_its_buckets() {
    let observed = Histogram::new([1.0]);
    observed.observe(0.5);
    observed.observe(f64::NAN);
    let mut registry = Registry::default();
    registry.register("spread", "Spreads", observed);
    registry.register("unsorted", "Bounds that fall", Histogram::new([2.0, 1.0]));
    registry.register("falling", "Below zero", Histogram::new([-1.0, 0.0]));
    let metrics = Metrics::builder().registry(registry).build().unwrap();
    let text = metrics.to_text();
    let (ours, foreign) = text.split_once("# HELP spread ").unwrap();
    assert_eq!(
        foreign,
        "Spreads.\n# TYPE spread histogram\n\
         spread_bucket{le=\"1.0\"} 1\nspread_bucket{le=\"+Inf\"} 2\n\
         # HELP falling Below zero.\n# TYPE falling histogram\n\
         falling_bucket{le=\"-1.0\"} 0\nfalling_bucket{le=\"0.0\"} 0\nfalling_bucket{le=\"+Inf\"} 0\n"
    );
    assert_eq!(errors(ours, "foreign_metrics").as_deref(), Some("3"));
}

#[test]
fn a_counter_that_is_read_is_left_out_while_it_is_negative_or_not_a_number() {
    let metrics = Metrics::builder().mount::<SystemMetrics>().build().unwrap();
    let system = metrics.mounted::<SystemMetrics>().unwrap();
    system.received.set(7.0);
    for (scrapes, value) in [(1, f64::NAN), (2, -3.0), (3, f64::NEG_INFINITY)] {
        system.sent.set(value);
        let text = metrics.to_text();
        assert!(!text.contains("\nsystem_sent_bytes_total"), "{text}");
        assert!(text.contains("\nsystem_received_bytes_total 7\n"), "{text}");
        assert_eq!(errors(&text, "invalid_value"), Some(scrapes.to_string()));
    }
    for (value, exposed) in [(3.0, "3"), (0.0, "0"), (-0.0, "0"), (f64::INFINITY, "+Inf")] {
        system.sent.set(value);
        let text = metrics.to_text();
        assert!(text.contains(&format!("\nsystem_sent_bytes_total {exposed}\n")), "{text}");
        assert_eq!(errors(&text, "invalid_value").as_deref(), Some("3"));
    }
}

#[cfg(feature = "exemplars")]
#[test]
fn a_trace_id_of_other_characters_gives_no_exemplar() {
    use backend_metrics::TraceExemplars;
    use tracing_subscriber::layer::SubscriberExt as _;

    let exemplar = |id: &str| {
        let metrics = Metrics::new();
        let subscriber = tracing_subscriber::registry().with(TraceExemplars::new());
        tracing::subscriber::with_default(subscriber, || {
            tracing::info_span!("request", trace_id = id)
                .in_scope(|| metrics.database.pool_acquire_timeouts.inc());
        });
        let text = metrics.encode(Format::OpenMetrics);
        let name = "database_pool_acquire_timeouts_total 1";
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.strip_prefix(" # {trace_id=\"").map(|rest| rest.split_once('"').unwrap().0.to_owned())
    };
    for id in ["4bf92f3577b34da6", "00-4bf9-00f0-01", "1-5759e988:Root=a/b+c.d_e=="] {
        assert_eq!(exemplar(id).as_deref(), Some(id));
    }
    for character in ["\"", "\\", "\n", "{", "}", "#", ",", " ", "\r", "\0", "é", "😀", "%", "'"]
    {
        assert_eq!(exemplar(&format!("a{character}b")), None, "{character:?}");
    }
    assert_eq!(exemplar("quo\"te\\"), None);
}
