//! The validators of one height and their quorums.

use crate::{NodePublicKey, limits};
use alloy_primitives::Address;
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

/// A validator: the key that votes and the account that is paid and votes in contracts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validator {
    /// Ed25519 node key, which is also the network identity.
    pub key: NodePublicKey,
    /// Operator account: beneficiary of this validator's blocks.
    pub operator: Address,
}

impl BorshSerialize for Validator {
    fn serialize<W: borsh::io::Write>(&self, writer: &mut W) -> borsh::io::Result<()> {
        BorshSerialize::serialize(&self.key, writer)?;
        BorshSerialize::serialize(&self.operator.0.0, writer)
    }
}

impl BorshDeserialize for Validator {
    fn deserialize_reader<R: borsh::io::Read>(reader: &mut R) -> borsh::io::Result<Self> {
        Ok(Self {
            key: BorshDeserialize::deserialize_reader(reader)?,
            operator: Address::from(<[u8; 20]>::deserialize_reader(reader)?),
        })
    }
}

/// Why a list of validators is no set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValidatorSetError {
    /// No validator at all.
    #[error("a validator set needs at least one validator")]
    Empty,
    /// More than [`limits::VALIDATORS_MAX`].
    #[error("a validator set holds at most {max} validators, got {got}")]
    TooMany {
        /// The bound.
        max: usize,
        /// What was given.
        got: usize,
    },
    /// One key twice.
    #[error("validator key {0} appears twice")]
    DuplicateKey(NodePublicKey),
    /// One operator account twice.
    #[error("operator account {0} appears twice")]
    DuplicateOperator(Address),
}

/// Validators of a height, 1 to [`limits::VALIDATORS_MAX`], in their genesis or contract order.
///
/// Keys and operators are unique; the constructor checks it, decoding included.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, Serialize)]
pub struct ValidatorSet(Vec<Validator>);

impl ValidatorSet {
    /// Checks size and uniqueness.
    ///
    /// # Errors
    /// See [`ValidatorSetError`].
    pub fn new(validators: Vec<Validator>) -> Result<Self, ValidatorSetError> {
        if validators.is_empty() {
            return Err(ValidatorSetError::Empty);
        }
        if validators.len() > limits::VALIDATORS_MAX {
            let got = validators.len();
            return Err(ValidatorSetError::TooMany {
                max: limits::VALIDATORS_MAX,
                got,
            });
        }
        for (index, validator) in validators.iter().enumerate() {
            for earlier in &validators[..index] {
                if earlier.key == validator.key {
                    return Err(ValidatorSetError::DuplicateKey(validator.key));
                }
                if earlier.operator == validator.operator {
                    return Err(ValidatorSetError::DuplicateOperator(validator.operator));
                }
            }
        }
        Ok(Self(validators))
    }

    /// The validators in order.
    #[must_use]
    pub fn validators(&self) -> &[Validator] {
        &self.0
    }

    /// How many there are, at least one.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "a set is never empty")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Validator at an index of this set.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&Validator> {
        self.0.get(index)
    }

    /// Index of a key in this set.
    #[must_use]
    pub fn index_of_key(&self, key: &NodePublicKey) -> Option<usize> {
        self.0.iter().position(|validator| validator.key == *key)
    }

    /// Index of an operator account in this set.
    #[must_use]
    pub fn index_of_operator(&self, operator: &Address) -> Option<usize> {
        self.0
            .iter()
            .position(|validator| validator.operator == *operator)
    }

    /// Votes that decide: ceil(2n/3) distinct validators (QBFT formal
    /// specification, `quorum(n)`), so that two quorums share an honest one.
    #[must_use]
    pub fn quorum(&self) -> usize {
        (2 * self.0.len()).div_ceil(3)
    }

    /// Validators that may be faulty: floor((n-1)/3).
    #[must_use]
    pub fn faulty_max(&self) -> usize {
        (self.0.len() - 1) / 3
    }
}

impl BorshDeserialize for ValidatorSet {
    fn deserialize_reader<R: borsh::io::Read>(reader: &mut R) -> borsh::io::Result<Self> {
        let count = u32::deserialize_reader(reader)?;
        let invalid = |text: String| borsh::io::Error::new(borsh::io::ErrorKind::InvalidData, text);
        if count as usize > limits::VALIDATORS_MAX {
            return Err(invalid(format!("validator set of {count} entries")));
        }
        let validators = (0..count)
            .map(|_| Validator::deserialize_reader(reader))
            .collect::<Result<_, _>>()?;
        Self::new(validators).map_err(|error| invalid(error.to_string()))
    }
}

impl<'de> Deserialize<'de> for ValidatorSet {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(<Vec<Validator> as Deserialize>::deserialize(deserializer)?)
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::NodeSecretKey;

    pub(crate) fn secret(index: u8) -> NodeSecretKey {
        NodeSecretKey::from_bytes([index + 1; 32])
    }

    pub(crate) fn set_of(count: u8) -> ValidatorSet {
        let validator = |index| Validator {
            key: secret(index).public_key(),
            operator: Address::repeat_byte(index + 1),
        };
        ValidatorSet::new((0..count).map(validator).collect()).unwrap()
    }

    #[test]
    fn two_quorums_always_share_more_than_the_faulty() {
        for count in 1..=100 {
            let set = set_of(count);
            let overlap = 2 * set.quorum() as i64 - i64::from(count);
            assert!(overlap > set.faulty_max() as i64, "n = {count}");
            assert!(set.quorum() <= set.len() - set.faulty_max(), "n = {count}");
        }
    }

    #[test]
    fn duplicate_members_are_refused() {
        let one = set_of(1).validators()[0];
        let twice = ValidatorSet::new(vec![one, one]);
        assert_eq!(twice, Err(ValidatorSetError::DuplicateKey(one.key)));
        assert_eq!(ValidatorSet::new(vec![]), Err(ValidatorSetError::Empty));
    }

    #[test]
    fn encoding_reads_back() {
        let set = set_of(7);
        let bytes = borsh::to_vec(&set).unwrap();
        assert_eq!(borsh::from_slice::<ValidatorSet>(&bytes).unwrap(), set);
        assert!(borsh::from_slice::<ValidatorSet>(&u32::MAX.to_le_bytes()).is_err());
    }
}
