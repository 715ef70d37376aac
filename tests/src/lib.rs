//! Simulator, networks of processes, real clients and the rules of the house.

pub mod abi;
pub mod chaos;
pub mod private;
pub mod processes;
pub mod rpc_fuzz;
pub mod terminal;
