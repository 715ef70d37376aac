//! Micro benchmarks and the load generator.

pub mod bound;
pub mod load;
