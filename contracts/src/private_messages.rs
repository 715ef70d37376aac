//! What the ed25519 identity key of a party signs, as `PrivateGroups` checks it.
//!
//! Every message is 32 bytes: keccak256 of the ABI encoding of its domain, the chain's id and its fields. The domains
//! differ, so that no signature of one kind passes for one of another.

use alloy_primitives::{Address, B256, U256, aliases::U48, keccak256};
use alloy_sol_types::SolValue;

/// Domain of [`party`].
const PARTY: &str = "medina.private.party.v1";
/// Domain of [`epoch_key`].
const EPOCH_KEY: &str = "medina.private.key.v1";
/// Domain of [`attestation`].
const ATTESTATION: &str = "medina.private.attestation.v1";

/// That the key belongs to `org` and is served by the node: the `proof` of `registerParty`.
#[must_use]
pub fn party(
    chain_id: u64,
    registry: Address,
    org: B256,
    identity_key: B256,
    node_key: B256,
) -> B256 {
    let fields = (
        keccak256(PARTY),
        U256::from(chain_id),
        registry,
        org,
        identity_key,
        node_key,
    );
    keccak256(fields.abi_encode())
}

/// That others encrypt to `key` from `valid_from` (seconds) on: the `signature` of `publishKey`.
#[must_use]
pub fn epoch_key(
    chain_id: u64,
    registry: Address,
    org: B256,
    epoch: u32,
    key: B256,
    valid_from: U48,
) -> B256 {
    let fields = (
        keccak256(EPOCH_KEY),
        U256::from(chain_id),
        registry,
        org,
        epoch,
        key,
        valid_from,
    );
    keccak256(fields.abi_encode())
}

/// That the private state of `group` has this root at a height: what members exchange, and the `signature` of
/// `anchorFor`.
#[must_use]
pub fn attestation(chain_id: u64, group: B256, height: u64, root: B256) -> B256 {
    let fields = (
        keccak256(ATTESTATION),
        U256::from(chain_id),
        group,
        height,
        root,
    );
    keccak256(fields.abi_encode())
}
