//! A level whose source is gone is absent.
