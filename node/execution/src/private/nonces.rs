//! Private nonces, and what they are inside the machine.

use alloy_primitives::{B256, keccak256};

/// No account ever sends so many public transactions; and above the largest offset
/// there is room for as many private ones.
const OFFSET_MIN: u64 = 1 << 62;

/// Domain of the hash that offsets are drawn from.
const DOMAIN: &[u8] = b"medina private nonce";

/// What is added to a private nonce inside the machine, by group: from 2^62 up to
/// below 2^63. The machine derives the address of a created contract from it.
#[must_use]
pub fn nonce_offset(group: B256) -> u64 {
    let hash = keccak256([DOMAIN, group.as_slice()].concat());
    let (first, _) = hash.split_first_chunk::<8>().expect("a hash has 32 bytes");
    OFFSET_MIN + (u64::from_be_bytes(*first) >> 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn offsets_are_out_of_reach_of_public_nonces_and_of_the_last_nonce(group: [u8; 32]) {
            let offset = nonce_offset(group.into());
            prop_assert!((1 << 62..1 << 63).contains(&offset));
        }
    }

    #[test]
    fn groups_have_offsets_of_their_own() {
        let [one, other] = [1, 2].map(|byte| nonce_offset(B256::repeat_byte(byte)));
        assert_ne!(one, other);
    }
}
