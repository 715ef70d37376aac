//! Chains of token transfers between the test accounts.

use super::support::*;
use crate::chain::{Chain, Written};
use alloy_consensus::{SignableTransaction, TxEip1559};
use alloy_primitives::{Address, Bytes, TxKind, U256, keccak256};
use alloy_signer::SignerSync;
use alloy_signer_local::{MnemonicBuilder, coins_bip39::English};
use medina_execution::BuildAttributes;
use medina_types::{RecoveredTransaction, Transaction};
use std::{collections::VecDeque, sync::Arc};
use tempfile::TempDir;

const ACCOUNTS: u64 = 10;

/// `transfer(address,uint256)` of one base unit by a test account.
fn transfer(chain: &Chain, sender: u64, nonce: u64) -> Arc<RecoveredTransaction> {
    Arc::new(RecoveredTransaction::recover(signed(sender, unsigned(chain, nonce))).unwrap())
}

/// Signed by a test account.
pub(super) fn signed(sender: u64, transaction: TxEip1559) -> Transaction {
    let signer = MnemonicBuilder::<English>::default()
        .phrase("test test test test test test test test test test test junk")
        .index(u32::try_from(sender).unwrap())
        .unwrap()
        .build()
        .unwrap();
    let signature = signer.sign_hash_sync(&transaction.signature_hash());
    transaction.into_signed(signature.unwrap()).into()
}

/// The same without its signature.
pub(super) fn unsigned(chain: &Chain, nonce: u64) -> TxEip1559 {
    let mut input = keccak256("transfer(address,uint256)")[..4].to_vec();
    input.extend_from_slice(Address::repeat_byte(7).into_word().as_slice());
    input.extend_from_slice(&U256::from(1).to_be_bytes::<32>());
    TxEip1559 {
        chain_id: chain.spec.chain_id,
        nonce,
        gas_limit: 100_000,
        to: TxKind::Call(chain.spec.contracts["medinaToken"]),
        input: input.into(),
        ..TxEip1559::default()
    }
}

/// One more block of these transactions.
pub(super) fn extend(chain: &Chain, transactions: Vec<Arc<RecoveredTransaction>>) {
    let count = transactions.len();
    let mut waiting = VecDeque::from(transactions);
    let head = chain.head();
    let attributes = BuildAttributes {
        beneficiary: head.context.validators.get(0).unwrap().operator,
        timestamp_s: 1_700_000_001,
        extra_data: Bytes::new(),
    };
    let (executor, store) = (&chain.executor, &chain.store);
    let mut next = || waiting.pop_front();
    let built = executor.build(store, &head, &attributes, &mut next, &mut || false);
    let built = built.unwrap();
    assert_eq!(built.receipts.len(), count);
    assert!(built.receipts.iter().all(|receipt| receipt.success));
    let certificate = seal(chain, &built.block.sealed);
    let committed = chain.commit(built, &certificate, None, Written::IMPORTED);
    committed.unwrap();
}

/// A chain of so many blocks with so many transfers each.
pub(super) fn chain_of_transfers(blocks: u64, per_block: u64) -> (TempDir, Chain) {
    let (folder, chain) = chain();
    for block in 0..blocks {
        let transfers = (block * per_block..(block + 1) * per_block)
            .map(|index| transfer(&chain, index % ACCOUNTS, index / ACCOUNTS));
        extend(&chain, transfers.collect());
    }
    (folder, chain)
}
