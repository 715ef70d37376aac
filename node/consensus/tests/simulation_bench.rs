#[path = "../../../tests/src/simulator/mod.rs"]
pub mod simulator_impl;
pub mod medina_tests { pub use super::simulator_impl as simulator; }
#[path = "simulation_copy.inc"]
mod simulation;
