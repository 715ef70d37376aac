//! Gas that a transaction needs before it does anything.

use alloy_consensus::Transaction as _;
use medina_types::Transaction;

/// Yellow paper, appendix G.
const TRANSACTION_GAS: u64 = 21_000;
/// EIP-2.
const CREATE_GAS: u64 = 32_000;
/// EIP-2028, per token; a non-zero byte is four tokens.
const TOKEN_GAS: u64 = 4;
/// EIP-7623, per token.
const FLOOR_TOKEN_GAS: u64 = 10;
/// EIP-3860, per 32-byte word of initcode.
const INITCODE_WORD_GAS: u64 = 2;
/// EIP-2930.
const ACCESS_LIST_ADDRESS_GAS: u64 = 2_400;
/// EIP-2930.
const ACCESS_LIST_SLOT_GAS: u64 = 1_900;
/// EIP-7702.
const AUTHORIZATION_GAS: u64 = 25_000;

/// Gas charged before execution.
#[must_use]
pub fn intrinsic_gas(transaction: &Transaction) -> u64 {
    let input = transaction.input();
    let mut gas = TRANSACTION_GAS.saturating_add(tokens(input).saturating_mul(TOKEN_GAS));
    if transaction.is_create() {
        let words = (input.len() as u64).div_ceil(32);
        gas = gas
            .saturating_add(CREATE_GAS)
            .saturating_add(words * INITCODE_WORD_GAS);
    }
    if let Some(list) = transaction.access_list() {
        for item in list.iter() {
            let slots = ACCESS_LIST_SLOT_GAS.saturating_mul(item.storage_keys.len() as u64);
            gas = gas
                .saturating_add(ACCESS_LIST_ADDRESS_GAS)
                .saturating_add(slots);
        }
    }
    let authorizations = transaction.authorization_list().map_or(0, <[_]>::len) as u64;
    gas.saturating_add(authorizations.saturating_mul(AUTHORIZATION_GAS))
}

/// Least gas that a transaction with this much data pays (EIP-7623).
#[must_use]
pub fn floor_gas(transaction: &Transaction) -> u64 {
    TRANSACTION_GAS.saturating_add(tokens(transaction.input()).saturating_mul(FLOOR_TOKEN_GAS))
}

fn tokens(input: &[u8]) -> u64 {
    let zeros = input.iter().filter(|byte| **byte == 0).count() as u64;
    zeros + 4 * (input.len() as u64 - zeros)
}

/// Whether a transaction is of type 3.
pub(crate) fn is_blob(transaction: &Transaction) -> bool {
    transaction.is_eip4844()
}
