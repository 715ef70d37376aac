//! Node keys as libp2p identities and back.

use libp2p::{PeerId, identity};
use medina_types::{NodePublicKey, NodeSecretKey};

/// The libp2p key pair of a node key.
pub(crate) fn keypair(secret: &NodeSecretKey) -> identity::Keypair {
    identity::Keypair::ed25519_from_bytes(secret.to_bytes())
        .expect("every 32 bytes are an ed25519 seed")
}

/// The libp2p name of a node key; `None` for bytes that are no key.
pub(crate) fn peer_id(key: &NodePublicKey) -> Option<PeerId> {
    let key = identity::ed25519::PublicKey::try_from_bytes(&key.0).ok()?;
    Some(identity::PublicKey::from(key).to_peer_id())
}

/// The node key behind a libp2p name. Names of ed25519 keys contain the key;
/// other kinds of keys are none of ours.
pub(crate) fn node_key(peer: &PeerId) -> Option<NodePublicKey> {
    let key = identity::PublicKey::try_decode_protobuf(peer.as_ref().digest()).ok()?;
    Some(NodePublicKey(key.try_into_ed25519().ok()?.to_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn node_key_reads_back_from_its_network_name() {
        let secret = NodeSecretKey::from_bytes([5; 32]);
        let name = peer_id(&secret.public_key());
        assert_eq!(name, Some(keypair(&secret).public().to_peer_id()));
        assert_eq!(
            name.and_then(|name| node_key(&name)),
            Some(secret.public_key())
        );
    }

    #[test]
    fn random_name_has_no_node_key() {
        assert_eq!(node_key(&PeerId::random()), None);
    }

    proptest! {
        #[test]
        fn any_key_bytes_survive(bytes in any::<[u8; 32]>()) {
            if let Some(name) = peer_id(&NodePublicKey(bytes)) {
                prop_assert!(node_key(&name).is_some());
            }
        }
    }
}
