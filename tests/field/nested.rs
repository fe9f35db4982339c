//! Nested routers of axum, and what is excluded there.
