//! Sums are exact for as long as a process lives.
