//! Where every contract lies, known from deployer and nonce alone.

use alloy_primitives::Address;
use serde::{Deserialize, Serialize};

/// Nonces of the creations; a proxy follows its implementation.
pub(super) mod nonces {
    pub(in crate::deployment) const ACCESS_MANAGER: u64 = 0;
    pub(in crate::deployment) const MEDINA_TOKEN: u64 = 1;
    pub(in crate::deployment) const IDENTITY: u64 = 2;
    pub(in crate::deployment) const SENSOR_REGISTRY: u64 = 4;
    pub(in crate::deployment) const DATA_ANCHOR: u64 = 6;
    pub(in crate::deployment) const FEDERATION_REGISTRY: u64 = 7;
    pub(in crate::deployment) const TRUST_AND_REPUTATION: u64 = 9;
    pub(in crate::deployment) const BARTERING_COUPONS: u64 = 11;
    pub(in crate::deployment) const DATA_MARKETPLACE: u64 = 13;
    pub(in crate::deployment) const ED25519_VERIFIER: u64 = 15;
    pub(in crate::deployment) const P256_VERIFIER: u64 = 16;
    pub(in crate::deployment) const GATEKEEPER: u64 = 17;
    pub(in crate::deployment) const PERMISSIONING: u64 = 18;
    pub(in crate::deployment) const MARKET_ORDERS: u64 = 20;
    pub(in crate::deployment) const CONSENT_AND_ACCESS: u64 = 21;
    pub(in crate::deployment) const SLA_REGISTRY: u64 = 23;
    pub(in crate::deployment) const INCIDENT_REGISTRY: u64 = 25;
    pub(in crate::deployment) const SEALED_DELIVERY: u64 = 27;
    pub(in crate::deployment) const FEDERATION_BALLOTS: u64 = 28;
    pub(in crate::deployment) const WEBAUTHN_VERIFIER: u64 = 29;
    pub(in crate::deployment) const PRIVATE_GROUPS: u64 = 30;
}

/// The address to call per contract (the proxy where there is one); in JSON under the contract's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ContractAddresses {
    /// The one AccessManager.
    #[serde(alias = "accessManager")]
    pub access_manager: Address,
    /// The market's money.
    #[serde(alias = "medinaToken")]
    pub medina_token: Address,
    /// People and organisations.
    #[serde(alias = "identity")]
    pub identity: Address,
    /// Devices.
    #[serde(alias = "sensorRegistry")]
    pub sensor_registry: Address,
    /// Roots of readings.
    #[serde(alias = "dataAnchor")]
    pub data_anchor: Address,
    /// Federations.
    #[serde(alias = "federationRegistry")]
    pub federation_registry: Address,
    /// Trust and reputation.
    #[serde(alias = "trustAndReputation")]
    pub trust_and_reputation: Address,
    /// Bartering coupons.
    #[serde(alias = "barteringCoupons")]
    pub bartering_coupons: Address,
    /// Listings and orders.
    #[serde(alias = "dataMarketplace")]
    pub data_marketplace: Address,
    /// ERC-7913 adapter to the chain's ed25519 precompile.
    #[serde(rename = "Ed25519Verifier", alias = "ed25519Verifier")]
    pub ed25519_verifier: Address,
    /// ERC-7913 adapter for P-256 keys.
    #[serde(rename = "ERC7913P256Verifier", alias = "p256Verifier")]
    pub p256_verifier: Address,
    /// ERC-7913 adapter for passkeys, which sign a WebAuthn assertion; zero on a chain that was made without.
    #[serde(
        default,
        rename = "ERC7913WebAuthnVerifier",
        alias = "webAuthnVerifier",
        alias = "webauthnVerifier"
    )]
    pub webauthn_verifier: Address,
    /// Through which guardians close targets.
    #[serde(alias = "gatekeeper")]
    pub gatekeeper: Address,
    /// Who may connect, transact and validate.
    #[serde(alias = "permissioning")]
    pub permissioning: Address,
    /// Consent of those whose data it is.
    #[serde(alias = "consentAndAccess")]
    pub consent_and_access: Address,
    /// What members of federations promise each other, and their bonds.
    #[serde(alias = "slaRegistry")]
    pub sla_registry: Address,
    /// Alerts, incidents, responses.
    #[serde(alias = "incidentRegistry")]
    pub incident_registry: Address,
    /// The judge of sealed datasets.
    #[serde(alias = "sealedDelivery")]
    pub sealed_delivery: Address,
    /// Groups of private transactions, and their parties' keys; zero on a chain that was made without.
    #[serde(default, alias = "privateGroups")]
    pub private_groups: Address,
}

