//! What the documentation says of bodies, allocation and limits.
