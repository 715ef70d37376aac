//! The whole suite as an ordered list of transactions of one deployer.
//!
//! The deployer starts at nonce 0, so every address is known before the first transaction; modules name each
//! other by immutables and have no setters. The order is that of the specification, section 14. At the end ADMIN
//! is the governor's and the deployer holds no role. A genesis always runs the plan with the same deployer, so
//! that every contract, `Permissioning` above all, lies at the same address on every chain of one version.
//!
//! # Deviations
//!
//! The first users are seeded by `Identity.initialize` instead of certified enrolments: a genesis has no person
//! to check. A seeded id has certifier 0 and does not expire; everybody later comes by `enrol`.
//!
//! `Permissioning` is created last instead of third: nothing refers to it, and the addresses of what came before
//! it stay.

mod addresses;
mod parameters;
mod plan;

pub use addresses::ContractAddresses;
pub use parameters::{
    DeploymentParameters, MarketParameters, NodeSeed, OrganisationSeed, PermissioningParameters,
    TokenHolder, TokenParameters, TrustParameters,
};
pub use plan::{DeploymentPlan, Step, plan};
