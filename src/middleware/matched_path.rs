//! Carries the route template out of an axum router that is used as a service.

use std::{
    borrow::Cow,
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::extract::{MatchedPath, NestedPath};
use http::{Extensions, Request, Response};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::Endpoint;

/// Puts the template of the route that matched into the response, for a [`MetricsLayer`](super::MetricsLayer) outside
/// of the axum router.
///
/// axum tells the layers around a route which route matched. It does not tell what is outside of a router that is used
/// as a service (`Router::fallback_service`, `Router::nest_service`, a layer around the router as a whole): there,
/// requests are `unmatched`. With this layer on the routes of the inner router, its responses carry an [`Endpoint`]:
/// the whole template, prefixes of nested routers included. An [`Endpoint`] that is in the response already stays, so
/// it is that of the innermost router or of the handler.
///
/// It allocates the template for each request. Only a response can carry it. A request to which the inner router gives none is `unmatched`: the handler panicked,
/// the client left before the head, or a timeout between the two layers expired. Where that matters, put a
/// `MetricsLayer` on the inner router in place of this layer, and add that router after the `layer` of the outer one.
///
/// ```
/// use axum::{Router, body::Body, routing::get};
/// use backend_metrics::{Metrics, middleware::{MatchedPathLayer, MetricsLayer}};
/// use http::Request;
/// use tower::ServiceExt;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let metrics = Metrics::new();
/// let users = Router::new()
///     .route("/users/{name}", get(async || "a user"))
///     .route_layer(MatchedPathLayer::new());
/// let router = Router::new().fallback_service(users).layer(MetricsLayer::new(metrics));
/// let request = Request::get("/users/jane").body(Body::empty()).unwrap();
/// drop(router.oneshot(request).await);
/// assert!(metrics.to_text().contains("endpoint=\"/users/{name}\""));
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct MatchedPathLayer(());

impl MatchedPathLayer {
    /// It has no options.
    #[must_use]
    pub const fn new() -> Self {
        Self(())
    }
}

impl<S> Layer<S> for MatchedPathLayer {
    type Service = MatchedPathService<S>;

    fn layer(&self, inner: S) -> MatchedPathService<S> {
        MatchedPathService { inner }
    }
}

/// A route whose responses carry its template; made by [`MatchedPathLayer`].
#[derive(Clone, Copy, Debug)]
pub struct MatchedPathService<S> {
    inner: S,
}

impl<S, A, B> Service<Request<A>> for MatchedPathService<S>
where
    S: Service<Request<A>, Response = Response<B>>,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = MatchedPathFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let template = template(request.extensions());
        let endpoint = template.map(|template| Endpoint::new(template.into_owned()));
        MatchedPathFuture { inner: self.inner.call(request), endpoint }
    }
}

pin_project! {
    /// The future of [`MatchedPathService`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct MatchedPathFuture<F> {
        #[pin]
        inner: F,
        endpoint: Option<Endpoint>,
    }
}

impl<F, B, E> Future for MatchedPathFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let mut response = ready!(this.inner.poll(context))?;
        if let Some(endpoint) = this.endpoint.take()
            && response.extensions().get::<Endpoint>().is_none()
        {
            response.extensions_mut().insert(endpoint);
        }
        Poll::Ready(Ok(response))
    }
}

/// The template of the route that matched, from the outermost router on.
fn template(extensions: &Extensions) -> Option<Cow<'_, str>> {
    let matched = extensions.get::<MatchedPath>()?.as_str();
    Some(match extensions.get::<NestedPath>() {
        Some(nested) => below(nested.as_str(), matched),
        None => Cow::Borrowed(matched),
    })
}

/// The template with what is missing of the prefix that it is nested at.
///
/// axum begins anew in a router that is the fallback of a nested one: it matches `/users/{name}` below `/api`, and one that
/// is nested in there at `/v1` matches `/v1/users/{name}` below `/api/v1`.
fn below<'a>(nested: &str, matched: &'a str) -> Cow<'a, str> {
    let nested = nested.trim_end_matches('/');
    let starts = nested.match_indices('/').map(|(start, _)| start);
    let begins_in_matched = |start: &usize| {
        matched
            .strip_prefix(&nested[*start..])
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    match starts.chain([nested.len()]).find(begins_in_matched) {
        Some(0) | None => Cow::Borrowed(matched),
        Some(missing) => Cow::Owned([&nested[..missing], matched].concat()),
    }
}

#[cfg(test)]
mod tests {
    use super::below;

    #[test]
    fn a_template_gets_what_is_missing_of_its_prefix() {
        for (nested, matched, whole) in [
            ("/api", "/api/users/{name}", "/api/users/{name}"),
            ("/api", "/api", "/api"),
            ("/api/", "/api/users", "/api/users"),
            ("/api/v1", "/api/v1/users", "/api/v1/users"),
            ("/api", "/users/{name}", "/api/users/{name}"),
            ("/api", "/apis", "/api/apis"),
            ("/api", "/", "/api/"),
            ("/api/", "/users", "/api/users"),
            ("/api/v1", "/v1/users", "/api/v1/users"),
            ("/api/{tenant}/v1", "/{tenant}/v1/users", "/api/{tenant}/v1/users"),
            ("/", "/users", "/users"),
            ("", "/users", "/users"),
        ] {
            assert_eq!(below(nested, matched), whole, "{matched} below {nested}");
        }
    }
}
