//! Compiled code by contract name.
//!
//! The bytes are those of `artifacts/NAME.json`, built in; nothing is read at run time.

use crate::bindings as b;
use alloy_primitives::Bytes;

/// One compiled contract.
#[derive(Clone, Debug)]
pub struct Artifact {
    /// As in the file name.
    pub name: &'static str,
    /// The artifact file: `contractName`, `abi`, `bytecode`, `deployedBytecode`.
    pub json: &'static str,
    /// Creation code; constructor arguments are appended to it.
    pub creation_code: &'static Bytes,
    /// What lies on chain, with zeros where immutables are filled in.
    pub deployed_code: &'static Bytes,
}

macro_rules! artifact {
    ($module:ident, $contract:ident) => {
        Artifact {
            name: stringify!($contract),
            json: include_str!(concat!("../artifacts/", stringify!($contract), ".json")),
            creation_code: &b::$module::$contract::BYTECODE,
            deployed_code: &b::$module::$contract::DEPLOYED_BYTECODE,
        }
    };
}

/// All of them, in order of deployment.
#[must_use]
pub fn all() -> Vec<Artifact> {
    vec![
        artifact!(access_manager, AccessManager),
        artifact!(medina_token, MedinaToken),
        artifact!(identity, Identity),
        artifact!(sensor_registry, SensorRegistry),
        artifact!(data_anchor, DataAnchor),
        artifact!(federation_registry, FederationRegistry),
        artifact!(trust_and_reputation, TrustAndReputation),
        artifact!(bartering_coupons, BarteringCoupons),
        artifact!(data_marketplace, DataMarketplace),
        artifact!(ed25519_verifier, Ed25519Verifier),
        artifact!(erc7913_p256_verifier, ERC7913P256Verifier),
        artifact!(erc7913_webauthn_verifier, ERC7913WebAuthnVerifier),
        artifact!(gatekeeper, Gatekeeper),
        artifact!(permissioning, Permissioning),
        artifact!(market_orders, MarketOrders),
        artifact!(consent_and_access, ConsentAndAccess),
        artifact!(sla_registry, SlaRegistry),
        artifact!(incident_registry, IncidentRegistry),
        artifact!(sealed_delivery, SealedDelivery),
        artifact!(federation_ballots, FederationBallots),
        artifact!(private_groups, PrivateGroups),
        artifact!(erc1967_proxy, ERC1967Proxy),
        artifact!(trust_math_harness, TrustMathHarness),
    ]
}

/// The artifact of that name, if there is one.
#[must_use]
pub fn by_name(name: &str) -> Option<Artifact> {
    all().into_iter().find(|artifact| artifact.name == name)
}
