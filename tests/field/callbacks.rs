//! Callbacks run beside each other, within one deadline.
