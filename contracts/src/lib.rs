//! Solidity sources, compiled artifacts and Rust bindings of the contract suite.
//!
//! Sources lie in `solidity/`, what they compile to in `artifacts/` (`node build.mjs`; committed, so that nobody
//! needs Node to build Medina). The rule followed is the contract specification with its names and signatures.
//!
//! * [`bindings`]: one module per contract with typed calls, events and errors,
//! * [`artifacts`]: creation and deployed code by contract name,
//! * [`eip712`]: the messages that accounts, certifiers and devices sign,
//! * [`private_messages`]: what the identity keys of private transactions sign,
//! * [`values`]: the numbers behind the contracts' enums,
//! * [`deployment`]: the suite as an ordered list of transactions, with every address known beforehand.

pub mod artifacts;
pub mod bindings;
pub mod deployment;
pub mod eip712;
pub mod private_messages;
pub mod values;

pub use bindings::*;
pub use deployment::{ContractAddresses, DeploymentParameters, DeploymentPlan, Step, plan};
