//! Merkle trees over salted records, as `DataAnchor` verifies them.
//!
//! Rule followed: contracts specification, section 5. A leaf is
//! `keccak(keccak(source, seq, index, salt, keccak(record)))` where the inner hash is over
//! `abi.encode` (five words) and the outer over its raw 32 bytes; pairs are hashed in sorted
//! order as OpenZeppelin's `MerkleProof` does. An odd node moves up unchanged.
//!
//! ```text
//!            root
//!          /      \
//!       h(0,1)    h(2)=leaf 2     three leaves
//!       /   \
//!    leaf 0 leaf 1
//! ```
//!
//! The double hash keeps leaves and inner nodes apart, so no inner node passes as a record; the
//! salt keeps a record that can be guessed from being confirmed by its leaf.
//!
//! ```
//! use alloy_primitives::B256;
//! use medina_sdk::merkle::{MerkleTree, RecordId, leaf, verify};
//! let id = |index| RecordId { source: B256::repeat_byte(1), seq: 1, index };
//! let leaves: Vec<_> = (0..3).map(|i| leaf(id(i), B256::repeat_byte(9), b"20.5")).collect();
//! let tree = MerkleTree::new(leaves.clone())?;
//! assert!(verify(tree.root(), leaves[2], &tree.proof(2)?));
//! assert!(!verify(tree.root(), leaves[2], &tree.proof(1)?));
//! # Ok::<(), medina_sdk::merkle::MerkleError>(())
//! ```

use alloy_primitives::{B256, keccak256};
use thiserror::Error;

use crate::limits::{BATCH_READINGS_MAX, PROOF_LENGTH_MAX};

/// Why a tree cannot be built or a proof not be made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MerkleError {
    /// There is nothing to anchor.
    #[error("a batch needs at least one reading")]
    Empty,
    /// More leaves than a batch may have.
    #[error("a batch has at most {BATCH_READINGS_MAX} readings, this one has {0}")]
    TooManyLeaves(usize),
    /// The index is behind the last leaf.
    #[error("there is no leaf {index}: the batch has {count}")]
    NoSuchLeaf {
        /// Which leaf was asked for.
        index: u32,
        /// How many there are.
        count: usize,
    },
}

/// Where a record stands: its source, batch and place in the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId {
    /// The resource the record comes from.
    pub source: B256,
    /// Number of the batch, from 1.
    pub seq: u64,
    /// Place in the batch, from 0.
    pub index: u32,
}

/// The leaf of one record.
pub fn leaf(id: RecordId, salt: B256, record: &[u8]) -> B256 {
    let mut words = [0_u8; 160];
    words[..32].copy_from_slice(id.source.as_slice());
    words[56..64].copy_from_slice(&id.seq.to_be_bytes());
    words[92..96].copy_from_slice(&id.index.to_be_bytes());
    words[96..128].copy_from_slice(salt.as_slice());
    words[128..].copy_from_slice(keccak256(record).as_slice());
    keccak256(keccak256(words))
}

/// Whether `proof` leads from `leaf` to `root`.
pub fn verify(root: B256, leaf: B256, proof: &[B256]) -> bool {
    proof.len() <= PROOF_LENGTH_MAX
        && proof
            .iter()
            .fold(leaf, |node, sibling| hash_pair(node, *sibling))
            == root
}

/// A built tree: all levels, the leaves first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MerkleTree {
    levels: Vec<Vec<B256>>,
}

impl MerkleTree {
    /// Builds the tree over the leaves in the order of their index.
    pub fn new(leaves: Vec<B256>) -> Result<Self, MerkleError> {
        if leaves.is_empty() {
            return Err(MerkleError::Empty);
        }
        if leaves.len() > BATCH_READINGS_MAX {
            return Err(MerkleError::TooManyLeaves(leaves.len()));
        }
        let mut levels = vec![leaves];
        while let Some(level) = levels.last().filter(|level| level.len() > 1) {
            let above = level.chunks(2).map(parent_of).collect();
            levels.push(above);
        }
        Ok(Self { levels })
    }

    /// The root that is anchored.
    pub fn root(&self) -> B256 {
        self.levels
            .last()
            .and_then(|top| top.first())
            .copied()
            .expect("a tree has at least one leaf")
    }

    /// The leaves in the order of their index.
    pub fn leaves(&self) -> &[B256] {
        self.levels.first().expect("a tree has at least one level")
    }

