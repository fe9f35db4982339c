//! Small ones.
