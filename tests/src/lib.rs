//! Simulator, networks of processes, real clients and the rules of the house.

pub mod processes;
pub mod simulator;
