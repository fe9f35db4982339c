//! Strangers make no series.
