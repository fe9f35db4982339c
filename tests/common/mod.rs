//! What tests have in common.

pub(crate) mod events;
pub(crate) mod exposition;
pub(crate) mod resident;
