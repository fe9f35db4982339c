//! The layer around a service.

use std::borrow::Cow;

use tower_layer::Layer;

use super::{MetricsService, RequestHead, endpoint::Extractor};
use crate::Metrics;

/// Records every request that a service answers, in the families of
/// [`http`](crate::subsystems::http).
///
/// It works at once with the defaults. See the [module](crate::middleware) for what is recorded and when.
#[derive(Clone, Copy, Debug)]
pub struct MetricsLayer {
    pub(super) metrics: Metrics,
    pub(super) extractor: Option<Extractor>,
    pub(super) excluded: &'static [&'static str],
}

impl MetricsLayer {
    /// Records into `metrics`.
    #[must_use]
    pub fn new(metrics: Metrics) -> Self {
        // So that the endpoint has its place whatever else fills the cap.
        _ = metrics.http.paths.unmatched();
        Self { metrics, extractor: None, excluded: &[] }
    }

    /// Asks `extractor` for the endpoint first. Default: none.
    ///
    /// ```
    /// use std::borrow::Cow;
    ///
    /// use backend_metrics::{Metrics, middleware::MetricsLayer};
    ///
    /// let layer = MetricsLayer::new(Metrics::new())
    ///     .endpoint(|request| request.uri.path().starts_with("/static/").then_some(Cow::Borrowed("/static")));
    /// ```
    #[must_use]
    pub fn endpoint(
        mut self,
        extractor: for<'a> fn(RequestHead<'a>) -> Option<Cow<'a, str>>,
    ) -> Self {
        self.extractor = Some(extractor);
        self
    }

    /// Leaves requests for these paths out; `*` at the end of one stands for the rest. Default: none. Several calls
    /// add up.
    ///
    /// For `/metrics` and health checks, whose many quick answers would hide slow ones.
    ///
    /// A path is compared as the client sent it, without the query: with the feature `axum` also in a nested router,
    /// whose routes have a prefix. The paths are copied once and kept for the life of the process, so that the layer
    /// stays one that is copied for each request.
    ///
    /// ```
    /// use backend_metrics::{Metrics, middleware::MetricsLayer};
    ///
    /// let configured: Vec<String> = vec!["/api/health".into(), "/assets/*".into()];
    /// let layer = MetricsLayer::new(Metrics::new()).exclude(["/metrics"]).exclude(configured);
    /// ```
    #[must_use]
    pub fn exclude(mut self, paths: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let mut excluded = self.excluded.to_vec();
        excluded.extend(paths.into_iter().map(|path| &*path.as_ref().to_owned().leak()));
        self.excluded = excluded.leak();
        self
    }

    #[inline]
    pub(super) fn excludes(&self, head: &RequestHead<'_>) -> bool {
        if self.excluded.is_empty() {
            return false;
        }
        let path = head.whole_path();
        self.excluded.iter().any(|excluded| match excluded.strip_suffix('*') {
            Some(start) => path.starts_with(start),
            None => path == *excluded,
        })
    }
}

impl<S> Layer<S> for MetricsLayer {
    type Service = MetricsService<S>;

    fn layer(&self, inner: S) -> MetricsService<S> {
        MetricsService::new(inner, *self)
    }
}
