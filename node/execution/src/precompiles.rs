//! Osaka's precompiles and Medina's own: ed25519 verification, and the mark of a
//! private transaction ([`crate::private::marker`]).
//!
//! A device signs its readings with its own ed25519 key; a contract checks them
//! here. Input: 32-byte public key, 64-byte signature, message of any length.
//! Output: the 32-byte number one when the signature is valid, else nothing.
//! Shorter input is answered with nothing, too; nothing but lack of gas fails.
//!
//! Verification is strict (RFC 8032 without cofactor): keys and commitments of
//! small order, scalars above the group order and encodings that are not the
//! canonical one are refused, so that no second node can come to another answer.
//!
//! Gas: [`VERIFY_GAS`], the price that EIP-665 proposed for ed25519, plus
//! [`WORD_GAS`] for each 32-byte word of the message, begun words included:
//! SHA-256's word price, for SHA-512.

use crate::private::marker;
use alloy_primitives::{Address, Bytes, U256};
use ed25519_dalek::{Signature, VerifyingKey};
use medina_types::{ED25519_PRECOMPILE, MARKER_ADDRESS};
use revm::{
    context_interface::{Cfg, ContextTr},
    handler::{EthPrecompiles, PrecompileProvider, precompile_output_to_interpreter_result},
    interpreter::{CallInputs, InterpreterResult},
    precompile::{PrecompileHalt, PrecompileOutput},
    primitives::{AddressSet, hardfork::SpecId},
};
use std::collections::BTreeMap;

/// Gas of one verification.
pub const VERIFY_GAS: u64 = 2_000;
/// Gas for each 32-byte word of the message, because SHA-512 reads it.
pub const WORD_GAS: u64 = 12;
/// Bytes of key and signature before the message.
const HEAD_BYTES: usize = 96;

/// Gas that the precompile takes for an input of this many bytes.
#[must_use]
pub const fn ed25519_gas(input_bytes: usize) -> u64 {
    let words = input_bytes.saturating_sub(HEAD_BYTES).div_ceil(32) as u64;
    VERIFY_GAS + WORD_GAS * words
}

/// Answer of the precompile: one, or nothing.
#[must_use]
pub fn ed25519_verify(input: &[u8]) -> Bytes {
    if is_valid(input) {
        U256::ONE.to_be_bytes::<32>().into()
    } else {
        Bytes::new()
    }
}

fn is_valid(input: &[u8]) -> bool {
    let Some((key, rest)) = input.split_first_chunk::<32>() else {
        return false;
    };
    let Some((signature, message)) = rest.split_first_chunk::<64>() else {
        return false;
    };
    if !is_canonical(key) {
        return false;
    }
    VerifyingKey::from_bytes(key).is_ok_and(|key| {
        key.verify_strict(message, &Signature::from_bytes(signature))
            .is_ok()
    })
}

/// True when the y coordinate is below the field's prime 2^255 - 19.
fn is_canonical(point: &[u8; 32]) -> bool {
    let high_bits_set = point[31] & 0x7f == 0x7f && point[1..31].iter().all(|&byte| byte == 0xff);
    !(high_bits_set && point[0] >= 0xed)
}

/// What a call to a precompile address runs.
#[derive(Debug, Clone)]
pub struct MedinaPrecompiles {
    ethereum: EthPrecompiles,
    /// Ethereum's and, on our chains, our own.
    addresses: AddressSet,
    with_ours: bool,
    with_marker: bool,
    /// Which precompile answers at which address, where a caller moved some.
    moved: Option<BTreeMap<Address, Address>>,
}

impl MedinaPrecompiles {
    /// Ethereum's precompiles of this fork, with ours if asked for.
    #[must_use]
    pub fn new(spec: SpecId, with_ours: bool) -> Self {
        let ethereum = EthPrecompiles::new(spec);
        let mut precompiles = Self {
            ethereum,
            addresses: AddressSet::default(),
            with_ours,
            with_marker: with_ours,
            moved: None,
        };
        precompiles.collect_addresses();
        precompiles
    }

    /// The same where the marker's address is as any other: on chains that were made
    /// without private groups.
    #[must_use]
    pub fn without_marker(mut self) -> Self {
        self.with_marker = false;
        self.collect_addresses();
        self
    }

    /// Every precompile at its own address: what a caller may move about.
    #[must_use]
    pub fn in_place(&self) -> BTreeMap<Address, Address> {
        let mut places = BTreeMap::new();
        #[allow(clippy::iter_over_hash_type, reason = "they are put in order")]
        for address in &self.addresses {
            places.insert(*address, *address);
        }
        places
    }

    /// Lets precompiles answer at other addresses than their own: by address,
    /// whose code runs there. Which addresses are warm stays as it is.
    pub fn set_places(&mut self, places: BTreeMap<Address, Address>) {
        self.moved = Some(places);
    }

    fn collect_addresses(&mut self) {
        self.addresses.clone_from(self.ethereum.warm_addresses());
        if self.with_ours {
            self.addresses.insert(ED25519_PRECOMPILE);
        }
        if self.with_marker {
            self.addresses.insert(MARKER_ADDRESS);
        }
    }
}

impl<CTX: ContextTr<Cfg: Cfg<Spec = SpecId>>> PrecompileProvider<CTX> for MedinaPrecompiles {
    type Output = InterpreterResult;

