use backend_metrics::Metrics;

fn main() {
    let metrics = Metrics::new();
    metrics.strategies.accounts.remove("ACC-7");
    metrics.http.endpoints.remove("/orders");
}
