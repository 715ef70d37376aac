//! Reads, checks and makes chain specs.
