//! What the fuzz targets in `fuzz/` reach without being public.

use http::HeaderMap;

use crate::{
    Format,
    exposition::{foreign, negotiate},
    middleware::NormalisedPath,
};

/// Whether a request would rather have gzip than plain bytes.
#[must_use]
pub fn accepts_gzip(headers: &HeaderMap) -> bool {
    negotiate::accepts_gzip(headers)
}

/// A path with the segments that vary replaced, cut where a label value is.
#[must_use]
pub fn normalised_path(path: &str) -> String {
    NormalisedPath::new(path).as_str().to_owned()
}

/// The families of what registries wrote, none of which is named `taken` or `taken_total`, and how many are
/// left out.
#[must_use]
pub fn rewritten(texts: &[&str], format: Format) -> (String, usize) {
    let taken = ["taken", "taken_total"].map(str::to_owned).into();
    foreign::rewritten(texts, &taken, format)
}
