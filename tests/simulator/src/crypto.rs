//! Signatures for simulations: real ones, or a keyed hash that costs a
//! thousandth. Nobody in a simulation tries to compute another's signature, so
//! knowing the public key may be enough to sign.

use alloy_primitives::keccak256;
use medina_consensus::{Ed25519Crypto, VoteCrypto};
use medina_types::{NodePublicKey, NodeSecretKey, NodeSignature};
use std::cell::Cell;

thread_local! {
    static CHECKS: Cell<u64> = const { Cell::new(0) };
}

/// Signatures checked in this thread: a run stays in one.
pub(crate) fn checks() -> u64 {
    CHECKS.get()
}

/// How one validator of a simulation signs and checks.
#[derive(Clone, Debug)]
pub(crate) enum SimulatedCrypto {
    /// Ed25519.
    Real(Ed25519Crypto),
    /// Keccak of key and message, twice.
    Cheap(NodePublicKey),
    /// Signs like `Cheap` and believes everything: a broken implementation,
    /// to see the checker notice.
    Blind(NodePublicKey),
}

impl SimulatedCrypto {
    /// Key and scheme of validator `index`.
    pub(crate) fn secret(index: usize) -> NodeSecretKey {
        let mut seed = [0x5a; 32];
        seed[..8].copy_from_slice(&(index as u64).to_be_bytes());
        NodeSecretKey::from_bytes(seed)
    }

    /// The same scheme under another key.
    pub(crate) fn of_other(&self, index: usize) -> Self {
        let secret = Self::secret(index);
        match self {
            Self::Real(_) => Self::Real(Ed25519Crypto::new(secret)),
            Self::Cheap(_) => Self::Cheap(secret.public_key()),
            Self::Blind(_) => Self::Blind(secret.public_key()),
        }
    }
}

fn keyed_hash(key: &NodePublicKey, message: &[u8]) -> NodeSignature {
    let half = keccak256([&key.0[..], message].concat());
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(half.as_slice());
    signature[32..].copy_from_slice(half.as_slice());
    NodeSignature(signature)
}

impl VoteCrypto for SimulatedCrypto {
    fn sign(&self, message: &[u8]) -> NodeSignature {
        match self {
            Self::Real(real) => real.sign(message),
            Self::Cheap(key) | Self::Blind(key) => keyed_hash(key, message),
        }
    }

    fn verify(&self, key: &NodePublicKey, message: &[u8], signature: &NodeSignature) -> bool {
        CHECKS.set(CHECKS.get() + 1);
        match self {
            Self::Real(real) => real.verify(key, message, signature),
            Self::Cheap(_) => keyed_hash(key, message) == *signature,
            Self::Blind(_) => true,
        }
    }
}