impl ContractAddresses {
    /// The addresses of a plan that `deployer` runs from nonce 0.
    #[must_use]
    pub fn of(deployer: Address) -> Self {
        let proxy = |implementation: u64| deployer.create(implementation + 1);
        Self {
            access_manager: deployer.create(nonces::ACCESS_MANAGER),
            medina_token: deployer.create(nonces::MEDINA_TOKEN),
            identity: proxy(nonces::IDENTITY),
            sensor_registry: proxy(nonces::SENSOR_REGISTRY),
            data_anchor: deployer.create(nonces::DATA_ANCHOR),
            federation_registry: proxy(nonces::FEDERATION_REGISTRY),
            trust_and_reputation: proxy(nonces::TRUST_AND_REPUTATION),
            bartering_coupons: proxy(nonces::BARTERING_COUPONS),
            data_marketplace: proxy(nonces::DATA_MARKETPLACE),
            ed25519_verifier: deployer.create(nonces::ED25519_VERIFIER),
            p256_verifier: deployer.create(nonces::P256_VERIFIER),
            webauthn_verifier: deployer.create(nonces::WEBAUTHN_VERIFIER),
            gatekeeper: deployer.create(nonces::GATEKEEPER),
            permissioning: proxy(nonces::PERMISSIONING),
            consent_and_access: proxy(nonces::CONSENT_AND_ACCESS),
            sla_registry: proxy(nonces::SLA_REGISTRY),
            incident_registry: proxy(nonces::INCIDENT_REGISTRY),
            sealed_delivery: deployer.create(nonces::SEALED_DELIVERY),
            private_groups: proxy(nonces::PRIVATE_GROUPS),
        }
    }

    /// Name and address of each, in order of deployment.
    #[must_use]
    pub fn named(&self) -> [(&'static str, Address); 19] {
        [
            ("AccessManager", self.access_manager),
            ("MedinaToken", self.medina_token),
            ("Identity", self.identity),
            ("SensorRegistry", self.sensor_registry),
            ("DataAnchor", self.data_anchor),
            ("FederationRegistry", self.federation_registry),
            ("TrustAndReputation", self.trust_and_reputation),
            ("BarteringCoupons", self.bartering_coupons),
            ("DataMarketplace", self.data_marketplace),
            ("Ed25519Verifier", self.ed25519_verifier),
            ("ERC7913P256Verifier", self.p256_verifier),
            ("ERC7913WebAuthnVerifier", self.webauthn_verifier),
            ("Gatekeeper", self.gatekeeper),
            ("Permissioning", self.permissioning),
            ("ConsentAndAccess", self.consent_and_access),
            ("SlaRegistry", self.sla_registry),
            ("IncidentRegistry", self.incident_registry),
            ("SealedDelivery", self.sealed_delivery),
            ("PrivateGroups", self.private_groups),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_names_are_the_contract_names_and_come_back() {
        let addresses = ContractAddresses::of(Address::repeat_byte(7));
        let json = serde_json::to_value(addresses).unwrap();
        let names: Vec<_> = json.as_object().unwrap().keys().cloned().collect();
        let expected: Vec<_> = addresses
            .named()
            .iter()
            .map(|(name, _)| (*name).to_owned())
            .collect();
        assert_eq!(names, expected);
        for (name, address) in addresses.named() {
            assert_eq!(json[name], serde_json::to_value(address).unwrap());
        }
        assert_eq!(
            serde_json::from_value::<ContractAddresses>(json).unwrap(),
            addresses
        );
    }
}
