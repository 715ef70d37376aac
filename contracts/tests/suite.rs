#![allow(missing_docs)]
#[path = "../../tests/tests/contracts/anchor.rs"]
mod anchor;
#[path = "../../tests/tests/contracts/coupons.rs"]
mod coupons;
#[path = "../../tests/tests/contracts/deployment.rs"]
mod deployment;
#[path = "../../tests/tests/contracts/federation.rs"]
mod federation;
#[path = "../../tests/tests/contracts/gas.rs"]
mod gas;
#[path = "../../tests/tests/contracts/harness.rs"]
mod harness;
#[path = "../../tests/tests/contracts/identity.rs"]
mod identity;
#[path = "../../tests/tests/contracts/market.rs"]
mod market;
#[path = "../../tests/tests/contracts/registry.rs"]
mod registry;
#[path = "../../tests/tests/contracts/signatures.rs"]
mod signatures;
#[path = "../../tests/tests/contracts/surface.rs"]
mod surface;
#[path = "../../tests/tests/contracts/token.rs"]
mod token;
#[path = "../../tests/tests/contracts/trust.rs"]
mod trust;
#[path = "../../tests/tests/contracts/trust_math.rs"]
mod trust_math;
#[path = "/work/main/sdk/src/trust_math.rs"]
mod sdk_trust_math;
#[path = "/work/main/node/execution/src/precompiles.rs"]
mod precompiles;
pub use precompiles::MedinaPrecompiles;