    /// The siblings on the way from leaf `index` to the root.
    pub fn proof(&self, index: u32) -> Result<Vec<B256>, MerkleError> {
        let count = self.leaves().len();
        let mut place = usize::try_from(index)
            .ok()
            .filter(|place| *place < count)
            .ok_or(MerkleError::NoSuchLeaf { index, count })?;
        let mut proof = Vec::with_capacity(self.levels.len());
        for level in &self.levels {
            proof.extend(level.get(place ^ 1));
            place /= 2;
        }
        Ok(proof)
    }
}

fn parent_of(pair: &[B256]) -> B256 {
    match pair {
        [left, right] => hash_pair(*left, *right),
        [single] => *single,
        _ => unreachable!("chunks(2) yields one or two nodes"),
    }
}

/// OpenZeppelin's commutative pair hash: the smaller goes first.
fn hash_pair(a: B256, b: B256) -> B256 {
    let (low, high) = if a < b { (a, b) } else { (b, a) };
    keccak256([low.0, high.0].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_sol_types::SolValue;
    use proptest::prelude::*;

    fn id(index: u32) -> RecordId {
        RecordId {
            source: B256::repeat_byte(7),
            seq: 3,
            index,
        }
    }

    fn tree_of(records: &[Vec<u8>]) -> MerkleTree {
        let leaves = (0_u32..)
            .zip(records)
            .map(|(index, record)| leaf(id(index), B256::repeat_byte(9), record))
            .collect();
        MerkleTree::new(leaves).expect("not empty")
    }

    #[test]
    fn leaf_is_the_abi_encoding_hashed_twice() {
        let salt = B256::repeat_byte(5);
        let encoded = (
            B256::repeat_byte(7),
            3_u64,
            4_u32,
            salt,
            keccak256(b"record"),
        )
            .abi_encode();
        assert_eq!(leaf(id(4), salt, b"record"), keccak256(keccak256(encoded)));
    }

    #[test]
    fn single_leaf_is_its_own_root_with_an_empty_proof() {
        let tree = tree_of(&[b"one".to_vec()]);
        assert_eq!(tree.root(), tree.leaves()[0]);
        assert_eq!(tree.proof(0), Ok(vec![]));
        assert!(verify(tree.root(), tree.leaves()[0], &[]));
    }

    #[test]
    fn empty_batch_and_foreign_index_are_errors() {
        assert_eq!(MerkleTree::new(vec![]), Err(MerkleError::Empty));
        let tree = tree_of(&[b"one".to_vec()]);
        assert_eq!(
            tree.proof(1),
            Err(MerkleError::NoSuchLeaf { index: 1, count: 1 })
        );
    }

    #[test]
    fn overlong_proof_is_refused_before_it_is_hashed() {
        assert!(!verify(
            B256::ZERO,
            B256::ZERO,
            &[B256::ZERO; PROOF_LENGTH_MAX + 1]
        ));
    }

    proptest! {
        #[test]
        fn every_proof_verifies(records in prop::collection::vec(any::<Vec<u8>>(), 1..70)) {
            let tree = tree_of(&records);
            for (index, record) in (0_u32..).zip(&records) {
                let proven = leaf(id(index), B256::repeat_byte(9), record);
                prop_assert!(verify(tree.root(), proven, &tree.proof(index)?));
            }
        }

        #[test]
        fn no_altered_record_salt_place_or_proof_verifies(
            records in prop::collection::vec(any::<Vec<u8>>(), 2..70),
            pick in any::<prop::sample::Index>(),
            byte in any::<prop::sample::Index>(),
            bit in 0_u8..8,
        ) {
            let tree = tree_of(&records);
            let place = pick.index(records.len());
            let index = u32::try_from(place)?;
            let salt = B256::repeat_byte(9);
            let proof = tree.proof(index)?;
            let proven = leaf(id(index), salt, &records[place]);

            let mut record = records[place].clone();
            record.push(bit);
            prop_assert!(!verify(tree.root(), leaf(id(index), salt, &record), &proof));
            prop_assert!(!verify(tree.root(), leaf(id(index + 1), salt, &records[place]), &proof));
            let other_salt = B256::repeat_byte(8);
            prop_assert!(!verify(tree.root(), leaf(id(index), other_salt, &records[place]), &proof));

            let mut altered = proof.clone();
            let hash = byte.index(altered.len());
            altered[hash].0[byte.index(32)] ^= 1 << bit;
            prop_assert!(!verify(tree.root(), proven, &altered));
            prop_assert!(!verify(tree.root(), proven, &proof[1..]));
        }
    }
}
