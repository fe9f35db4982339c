//! Requests that wait, or meet a service that is not ready, are recorded as their clients see them.
