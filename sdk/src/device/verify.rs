//! Whether a signature is a device's, as the chain judges it.

use alloy_primitives::{B256, Signature};
use alloy_sol_types::{Eip712Domain, SolStruct};
use ed25519_dalek::VerifyingKey;
use p256::ecdsa::signature::hazmat::PrehashVerifier as _;

use super::{DevicePublic, Verifiers, passkey};

/// Whether `signature` over `payload` is of the device `signer` names, as the chain would judge if
/// these contracts are its verifiers.
pub fn verify<T: SolStruct>(
    signer: &[u8],
    verifiers: &Verifiers,
    payload: &T,
    domain: &Eip712Domain,
    signature: &[u8],
) -> bool {
    let hash = payload.eip712_signing_hash(domain);
    DevicePublic::of_signer(signer, verifiers).is_some_and(|key| is_of(&key, hash, signature))
}

pub(super) fn is_of(key: &DevicePublic, hash: B256, signature: &[u8]) -> bool {
    match key {
        DevicePublic::Secp256k1(account) => {
            let recovered = Signature::from_raw(signature)
                .ok()
                .and_then(|signature| signature.recover_address_from_prehash(&hash).ok());
            recovered.as_ref() == Some(account)
        }
        DevicePublic::Ed25519(key) => is_of_ed25519(key, hash, signature).is_some(),
        DevicePublic::P256(key) => is_of_p256(key, hash, signature).is_some(),
        DevicePublic::Passkey(key) => passkey::is_of(key, hash, signature),
    }
}

fn is_of_ed25519(key: &[u8; 32], hash: B256, signature: &[u8]) -> Option<()> {
    let key = VerifyingKey::from_bytes(key).ok()?;
    let signature = ed25519_dalek::Signature::from_slice(signature).ok()?;
    key.verify_strict(hash.as_slice(), &signature).ok()
}

fn is_of_p256(key: &[u8; 64], hash: B256, signature: &[u8]) -> Option<()> {
    let signature = p256::ecdsa::Signature::from_slice(signature).ok()?;
    let key = passkey::verifying(key)?;
    if !passkey::is_low(&signature) {
        return None;
    }
    key.verify_prehash(hash.as_slice(), &signature).ok()
}
