//! Signing and checking votes, behind a trait because simulations use a
//! scheme that is thousands of times cheaper.

use medina_types::{NodePublicKey, NodeSecretKey, NodeSignature};

/// Signs with this validator's key and checks everybody's signatures.
pub trait VoteCrypto: Send {
    /// Signs bytes that are already separated by domain, chain, height and round.
    fn sign(&self, message: &[u8]) -> NodeSignature;

    /// True when `signature` is `key`'s over `message`.
    fn verify(&self, key: &NodePublicKey, message: &[u8], signature: &NodeSignature) -> bool;
}

/// Real votes: ed25519 with the node key, checked strictly.
#[derive(Clone, Debug)]
pub struct Ed25519Crypto {
    secret: NodeSecretKey,
}

impl Ed25519Crypto {
    /// Votes with this node key.
    #[must_use]
    pub fn new(secret: NodeSecretKey) -> Self {
        Self { secret }
    }
}

impl VoteCrypto for Ed25519Crypto {
    fn sign(&self, message: &[u8]) -> NodeSignature {
        self.secret.sign(message)
    }

    fn verify(&self, key: &NodePublicKey, message: &[u8], signature: &NodeSignature) -> bool {
        key.verify(message, signature).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signature_counts_only_for_its_key_and_message() {
        let secret = NodeSecretKey::from_bytes([3; 32]);
        let crypto = Ed25519Crypto::new(secret.clone());
        let signature = crypto.sign(b"vote");
        assert!(crypto.verify(&secret.public_key(), b"vote", &signature));
        assert!(!crypto.verify(&secret.public_key(), b"veto", &signature));
        let other = NodeSecretKey::from_bytes([4; 32]).public_key();
        assert!(!crypto.verify(&other, b"vote", &signature));
    }
}
