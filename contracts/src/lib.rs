//! Solidity sources, compiled artifacts and Rust bindings of the contract suite.
