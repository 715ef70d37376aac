//! Micro benchmarks, the load generator and the figures of reliability.

pub mod bound;
pub mod load;
pub mod private;
pub mod reliability;