    fn set_spec(&mut self, spec: SpecId) -> bool {
        let changed = PrecompileProvider::<CTX>::set_spec(&mut self.ethereum, spec);
        self.collect_addresses();
        changed
    }

    fn run(
        &mut self,
        context: &mut CTX,
        inputs: &CallInputs,
    ) -> Result<Option<InterpreterResult>, String> {
        let Some(moved) = &self.moved else {
            return self.run_in_place(context, inputs);
        };
        let Some(own) = moved.get(&inputs.bytecode_address).copied() else {
            return Ok(None);
        };
        let mut inputs = inputs.clone();
        inputs.bytecode_address = own;
        self.run_in_place(context, &inputs)
    }

    fn warm_addresses(&self) -> &AddressSet {
        &self.addresses
    }

    fn contains(&self, address: &Address) -> bool {
        self.addresses.contains(address)
    }
}

impl MedinaPrecompiles {
    /// Runs the precompile at its own address.
    fn run_in_place<CTX: ContextTr<Cfg: Cfg<Spec = SpecId>>>(
        &mut self,
        context: &mut CTX,
        inputs: &CallInputs,
    ) -> Result<Option<InterpreterResult>, String> {
        if !self.with_ours {
            return self.ethereum.run(context, inputs);
        }
        let output = match inputs.bytecode_address {
            ED25519_PRECOMPILE => run_ed25519(&inputs.input.as_bytes(context), inputs),
            MARKER_ADDRESS if self.with_marker => {
                marker::run(&inputs.input.as_bytes(context), inputs)
            }
            _ => return self.ethereum.run(context, inputs),
        };
        Ok(Some(precompile_output_to_interpreter_result(
            output,
            inputs.gas_limit,
        )))
    }
}

fn run_ed25519(input: &[u8], inputs: &CallInputs) -> PrecompileOutput {
    let gas = ed25519_gas(input.len());
    if gas > inputs.gas_limit {
        PrecompileOutput::halt(PrecompileHalt::OutOfGas, inputs.reservoir)
    } else {
        PrecompileOutput::new(gas, ed25519_verify(input), inputs.reservoir)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::hex;
    use ed25519_dalek::{Signer, SigningKey};
    use proptest::prelude::*;

    /// RFC 8032, section 7.1: (public key, message, signature).
    const VECTORS: [(&str, &str, &str); 4] = [
        (
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
        (
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ),
        (
            "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
        ),
    ];

    fn input(key: &[u8], signature: &[u8], message: &[u8]) -> Vec<u8> {
        [key, signature, message].concat()
    }

    #[test]
    fn published_vectors_are_valid_and_any_flipped_bit_is_not() {
        for (key, message, signature) in VECTORS {
            let [key, message, signature] =
                [key, message, signature].map(|text| hex::decode(text).unwrap());
            let good = input(&key, &signature, &message);
            assert_eq!(
                ed25519_verify(&good),
                Bytes::from(U256::ONE.to_be_bytes::<32>())
            );
            for bit in 0..good.len() * 8 {
                let mut bad = good.clone();
                bad[bit / 8] ^= 1 << (bit % 8);
                assert!(ed25519_verify(&bad).is_empty(), "bit {bit}");
            }
        }
    }

    #[test]
    fn scalar_above_the_group_order_is_refused() {
        let order = hex!("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
        let (key, message, signature) = VECTORS[1];
        let mut signature = hex::decode(signature).unwrap();
        let mut carry = 0u16;
        for (byte, add) in signature[32..].iter_mut().zip(order) {
            carry += u16::from(*byte) + u16::from(add);
            *byte = carry.to_le_bytes()[0];
            carry >>= 8;
        }
        let input = input(
            &hex::decode(key).unwrap(),
            &signature,
            &hex::decode(message).unwrap(),
        );
        assert!(ed25519_verify(&input).is_empty());
    }

    #[test]
    fn small_order_and_non_canonical_keys_are_refused() {
        // With A and R the neutral element and s = 0 the plain equation holds for every message.
        let mut neutral = [0; 32];
        neutral[0] = 1;
        let mut signature = [0; 64];
        signature[0] = 1;
        assert!(ed25519_verify(&input(&neutral, &signature, b"any")).is_empty());
        for low in 0xed..=0xff {
            for top in [0x7f, 0xff] {
                let mut key = [0xff; 32];
                (key[0], key[31]) = (low, top);
                assert!(!is_canonical(&key));
                assert!(ed25519_verify(&input(&key, &signature, b"any")).is_empty());
            }
        }
        let mut largest = [0xff; 32];
        (largest[0], largest[31]) = (0xec, 0x7f);
        assert!(is_canonical(&largest));
    }

    #[test]
    fn gas_grows_with_begun_words_of_the_message() {
        let table = [
            (0, 2_000),
            (95, 2_000),
            (96, 2_000),
            (97, 2_012),
            (128, 2_012),
            (129, 2_024),
        ];
        for (bytes, gas) in table {
            assert_eq!(ed25519_gas(bytes), gas, "{bytes} bytes");
        }
    }

    proptest! {
        #[test]
        fn any_signed_message_is_valid_and_any_input_survived(
            seed in any::<[u8; 32]>(),
            message in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let secret = SigningKey::from_bytes(&seed);
            let signature = secret.sign(&message).to_bytes();
            let signed = input(secret.verifying_key().as_bytes(), &signature, &message);
            prop_assert_eq!(ed25519_verify(&signed).len(), 32);
            prop_assert!(ed25519_verify(&message).is_empty());
        }
    }
}
