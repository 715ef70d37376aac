//! Transactions that nobody signed, in the form that blocks hold.
//!
//! Their signatures are zero, so types from EIP-2930 on are encoded as usual. An
//! older transaction has nothing but the signature to tell its chain from, and is
//! encoded with three zeros as every client does before it signs.

use crate::CallRequest;
use alloy_consensus::{
    Signed, TxEip1559, TxEip4844, TxEip7702, TxLegacy, Typed2718,
    proofs::calculate_transaction_root,
};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{B256, Signature, TxKind, U256, keccak256};
use alloy_rlp::{BufMut, Encodable, Header};
use medina_types::Transaction;

/// Puts a call whose blanks are filled into the form of a transaction, by geth's
/// choice of types: what the caller's fields need, EIP-1559 where they need none.
#[must_use]
pub fn unsigned_transaction(
    request: &CallRequest,
    gas_limit: u64,
    nonce: u64,
    chain_id: u64,
    has_base_fee: bool,
) -> Transaction {
    let (to, value) = (kind(request), request.value.unwrap_or_default());
    let input = request.input.clone();
    if request.gas_price.is_some() || !has_base_fee {
        let gas_price = request.fee_cap();
        return sign(TxLegacy {
            chain_id: None,
            nonce,
            gas_price,
            gas_limit,
            to,
            value,
            input,
        });
    }
    let max_fee_per_gas = request.max_fee_per_gas.unwrap_or(0);
    let max_priority_fee_per_gas = request.max_priority_fee_per_gas.unwrap_or(0);
    let access_list = request.access_list.clone().unwrap_or_default();
    let callee = request.to.unwrap_or_default();
    if !request.authorization_list.is_empty() {
        return Signed::new_unhashed(
            TxEip7702 {
                chain_id,
                nonce,
                gas_limit,
                max_fee_per_gas,
                max_priority_fee_per_gas,
                to: callee,
                value,
                access_list,
                authorization_list: request.authorization_list.clone(),
                input,
            },
            no_signature(),
        )
        .into();
    }
    if !request.blob_versioned_hashes.is_empty() {
        return Signed::new_unhashed(
            TxEip4844 {
                chain_id,
                nonce,
                gas_limit,
                max_fee_per_gas,
                max_priority_fee_per_gas,
                to: callee,
                value,
                access_list,
                blob_versioned_hashes: request.blob_versioned_hashes.clone(),
                max_fee_per_blob_gas: request.max_fee_per_blob_gas.unwrap_or(0),
                input,
            },
            no_signature(),
        )
        .into();
    }
    let transaction = TxEip1559 {
        chain_id,
        nonce,
        gas_limit,
        max_fee_per_gas,
        max_priority_fee_per_gas,
        to,
        value,
        access_list,
        input,
    };
    Signed::new_unhashed(transaction, no_signature()).into()
}

fn kind(request: &CallRequest) -> TxKind {
    request.to.map_or(TxKind::Create, TxKind::Call)
}

fn no_signature() -> Signature {
    Signature::new(U256::ZERO, U256::ZERO, false)
}

/// A transaction before EIP-2930, hashed as it is without a signature.
fn sign(transaction: TxLegacy) -> Transaction {
    let mut encoded = Vec::new();
    encode_legacy(&transaction, &mut encoded);
    let hash = keccak256(encoded);
    Signed::new_unchecked(transaction, no_signature(), hash).into()
}

/// Root of a block's unsigned transactions.
pub(super) fn transactions_root(transactions: &[Transaction]) -> B256 {
    let unsigned: Vec<_> = transactions.iter().map(Unsigned).collect();
    calculate_transaction_root(&unsigned)
}

/// EIP-2718 bytes of a transaction that nobody signed yet.
#[must_use]
pub fn encode_unsigned(transaction: &Transaction) -> Vec<u8> {
    Unsigned(transaction).encoded_2718()
}

/// A transaction as the trie of transactions holds it.
struct Unsigned<'a>(&'a Transaction);

impl Typed2718 for Unsigned<'_> {
    fn ty(&self) -> u8 {
        self.0.ty()
    }
}

impl Encodable2718 for Unsigned<'_> {
    fn encode_2718_len(&self) -> usize {
        // A zero takes as much as the number that stands for no chain.
        self.0.encode_2718_len()
    }

    fn encode_2718(&self, out: &mut dyn BufMut) {
        match self.0 {
            Transaction::Legacy(legacy) => encode_legacy(legacy.tx(), out),
            other => other.encode_2718(out),
        }
    }
}

fn encode_legacy(transaction: &TxLegacy, out: &mut dyn BufMut) {
    let fields: [&dyn Encodable; 9] = [
        &transaction.nonce,
        &transaction.gas_price,
        &transaction.gas_limit,
        &transaction.to,
        &transaction.value,
        &transaction.input,
        &0_u8,
        &0_u8,
        &0_u8,
    ];
    let payload_length = fields.iter().map(|field| field.length()).sum();
    let head = Header {
        list: true,
        payload_length,
    };
    head.encode(out);
    for field in fields {
        field.encode(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_consensus::Transaction as _;
    use alloy_primitives::{Address, b256};

    #[test]
    fn types_follow_from_the_fields_and_the_default_is_1559() {
        let to = Address::repeat_byte(1);
        let plain = CallRequest {
            to: Some(to),
            ..CallRequest::default()
        };
        let priced = CallRequest {
            gas_price: Some(1),
            ..plain.clone()
        };
        let blobs = CallRequest {
            blob_versioned_hashes: vec![B256::repeat_byte(1)],
            ..plain.clone()
        };
        let types =
            [&plain, &priced, &blobs].map(|one| unsigned_transaction(one, 1, 0, 1, true).ty());
        assert_eq!(types, [2, 0, 3]);
        assert_eq!(unsigned_transaction(&plain, 1, 0, 1, false).ty(), 0);
        assert_eq!(
            unsigned_transaction(&plain, 1, 0, 1, true).kind(),
            TxKind::Call(to)
        );
    }

    #[test]
    fn unsigned_legacy_transaction_ends_in_three_zeros() {
        let request = CallRequest {
            gas_price: Some(1),
            ..CallRequest::default()
        };
        let transaction = unsigned_transaction(&request, 21_000, 0, 1, true);
        // keccak of rlp([0, 1, 21000, "", 0, "", 0, 0, 0])
        let encoded = [
            0xcb, 0x80, 0x01, 0x82, 0x52, 0x08, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
        ];
        assert_eq!(*transaction.tx_hash(), keccak256(encoded));
        assert_ne!(
            *transaction.tx_hash(),
            b256!("0x0000000000000000000000000000000000000000000000000000000000000000")
        );
        assert_eq!(Unsigned(&transaction).encode_2718_len(), encoded.len());
    }
}
