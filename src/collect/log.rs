//! Log events.

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

use crate::{Metrics, subsystems::errors::LogLevel};

/// A [`Layer`] that counts log events in `log_events_total` by their level.
///
/// It adds one to a counter and looks at nothing but the level. It logs nothing and takes no lock, so it
/// cannot call itself, not even for an event that this library logs. It counts the events that the subscriber lets
/// through; give it a filter of its own to count fewer, as without one it keeps every level alive for itself.
///
/// ```
/// use backend_metrics::{LogEvents, Metrics};
/// use tracing_subscriber::{Layer, filter::LevelFilter, layer::SubscriberExt};
///
/// let metrics = Metrics::new();
/// let subscriber = tracing_subscriber::registry()
///     .with(LogEvents::new(metrics).with_filter(LevelFilter::INFO));
/// tracing::subscriber::with_default(subscriber, || {
///     tracing::warn!("the margin service is slow");
///     tracing::debug!("not counted");
/// });
/// assert!(metrics.to_text().contains("log_events_total{level=\"warn\"} 1\n"));
/// assert!(metrics.to_text().contains("log_events_total{level=\"debug\"} 0\n"));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct LogEvents {
    metrics: Metrics,
}

impl LogEvents {
    /// A layer that counts into `metrics`.
    #[must_use]
    pub const fn new(metrics: Metrics) -> Self {
        Self { metrics }
    }
}

impl<S: Subscriber> Layer<S> for LogEvents {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        self.metrics.track_log_event(level(*event.metadata().level()));
    }
}

fn level(level: Level) -> LogLevel {
    match level {
        Level::ERROR => LogLevel::Error,
        Level::WARN => LogLevel::Warn,
        Level::INFO => LogLevel::Info,
        Level::DEBUG => LogLevel::Debug,
        Level::TRACE => LogLevel::Trace,
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::LogEvents;
    use crate::testing::Fixture;

    #[test]
    fn events_are_counted_by_level_and_spans_are_not() {
        let test = Fixture::new();
        let subscriber = tracing_subscriber::registry().with(LogEvents::new(test.metrics));
        tracing::subscriber::with_default(subscriber, || {
            let _span = tracing::info_span!("order").entered();
            tracing::error!("one");
            for _ in 0..2 {
                tracing::warn!("two");
            }
            tracing::info!("one");
            tracing::debug!("one");
            tracing::trace!("one");
        });
        test.assert_series(&[
            (r#"log_events_total{level="error"}"#, 1.0),
            (r#"log_events_total{level="warn"}"#, 2.0),
            (r#"log_events_total{level="info"}"#, 1.0),
            (r#"log_events_total{level="debug"}"#, 1.0),
            (r#"log_events_total{level="trace"}"#, 1.0),
        ]);
    }
}
