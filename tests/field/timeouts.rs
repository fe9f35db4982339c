//! A request that is dropped from outside is 499, whoever dropped it.
