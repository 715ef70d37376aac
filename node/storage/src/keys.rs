//! Keys of the tables; see [`crate::schema`] for what lies under them.

use alloy_primitives::{Address, B256, U256};
use alloy_trie::Nibbles;
use medina_types::Height;

/// Nibbles of the longest path: a keccak hash.
const PATH_NIBBLES_MAX: usize = 64;

pub(crate) fn height(height: Height) -> [u8; 8] {
    height.0.to_be_bytes()
}

pub(crate) fn slot(address: &Address, slot: &U256) -> [u8; 52] {
    let mut key = [0; 52];
    key[..20].copy_from_slice(address.as_slice());
    key[20..].copy_from_slice(&slot.to_be_bytes::<32>());
    key
}

/// The slot of a key of [`slot`], `None` if it is no such key.
pub(crate) fn slot_of(key: &[u8]) -> Option<U256> {
    let bytes: [u8; 32] = key.get(20..)?.try_into().ok()?;
    Some(U256::from_be_bytes(bytes))
}

/// A trie path behind the owner of the trie (nothing for the account trie).
pub(crate) fn path(owner: Option<&B256>, path: &Nibbles) -> Vec<u8> {
    let mut key = Vec::with_capacity(32 + 1 + path.len().div_ceil(2));
    if let Some(owner) = owner {
        key.extend_from_slice(owner.as_slice());
    }
    key.push(u8::try_from(path.len()).expect("a path has at most 64 nibbles"));
    key.extend_from_slice(&path.pack());
    key
}

/// The path of a storage trie key, `None` if it is no such key.
pub(crate) fn path_of(key: &[u8]) -> Option<Nibbles> {
    let (&length, packed) = key.get(32..)?.split_first()?;
    let length = usize::from(length);
    let fits = length <= PATH_NIBBLES_MAX && packed.len() == length.div_ceil(2);
    fits.then(|| Nibbles::unpack(packed).slice(..length))
}

/// Key of a history table: what it is about, then the height that overwrote it.
pub(crate) fn at(subject: &[u8], height: Height) -> Vec<u8> {
    [subject, &height.0.to_be_bytes()].concat()
}

/// The height in a key of [`at`], `None` if it is no such key.
pub(crate) fn height_of_history(key: &[u8]) -> Option<Height> {
    let (_, height) = key.split_last_chunk::<8>()?;
    Some(Height(u64::from_be_bytes(*height)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn paths_read_back(nibbles in proptest::collection::vec(0_u8..16, 0..=64)) {
            let original = Nibbles::from_nibbles(&nibbles);
            let key = path(Some(&B256::ZERO), &original);
            prop_assert_eq!(path_of(&key), Some(original));
        }

        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = path_of(&bytes);
            let _ = slot_of(&bytes);
            let _ = height_of_history(&bytes);
        }
    }
}
