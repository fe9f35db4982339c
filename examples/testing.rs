//! How the tests of a service assert on what it records.
//!
//! ```text
//! cargo test --example testing   # the tests at the end of this file
//! cargo run --example testing    # what they look at
//! ```

use std::io;

use backend_metrics::{Metrics, labels::QueryType};

/// Loads an order. The row is what the database answers.
///
/// Code that is given its instance can be tested with one of the test's own. What the free functions
/// record goes to the one instance of the process, where the tests of a program mix.
async fn load(
    metrics: Metrics,
    row: impl Future<Output = io::Result<Option<u32>>>,
) -> io::Result<Option<u32>> {
    let query = metrics.start_database_query(QueryType::Select);
    let found = row.await;
    match &found {
        Ok(row) => query.rows(row.is_some().into()).success(),
        Err(_) => query.finish(&found),
    }
    found
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let metrics = Metrics::new();
    load(metrics, async { Ok(Some(7)) }).await?;
    let text = metrics.to_text();
    for line in text.lines().filter(|line| line.contains(r#"{query_type="select""#)) {
        println!("{line}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{future, time::Duration};

    use backend_metrics::{Clock, Exporter};
    use futures_util::FutureExt;
    use http::{Request, StatusCode};

    use super::*;

    /// An instance for one test, and the clock that it moves. Instances never mix, so tests run in parallel.
    fn metrics() -> (Metrics, Clock) {
        let clock = Clock::manual();
        let metrics = Metrics::builder().clock(clock.clone()).build().unwrap();
        (metrics, clock)
    }

    #[track_caller]
    fn check(metrics: Metrics, expected: &[(&str, f64)]) {
        for (series, expected) in expected {
            assert_eq!(metrics.value(series), Some(*expected), "{series}");
        }
    }

    #[tokio::test]
    async fn an_order_that_is_there_is_a_success_of_one_row() {
        let (metrics, _) = metrics();
        load(metrics, async { Ok(Some(7)) }).await.unwrap();
        check(
            metrics,
            &[
                (r#"database_queries_total{query_type="select",status="success"}"#, 1.0),
                (r#"database_rows_returned_sum{query_type="select"}"#, 1.0),
                // A series of closed labels stands at zero before its first event.
                (r#"database_queries_total{query_type="select",status="error"}"#, 0.0),
            ],
        );
        // A histogram is absent before its first observation.
        assert_eq!(metrics.value(r#"database_rows_returned_sum{query_type="insert"}"#), None);
    }

    #[tokio::test]
    async fn an_error_of_the_database_is_an_error_of_the_query() {
        let (metrics, _) = metrics();
        load(metrics, async { Err(io::ErrorKind::BrokenPipe.into()) }).await.unwrap_err();
        check(
            metrics,
            &[
                (r#"database_queries_total{query_type="select",status="error"}"#, 1.0),
                (r#"database_errors_total{error_type="query_error"}"#, 1.0),
            ],
        );
    }

    #[test]
    fn a_caller_that_goes_away_cancels_the_query() {
        let (metrics, _) = metrics();
        // Polled once, while the database says nothing, then dropped.
        assert!(load(metrics, future::pending()).now_or_never().is_none());
        check(
            metrics,
            &[(r#"database_queries_total{query_type="select",status="cancelled"}"#, 1.0)],
        );
    }

    /// A paused clock of tokio moves on to the next timer whenever the runtime has nothing to do, and so it does while
    /// another thread encodes a scrape: a timeout around the scrape would be over at once. So none is set here, or the
    /// metrics are looked at without the exporter, as the other tests do.
    #[tokio::test(start_paused = true)]
    async fn with_a_paused_clock_a_scrape_has_no_timeout() {
        let (metrics, _) = metrics();
        load(metrics, async { Ok(Some(7)) }).await.unwrap();
        let response = Exporter::new(metrics).respond(&Request::new(())).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn a_query_of_30_ms_falls_into_the_bucket_up_to_50_ms() {
        let (metrics, clock) = metrics();
        let row = async {
            clock.advance(Duration::from_millis(30));
            Ok(None)
        };
        load(metrics, row).await.unwrap();
        // Buckets are cumulative: each counts what is below its bound.
        check(
            metrics,
            &[
                (r#"database_query_duration_seconds_bucket{query_type="select",le="0.025"}"#, 0.0),
                (r#"database_query_duration_seconds_bucket{query_type="select",le="0.05"}"#, 1.0),
                (r#"database_query_duration_seconds_bucket{query_type="select",le="+Inf"}"#, 1.0),
                (r#"database_query_duration_seconds_sum{query_type="select"}"#, 0.03),
            ],
        );
    }
}
