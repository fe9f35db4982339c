//! `backend-metrics`: its layer, an event and its exporter, with all of its families.

use std::io;

use backend_metrics::{Exporter, Metrics, labels::QueryType, middleware::MetricsLayer};
use http_body_util::Either;
use hyper::{Request, body::Incoming};
use hyper_util::service::TowerToHyperService;
use tower::{Layer, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let metrics = Metrics::new();
    let exporter = Exporter::new(metrics);
    let handlers = service_fn(move |request: Request<Incoming>| {
        let exporter = exporter.clone();
        async move {
            if request.uri().path() == "/metrics" {
                return Ok(exporter.respond(&request).await?.map(Either::Left));
            }
            metrics.start_database_query(QueryType::Select).success();
            Ok(server::order().map(Either::Right))
        }
    });
    let layer = MetricsLayer::new(metrics).exclude(["/metrics"]);
    server::serve(TowerToHyperService::new(layer.layer(handlers))).await
}
