//! Typed Prometheus metrics for trading backends.
