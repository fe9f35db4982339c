//! `measured`, by hand.

use std::{sync::Arc, time::Duration};

use measured::{
    CounterVec, HistogramVec, LabelGroup, MetricGroup, lasso::ThreadedRodeo,
    metric::histogram::Thresholds, text::BufferedTextEncoder,
};
use server::Record;

/// All values are text here; each is kept once.
type Texts = Arc<ThreadedRodeo>;

#[derive(Clone, Copy, LabelGroup)]
#[label(set = QuerySet)]
struct Query<'a> {
    #[label(dynamic_with = Texts)]
    query_type: &'a str,
    #[label(dynamic_with = Texts)]
    status: &'a str,
}

#[derive(Clone, Copy, LabelGroup)]
#[label(set = TypeSet)]
struct Type<'a> {
    #[label(dynamic_with = Texts)]
    query_type: &'a str,
}

#[derive(Clone, Copy, LabelGroup)]
#[label(set = ResponseSet)]
struct Response<'a> {
    #[label(dynamic_with = Texts)]
    method: &'a str,
    #[label(dynamic_with = Texts)]
    endpoint: &'a str,
    #[label(dynamic_with = Texts)]
    status: &'a str,
}

#[derive(Clone, Copy, LabelGroup)]
#[label(set = RouteSet)]
struct Route<'a> {
    #[label(dynamic_with = Texts)]
    method: &'a str,
    #[label(dynamic_with = Texts)]
    endpoint: &'a str,
}

#[derive(MetricGroup)]
#[metric(new(texts: &Texts))]
struct Metrics {
    /// Queries
    #[metric(label_set = QuerySet::new(texts.clone(), texts.clone()))]
    database_queries_total: CounterVec<QuerySet>,
    /// Time of queries
    #[metric(label_set = TypeSet::new(texts.clone()), metadata = bounds())]
    database_query_duration_seconds: HistogramVec<TypeSet, 6>,
    /// Requests
    #[metric(label_set = ResponseSet::new(texts.clone(), texts.clone(), texts.clone()))]
    http_requests_total: CounterVec<ResponseSet>,
    /// Time of requests
    #[metric(label_set = RouteSet::new(texts.clone(), texts.clone()), metadata = bounds())]
    http_request_duration_seconds: HistogramVec<RouteSet, 6>,
}

fn bounds() -> Thresholds<6> {
    Thresholds::with_buckets([0.005, 0.01, 0.05, 0.1, 0.5, 1.0])
}

impl Record for Metrics {
    fn query(&self, query_type: &'static str, status: &'static str, took: Duration) {
        self.database_queries_total.inc(Query { query_type, status });
        self.database_query_duration_seconds.observe_duration(Type { query_type }, took);
    }

    fn request(&self, method: &str, endpoint: &'static str, status: &str, took: Duration) {
        self.http_requests_total.inc(Response { method, endpoint, status });
        self.http_request_duration_seconds.observe_duration(Route { method, endpoint }, took);
    }

    fn scrape(&self) -> String {
        let mut encoder = BufferedTextEncoder::new();
        self.collect_group_into(&mut encoder).unwrap_or_else(|never| match never {});
        String::from_utf8(encoder.finish().into()).expect("text")
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    server::serve_measured(Metrics::new(&Texts::default())).await
}
