//! Typed calls, events and errors, generated from the committed artifacts.
//!
//! Structs and enums of a contract's interface lie in the module of that name beside it, for example
//! `data_marketplace::IDataMarketplace::Listing`. An instance for a provider is
//! `data_marketplace::DataMarketplace::new(address, provider)`.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    reason = "generated code; the documentation is in the Solidity interfaces"
)]

macro_rules! bind {
    ($module:ident, $contract:ident, $artifact:literal) => {
        pub mod $module {
            alloy_sol_types::sol!(
                #[sol(rpc, all_derives)]
                $contract,
                $artifact
            );
        }
    };
}

bind!(
    access_manager,
    AccessManager,
    "artifacts/AccessManager.json"
);
bind!(medina_token, MedinaToken, "artifacts/MedinaToken.json");
bind!(identity, Identity, "artifacts/Identity.json");
bind!(permissioning, Permissioning, "artifacts/Permissioning.json");
bind!(
    sensor_registry,
    SensorRegistry,
    "artifacts/SensorRegistry.json"
);
bind!(data_anchor, DataAnchor, "artifacts/DataAnchor.json");
bind!(
    federation_registry,
    FederationRegistry,
    "artifacts/FederationRegistry.json"
);
bind!(
    federation_ballots,
    FederationBallots,
    "artifacts/FederationBallots.json"
);
bind!(sla_registry, SlaRegistry, "artifacts/SlaRegistry.json");
bind!(
    incident_registry,
    IncidentRegistry,
    "artifacts/IncidentRegistry.json"
);
bind!(
    sealed_delivery,
    SealedDelivery,
    "artifacts/SealedDelivery.json"
);
bind!(
    private_groups,
    PrivateGroups,
    "artifacts/PrivateGroups.json"
);
bind!(
    trust_and_reputation,
    TrustAndReputation,
    "artifacts/TrustAndReputation.json"
);
bind!(
    bartering_coupons,
    BarteringCoupons,
    "artifacts/BarteringCoupons.json"
);
bind!(
    data_marketplace,
    DataMarketplace,
    "artifacts/DataMarketplace.json"
);
bind!(
    consent_and_access,
    ConsentAndAccess,
    "artifacts/ConsentAndAccess.json"
);
bind!(market_orders, MarketOrders, "artifacts/MarketOrders.json");
bind!(
    ed25519_verifier,
    Ed25519Verifier,
    "artifacts/Ed25519Verifier.json"
);
bind!(
    erc7913_p256_verifier,
    ERC7913P256Verifier,
    "artifacts/ERC7913P256Verifier.json"
);
bind!(
    erc7913_webauthn_verifier,
    ERC7913WebAuthnVerifier,
    "artifacts/ERC7913WebAuthnVerifier.json"
);
bind!(gatekeeper, Gatekeeper, "artifacts/Gatekeeper.json");
bind!(erc1967_proxy, ERC1967Proxy, "artifacts/ERC1967Proxy.json");
bind!(
    trust_math_harness,
    TrustMathHarness,
    "artifacts/TrustMathHarness.json"
);
