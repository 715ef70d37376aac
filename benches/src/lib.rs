//! Micro benchmarks and the load generator.

pub mod load;
