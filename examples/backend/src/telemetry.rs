//! The metrics instance and the log.

use std::{error::Error, time::Duration};

use backend_metrics::{LogEvents, Metrics, TraceExemplars};
use json_subscriber::JsonLayer;
use tracing_subscriber::{
    EnvFilter, Layer, filter::LevelFilter, fmt::time::SystemTime, layer::SubscriberExt,
    util::SubscriberInitExt,
};

/// From when on a query is slow: a trader waits for most of them.
const SLOW_QUERY: Duration = Duration::from_millis(250);

/// Makes the one metrics instance of the program.
///
/// It is handed to whoever records; installed as well, so that a panic anywhere is counted.
pub fn metrics() -> Result<Metrics, Box<dyn Error>> {
    let metrics = Metrics::builder()
        .service(env!("CARGO_PKG_VERSION"), "reference-backend")
        .slow_query(SLOW_QUERY)
        .build()?;
    metrics.install()?;
    backend_metrics::install_panic_hook(metrics)?;
    Ok(metrics)
}

/// Starts the log: a JSON object on a line of standard output for every event.
///
/// The keys `level`, `message` and those of the spans around the event, `endpoint` and `trace_id` among them,
/// are at the top, where LogQL finds them. `RUST_LOG` sets what is logged.
pub fn start_log(metrics: Metrics) -> Result<(), Box<dyn Error>> {
    let mut lines = JsonLayer::stdout();
    lines.with_timer("timestamp", SystemTime);
    lines.with_level("level");
    lines.with_target("target");
    lines.with_flattened_event();
    lines.with_top_level_flattened_span_list();
    let filter =
        EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).from_env()?;
    tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .with(LogEvents::new(metrics).with_filter(LevelFilter::INFO))
        // So that a bucket on a dashboard leads to the log lines of a request that fell into it.
        .with(TraceExemplars::new().with_filter(LevelFilter::INFO))
        .try_init()?;
    Ok(())
}
