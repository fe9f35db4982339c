//! Paths without a route template: ids are told from words by their shape.

use std::convert::Infallible;

use backend_metrics::{Metrics, middleware::MetricsLayer};
use http::{Request, Response};
use tower::{ServiceBuilder, ServiceExt as _, service_fn};

/// The endpoint that a `GET` for a path counts under, when it is answered.
async fn endpoint(path: &str) -> String {
    let metrics = Metrics::new();
    let service = ServiceBuilder::new()
        .layer(MetricsLayer::new(metrics))
        .service(service_fn(async |_| Ok::<_, Infallible>(Response::new(String::new()))));
    let request = Request::get(path).body(String::new()).unwrap();
    drop(service.oneshot(request).await);
    let text = metrics.to_text();
    let counted = text.lines().filter_map(|line| {
        let (_, rest) = line.strip_prefix("http_requests_total{")?.split_once("endpoint=\"")?;
        (rest.ends_with(" 1")).then(|| rest.split_once('"').unwrap().0.to_owned())
    });
    let endpoints: Vec<_> = counted.collect();
    let [endpoint] = &endpoints[..] else { panic!("{endpoints:?}") };
    endpoint.clone()
}

#[tokio::test]
async fn words_with_digits_are_endpoints_of_their_own() {
    for path in [
        "/orders.v1.OrderService/Get",
        "/users.v1.UserService/Get",
        "/risk.v1beta1.RiskService/Get",
        "/oauth2callback",
        "/web3accounts",
        "/s3-uploads/list",
        "/quote/NIFTY24DECFUT",
        "/utf8mb4_0900_ai_ci",
        "/users/jane",
    ] {
        assert_eq!(endpoint(path).await, path);
    }
}

#[tokio::test]
async fn ids_of_every_shape_are_replaced() {
    for (path, expected) in [
        ("/prices/1.5", "/prices/{id}"),
        ("/offsets/-17", "/offsets/{id}"),
        ("/orders/%31%37", "/orders/{id}"),
        ("/days/2026-11-22", "/days/{id}"),
        ("/users/jane@example.com", "/users/{id}"),
        ("/v1/customers/cus_9s6XKzkNRiz8i3", "/v1/customers/{id}"),
        ("/posts/507f1f77bcf86cd799439011", "/posts/{id}"),
        ("/events/01arz3ndektsv4rrffq69g5fav", "/events/{id}"),
        ("/links/V1StGXR8_Z5jdHi6B-myT", "/links/{id}"),
        ("/files/6ba7b810-9dad-11d1-80b4-00c04fd430c8.pdf", "/files/{uuid}"),
    ] {
        assert_eq!(endpoint(path).await, expected);
    }
}

#[tokio::test]
async fn a_path_of_any_length_is_read_no_further_than_its_first_512_bytes() {
    assert_eq!(endpoint(&"/".repeat(60_000)).await, "/".repeat(128));
    assert_eq!(endpoint(&format!("/{}/orders", "7".repeat(60_000))).await, "/{id}");
    assert_eq!(endpoint(&format!("/{}/orders", "%37".repeat(20_000))).await, "/{id}");
}
