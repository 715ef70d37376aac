//! Proof that a quorum decided a block, kept beside the header.

use crate::{ConsensusEngine, Height, NodePublicKey, NodeSignature, Round, ValidatorSet, limits};
use alloy_primitives::B256;
use borsh::{BorshDeserialize, BorshSerialize};

const COMMIT_DOMAIN: &[u8; 16] = b"medina/commit/v1";

/// Bytes that a validator signs to commit to a block: domain, genesis hash (so
/// that no signature counts on another chain), height, round, block hash.
#[must_use]
pub fn commit_message(genesis: B256, height: Height, round: Round, block: B256) -> [u8; 92] {
    let mut message = [0; 92];
    message[..16].copy_from_slice(COMMIT_DOMAIN);
    message[16..48].copy_from_slice(genesis.as_slice());
    message[48..56].copy_from_slice(&height.0.to_be_bytes());
    message[56..60].copy_from_slice(&round.0.to_be_bytes());
    message[60..].copy_from_slice(block.as_slice());
    message
}

/// Why a certificate does not prove its block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Bitmap and signature list disagree, or the bitmap names nobody of the set.
    #[error(
        "certificate names {signers} signers of {validators} validators with {signatures} signatures"
    )]
    Malformed {
        /// Bits set.
        signers: u32,
        /// Size of the set.
        validators: usize,
        /// Signatures carried.
        signatures: usize,
    },
    /// Fewer signers than the quorum.
    #[error("certificate has {got} of {quorum} required signatures")]
    NoQuorum {
        /// Signatures found.
        got: usize,
        /// Signatures required.
        quorum: usize,
    },
    /// A signature that does not verify.
    #[error("certificate signature of validator {0} does not verify")]
    BadSignature(NodePublicKey),
}

/// Commit signatures of a quorum for one block in one round.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize)]
pub struct Certificate {
    /// Round in which the block was decided.
    pub round: Round,
    /// Bit i: validator i of the height's set signed.
    signers: u128,
    /// Signatures in ascending order of the signers.
    signatures: Vec<NodeSignature>,
}

impl Certificate {
    /// Gathers votes (index in the set, signature); a repeated index counts once.
    #[must_use]
    pub fn new(round: Round, votes: impl IntoIterator<Item = (usize, NodeSignature)>) -> Self {
        let votes: std::collections::BTreeMap<_, _> = votes
            .into_iter()
            .filter(|(index, _)| *index < limits::VALIDATORS_MAX)
            .collect();
        Self {
            round,
            signers: votes.keys().fold(0, |bits, index| bits | 1 << index),
            signatures: votes.into_values().collect(),
        }
    }

    /// Indices of the signers in the height's validator set, ascending.
    pub fn signers(&self) -> impl Iterator<Item = usize> + '_ {
        (0..limits::VALIDATORS_MAX).filter(|index| self.signers >> index & 1 == 1)
    }

    /// The signatures, in the order of [`Self::signers`].
    #[must_use]
    pub fn signatures(&self) -> &[NodeSignature] {
        &self.signatures
    }

    /// Checks a full quorum of distinct members of `set`, as `engine` counts it,
    /// every signature included.
    ///
    /// # Errors
    /// See [`CertificateError`].
    pub fn verify(
        &self,
        genesis: B256,
        height: Height,
        block: B256,
        set: &ValidatorSet,
        engine: ConsensusEngine,
    ) -> Result<(), CertificateError> {
        self.verify_with(
            set,
            engine.quorum(set),
            |key, message, signature| key.verify(message, signature).is_ok(),
            || commit_message(genesis, height, self.round, block),
        )
    }

    /// As [`Self::verify`] with another signature scheme, for simulations.
    ///
    /// # Errors
    /// See [`CertificateError`].
    pub fn verify_with(
        &self,
        set: &ValidatorSet,
        quorum: usize,
        verify: impl Fn(&NodePublicKey, &[u8], &NodeSignature) -> bool,
        message: impl FnOnce() -> [u8; 92],
    ) -> Result<(), CertificateError> {
        let named = self.signers.count_ones();
        let outside = self.signers().any(|index| index >= set.len());
        if outside || named as usize != self.signatures.len() {
            return Err(CertificateError::Malformed {
                signers: named,
                validators: set.len(),
                signatures: self.signatures.len(),
            });
        }
        if self.signatures.len() < quorum {
            let got = self.signatures.len();
            return Err(CertificateError::NoQuorum { got, quorum });
        }
        let message = message();
        for (index, signature) in self.signers().zip(&self.signatures) {
            let key = set.validators()[index].key;
            if !verify(&key, &message, signature) {
                return Err(CertificateError::BadSignature(key));
            }
        }
        Ok(())
    }
}

