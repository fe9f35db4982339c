//! A segment of a path is an id by its shape.
