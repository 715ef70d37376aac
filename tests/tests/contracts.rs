//! The contract suite, as its deployment plan puts it on a chain, in revm.
//!
//! One file per contract; each says first how its actions fail, then how they succeed, with balances and events
//! checked. `gas.rs` measures against the specification's ceilings, `surface.rs` compares names and signatures,
//! `signatures.rs` tampers with everything that is signed.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests: a panic is the report, and gas is printed for the reader"
)]

#[path = "contracts/actors.rs"]
mod actors;
#[path = "contracts/anchor.rs"]
mod anchor;
#[path = "contracts/attacks.rs"]
mod attacks;
#[path = "contracts/attacks_market.rs"]
mod attacks_market;
#[path = "contracts/consent.rs"]
mod consent;
#[path = "contracts/consent_invariants.rs"]
mod consent_invariants;
#[path = "contracts/coupon_invariants.rs"]
mod coupon_invariants;
#[path = "contracts/coupons.rs"]
mod coupons;
#[path = "contracts/denied.rs"]
mod denied;
#[path = "contracts/deployment.rs"]
mod deployment;
#[path = "contracts/federation.rs"]
mod federation;
#[path = "contracts/federation_ballots.rs"]
mod federation_ballots;
#[path = "contracts/federation_invariants.rs"]
mod federation_invariants;
#[path = "contracts/fuzz_signatures.rs"]
mod fuzz_signatures;
#[path = "contracts/gas.rs"]
mod gas;
#[path = "contracts/gas_incidents.rs"]
mod gas_incidents;
#[path = "contracts/harness.rs"]
mod harness;
#[path = "contracts/identity.rs"]
mod identity;
#[path = "contracts/identity_invariants.rs"]
mod identity_invariants;
#[path = "contracts/incident.rs"]
mod incident;
#[path = "contracts/incident_invariants.rs"]
mod incident_invariants;
#[path = "contracts/invariants.rs"]
mod invariants;
#[path = "contracts/market.rs"]
mod market;
#[path = "contracts/market_actions.rs"]
mod market_actions;
#[path = "contracts/matrix.rs"]
mod matrix;
#[path = "contracts/natspec.rs"]
mod natspec;
#[path = "contracts/permissioning.rs"]
mod permissioning;
#[path = "contracts/permissioning_invariants.rs"]
mod permissioning_invariants;
#[path = "contracts/permissions.rs"]
mod permissions;
#[path = "contracts/private_groups.rs"]
mod private_groups;
#[path = "contracts/private_invariants.rs"]
mod private_invariants;
#[path = "contracts/registry.rs"]
mod registry;
#[path = "contracts/running.rs"]
mod running;
#[path = "contracts/running_period.rs"]
mod running_period;
#[path = "contracts/sealed.rs"]
mod sealed;
#[path = "contracts/sealed_property.rs"]
mod sealed_property;
#[path = "contracts/sensor_invariants.rs"]
mod sensor_invariants;
#[path = "contracts/signatures.rs"]
mod signatures;
#[path = "contracts/sla.rs"]
mod sla;
#[path = "contracts/surface.rs"]
mod surface;
#[path = "contracts/token.rs"]
mod token;
#[path = "contracts/token_invariants.rs"]
mod token_invariants;
#[path = "contracts/trust.rs"]
mod trust;
#[path = "contracts/trust_invariants.rs"]
mod trust_invariants;
#[path = "contracts/trust_math.rs"]
mod trust_math;

use medina_execution::MedinaPrecompiles;
use medina_sdk::trust_math as sdk_trust_math;
