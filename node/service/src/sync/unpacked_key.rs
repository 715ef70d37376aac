//! Checking many signatures of few keys: the seals of the blocks that sync fetches.

use ed25519_dalek::{Signature, Verifier, VerifyingKey};
use medina_types::{NodePublicKey, NodeSignature};

/// The eight points of small order as they are encoded: no honest signature begins
/// with one.
const SMALL_ORDER_POINTS: [[u8; 32]; 8] = [
    point(&[1], 0),
    point(&[0], 0),
    point(&[0], 0x80),
    MINUS_ONE,
    ORDER_EIGHT,
    with_sign(ORDER_EIGHT),
    OTHER_ORDER_EIGHT,
    with_sign(OTHER_ORDER_EIGHT),
];
const MINUS_ONE: [u8; 32] = {
    let mut bytes = [0xff; 32];
    bytes[0] = 0xec;
    bytes[31] = 0x7f;
    bytes
};
const ORDER_EIGHT: [u8; 32] = [
    0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
    0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
];
const OTHER_ORDER_EIGHT: [u8; 32] = [
    0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
    0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
];

const fn point(first: &[u8; 1], last: u8) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[0] = first[0];
    bytes[31] = last;
    bytes
}

const fn with_sign(mut bytes: [u8; 32]) -> [u8; 32] {
    bytes[31] |= 0x80;
    bytes
}

/// A public key made ready for many checks.
#[derive(Clone, Debug)]
pub(super) struct UnpackedKey(VerifyingKey);

impl UnpackedKey {
    /// Unpacks a key, `None` if it is no usable one.
    pub(super) fn new(key: &NodePublicKey) -> Option<Self> {
        let unpacked = VerifyingKey::from_bytes(&key.0).ok()?;
        (!unpacked.is_weak()).then_some(Self(unpacked))
    }

    /// Answers as [`NodePublicKey::verify`], in four fifths of the time: the check
    /// recomputes the signature's point and compares encodings, so whether that
    /// point is of small order shows in its bytes, and it need not be unpacked.
    pub(super) fn verifies(&self, message: &[u8], signature: &NodeSignature) -> bool {
        let is_of_small_order = SMALL_ORDER_POINTS
            .iter()
            .any(|point| signature.0[..32] == *point);
        let signature = Signature::from_bytes(&signature.0);
        !is_of_small_order && self.0.verify(message, &signature).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use medina_types::NodeSecretKey;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn list_of_small_order_points_is_whole() {
        let distinct: BTreeSet<_> = SMALL_ORDER_POINTS.into_iter().collect();
        assert_eq!(distinct.len(), 8);
        for bytes in SMALL_ORDER_POINTS {
            let point = VerifyingKey::from_bytes(&bytes).unwrap();
            assert!(point.is_weak(), "{bytes:x?}");
            assert_eq!(point.to_bytes(), bytes);
            assert!(UnpackedKey::new(&NodePublicKey(bytes)).is_none());
        }
    }

    #[test]
    fn signature_of_a_small_order_point_is_refused_as_strictly_as_by_the_library() {
        // With s = 0 and R = -kA a key of small order signs anything; here the key is
        // an honest one and only R is small.
        let key = NodeSecretKey::from_bytes([3; 32]).public_key();
        let unpacked = UnpackedKey::new(&key).unwrap();
        for point in SMALL_ORDER_POINTS {
            let mut signature = NodeSignature([0; 64]);
            signature.0[..32].copy_from_slice(&point);
            assert!(key.verify(b"block", &signature).is_err());
            assert!(!unpacked.verifies(b"block", &signature));
        }
    }

    proptest! {
        /// Whatever is done to a signature, both checks answer alike.
        #[test]
        fn answers_are_those_of_the_strict_check(
            seed in any::<[u8; 32]>(),
            message in proptest::collection::vec(any::<u8>(), 0..100),
            flips in proptest::collection::vec((0usize..64, 0u8..8), 0..3),
            small in proptest::option::weighted(0.1, 0usize..8),
        ) {
            let secret = NodeSecretKey::from_bytes(seed);
            let key = secret.public_key();
            let mut signature = secret.sign(&message);
            for (byte, bit) in flips {
                signature.0[byte] ^= 1 << bit;
            }
            if let Some(small) = small {
                signature.0[..32].copy_from_slice(&SMALL_ORDER_POINTS[small]);
            }
            let unpacked = UnpackedKey::new(&key).unwrap();
            let strict = key.verify(&message, &signature).is_ok();
            prop_assert_eq!(unpacked.verifies(&message, &signature), strict);
        }
    }
}
