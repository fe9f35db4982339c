use backend_metrics::labels::{ScrapeFormat, ScrapeStatus};

use super::{Driver, ms};

pub(super) fn drive(to: &mut Driver) {
    for format in ScrapeFormat::ALL.iter().copied() {
        to.step_with(
            format.as_str(),
            |to| call!(to.track_scrape(format, ScrapeStatus::Ok, ms(3), 40_000)),
            r#"
            metrics_scrapes_total{format="$",status="ok"} +1
            metrics_scrape_duration_seconds observes 0.003
            metrics_scrape_size_bytes = 40000
            "#,
        );
        to.step_with(
            format.as_str(),
            |to| call!(to.track_scrape(format, ScrapeStatus::Error, ms(1), 0)),
            r#"
            metrics_scrapes_total{format="$",status="error"} +1
            metrics_scrape_duration_seconds observes 0.001
            "#,
        );
    }
}