impl BorshDeserialize for Certificate {
    fn deserialize_reader<R: borsh::io::Read>(reader: &mut R) -> borsh::io::Result<Self> {
        let round = Round::deserialize_reader(reader)?;
        let signers = u128::deserialize_reader(reader)?;
        let count = u32::deserialize_reader(reader)?;
        if count != signers.count_ones() {
            let text = "certificate bitmap and signature count disagree";
            return Err(borsh::io::Error::new(
                borsh::io::ErrorKind::InvalidData,
                text,
            ));
        }
        let signatures = (0..count)
            .map(|_| NodeSignature::deserialize_reader(reader))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            round,
            signers,
            signatures,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validators::tests::{secret, set_of};
    use proptest::prelude::*;

    const GENESIS: B256 = B256::repeat_byte(1);
    const BLOCK: B256 = B256::repeat_byte(2);

    fn vote(index: u8, round: Round) -> (usize, NodeSignature) {
        let message = commit_message(GENESIS, Height(5), round, BLOCK);
        (index.into(), secret(index).sign(&message))
    }

    fn certificate(signers: &[u8]) -> Certificate {
        Certificate::new(Round(1), signers.iter().map(|&index| vote(index, Round(1))))
    }

    #[test]
    fn quorum_of_distinct_signers_is_required() {
        let set = set_of(4);
        assert_eq!(
            certificate(&[0, 1, 3]).verify(GENESIS, Height(5), BLOCK, &set, ConsensusEngine::Qbft),
            Ok(())
        );
        let twice =
            certificate(&[0, 1, 1]).verify(GENESIS, Height(5), BLOCK, &set, ConsensusEngine::Qbft);
        assert_eq!(twice, Err(CertificateError::NoQuorum { got: 2, quorum: 3 }));
    }

    #[test]
    fn signature_of_other_round_height_or_chain_does_not_count() {
        let set = set_of(4);
        let votes = [vote(0, Round(1)), vote(1, Round(1)), vote(2, Round(0))];
        let mixed = Certificate::new(Round(1), votes).verify(
            GENESIS,
            Height(5),
            BLOCK,
            &set,
            ConsensusEngine::Qbft,
        );
        assert_eq!(
            mixed,
            Err(CertificateError::BadSignature(secret(2).public_key()))
        );
        let whole = certificate(&[0, 1, 2]);
        assert!(
            whole
                .verify(GENESIS, Height(6), BLOCK, &set, ConsensusEngine::Qbft)
                .is_err()
        );
        assert!(
            whole
                .verify(BLOCK, Height(5), BLOCK, &set, ConsensusEngine::Qbft)
                .is_err()
        );
        assert!(
            whole
                .verify(GENESIS, Height(5), GENESIS, &set, ConsensusEngine::Qbft)
                .is_err()
        );
    }

    #[test]
    fn signer_outside_the_set_is_malformed() {
        let outside = certificate(&[0, 1, 2, 5]).verify(
            GENESIS,
            Height(5),
            BLOCK,
            &set_of(4),
            ConsensusEngine::Qbft,
        );
        assert!(matches!(outside, Err(CertificateError::Malformed { .. })));
    }

    proptest! {
        #[test]
        fn decoder_survives_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            if let Ok(certificate) = borsh::from_slice::<Certificate>(&bytes) {
                prop_assert_eq!(borsh::to_vec(&certificate).unwrap(), bytes);
            }
        }

        #[test]
        fn encoding_reads_back(signers in proptest::collection::vec(0u8..100, 0..8)) {
            let certificate = certificate(&signers);
            let bytes = borsh::to_vec(&certificate).unwrap();
            prop_assert_eq!(borsh::from_slice::<Certificate>(&bytes).unwrap(), certificate);
        }
    }
}
